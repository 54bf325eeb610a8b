// What the controller tells a worker: a closed set of plain values. Produced by the controller,
// executed by one worker in order; a command is complete when on_command returned and nothing is
// due (Core::next_timeout() > now). One about a slot that has ended does nothing and is counted.
#pragma once

#include <cstdint>
#include <variant>

#include "crypto/aead.h"
#include "relay/base/address.h"
#include "relay/base/ids.h"

namespace earshot {

// One bit per worker of this node.
using WorkerMask = std::uint64_t;

constexpr std::uint16_t no_late_ms_max = UINT16_MAX;

struct Grants {
  bool speak = true;
  bool listen = true;
  bool priority = false;
  std::uint16_t late_ms_max = no_late_ms_max;  // 0 off, 20..2000; or no_late_ms_max: the channel's
};

// A channel begins on this worker.
struct OpenChannel {
  ChannelRef channel;
  std::uint16_t speakers_max = 32;   // 1..limits::channel_speakers_max
  std::uint16_t late_ms_max = 200;   // 0 off, 20..2000
  bool has_own_late_ms_max = false;  // set for this channel: then it goes before a speaker's grant
};

// What the application has set for a channel that is open on this worker: holds from the next
// packet on. A channel that has ended meanwhile is no error.
struct SetChannelOptions {
  ChannelRef channel;
  std::uint16_t speakers_max = 32;
  std::uint16_t late_ms_max = 200;
  bool has_own_late_ms_max = false;
};

// The channel ends on this worker. All its slots are closed before.
struct CloseChannel {
  ChannelRef channel;
};

// Which other workers have participants of this channel: they get a copy of each opened packet.
struct SetChannelWorkers {
  ChannelRef channel;
  WorkerMask workers = 0;  // the worker's own bit is ignored
};

// A participant whose slot is on this worker. It receives nothing before InstallKey and
// StartSending.
struct OpenSlot {
  SlotRef slot;
  ChannelRef channel;
  Grants grants;
  bool is_muted = false;
  bool is_deafened = false;
  IpAddress signalling_peer;  // where its gateway connection comes from
};

// A participant of the channel whose slot is on another worker.
struct OpenRemoteSlot {
  SlotRef slot;
  ChannelRef channel;
  bool has_priority = false;
};

// Ends either kind. Nothing is sent to or accepted from the slot afterwards.
struct CloseSlot {
  SlotRef slot;
};

// Select Protocol was accepted: the session's key and the address that the client declared.
struct InstallKey {
  SlotRef slot;
  crypto::AeadMode mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  std::array<std::uint8_t, crypto::key_size> key{};
  Endpoint declared;              // unset: learn it from the first authenticated packet
  std::uint32_t nonce_start = 0;  // random, below limits::nonce_space

  // Every copy on its way through the inbox leaves nothing behind.
  ~InstallKey() { crypto::zero(key); }
};

// A second Select Protocol: a new declared address; key and counters stay.
struct SetDeclaredAddress {
  SlotRef slot;
  Endpoint declared;
};

// Op 4 has reached the client: from now on it may receive, until another key is installed.
struct StartSending {
  SlotRef slot;
};

// The resumed session may come from another address.
struct SetSignallingPeer {
  SlotRef slot;
  IpAddress signalling_peer;
};

// A mute ends the speaker's stream for the listeners with five silence frames.
struct SetMuted {
  SlotRef slot;
  bool is_muted = false;
};

struct SetDeafened {
  SlotRef slot;
  bool is_deafened = false;
};

// Worker 0 only: which address belongs to which slot of which worker, so that keep-alives can be
// told apart.
struct TrackAddress {
  SlotRef slot;
  Endpoint remote;  // unset: forget the slot
};

// Does nothing: when it is complete, everything that other workers had passed on before is done.
struct Fence {};

using Command = std::variant<Fence, OpenChannel, SetChannelOptions, CloseChannel, SetChannelWorkers,
                             OpenSlot, OpenRemoteSlot, CloseSlot, InstallKey, SetDeclaredAddress,
                             StartSending, SetSignallingPeer, SetMuted, SetDeafened, TrackAddress>;

}  // namespace earshot
