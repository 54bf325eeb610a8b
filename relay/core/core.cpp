#include "relay/core/core.h"

#include <algorithm>
#include <cstring>

#include "relay/base/check.h"
#include "relay/base/fixed_map.h"
#include "relay/core/forward.h"
#include "relay/wire/discovery.h"

namespace earshot {
namespace {

constexpr std::uint8_t silence_frame[] = {0xF8, 0xFF, 0xFE};
constexpr int silence_frames = 5;
constexpr std::uint32_t frame_ticks = 960;  // 20 ms
// Sequence numbers up to the last injected one that may still come: as far as packets are
// reordered. Further back is a sender that begins anew.
constexpr std::uint16_t silenced_window = 128;
// So far behind it nothing of it can come any more (the replay window).
constexpr std::uint16_t silenced_over = 1'024;

constexpr Rate speech_rate{limits::packets_per_second_max, limits::packet_bucket_depth};
constexpr Rate foreign_source_rate{limits::foreign_opens_per_source_per_second,
                                   limits::foreign_opens_per_source_depth};
constexpr Rate foreign_address_rate{limits::foreign_opens_per_address_per_second,
                                    limits::foreign_opens_per_address_depth};
constexpr Rate foreign_worker_rate{limits::foreign_opens_per_worker_per_second,
                                   limits::foreign_opens_per_worker_depth};
constexpr Rate discovery_source_rate{limits::discovery_replies_per_source_per_second,
                                     limits::discovery_replies_per_source_per_second};
constexpr Rate discovery_address_rate{limits::discovery_replies_per_address_per_second,
                                      limits::discovery_replies_per_address_depth};
constexpr Rate discovery_worker_rate{limits::discovery_replies_per_worker_per_second,
                                     limits::discovery_replies_per_worker_depth};

bool is_silence(std::span<const std::uint8_t> frame) {
  return std::equal(frame.begin(), frame.end(), std::begin(silence_frame), std::end(silence_frame));
}

// Have the listeners seen this sequence number already, as silence that a mute injected?
bool is_in_silence(Transport& t, std::uint16_t sequence) {
  if (!t.is_behind_silence) return false;
  const auto behind = static_cast<std::uint16_t>(t.silenced_through - sequence);
  if (behind < silenced_window) return true;
  const auto ahead = static_cast<std::uint16_t>(sequence - t.silenced_through);
  if (ahead > silenced_over) t.is_behind_silence = false;
  return false;
}

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

}  // namespace

struct Core::State {
  State(const CoreOptions& o, std::span<SlotStats* const> s);

  void on_datagram(Time now, const Datagram& in, bool is_handed_over, Outbox& out);
  DropReason on_rtp(Time now, const Datagram& in, bool is_handed_over, Outbox& out);
  DropReason on_discovery(Time now, const Datagram& in, bool is_handed_over, Outbox& out);
  DropReason on_other(Time now, const Datagram& in, wire::DatagramKind kind);
  DropReason hand_over(Ssrc ssrc, const Datagram& in, bool is_handed_over, Outbox& out);
  DropReason may_open(Time now, SlotIndex slot, const Datagram& in);
  DropReason may_speak(Time now, SlotIndex slot, Channel& channel, const Datagram& in,
                       const wire::RtpHeader& header, std::span<const std::uint8_t> frame);
  void publish_stream(SlotIndex slot);
  void forward(Time now, Channel& channel, const OpenedPacket& packet, Outbox& out);
  DropReason on_forwarded(Time now, const OpenedPacket& in, Outbox& out);

