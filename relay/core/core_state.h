// What a core consists of. Private to core.cpp (datagrams, and the calls from outside) and
// core_commands.cpp (commands, and what they lead to). One owner thread.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "relay/base/fixed_map.h"
#include "relay/core/budget.h"
#include "relay/core/channel.h"
#include "relay/core/core.h"
#include "relay/core/transport.h"
#include "relay/wire/rtp.h"

namespace earshot {

// An Opus frame of silence; clients end their speech with five of them, and so does a mute.
inline constexpr std::array<std::uint8_t, 3> silence_frame{0xF8, 0xFF, 0xFE};

struct IntegerHash {
  std::uint64_t operator()(std::uint32_t key, std::uint64_t seed) const {
    return hash(Endpoint{{}, 0}, seed ^ key);
  }
};
struct EndpointHash {
  std::uint64_t operator()(const Endpoint& key, std::uint64_t seed) const {
    return hash(key, seed);
  }
};

// A participant of one of this worker's channels whose slot is on another worker.
struct RemoteSlot {
  SlotRef slot;
  ChannelRef channel;
  bool has_priority = false;
};

// Where the participant of a slot is, whichever worker it is on.
struct Tracked {
  Endpoint remote;
  Generation generation;
};

struct Core::State {
  State(const CoreOptions& o, std::span<SlotStats* const> s);

  void on_datagram(Time now, const Datagram& in, bool is_handed_over, Outbox& out);
  DropReason on_rtp(Time now, const Datagram& in, bool is_handed_over, Outbox& out);
  DropReason on_discovery(Time now, const Datagram& in, bool is_handed_over, Outbox& out);
  DropReason on_other(Time now, const Datagram& in, wire::DatagramKind kind);
  DropReason hand_over(Ssrc ssrc, const Datagram& in, bool is_handed_over, Outbox& out);
  // Has it waited too long, in our socket buffer or in the inbox of a worker?
  bool is_stale(Time now, Time arrival) const {
    return options.stale_max.ns > 0 && now - arrival > options.stale_max;
  }
  DropReason drop_stale(SlotIndex slot, const Datagram& in);
  // In the slot's own statistics; the worker's counters are the caller's.
  void count_drop(SlotIndex slot, DropReason reason);
  DropReason may_open(Time now, SlotIndex slot, const Datagram& in);
  DropReason may_speak(Time now, SlotIndex slot, Channel& channel, const Datagram& in,
                       const wire::RtpHeader& header, std::span<const std::uint8_t> frame);
  void publish_stream(SlotIndex slot);
  void forward(Time now, Channel& channel, const OpenedPacket& packet, Outbox& out);
  DropReason on_forwarded(Time now, const OpenedPacket& in, Outbox& out);

  void on(Time, const Fence&) {}
  void on(Time, const OpenChannel& c) { channels.open(c); }
  void on(Time, const CloseChannel& c) { channels.close(c.channel); }
  void on(Time, const SetChannelOptions& c);
  void on(Time, const SetChannelWorkers& c);
  void on(Time, const OpenSlot& c);
  void on(Time, const OpenRemoteSlot& c);
  void on(Time, const CloseSlot& c);
  void on(Time now, const InstallKey& c);
  void on(Time now, const SetDeclaredAddress& c);
  void on(Time, const StartSending& c);
  void on(Time now, const SetSignallingPeer& c);
  void on(Time, const SetMuted& c);
  void on(Time, const SetDeafened& c);
  void on(Time, const TrackAddress& c);
  void close_remote_slot(SlotRef slot);
  void inject_silence(Time now, Outbox& out);

  // The slot's record if that life of it is open on this worker, else nullptr.
  SessionRecord* find(SlotRef slot);
  // The same for a command, which may have been on its way when the slot ended.
  SessionRecord* find_or_count(SlotRef slot);
  bool is_own(Ssrc ssrc) const {
    return ssrc.node() == options.node && ssrc.worker() == options.worker;
  }
  SpeakerIndex remote_speaker(std::uint32_t index) const {
    return static_cast<SpeakerIndex>(options.sessions_max) + index;
  }
  // Notes the slot if it has something to tell the controller.
  void note_events(SlotIndex slot);
  SlotStats* tracked_stats(const Endpoint& remote);

  CoreOptions options;
  std::vector<SlotStats*> stats;
  Counters counters;
  Channels channels;
  std::unique_ptr<UnprovenAddresses> own_unproven;
  Transports transports;
  std::vector<RemoteSlot> remote_slots;
  std::vector<std::uint32_t> free_remote_slots;
  FixedMap<std::uint32_t, std::uint32_t, IntegerHash> remote_by_ssrc;
  // Worker 0: whose keep-alives and ICMP errors these are.
  FixedMap<Endpoint, SlotRef, EndpointHash> tracked_by_address;
  FixedMap<std::uint32_t, Tracked, IntegerHash> tracked_by_ssrc;
  SourceBudgets foreign_sources;
  SourceBudgets foreign_addresses;
  SourceBudgets discovery_sources;
  SourceBudgets discovery_addresses;
  TokenBucket foreign_total;
  TokenBucket foreign_reserved;
  TokenBucket discovery_total;
  std::vector<SlotIndex> slots_with_events;
  std::vector<bool> is_listed_for_events;
  SlotIndex silenced_slot;
  int silence_left = 0;
};

}  // namespace earshot
