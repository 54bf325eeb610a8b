#include "relay/core/channel.h"

#include "relay/base/check.h"

namespace earshot {

Channels::Channels(std::size_t channels_max, std::size_t slots_max, std::size_t speakers_max)
    : channels_(channels_max), slot_links_(slots_max), speakers_(speakers_max) {}

Channel* Channels::find(ChannelRef ref) {
  if (ref.index.value >= channels_.size()) return nullptr;
  Channel& channel = channels_[ref.index.value];
  return channel.is_open && channel.generation == ref.generation ? &channel : nullptr;
}

void Channels::open(const OpenChannel& command) {
  RELAY_CHECK(command.channel.index.value < channels_.size());
  RELAY_CHECK(command.speakers_max >= 1 && command.speakers_max <= limits::channel_speakers_max);
  Channel& channel = channels_[command.channel.index.value];
  RELAY_CHECK(!channel.is_open);
  channel = {};
  channel.generation = command.channel.generation;
  channel.is_open = true;
  channel.speakers_max = command.speakers_max;
  channel.late_ms_max = command.late_ms_max;
  channel.has_own_late_ms_max = command.has_own_late_ms_max;
}

void Channels::close(ChannelRef ref) {
  Channel* channel = find(ref);
  RELAY_CHECK(channel != nullptr && channel->participants_count == 0 &&
              channel->speakers_count == 0);
  channel->is_open = false;
}

void Channels::add_slot(Channel& channel, std::uint32_t slot) {
  slot_links_[slot] = {no_slot, channel.first_slot};
  if (channel.first_slot != no_slot) slot_links_[channel.first_slot].previous = slot;
  channel.first_slot = slot;
  ++channel.participants_count;
}

void Channels::remove_slot(Channel& channel, std::uint32_t slot) {
  const Link link = slot_links_[slot];
  if (link.previous != no_slot) {
    slot_links_[link.previous].next = link.next;
  } else {
    channel.first_slot = link.next;
  }
  if (link.next != no_slot) slot_links_[link.next].previous = link.previous;
  if (channel.turn_slot == slot) channel.turn_slot = link.next;
  slot_links_[slot] = {};
  --channel.participants_count;
}

std::uint32_t Channels::take_turn(Channel& channel) const {
  const std::uint32_t turn = channel.turn_slot == no_slot ? channel.first_slot : channel.turn_slot;
  if (turn != no_slot) channel.turn_slot = slot_links_[turn].next;
  return turn;
}

bool Channels::take_floor(Channel& channel, SpeakerIndex index, bool has_priority, Time now) {
  Speaker& speaker = speakers_[index];
  if (speaker.has_floor && now - speaker.last < limits::speaker_active) {
    speaker.last = now;
    return true;
  }
  expire_floor(channel, now);
  if (channel.speakers_count >= channel.speakers_max) {
    const SpeakerIndex loser = has_priority ? youngest_without_priority(channel) : no_speaker;
    if (loser == no_speaker) return false;
    leave_floor(channel, loser);
  }
  speaker = {{no_speaker, channel.first_speaker}, true, has_priority, now, now};
  if (channel.first_speaker != no_speaker) speakers_[channel.first_speaker].link.previous = index;
  channel.first_speaker = index;
  ++channel.speakers_count;
  return true;
}

void Channels::leave_floor(Channel& channel, SpeakerIndex index) {
  Speaker& speaker = speakers_[index];
  if (!speaker.has_floor) return;
  if (speaker.link.previous != no_speaker) {
    speakers_[speaker.link.previous].link.next = speaker.link.next;
  } else {
    channel.first_speaker = speaker.link.next;
  }
  if (speaker.link.next != no_speaker)
    speakers_[speaker.link.next].link.previous = speaker.link.previous;
  speaker = {};
  --channel.speakers_count;
}

Time Channels::floor_since(SpeakerIndex speaker) const {
  return speakers_[speaker].since;
}

std::size_t Channels::slot_bytes() {
  return sizeof(Link) + sizeof(Speaker);
}

void Channels::expire_floor(Channel& channel, Time now) {
  for (SpeakerIndex i = channel.first_speaker; i != no_speaker;) {
    const SpeakerIndex next = speakers_[i].link.next;
    if (now - speakers_[i].last >= limits::speaker_active) leave_floor(channel, i);
    i = next;
  }
}

SpeakerIndex Channels::youngest_without_priority(const Channel& channel) const {
  SpeakerIndex youngest = no_speaker;
  for (SpeakerIndex i = channel.first_speaker; i != no_speaker; i = speakers_[i].link.next) {
    if (speakers_[i].has_priority) continue;
    if (youngest == no_speaker || speakers_[i].since > speakers_[youngest].since) youngest = i;
  }
  return youngest;
}

}  // namespace earshot