  void on(Time, const Fence&) {}
  void on(Time, const OpenChannel& c) { channels.open(c); }
  void on(Time, const CloseChannel& c) { channels.close(c.channel); }
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
  TokenBucket discovery_total;
  std::vector<SlotIndex> slots_with_events;
  std::vector<bool> is_listed_for_events;
  SlotIndex silenced_slot;
  int silence_left = 0;
};

Core::State::State(const CoreOptions& o, std::span<SlotStats* const> s)
    : options(o),
      stats(s.begin(), s.end()),
      channels(o.channels_max, o.sessions_max, o.sessions_max + o.remote_slots_max),
      own_unproven(o.unproven == nullptr ? std::make_unique<UnprovenAddresses>(o.seed) : nullptr),
      transports(o.sessions_max, o.session_memory,
                 o.unproven == nullptr ? *own_unproven : *o.unproven,
                 s.empty() ? nullptr : s[o.worker.value], counters),
      remote_slots(o.remote_slots_max),
      remote_by_ssrc(o.remote_slots_max, o.seed),
      tracked_by_address(o.worker.value == 0 ? o.workers_count * o.sessions_max : 0, o.seed),
      tracked_by_ssrc(o.worker.value == 0 ? o.workers_count * o.sessions_max : 0, o.seed),
      foreign_sources(o.seed),
      foreign_addresses(o.seed),
      discovery_sources(o.seed),
      discovery_addresses(o.seed),
      is_listed_for_events(o.sessions_max) {
  RELAY_CHECK(o.workers_count >= 1 && o.workers_count <= limits::workers_max &&
              o.worker.value < o.workers_count);
  RELAY_CHECK(o.sessions_max <= limits::sessions_per_worker_max &&
              o.channels_max <= limits::channels_max);
  for (std::size_t i = o.remote_slots_max; i > 0; --i)
    free_remote_slots.push_back(static_cast<std::uint32_t>(i - 1));
  slots_with_events.reserve(o.sessions_max);
}

// --- Datagrams ----------------------------------------------------------------------------------

void Core::State::on_datagram(Time now, const Datagram& in, bool is_handed_over, Outbox& out) {
  DropReason reason = DropReason::none;
  const wire::DatagramKind kind = wire::classify(in.bytes);
  if (in.bytes.size() > limits::datagram_size_max) {
    reason = DropReason::oversize;
  } else if (options.loopback_only && !in.local.is_loopback()) {
    reason = DropReason::not_loopback;
  } else if (kind == wire::DatagramKind::rtp) {
    reason = on_rtp(now, in, is_handed_over, out);
  } else if (kind == wire::DatagramKind::discovery) {
    reason = on_discovery(now, in, is_handed_over, out);
  } else {
    reason = on_other(now, in, kind);
  }
  if (reason != DropReason::none) ++counters[reason];
}

DropReason Core::State::on_other(Time now, const Datagram& in, wire::DatagramKind kind) {
  switch (kind) {
    case wire::DatagramKind::keep_alive:
      ++counters[Counter::keep_alives];
      if (SlotStats* s = tracked_stats(in.remote))
        set(s->keep_alive_ns, static_cast<std::uint64_t>(now.ns));
      return DropReason::none;
    case wire::DatagramKind::leftover:
      ++counters[Counter::leftovers];
      return DropReason::none;
    case wire::DatagramKind::rtcp:
      ++counters[Counter::rtcp];
      return DropReason::none;
    default:
      return DropReason::unknown_kind;
  }
}

DropReason Core::State::hand_over(Ssrc ssrc, const Datagram& in, bool is_handed_over, Outbox& out) {
  if (is_handed_over || ssrc.node() != options.node ||
      ssrc.worker().value >= options.workers_count) {
    return DropReason::unknown_ssrc;
  }
  OutHandOver hand_over{ssrc.worker(), in};
  hand_over.datagram.bytes = out.allocate(in.bytes.size());
  std::memcpy(hand_over.datagram.bytes.data(), in.bytes.data(), in.bytes.size());
  out.push(hand_over);
  ++counters[Counter::handed_over];
  return DropReason::none;
}

DropReason Core::State::on_discovery(Time now, const Datagram& in, bool is_handed_over,
                                     Outbox& out) {
  const auto ssrc = wire::parse_discovery_request(in.bytes);
  if (!ssrc) return DropReason::malformed;
  if (!is_own(*ssrc)) return hand_over(*ssrc, in, is_handed_over, out);
  const SlotIndex slot = ssrc->slot();
  if (!transports.contains(slot) || !transports.record(slot).is_open())
    return DropReason::unknown_ssrc;

  // Clients ask once and hang without an answer: the signalling peer and the first few are always
  // answered.
  std::uint8_t& replies = transports[slot].discovery_replies[in.remote.ip.is_v4() ? 0 : 1];
  const bool is_exempt = in.remote.ip == transports.record(slot).signalling_peer ||
                         replies < limits::discovery_replies_free_per_family;
  if (!is_exempt && (!discovery_sources.take(now, slot, in.remote, discovery_source_rate) ||
                     !discovery_addresses.take(now, in.remote.ip, discovery_address_rate) ||
                     !discovery_total.take(now, discovery_worker_rate))) {
    return DropReason::discovery_budget;
  }
  if (replies < UINT8_MAX) ++replies;
  const auto reply = out.allocate(wire::discovery_size);
  wire::write_discovery_reply(reply.first<wire::discovery_size>(), *ssrc, in.remote);
  out.push(in.remote, in.local, reply);
  ++counters[Counter::datagrams_offered];
  ++counters[Counter::discovery_replies];
  transports.on_discovery(now, slot, in.remote.ip, in.local);
  note_events(slot);
  return DropReason::none;
}

// A packet's life, from the header on (ARCHITECTURE.md): each step goes on or names why not.
DropReason Core::State::on_rtp(Time now, const Datagram& in, bool is_handed_over, Outbox& out) {
  const auto header = wire::parse_rtp(in.bytes);
  if (!header) return DropReason::malformed;
  if (!is_own(header->ssrc)) return hand_over(header->ssrc, in, is_handed_over, out);
  const SlotIndex slot = header->ssrc.slot();
  if (const DropReason reason = may_open(now, slot, in); reason != DropReason::none) return reason;

  const OpenedDatagram opened = transports.open(slot, *header, in.bytes);
  const SessionRecord& record = transports.record(slot);
  if (opened.is_authentic) transports.follow(now, slot, in, opened.is_newest);
  note_events(slot);
  if (opened.reason != DropReason::none) return opened.reason;
  if (header->payload_type != wire::opus_payload_type) return DropReason::wrong_payload_type;
  if (SlotStats* s = transports.stats(slot)) {
    add(s->packets_received, 1);
    add(s->bytes_received, opened.frame.size());
    set(s->last_packet_ns, static_cast<std::uint64_t>(in.arrival.ns));
  }

  Channel* channel = channels.find(record.channel);
  RELAY_CHECK(channel != nullptr);
  const DropReason reason = may_speak(now, slot, *channel, in, *header, opened.frame);
  if (reason != DropReason::none) return reason;
  transports[slot].ended_in_silence = is_silence(opened.frame);
  forward(now, *channel,
          {record.slot, record.channel, header->sequence, header->timestamp, in.arrival,
           record.grants.priority, opened.frame},
          out);
  ++counters[Counter::accepted];
  if (SlotStats* s = transports.stats(slot)) add(s->packets_forwarded, 1);
  return DropReason::none;
}

// Before any cryptography: is there a key, and may this source make us try it?
DropReason Core::State::may_open(Time now, SlotIndex slot, const Datagram& in) {
  if (!transports.contains(slot) || !transports.record(slot).is_open())
    return DropReason::unknown_ssrc;
  const SessionRecord& record = transports.record(slot);
  if (!record.has_key) return DropReason::no_key;
  if (in.remote == record.remote) return DropReason::none;
  if (foreign_sources.take(now, slot, in.remote, foreign_source_rate) &&
      foreign_addresses.take(now, in.remote.ip, foreign_address_rate) &&
      foreign_total.take(now, foreign_worker_rate)) {
    return DropReason::none;
  }
  return DropReason::foreign_budget;
}

// After authentication: grant, mute, rate, duplicate, floor, lateness.
DropReason Core::State::may_speak(Time now, SlotIndex slot, Channel& channel, const Datagram& in,
                                  const wire::RtpHeader& header,
                                  std::span<const std::uint8_t> frame) {
  const SessionRecord& record = transports.record(slot);
  Transport& t = transports[slot];
  if (!record.grants.speak) return DropReason::not_allowed;
  // Looked at while muted too: whoever talks on does not come round to these numbers again.
  const bool is_behind_silence = is_in_silence(t, header.sequence);
  if (record.is_muted || is_behind_silence) {
    if (!t.stream.is_duplicate(header.sequence, header.timestamp)) {
      t.stream.on_packet(in.arrival, header.sequence, header.timestamp);
      publish_stream(slot);
    }
    return DropReason::muted;
  }
  if (!t.rate.take(now, speech_rate)) return DropReason::rate;
  if (t.stream.is_duplicate(header.sequence, header.timestamp)) {
    if (SlotStats* s = transports.stats(slot)) add(s->duplicates, 1);
    return DropReason::duplicate;
  }
  t.stream.on_packet(in.arrival, header.sequence, header.timestamp);
  publish_stream(slot);
  if (!channels.take_floor(channel, slot.value, record.grants.priority, now))
    return DropReason::speakers;
  if (SlotStats* s = transports.stats(slot)) {
    set(s->active_since_ns, static_cast<std::uint64_t>(channels.floor_since(slot.value).ns));
  }
  const LatenessInput input{rtp_ticks(in.arrival), header.sequence, header.timestamp,
                            frame.size() <= 3};
  return lateness(t.lateness, input, channel.late_ms_max) == LatenessVerdict::keep
             ? DropReason::none
             : DropReason::late;
}

void Core::State::publish_stream(SlotIndex slot) {
  SlotStats* s = transports.stats(slot);
  if (s == nullptr) return;
  set(s->lost, transports[slot].stream.lost());
  set(s->jitter_ticks, transports[slot].stream.jitter_ticks());
}

void Core::State::forward(Time now, Channel& channel, const OpenedPacket& packet, Outbox& out) {
  forward_local(now, channels, channel, transports, packet, out);
  counters[Counter::forwards_offered] += forward_to_workers(channel, options.worker, packet, out);
}

DropReason Core::State::on_forwarded(Time now, const OpenedPacket& in, Outbox& out) {
  const std::uint32_t* index = remote_by_ssrc.find(in.publisher.ssrc.value);
  if (index == nullptr) return DropReason::generation;
  const RemoteSlot& remote = remote_slots[*index];
  Channel* channel = channels.find(in.channel);
  if (channel == nullptr || remote.slot != in.publisher || remote.channel != in.channel)
    return DropReason::generation;
  if (!channels.take_floor(*channel, remote_speaker(*index), remote.has_priority, now))
    return DropReason::speakers;
  forward_local(now, channels, *channel, transports, in, out);
  return DropReason::none;
}

// --- Commands -----------------------------------------------------------------------------------

SessionRecord* Core::State::find(SlotRef slot) {
  if (!is_own(slot.ssrc) || !transports.contains(slot.ssrc.slot())) return nullptr;
  SessionRecord& record = transports.record(slot.ssrc.slot());
  return record.is_open() && record.slot == slot ? &record : nullptr;
}

SessionRecord* Core::State::find_or_count(SlotRef slot) {
  SessionRecord* record = find(slot);
  if (record == nullptr) ++counters[Counter::commands_outlived];
  return record;
}

void Core::State::on(Time, const SetChannelWorkers& c) {
  Channel* channel = channels.find(c.channel);
  RELAY_CHECK(channel != nullptr);
  channel->workers = c.workers & (~WorkerMask{0} >> (limits::workers_max - options.workers_count));
}

void Core::State::on(Time, const OpenSlot& c) {
  Channel* channel = channels.find(c.channel);
  RELAY_CHECK(channel != nullptr && is_own(c.slot.ssrc) && transports.contains(c.slot.ssrc.slot()));
  RELAY_CHECK(channel->participants_count < limits::channel_participants_per_worker_max);
  const SlotIndex slot = c.slot.ssrc.slot();
  transports.open_slot(c);
  channels.add_slot(*channel, slot.value);
  if (SlotStats* s = transports.stats(slot)) s->reset();
}

void Core::State::on(Time, const OpenRemoteSlot& c) {
  RELAY_CHECK(!is_own(c.slot.ssrc) && channels.find(c.channel) != nullptr &&
              !free_remote_slots.empty());
  RELAY_CHECK(remote_by_ssrc.find(c.slot.ssrc.value) == nullptr);
  const std::uint32_t index = free_remote_slots.back();
  free_remote_slots.pop_back();
  remote_slots[index] = {c.slot, c.channel, c.has_priority};
  remote_by_ssrc.insert(c.slot.ssrc.value, index);
}

void Core::State::on(Time, const CloseSlot& c) {
  if (!is_own(c.slot.ssrc)) return close_remote_slot(c.slot);
  SessionRecord* record = find(c.slot);
  RELAY_CHECK(record != nullptr);
  const SlotIndex slot = c.slot.ssrc.slot();
  Channel* channel = channels.find(record->channel);
  RELAY_CHECK(channel != nullptr);
  channels.leave_floor(*channel, slot.value);
  channels.remove_slot(*channel, slot.value);
  transports.close_slot(slot);
}

void Core::State::close_remote_slot(SlotRef slot) {
  const std::uint32_t* index = remote_by_ssrc.find(slot.ssrc.value);
  RELAY_CHECK(index != nullptr && remote_slots[*index].slot == slot);
  Channel* channel = channels.find(remote_slots[*index].channel);
  RELAY_CHECK(channel != nullptr);
  channels.leave_floor(*channel, remote_speaker(*index));
  free_remote_slots.push_back(*index);
  remote_by_ssrc.erase(slot.ssrc.value);
}

void Core::State::on(Time now, const InstallKey& c) {
  RELAY_CHECK(crypto::is_available(c.mode));
  if (find_or_count(c.slot) == nullptr) return;
  transports.install_key(now, c);
  note_events(c.slot.ssrc.slot());
}

void Core::State::on(Time now, const SetDeclaredAddress& c) {
  if (find_or_count(c.slot) == nullptr) return;
  transports.declare(now, c.slot.ssrc.slot(), c.declared);
  note_events(c.slot.ssrc.slot());
}

void Core::State::on(Time, const StartSending& c) {
  SessionRecord* record = find_or_count(c.slot);
  if (record == nullptr) return;
  RELAY_CHECK(record->has_key);
  record->may_send = true;
}

void Core::State::on(Time now, const SetSignallingPeer& c) {
  if (find_or_count(c.slot) == nullptr) return;
  transports.set_signalling_peer(now, c.slot.ssrc.slot(), c.signalling_peer);
  note_events(c.slot.ssrc.slot());
}

void Core::State::on(Time, const SetMuted& c) {
  SessionRecord* record = find_or_count(c.slot);
  if (record == nullptr) return;
  const bool begins = c.is_muted && !record->is_muted;
  record->is_muted = c.is_muted;
  const Transport& t = transports[c.slot.ssrc.slot()];
  if (!begins || t.ended_in_silence) return;
  silenced_slot = c.slot.ssrc.slot();
  silence_left = silence_frames;
}

void Core::State::on(Time, const SetDeafened& c) {
  SessionRecord* record = find_or_count(c.slot);
  if (record != nullptr) record->is_deafened = c.is_deafened;
}

void Core::State::on(Time, const TrackAddress& c) {
  const Ssrc ssrc = c.slot.ssrc;
  RELAY_CHECK(ssrc.node() == options.node && ssrc.worker().value < options.workers_count &&
              transports.contains(ssrc.slot()));
  if (const Tracked* before = tracked_by_ssrc.find(ssrc.value)) {
    if (c.slot.generation < before->generation) return;
    const SlotRef* holder = tracked_by_address.find(before->remote);
    if (holder != nullptr && holder->ssrc == ssrc) tracked_by_address.erase(before->remote);
    tracked_by_ssrc.erase(ssrc.value);
  }
  if (!c.remote.is_set()) return;
  if (tracked_by_ssrc.insert(ssrc.value, {c.remote, c.slot.generation}) == nullptr) return;
  tracked_by_address.insert(c.remote, c.slot);
}

SlotStats* Core::State::tracked_stats(const Endpoint& remote) {
  const SlotRef* slot = tracked_by_address.find(remote);
  if (slot == nullptr || stats.empty()) return nullptr;
  return &stats[slot->ssrc.worker().value][slot->ssrc.slot().value];
}

// One silence frame that ends the muted speaker's stream; sequence and time stamp go on from its
// last packet.
void Core::State::inject_silence(Time now, Outbox& out) {
  --silence_left;
  Transport& t = transports[silenced_slot];
  const SessionRecord& record = transports.record(silenced_slot);
  const auto step = static_cast<std::uint16_t>(silence_frames - silence_left);
  const auto sequence = static_cast<std::uint16_t>(t.stream.highest_sequence() + step);
  Channel* channel = channels.find(record.channel);
  RELAY_CHECK(channel != nullptr);
  forward(now, *channel,
          {record.slot, record.channel, sequence, t.stream.highest_timestamp() + step * frame_ticks,
           now, record.grants.priority, silence_frame},
          out);
  t.silenced_through = sequence;
  t.is_behind_silence = true;
  t.ended_in_silence = true;
}

void Core::State::note_events(SlotIndex slot) {
  const Transport& t = transports[slot];
  if ((!t.has_event_address_changed && !t.has_event_fresh_key) || is_listed_for_events[slot.value])
    return;
  is_listed_for_events[slot.value] = true;
  slots_with_events.push_back(slot);
}

// --- The calls ----------------------------------------------------------------------------------

Core::Core(const CoreOptions& options, std::span<SlotStats* const> stats)
    : state_(std::make_unique<State>(options, stats)) {}
Core::~Core() = default;
Core::Core(Core&&) noexcept = default;
Core& Core::operator=(Core&&) noexcept = default;

void Core::on_datagram(Time now, const Datagram& in, Outbox& out) {
  RELAY_CHECK(out.has_room());
  ++state_->counters[Counter::received];
  state_->on_datagram(now, in, false, out);
}

void Core::on_handed_over(Time now, const Datagram& in, Outbox& out) {
  RELAY_CHECK(out.has_room());
  ++state_->counters[Counter::taken_over];
  state_->on_datagram(now, in, true, out);
}

void Core::on_forwarded(Time now, const OpenedPacket& in, Outbox& out) {
  RELAY_CHECK(out.has_room());
  Counters& c = state_->counters;
  ++c[Counter::forwards_taken];
  const DropReason reason = state_->on_forwarded(now, in, out);
  if (reason == DropReason::none) {
    ++c[Counter::forwards_accepted];
  } else {
    ++c.forward_drops[static_cast<std::size_t>(reason)];
  }
}

void Core::on_command(Time now, const Command& command, Outbox& out) {
  RELAY_CHECK(out.has_room() && state_->silence_left == 0);
  std::visit([this, now](const auto& c) { state_->on(now, c); }, command);
}

void Core::on_timeout(Time now, Outbox& out) {
  RELAY_CHECK(out.has_room());
  if (state_->silence_left > 0) state_->inject_silence(now, out);
}

Time Core::next_timeout() const {
  return state_->silence_left > 0 ? Time{} : Time::never();
}

void Core::on_unreachable_address(Time now, const Endpoint& remote) {
  SlotStats* s = state_->tracked_stats(remote);
  if (s == nullptr) return;
  ++state_->counters[Counter::unreachable];
  set(s->unreachable_ns, static_cast<std::uint64_t>(now.ns));
}

void Core::offer_events(const std::function<bool(const Event&)>& accept) {
  auto& slots = state_->slots_with_events;
  while (!slots.empty()) {
    const SlotIndex slot = slots.back();
    Transport& t = state_->transports[slot];
    const SessionRecord& record = state_->transports.record(slot);
    // A slot that was closed meanwhile has nothing to tell any more.
    if (record.is_open()) {
      if (t.has_event_address_changed &&
          !accept({EventKind::address_changed, record.slot, record.remote}))
        return;
      t.has_event_address_changed = false;
      if (t.has_event_fresh_key && !accept({EventKind::fresh_key_needed, record.slot, {}})) return;
      t.has_event_fresh_key = false;
    }
    state_->is_listed_for_events[slot.value] = false;
    slots.pop_back();
  }
}

bool Core::has_events() const {
  return !state_->slots_with_events.empty();
}

Counters& Core::counters() {
  return state_->counters;
}
const Counters& Core::counters() const {
  return state_->counters;
}

std::size_t Core::session_memory_size(std::size_t sessions_max) {
  return sessions_max * sizeof(SessionRecord);
}

std::size_t Core::slot_bytes() const {
  return state_->transports.slot_bytes() + sizeof(SlotStats) + Channels::slot_bytes();
}

bool Core::is_secret_memory_locked() const {
  return state_->transports.is_locked();
}

}  // namespace earshot
