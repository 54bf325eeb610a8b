// Channels as one worker sees them: who is in, which other workers take part, who has the floor.
// One owner thread. Membership is an intrusive list over slots, the floor one over speakers:
// nothing is allocated after construction.
#pragma once

#include <cstdint>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/limits.h"
#include "relay/base/time.h"
#include "relay/core/command.h"

namespace earshot {

// Index of a speaker: slots of this worker first, then remote slots.
using SpeakerIndex = std::uint32_t;
constexpr SpeakerIndex no_speaker = UINT32_MAX;
constexpr std::uint32_t no_slot = UINT32_MAX;

struct Channel {
  Generation generation;
  bool is_open = false;
  std::uint16_t speakers_max = 0;
  std::uint16_t late_ms_max = 0;
  bool has_own_late_ms_max = false;
  WorkerMask workers = 0;              // the others that have participants
  std::uint32_t first_slot = no_slot;  // participants on this worker
  std::uint32_t turn_slot = no_slot;   // with whom the next fan-out begins; no_slot: the first
  std::uint32_t participants_count = 0;
  SpeakerIndex first_speaker = no_speaker;  // those who have the floor
  std::uint32_t speakers_count = 0;
};

class Channels {
 public:
  Channels(std::size_t channels_max, std::size_t slots_max, std::size_t speakers_max);

  // nullptr unless that life of the channel is open.
  Channel* find(ChannelRef ref);
  void open(const OpenChannel& command);
  void close(ChannelRef ref);

  void add_slot(Channel& channel, std::uint32_t slot);
  void remove_slot(Channel& channel, std::uint32_t slot);
  // With whom this fan-out begins. What does not fit into the socket is the end of it, and that
  // must not be the same participants every time.
  std::uint32_t take_turn(Channel& channel) const;
  // The next participant on this worker, or no_slot.
  std::uint32_t next_slot(std::uint32_t slot) const { return slot_links_[slot].next; }

  // May this speaker be heard now? Takes the floor if there is room; a speaker with priority takes
  // it from the one without who has spoken for the shortest time. Who is silent for
  // limits::speaker_active gives it up.
  bool take_floor(Channel& channel, SpeakerIndex speaker, bool has_priority, Time now);
  void leave_floor(Channel& channel, SpeakerIndex speaker);
  // When this speaker took the floor; Time{} if it does not have it.
  Time floor_since(SpeakerIndex speaker) const;

  // Bytes that one slot costs here.
  static std::size_t slot_bytes();

 private:
  struct Link {
    std::uint32_t previous = UINT32_MAX;
    std::uint32_t next = UINT32_MAX;
  };
  struct Speaker {
    Link link;
    bool has_floor = false;
    bool has_priority = false;
    Time since;
    Time last;
  };

  void expire_floor(Channel& channel, Time now);
  SpeakerIndex youngest_without_priority(const Channel& channel) const;

  std::vector<Channel> channels_;
  std::vector<Link> slot_links_;
  std::vector<Speaker> speakers_;
};

}  // namespace earshot
