#include "relay/base/check.h"
#include "relay/core/core_state.h"

namespace earshot {
namespace {

constexpr int silence_frames = 5;
constexpr std::uint32_t frame_ticks = 960;  // 20 ms

}  // namespace

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

// A smaller speakers_max takes the floor from nobody: who has it keeps it until it falls silent.
void Core::State::on(Time, const SetChannelOptions& c) {
  Channel* channel = channels.find(c.channel);
  if (channel == nullptr) {
    ++counters[Counter::commands_outlived];
    return;
  }
  channel->speakers_max = c.speakers_max;
  channel->late_ms_max = c.late_ms_max;
  channel->has_own_late_ms_max = c.has_own_late_ms_max;
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

}  // namespace earshot
