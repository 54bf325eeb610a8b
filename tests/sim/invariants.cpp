#include "tests/sim/invariants.h"

#include <algorithm>
#include <bit>

#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"

namespace earshot::sim {
namespace {

std::string about(const Life& life) {
  return "participant " + std::to_string(life.person) + " (session " + std::to_string(life.index) +
         ", SSRC " + std::to_string(life.slot.ssrc.value) + "." +
         std::to_string(life.slot.generation.value) + ", channel " + std::to_string(life.channel) +
         ")";
}

// The text is made only when it is needed.
template <typename Text>
void require(bool holds, const char* invariant, const Text& text) {
  if (!holds) Invariants::fail(invariant, text());
}

// RFC 6479: a block of it is always on its way out.
constexpr std::uint32_t replay_window = limits::replay_window_bits - 64;

std::uint64_t bit(const Life& life) {
  return std::uint64_t{1} << life.person;
}

}  // namespace

Invariants::Invariants(Lives& lives, Journal& journal, std::size_t workers_count,
                       Duration stale_max)
    : lives_(lives), journal_(journal), workers_(workers_count), stale_max_(stale_max) {}

void Invariants::fail(const char* invariant, const std::string& text) {
  throw Violation(invariant, text);
}

Life* Invariants::life_at(WorkerIndex worker, Ssrc ssrc) {
  const auto& known = workers_[worker.value].by_ssrc;
  const auto found = known.find(ssrc.value);
  return found == known.end() ? nullptr : &lives_[found->second];
}

void Invariants::before(const WatchedCore& core) {
  before_ = core.core->counters();
  records_[core.worker] = core.records;
}

// --- Datagrams ----------------------------------------------------------------------------------

Outcome Invariants::outcome(const WatchedCore& core, const Packet& packet) const {
  const Counters& after = core.core->counters();
  require(after.is_conserved(), "conservation", [&] {
    return std::string("worker " + std::to_string(core.worker.value) +
                       " after a datagram of kind " +
                       std::to_string(static_cast<int>(packet.origin.kind)));
  });
  Outcome outcome;
  outcome.is_accepted = after[Counter::accepted] != before_[Counter::accepted];
  outcome.is_handed_over = after[Counter::handed_over] != before_[Counter::handed_over];
  for (std::size_t r = 0; r < drop_reasons_count; ++r) {
    if (after.drops[r] != before_.drops[r]) outcome.reason = static_cast<DropReason>(r);
  }
  return outcome;
}

void Invariants::after_datagram(Time now, const WatchedCore& core, const Packet& packet,
                                Time arrival, bool was_handed_over, std::span<Emission> out,
                                std::span<const OutForward> forwards) {
  const Outcome o = outcome(core, packet);
  ++outcomes_[static_cast<std::size_t>(o.reason)];
  const Origin& origin = packet.origin;
  journal_.mix(static_cast<std::uint64_t>(o.reason) << 8 | core.worker.value);
  journal_.note_packet(now, "worker %llu: kind %llu of session %llu: reason %llu",
                       core.worker.value, static_cast<std::uint64_t>(origin.kind), origin.life,
                       o.is_accepted ? 100 : static_cast<std::uint64_t>(o.reason));
  require(!o.is_handed_over || !was_handed_over, "hand-over",
          [&] { return std::string("a datagram was handed over twice"); });
  if (o.is_handed_over)
    return require(out.empty(), "silence",
                   [&] { return std::string("an answer beside a hand-over"); });
  if (origin.kind == PacketKind::voice || origin.kind == PacketKind::wrong_type)
    judge_voice(now, core, packet, arrival, o);
  if (origin.kind != PacketKind::voice)
    require(!o.is_accepted, "authentic", [&] {
      return std::string("accepted what is no participant's voice: kind " +
                         std::to_string(static_cast<int>(origin.kind)));
    });
  if (!o.is_accepted) {
    require(forwards.empty(), "silence",
            [&] { return std::string("passed on what was not accepted"); });
    return judge_replies(packet, out);
  }
  Life& speaker = lives_[origin.life];
  SentFrame& frame = *speaker.frame(origin.frame);
  frame.rank = ++rank_;
  frame.accepted_at = now;
  const Spoken spoken{&speaker, &frame, nullptr};
  judge_copies(now, core, spoken, out);
  judge_forwards(spoken, forwards);
}

// Unauthenticated input is answered with silence; IP discovery is the exception, with as many bytes
// to where they came from.
void Invariants::judge_replies(const Packet& packet, std::span<const Emission> out) const {
  if (out.empty()) return;
  require(out.size() == 1 && !out[0].has_slot && out[0].remote == packet.from &&
              out[0].bytes.size() == packet.bytes.size() &&
              wire::parse_discovery_reply(out[0].bytes).has_value(),
          "silence", [&] { return std::string("an answer that is no discovery reply"); });
  require(wire::parse_discovery_reply(out[0].bytes)->seen == packet.from, "silence",
          [&] { return std::string("a discovery reply with another address"); });
}

void Invariants::judge_voice(Time now, const WatchedCore& core, const Packet& packet, Time arrival,
                             const Outcome& o) {
  const Origin& origin = packet.origin;
  Life& life = lives_[origin.life];
  SentFrame* frame = life.frame(origin.frame);
  // So long under way that nobody remembers it.
  if (frame == nullptr) {
    require(!o.is_accepted, "replay",
            [&] { return std::string("accepted a frame of long ago from " + about(life)); });
    return;
  }
  const bool is_behind_replay_window =
      o.is_accepted || o.reason == DropReason::wrong_payload_type ||
      (o.reason >= DropReason::not_allowed && o.reason <= DropReason::late);
  if (is_behind_replay_window) {
    require(!origin.key->is_taken(origin.datagram) &&
                origin.datagram + ClientKey::taken_window > origin.key->newest_taken().value_or(0),
            "replay", [&] {
              return std::string("taken twice: datagram " + std::to_string(origin.datagram) +
                                 " of " + about(life));
            });
    require(life.at_home.is_open && life.at_home.key == origin.key, "authentic", [&] {
      return std::string("opened under a key that is not the slot's: " + about(life));
    });
    require(!origin.is_collision, "nonce", [&] {
      return std::string("accepted a nonce that the relay had used: " + about(life));
    });
    require(!life.leave.is_done, "leave",
            [&] { return std::string("taken after its leave: " + about(life)); });
    note_authentic(packet, life);
  }
  if (!o.is_accepted) {
    judge_reason(now, core, packet, life, *frame, arrival, o.reason);
  } else {
    require(!is_stale(now, arrival), "stale", [&] { return "accepted stale: " + about(life); });
    require(life.grants.speak, "mute",
            [&] { return std::string("accepted without the grant: " + about(life)); });
    require(!life.at_home.is_muted && !life.mute.is_done, "mute",
            [&] { return std::string("accepted although muted: " + about(life)); });
    require(!frame->was_seen, "duplicate",
            [&] { return std::string("accepted a second time: " + about(life)); });
  }
  if (is_behind_replay_window && origin.kind == PacketKind::voice && life.grants.speak) {
    life.rated.push_back(now);
    while (now - life.rated.front() > seconds(4)) life.rated.pop_front();
  }
  if (o.is_accepted || o.reason == DropReason::late || o.reason == DropReason::muted ||
      o.reason == DropReason::speakers) {
    frame->was_seen = true;
    life.note_sequence(frame->sequence);
  }
  if (o.is_accepted || o.reason == DropReason::late) {
    life.floor_at[core.worker.value] = now;
    judge_lateness(core, life, *frame, arrival, o);
  }
}

void Invariants::note_authentic(const Packet& packet, Life& life) {
  const Origin& origin = packet.origin;
  const auto newest = origin.key->newest_taken();
  origin.key->note_taken(origin.datagram);
  if ((newest && origin.datagram < *newest) || life.is_proven_at(packet.from.ip)) return;
  life.proven.push_back(packet.from.ip);
}

bool Invariants::is_floor_full(Time now, WorkerIndex worker, const Life& life) const {
  const Worker& w = workers_[worker.value];
  const auto bound = w.speakers_max.find(life.channel_ref.index.value);
  if (bound == w.speakers_max.end()) return true;
  std::size_t others = 0;
  for (const auto& [ssrc, index] : w.by_ssrc) {
    const Life& other = lives_[index];
    if (&other == &life || other.channel_ref != life.channel_ref) continue;
    const Time since = other.floor_at[worker.value];
    if (since != Time{} && now - since < limits::speaker_active) ++others;
  }
  return others >= bound->second;
}

// A good packet is dropped only for what is true of it.
void Invariants::judge_reason(Time now, const WatchedCore& core, const Packet& packet, Life& life,
                              const SentFrame& frame, Time arrival, DropReason reason) {
  const Origin& origin = packet.origin;
  const SessionRecord& record = core.records[life.slot.ssrc.slot().value];
  const auto newest = origin.key->newest_taken();
  bool holds = false;
  switch (reason) {
    case DropReason::stale:
      holds = is_stale(now, arrival);
      break;
    case DropReason::unknown_ssrc:
      holds = !life.at_home.is_open;
      break;
    case DropReason::no_key:
      holds = life_at(core.worker, life.slot.ssrc) == nullptr ||
              life_at(core.worker, life.slot.ssrc)->at_home.key == nullptr;
      break;
    case DropReason::foreign_budget:
      holds = packet.from != record.remote;
      break;
    case DropReason::not_authentic:
      holds = !life.at_home.is_open || life.at_home.key != origin.key;
      break;
    case DropReason::replayed:
      holds = newest &&
              (origin.datagram + replay_window <= *newest || origin.key->is_taken(origin.datagram));
      break;
    case DropReason::nonce_collision:
      holds = origin.is_collision;
      break;
    case DropReason::wrong_payload_type:
      holds = origin.kind == PacketKind::wrong_type;
      break;
    case DropReason::not_allowed:
      holds = !life.grants.speak;
      break;
    case DropReason::muted:
      holds = life.at_home.is_muted ||
              (life.silenced_through &&
               static_cast<std::uint16_t>(*life.silenced_through - frame.sequence) < 128);
      break;
    case DropReason::rate:
      holds = life.rated.size() >= static_cast<std::size_t>(limits::packet_bucket_depth) - 20;
      break;
    case DropReason::duplicate:
      holds = frame.was_seen;
      break;
    case DropReason::speakers:
      holds = is_floor_full(now, core.worker, life);
      break;
    case DropReason::late:
      holds = true;  // judge_lateness
      break;
    default:
      break;
  }
  require(holds, "reason", [&] {
    return std::string(
        "dropped as " + std::string(name(reason)) + " without reason: " + about(life) +
        ", sequence " + std::to_string(frame.sequence) + ", datagram " +
        std::to_string(origin.datagram) + " (start " + std::to_string(origin.key->habit().start) +
        ", order " + std::to_string(static_cast<int>(origin.key->habit().order)) + ", newest " +
        std::to_string(newest.value_or(0)) + ") from " + packet.from.to_string());
  });
}

void Invariants::judge_lateness(const WatchedCore& core, Life& life, const SentFrame& frame,
                                Time arrival, const Outcome& o) {
  const Worker& w = workers_[core.worker.value];
  const auto bound = w.late_ms_max.find(life.channel_ref.index.value);
  require(bound != w.late_ms_max.end(), "late",
          [&] { return "accepted in a channel that is not open: " + about(life); });
  // What was set for the channel, else the speaker's grant, else the configuration.
  const bool is_granted = life.grants.late_ms_max != no_late_ms_max &&
                          !w.has_own_late_ms_max.at(life.channel_ref.index.value);
  const bool is_late =
      life.lateness.is_late(rtp_ticks(arrival), frame.sequence, frame.timestamp, frame.size <= 3,
                            is_granted ? life.grants.late_ms_max : bound->second);
  require(is_late == (o.reason == DropReason::late), "late", [&] {
    return std::string(
        std::string(is_late ? "forwarded a late frame of " : "dropped as late, and is not: ") +
        about(life) + ", sequence " + std::to_string(frame.sequence));
  });
}

// --- What is put out ----------------------------------------------------------------------------

void Invariants::judge_copies(Time now, const WatchedCore& core, const Spoken& spoken,
                              std::span<Emission> out) {
  const std::uint64_t before = spoken.listeners();
  for (const Emission& copy : out) judge_copy(now, core, spoken, copy);
  judge_complete(core, spoken, spoken.listeners() & ~before);
}

void Invariants::judge_copy(Time now, const WatchedCore& core, const Spoken& spoken,
                            const Emission& copy) {
  ++copies_;
  journal_.mix(copy.bytes);
  journal_.mix(hash(copy.remote, 0));
  const Life& speaker = *spoken.speaker;
  require(copy.has_slot, "opens", [&] { return std::string("a voice datagram for nobody"); });
  Life* listener =
      life_at(core.worker, make_ssrc(speaker.slot.ssrc.node(), core.worker, copy.slot));
  require(listener != nullptr, "leave",
          [&] { return std::string("sent to a slot that is not open"); });
  require(listener->at_home.may_send && listener->key == listener->at_home.key, "op-4",
          [&] { return std::string("sent before op 4 was delivered, to " + about(*listener)); });
  ClientKey& key = *listener->at_home.key;
  const auto opened = key.open(copy.bytes);
  require(opened.has_value(), "opens",
          [&] { return std::string("does not open for " + about(*listener)); });
  require(listener->index != speaker.index && listener->person != speaker.person, "never-back",
          [&] { return std::string("sent back to " + about(*listener)); });
  require(listener->channel == speaker.channel, "in-channel",
          [&] { return std::string("from " + about(speaker) + " to " + about(*listener)); });
  require(
      opened->ssrc == speaker.slot.ssrc && opened->sequence == spoken.sequence() &&
          opened->timestamp == spoken.timestamp(),
      "unchanged", [&] {
        return std::string("another header for " + about(*listener) + " from " + about(speaker));
      });
  const bool is_same = spoken.frame != nullptr
                           ? is_frame(opened->frame, speaker.index, *spoken.frame)
                           : std::equal(opened->frame.begin(), opened->frame.end(),
                                        opus_silence.begin(), opus_silence.end());
  require(is_same, "unchanged", [&] {
    return "another payload for " + about(*listener) + " from " + about(speaker) + ", bytes " +
           std::to_string(opened->frame.size()) + ", frame " +
           (spoken.frame
                ? std::to_string(spoken.frame->size) + "." + std::to_string(spoken.frame->number)
                : "injected");
  });
  const bool has_it = (spoken.listeners() & bit(*listener)) != 0;
  const bool is_earlier_life =
      spoken.frame != nullptr && listener->began > spoken.frame->accepted_at;
  require(!has_it || is_earlier_life, "once", [&] {
    return std::string("a second copy for " + about(*listener) + " from " + about(speaker));
  });
  spoken.listeners() |= bit(*listener);
  auto& heard = listener->heard[speaker.person];
  require(heard.life != speaker.index || heard.rank < spoken.rank(), "order",
          [&] { return std::string("from " + about(speaker) + " to " + about(*listener)); });
  heard = {speaker.index, spoken.rank()};
  require(key.by_relay.insert(opened->nonce), "nonce",
          [&] { return std::string("used twice by the relay for " + about(*listener)); });
  require(!key.newest_taken() || !key.by_client.contains(opened->nonce), "nonce",
          [&] { return std::string("used by the client before: " + about(*listener)); });
  require(!speaker.mute.is_done, "mute",
          [&] { return std::string("heard after its mute: " + about(speaker)); });
  require(!listener->deafen.is_done && !listener->at_home.is_deafened && listener->grants.listen,
          "deafen", [&] { return std::string("hears although deafened: " + about(*listener)); });
  require(!listener->leave.is_done && !speaker.leave.is_done, "leave", [&] {
    return std::string("after a leave, from " + about(speaker) + " to " + about(*listener));
  });
  judge_address(now, *listener, copy.remote);
}

// Who could hear it, as the relay's own records have it, did.
void Invariants::judge_complete(const WatchedCore& core, const Spoken& spoken,
                                std::uint64_t sent_to) {
  std::uint64_t missing = 0;
  for (const LifeIndex index : workers_[core.worker.value].open) {
    const Life& listener = lives_[index];
    if (&listener == spoken.speaker || listener.channel != spoken.speaker->channel ||
        listener.channel_ref != spoken.speaker->channel_ref || (sent_to & bit(listener)) != 0)
      continue;
    const std::uint16_t slot = listener.slot.ssrc.slot().value;
    const SessionRecord& record = core.records[slot];
    const bool has_reason = !record.may_receive() || get(core.stats[slot].unreachable_ns) != 0 ||
                            record.nonces.fresh_key_needed;
    if (has_reason) continue;
    ++missing;
  }
  const Counters& after = core.core->counters();
  const std::uint64_t refused =
      after[Counter::unproven_refused] - before_[Counter::unproven_refused];
  require(missing <= refused, "complete", [&] {
    return std::string(std::to_string(missing) + " of those who listen to " +
                       about(*spoken.speaker) + " got no copy");
  });
}

// An address that nobody has proven to be theirs gets no more than the documented caps.
void Invariants::judge_address(Time now, const Life& listener, const Endpoint& remote) {
  require(std::find(listener.addresses.begin(), listener.addresses.end(), remote) !=
              listener.addresses.end(),
          "address", [&] {
            return std::string("sent to " + remote.to_string() + ", which is not of " +
                               about(listener));
          });
  if (listener.is_proven_at(remote.ip)) return;
  constexpr std::int64_t interval = 1'000'000'000 / limits::unproven_packets_per_second;
  std::int64_t& full_at = unproven_[remote.ip].full_at_ns;
  full_at = std::max(full_at, now.ns) + interval;
  require(full_at - now.ns <= interval * (limits::unproven_packets_depth + 1), "unproven",
          [&] { return std::string("too many packets a second to " + remote.ip.to_string()); });
  std::size_t sessions = 0;
  for (const Worker& w : workers_) {
    for (const LifeIndex index : w.open) {
      const Life& life = lives_[index];
      const auto records = records_.find(life.slot.ssrc.worker());
      if (records == records_.end() || life.is_proven_at(remote.ip)) continue;
      if (records->second[life.slot.ssrc.slot().value].remote.ip == remote.ip) ++sessions;
    }
  }
  require(sessions <= limits::unproven_sessions_per_ip, "unproven", [&] {
    return std::string(std::to_string(sessions) + " sessions at " + remote.ip.to_string());
  });
}

void Invariants::judge_forwards(const Spoken& spoken, std::span<const OutForward> forwards) const {
  require(forwards.size() <= 1, "once", [&] { return std::string("passed on more than once"); });
  for (const OutForward& f : forwards) {
    const OpenedPacket& p = f.packet;
    require(p.publisher == spoken.speaker->slot && p.channel == spoken.speaker->channel_ref,
            "in-channel", [&] {
              return std::string("passed on for another channel: " + about(*spoken.speaker));
            });
    const bool is_same =
        spoken.frame == nullptr || is_frame(p.frame, spoken.speaker->index, *spoken.frame);
    require(is_same && p.sequence == spoken.sequence() && p.timestamp == spoken.timestamp(),
            "unchanged",
            [&] { return std::string("passed on changed: " + about(*spoken.speaker)); });
  }
}

void Invariants::after_forwarded(Time now, const WatchedCore& core, const OpenedPacket& packet,
                                 std::span<Emission> out) {
  const Counters& after = core.core->counters();
  require(after.is_conserved(), "conservation",
          [&] { return std::string("after a packet of another worker"); });
  const bool is_accepted = after[Counter::forwards_accepted] != before_[Counter::forwards_accepted];
  Life* speaker = lives_.find(packet.publisher);
  require(speaker != nullptr, "unchanged", [&] { return std::string("passed on for nobody"); });
  const bool is_known = life_at(core.worker, packet.publisher.ssrc) == speaker;
  journal_.mix(is_accepted ? 3 : 4);
  if (!is_accepted) {
    require(out.empty(), "silence", [&] { return std::string("put out what was not accepted"); });
    const auto generation = static_cast<std::size_t>(DropReason::generation);
    const auto stale = static_cast<std::size_t>(DropReason::stale);
    if (after.forward_drops[stale] != before_.forward_drops[stale]) {
      return require(is_stale(now, packet.arrival), "reason",
                     [&] { return "a packet of another worker is not stale: " + about(*speaker); });
    }
    const bool is_stranger = after.forward_drops[generation] != before_.forward_drops[generation];
    require(is_stranger ? !is_known : is_floor_full(now, core.worker, *speaker), "reason", [&] {
      return std::string("a packet of another worker was dropped without reason: " +
                         about(*speaker));
    });
    return;
  }
  require(is_known, "leave", [&] {
    return std::string("from a worker whose participant is not known here: " + about(*speaker));
  });
  speaker->floor_at[core.worker.value] = now;
  Spoken spoken{speaker, nullptr, nullptr};
  if (const auto named = read_frame_name(packet.frame); named && named->life == speaker->index) {
    spoken.frame = speaker->frame(named->number);
  } else {
    // A mute takes the numbers that the speaker's next frames would have.
    spoken.injected = speaker->find_injected(packet.sequence, packet.timestamp);
    if (spoken.injected == nullptr)
      spoken.frame = speaker->find_silence(packet.sequence, packet.timestamp);
  }
  require(spoken.frame != nullptr || spoken.injected != nullptr, "unchanged", [&] {
    return std::string("nobody said what came from another worker: " + about(*speaker));
  });
  judge_copies(now, core, spoken, out);
}

// --- Commands -----------------------------------------------------------------------------------

// Nobody may still know an earlier life of it.
void Invariants::judge_slot_is_free(SlotRef slot) const {
  for (const Worker& w : workers_) {
    const auto known = w.by_ssrc.find(slot.ssrc.value);
    require(known == w.by_ssrc.end() || lives_[known->second].slot == slot, "slot-reuse", [&] {
      return std::string("SSRC " + std::to_string(slot.ssrc.value) +
                         " is given out again while a worker knows its last holder");
    });
  }
}

void Invariants::before_command(WorkerIndex worker, const Command& command) {
  if (const auto* open = std::get_if<OpenSlot>(&command)) judge_slot_is_free(open->slot);
  if (const auto* open = std::get_if<OpenRemoteSlot>(&command)) judge_slot_is_free(open->slot);
  take_in(worker, command);
}

void Invariants::take_in(WorkerIndex worker, const Command& command) {
  Worker& w = workers_[worker.value];
  const auto of = [this](SlotRef slot) -> Executed* {
    Life* life = lives_.find(slot);
    return life != nullptr && life->at_home.is_open ? &life->at_home : nullptr;
  };
  if (const auto* c = std::get_if<OpenChannel>(&command)) {
    w.late_ms_max[c->channel.index.value] = c->late_ms_max;
    w.has_own_late_ms_max[c->channel.index.value] = c->has_own_late_ms_max;
    w.speakers_max[c->channel.index.value] = c->speakers_max;
    w.channels[c->channel.index.value] = c->channel;
  } else if (const auto* set = std::get_if<SetChannelOptions>(&command)) {
    const auto known = w.channels.find(set->channel.index.value);
    if (known == w.channels.end() || known->second != set->channel) return;
    w.late_ms_max[set->channel.index.value] = set->late_ms_max;
    w.has_own_late_ms_max[set->channel.index.value] = set->has_own_late_ms_max;
    w.speakers_max[set->channel.index.value] = set->speakers_max;
  } else if (const auto* open = std::get_if<OpenSlot>(&command)) {
    Life& life = *lives_.find(open->slot);
    life.channel_ref = open->channel;
    life.at_home = {true, nullptr, false, open->is_muted, open->is_deafened};
    w.open.push_back(life.index);
    w.by_ssrc[open->slot.ssrc.value] = life.index;
  } else if (const auto* remote = std::get_if<OpenRemoteSlot>(&command)) {
    w.by_ssrc[remote->slot.ssrc.value] = lives_.find(remote->slot)->index;
  } else if (const auto* close = std::get_if<CloseSlot>(&command)) {
    Life& life = *lives_.find(close->slot);
    w.by_ssrc.erase(close->slot.ssrc.value);
    if (close->slot.ssrc.worker() == worker) {
      life.at_home.is_open = false;
      std::erase(w.open, life.index);
    }
  } else if (const auto* key = std::get_if<InstallKey>(&command)) {
    if (Executed* e = of(key->slot)) {
      const auto installed = lives_.find(key->slot)->keys.at(key->key);
      e->may_send = e->may_send && e->key == installed;
      e->key = installed;
    }
  } else if (const auto* start = std::get_if<StartSending>(&command)) {
    if (Executed* e = of(start->slot)) e->may_send = true;
  } else if (const auto* mute = std::get_if<SetMuted>(&command)) {
    Executed* e = of(mute->slot);
    if (e == nullptr) return;
    Life& life = *lives_.find(mute->slot);
    if (mute->is_muted && !e->is_muted && life.highest_sequence)
      life.silenced_through = static_cast<std::uint16_t>(*life.highest_sequence + 5);
    e->is_muted = mute->is_muted;
  } else if (const auto* deafen = std::get_if<SetDeafened>(&command)) {
    if (Executed* e = of(deafen->slot)) e->is_deafened = deafen->is_deafened;
  }
}

void Invariants::after_command(Time now, const WatchedCore& core, const Command& command,
                               std::span<Emission> out, std::span<const OutForward> forwards) {
  require(core.core->counters().is_conserved(), "conservation",
          [&] { return std::string("after a command"); });
  journal_.mix(command.index() << 8 | core.worker.value);
  const auto* mute = std::get_if<SetMuted>(&command);
  if (mute == nullptr) {
    return require(out.empty() && forwards.empty(), "silence",
                   [&] { return std::string("a command that sends"); });
  }
  Life* life = lives_.find(mute->slot);
  if (!out.empty() || !forwards.empty()) on_injected(now, core, *life, out, forwards);
}

// Five frames of silence at most, for each listener, behind the last frame.
void Invariants::on_injected(Time now, const WatchedCore& core, Life& muted,
                             std::span<Emission> out, std::span<const OutForward> forwards) {
  require(muted.at_home.is_muted, "mute",
          [&] { return std::string("silence for somebody who is not muted"); });
  require(forwards.size() <= 5, "once",
          [&] { return std::string("more than five frames of silence"); });
  const std::size_t first = muted.injected.size();
  for (const Emission& copy : out) {
    const auto header = wire::parse_rtp(copy.bytes);
    require(header.has_value(), "opens", [&] { return std::string("silence that is no RTP"); });
    if (muted.find_injected(header->sequence, header->timestamp) == nullptr)
      muted.injected.push_back({header->sequence, header->timestamp, ++rank_, 0});
    InjectedFrame* frame = muted.find_injected(header->sequence, header->timestamp);
    judge_copy(now, core, {&muted, nullptr, frame}, copy);
  }
  for (const OutForward& f : forwards) {
    if (muted.find_injected(f.packet.sequence, f.packet.timestamp) == nullptr)
      muted.injected.push_back({f.packet.sequence, f.packet.timestamp, ++rank_, 0});
    judge_forwards({&muted, nullptr, muted.find_injected(f.packet.sequence, f.packet.timestamp)},
                   {&f, 1});
  }
  require(muted.injected.size() - first <= 5, "once",
          [&] { return std::string("more than five frames of silence"); });
  require(muted.injected.back().sequence == muted.silenced_through, "unchanged",
          [&] { return "silence with other numbers: " + about(muted); });
}

void Invariants::at_rest(const Counters& sum) {
  const auto is_equal = [&sum](Counter offered, Counter a, Counter b) {
    require(sum[offered] == sum[a] + sum[b], "conservation-over-all", [&] {
      return std::string(std::string(name(offered)) + " " + std::to_string(sum[offered]) +
                         " is not " + std::string(name(a)) + " " + std::to_string(sum[a]) + " + " +
                         std::string(name(b)) + " " + std::to_string(sum[b]));
    });
  };
  is_equal(Counter::handed_over, Counter::taken_over, Counter::hand_overs_refused);
  is_equal(Counter::forwards_offered, Counter::forwards_taken, Counter::forwards_refused);
  is_equal(Counter::datagrams_offered, Counter::datagrams_sent, Counter::send_drops);
}

}  // namespace earshot::sim
