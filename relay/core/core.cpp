#include "relay/core/core.h"

#include <algorithm>
#include <cstring>

#include "relay/base/check.h"
#include "relay/core/core_state.h"
#include "relay/core/forward.h"
#include "relay/wire/discovery.h"

namespace earshot {
namespace {

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
constexpr Rate foreign_reserved_rate{limits::foreign_opens_reserved_per_second,
                                     limits::foreign_opens_reserved_depth};
constexpr Rate discovery_source_rate{limits::discovery_replies_per_source_per_second,
                                     limits::discovery_replies_per_source_per_second};
constexpr Rate discovery_address_rate{limits::discovery_replies_per_address_per_second,
                                      limits::discovery_replies_per_address_depth};
constexpr Rate discovery_worker_rate{limits::discovery_replies_per_worker_per_second,
                                     limits::discovery_replies_per_worker_depth};

// What the application set for the channel goes before the speaker's grant, and that before the
// configuration.
std::uint16_t late_ms_max(const Grants& grants, const Channel& channel) {
  const bool is_granted = grants.late_ms_max != no_late_ms_max && !channel.has_own_late_ms_max;
  return is_granted ? grants.late_ms_max : channel.late_ms_max;
}

bool is_silence(std::span<const std::uint8_t> frame) {
  return std::equal(frame.begin(), frame.end(), silence_frame.begin(), silence_frame.end());
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

}  // namespace

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
  if (is_stale(now, in.arrival)) return drop_stale(slot, in);
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
  if (reason != DropReason::none) {
    count_drop(slot, reason);
    return reason;
  }
  transports[slot].ended_in_silence = is_silence(opened.frame);
  forward(now, *channel,
          {record.slot, record.channel, header->sequence, header->timestamp, in.arrival,
           record.grants.priority, opened.frame},
          out);
  ++counters[Counter::accepted];
  if (SlotStats* s = transports.stats(slot)) add(s->packets_forwarded, 1);
  return DropReason::none;
}

// The address is all that says whose it is: nothing was opened.
DropReason Core::State::drop_stale(SlotIndex slot, const Datagram& in) {
  if (transports.contains(slot) && transports.record(slot).is_open() &&
      transports.record(slot).remote == in.remote) {
    count_drop(slot, DropReason::stale);
  }
  return DropReason::stale;
}

void Core::State::count_drop(SlotIndex slot, DropReason reason) {
  if (SlotStats* s = transports.stats(slot)) {
    if (SlotStats::Counter* counter = s->of(reason)) add(*counter, 1);
  }
}

// Before any cryptography: is there a key, and may this source make us try it?
DropReason Core::State::may_open(Time now, SlotIndex slot, const Datagram& in) {
  if (!transports.contains(slot) || !transports.record(slot).is_open())
    return DropReason::unknown_ssrc;
  const SessionRecord& record = transports.record(slot);
  if (!record.has_key) return DropReason::no_key;
  if (in.remote == record.remote) return DropReason::none;
  if (!foreign_sources.take(now, slot, in.remote, foreign_source_rate) ||
      !foreign_addresses.take(now, in.remote.ip, foreign_address_rate)) {
    return DropReason::foreign_budget;
  }
  if (foreign_total.take(now, foreign_worker_rate)) return DropReason::none;
  const bool is_familiar =
      in.remote.ip == record.remote.ip || in.remote.ip == record.signalling_peer;
  const bool may_open = is_familiar && foreign_reserved.take(now, foreign_reserved_rate);
  return may_open ? DropReason::none : DropReason::foreign_budget;
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
  if (t.stream.is_duplicate(header.sequence, header.timestamp)) return DropReason::duplicate;
  t.stream.on_packet(in.arrival, header.sequence, header.timestamp);
  publish_stream(slot);
  if (!channels.take_floor(channel, slot.value, record.grants.priority, now))
    return DropReason::speakers;
  if (SlotStats* s = transports.stats(slot)) {
    set(s->active_since_ns, static_cast<std::uint64_t>(channels.floor_since(slot.value).ns));
  }
  const LatenessInput input{rtp_ticks(in.arrival), header.sequence, header.timestamp,
                            frame.size() <= 3};
  return lateness(t.lateness, input, late_ms_max(record.grants, channel)).verdict ==
                 LatenessVerdict::keep
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
  if (is_stale(now, in.arrival)) return DropReason::stale;
  const RemoteSlot& remote = remote_slots[*index];
  Channel* channel = channels.find(in.channel);
  if (channel == nullptr || remote.slot != in.publisher || remote.channel != in.channel)
    return DropReason::generation;
  if (!channels.take_floor(*channel, remote_speaker(*index), remote.has_priority, now))
    return DropReason::speakers;
  forward_local(now, channels, *channel, transports, in, out);
  return DropReason::none;
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
