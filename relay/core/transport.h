// One participant's media transport: its session record, its key, its address, and what may be sent
// there. Owned by one core. It opens and seals; whom a packet concerns is forward.*'s business.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crypto/aead.h"
#include "crypto/keys.h"
#include "relay/core/budget.h"
#include "relay/core/lateness.h"
#include "relay/core/outbox.h"
#include "relay/core/session_record.h"
#include "relay/core/slot_stats.h"
#include "relay/core/stream.h"
#include "relay/core/unproven.h"
#include "relay/observe/counters.h"
#include "relay/wire/rtp.h"

namespace earshot {

// Where an IP discovery came from, and which of our addresses it spoke to.
struct Discovered {
  IpAddress source;
  IpAddress local;
};

// What a slot keeps beside its session record: all of it may start anew after a restart.
struct Transport {
  Stream stream;
  LatenessState lateness;
  TokenBucket rate;
  Time moved_at;                         // last move of the return address
  Time reachable_at;                     // last sign that somebody is there
  std::array<Discovered, 2> discovered;  // the last sources of an IP discovery for this slot
  std::array<std::uint8_t, 2> discovery_replies{};  // IPv4, IPv6; saturating
  std::uint16_t silenced_through = 0;  // sequence of the last silence frame that a mute injected
  bool is_behind_silence = false;
  bool ended_in_silence = true;  // the last accepted frame was Opus silence, or there was none
  bool fresh_key_asked = false;
  bool has_event_address_changed = false;
  bool has_event_fresh_key = false;
};

struct OpenedDatagram {
  DropReason reason = DropReason::none;
  bool is_authentic = false;  // and no replay
  bool is_newest = false;
  std::span<const std::uint8_t> frame;  // inside the datagram
};

class Transports {
 public:
  // `session_memory` as in CoreOptions.
  Transports(std::size_t slots_count, std::span<std::uint8_t> session_memory,
             UnprovenAddresses& unproven, SlotStats* stats, Counters& counters);

  bool contains(SlotIndex slot) const { return slot.value < slots_count_; }
  SessionRecord& record(SlotIndex slot) { return records_[slot.value]; }
  Transport& operator[](SlotIndex slot) { return transports_[slot.value]; }
  SlotStats* stats(SlotIndex slot) { return stats_ == nullptr ? nullptr : stats_ + slot.value; }
  // Of its own memory.
  bool is_locked() const {
    return (record_memory_.is_empty() || record_memory_.is_locked()) && key_memory_.is_locked();
  }
  std::size_t slot_bytes() const {
    return sizeof(SessionRecord) + sizeof(crypto::AeadKey) + sizeof(Transport);
  }

  void open_slot(const OpenSlot& command);
  void close_slot(SlotIndex slot);
  void install_key(Time now, const InstallKey& command);
  void declare(Time now, SlotIndex slot, const Endpoint& declared);
  void set_signalling_peer(Time now, SlotIndex slot, const IpAddress& peer);
  // An IP discovery for this slot came from there: a declared address with that IP is now believed.
  void on_discovery(Time now, SlotIndex slot, const IpAddress& source, const IpAddress& local);

  // Authenticates and decrypts in place, then the replay window.
  OpenedDatagram open(SlotIndex slot, const wire::RtpHeader& header,
                      std::span<std::uint8_t> datagram);
  // The return address follows an authenticated packet that is the newest.
  void follow(Time now, SlotIndex slot, const Datagram& in, bool is_newest);

  // Seals one packet for this participant into `out`. Nothing happens where it may not receive.
  void send(Time now, SlotIndex slot, Ssrc publisher, std::uint16_t sequence,
            std::uint32_t timestamp, std::span<const std::uint8_t> frame, Outbox& out);

 private:
  // Makes the declared address the remote if it is to be believed.
  void believe_declared(Time now, SlotIndex slot);
  IpAddress local_towards(SlotIndex slot, const IpAddress& ip) const;
  void set_remote(Time now, SlotIndex slot, const Endpoint& remote, const IpAddress& local,
                  bool is_proven);
  void leave_unproven(SessionRecord& record);
  bool is_reachable(SlotIndex slot) const;
  std::optional<crypto::Counter> next_counter(SlotIndex slot);
  void note_nonces(SlotIndex slot, std::uint32_t moves_before);

  std::size_t slots_count_;
  crypto::SecretMemory record_memory_;  // empty if the shell handed some in
  crypto::SecretMemory key_memory_;
  SessionRecord* records_;
  crypto::AeadKey* keys_;
  std::vector<Transport> transports_;
  UnprovenAddresses& unproven_;
  SlotStats* stats_;
  Counters& counters_;
};

}  // namespace earshot
