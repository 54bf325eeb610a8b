// The truth about sessions: who is in which channel, what was sent, what has been promised. Kept by
// the simulation beside the relay and without asking it; the invariants judge the relay by it. One
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/ids.h"
#include "relay/base/limits.h"
#include "relay/core/command.h"
#include "tests/sim/client_key.h"
#include "tests/sim/lateness_reference.h"

namespace earshot::sim {

// A human with a device; has one session at a time.
using PersonIndex = std::uint32_t;
// Channels by name: the truth of who hears whom.
using ChannelName = std::uint32_t;
using LifeIndex = std::uint32_t;

constexpr std::size_t people_max = 64;
constexpr std::array<std::uint8_t, 3> opus_silence{0xF8, 0xFF, 0xFE};

// A frame as its speaker sealed it.
struct SentFrame {
  std::uint32_t number = 0;  // counted from 0 in its life
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint16_t size = 0;
  bool is_silence = false;
  bool was_seen = false;   // by the relay, up to the step that looks for duplicates
  std::uint64_t rank = 0;  // the order in which the relay accepted frames; 0: not yet
  Time accepted_at;
  std::uint64_t listeners = 0;  // to whom a copy has gone, a bit for each person
  std::uint64_t arrivals = 0;   // with whom it has arrived
};

// Silence that the relay itself put behind a muted speaker's last frame.
struct InjectedFrame {
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint64_t rank = 0;
  std::uint64_t listeners = 0;
};

// How far something that was asked for has come: nobody may see it before `asked`, everybody must
// after `done`.
struct Promise {
  bool is_asked = false;
  bool is_done = false;
};

// What a worker has executed about a slot.
struct Executed {
  bool is_open = false;
  std::shared_ptr<ClientKey> key;
  bool may_send = false;
  bool is_muted = false;
  bool is_deafened = false;
};

// One session, from its join to the end of its leave.
struct Life {
  LifeIndex index = 0;
  PersonIndex person = 0;
  SlotRef slot;
  std::uint64_t member = 0;
  ChannelName channel = 0;
  ChannelRef channel_ref;
  Grants grants;
  IpAddress signalling_peer;
  Time began;

  std::shared_ptr<ClientKey> key;  // the client's
  std::map<std::array<std::uint8_t, crypto::key_size>, std::shared_ptr<ClientKey>> keys;
  Executed at_home;
  WorkerMask known_on = 0;  // the other workers that have a remote slot for it

  Promise mute;
  Promise deafen;
  Promise leave;
  bool is_leaving = false;

  // What it has sent, the last ones.
  static constexpr std::size_t frames_kept = 2'048;
  std::vector<SentFrame> frames;
  std::uint32_t frames_count = 0;
  std::vector<InjectedFrame> injected;
  std::optional<std::uint16_t> highest_sequence;  // as RFC 3550 A.1 has it
  std::optional<std::uint16_t> silenced_through;  // by the last mute

  LatenessReference lateness;
  std::deque<Time> rated;                            // when packets came as far as the rate
  std::array<Time, limits::workers_max> floor_at{};  // when it last had the floor there
  // By speaking person: the last that it was sent.
  struct Heard {
    LifeIndex life = UINT32_MAX;
    std::uint64_t rank = 0;
  };
  std::vector<Heard> heard;
  std::vector<IpAddress> proven;    // from where it has sent what authenticated
  std::vector<Endpoint> addresses;  // where it may be sent anything

  void note_sequence(std::uint16_t sequence);
  SentFrame* frame(std::uint32_t number);
  SentFrame& add_frame(std::uint16_t sequence, std::uint32_t timestamp, std::uint16_t size,
                       bool is_silence);
  // Nothing but sequence and time stamp tells silence apart.
  SentFrame* find_silence(std::uint16_t sequence, std::uint32_t timestamp);
  InjectedFrame* find_injected(std::uint16_t sequence, std::uint32_t timestamp);
  bool is_proven_at(const IpAddress& ip) const;
  // What is large and of no use to what may still be under way from it.
  void forget();
};

// All of them. Indices are never reused.
class Lives {
 public:
  Life& add(PersonIndex person);
  // The last one that was added, which has come to nothing.
  void take_back(const Life& life);
  Life& operator[](LifeIndex index) { return *lives_[index]; }
  std::size_t size() const { return lives_.size(); }
  void name(Life& life, SlotRef slot);
  // nullptr: there never was such a life.
  Life* find(SlotRef slot);

 private:
  std::vector<std::unique_ptr<Life>> lives_;
  std::map<SlotRef, LifeIndex> by_slot_;
};

// The bytes of a frame, which say whose they are: of at least `frame_name_size` both indices can be
// read back.
constexpr std::size_t frame_name_size = 8;
void write_frame(std::span<std::uint8_t> out, LifeIndex life, const SentFrame& frame);
bool is_frame(std::span<const std::uint8_t> bytes, LifeIndex life, const SentFrame& frame);
struct FrameName {
  LifeIndex life = 0;
  std::uint32_t number = 0;
};
std::optional<FrameName> read_frame_name(std::span<const std::uint8_t> bytes);

}  // namespace earshot::sim
