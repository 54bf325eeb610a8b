// Somebody with a client and a network of their own: how they speak, count and send, and what they
// have sent lately. It seals and paces; what it says to whom, and what goes wrong, is the world's
// business. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "tests/sim/control.h"
#include "tests/sim/life.h"
#include "tests/sim/packet.h"
#include "tools/replay/network.h"
#include "tools/replay/random.h"

namespace earshot::sim {

// What a client of this kind does.
struct Habits {
  Duration frame = milliseconds(20);
  bool is_rtp_running = true;      // in pauses; else it stands still
  bool ends_with_silence = true;   // five silence frames
  bool is_decorated = false;       // CSRC, extension or padding around its frames
  bool asks_for_address = true;    // IP discovery before Select Protocol
  bool declares_nonsense = false;  // an address that is nobody's
  bool signals_from_elsewhere = false;
  std::int64_t clock_ppm = 0;
  Duration spurt;  // mean
  Duration pause;  // mean
  CounterOrder order = CounterOrder::big_endian;
  std::uint8_t start = 0;  // 0, 1, near a sign change, random, near the relay's
  crypto::AeadMode mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
};

struct Person {
  PersonIndex index = 0;
  Habits habits;
  Endpoint address;
  std::uint16_t ports = 0;  // how many it has had
  IpAddress signalling;
  ChannelName channel = 0;
  Grants grants;
  bool is_muted = false;
  bool is_deafened = false;

  std::optional<replay::Path> up;
  std::optional<replay::Path> down;
  Time cut_off_until;            // a partition: nothing either way
  bool is_never_healed = false;  // Mutation::stay_deaf

  Life* life = nullptr;
  bool is_away = false;  // it will come back by itself
  std::optional<Endpoint> seen_as;
  int discoveries_left = 0;

  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  Time frame_at;        // when the last frame was due
  int frames_left = 0;  // of this spurt, then silence
  int silence_left = 0;
  std::uint64_t speech = 0;  // counts spurts, so that an old timer ends
  Time stalled_until;        // its process stands still; what is due is sent afterwards
  Time sent_at;
  Time keep_alive_until;  // its timer runs; zero: not

  // The last datagrams, for replays.
  struct Held {
    std::vector<std::uint8_t> bytes;
    Origin origin;
  };
  std::deque<Held> held;
};

// Draws them from what is seen in the field.
Habits draw_habits(replay::Random& random, Duration pause);
CounterHabit draw_counter(replay::Random& random, const Habits& habits);

// The next frame of this participant, sealed under its key into `packet`. `is_silence` is Opus
// silence; `type` 120 but for what is wrong on purpose.
void seal_frame(Person& person, replay::Random& random, bool is_silence, PacketKind kind,
                Packet& packet);

// A network of any kind, from calm to wild; and a calm one.
replay::PathModel draw_path(replay::Random& random);
replay::PathModel calm_path(replay::Random& random);

Duration exponential(replay::Random& random, Duration mean);
Duration between(replay::Random& random, Duration from, Duration to);

}  // namespace earshot::sim
