// Puts one stream's frames back in order and in time: frames in as they arrive, one answer every 20
// ms. Any one thread. Sans-IO: time is an argument. Does not decode, and does not stretch audio; it
// waits, skips, or asks for concealment.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "relay/base/time.h"

namespace earshot::client {

struct JitterBufferOptions {
  // The delay adapts to the observed jitter between these.
  Duration delay_min = milliseconds(20);
  Duration delay_max = milliseconds(200);
};

class JitterBuffer {
 public:
  enum class Verdict : std::uint8_t {
    accepted,
    duplicate,
    late,       // its turn is over
    restarted,  // accepted, as the first of a stream that began anew
  };
  enum class Kind : std::uint8_t {
    idle,     // nobody speaks
    frame,    // play it
    missing,  // lost or too late: conceal
    waiting,  // the next one is overdue, but nothing says that it is lost: conceal
  };
  struct Playout {
    Kind kind = Kind::idle;
    std::vector<std::uint8_t> frame;
  };

  explicit JitterBuffer(const JitterBufferOptions& options = {}) : options_(options) {}

  Verdict insert(Time arrival, std::uint16_t sequence, std::uint32_t timestamp,
                 std::span<const std::uint8_t> frame);
  // What to play in the 20 ms that begin at `now`.
  Playout pop(Time now);

  std::size_t size() const { return frames_.size(); }
  Duration target_delay() const;
  // Frames that were thrown away unplayed, to get back to a short delay after a stall.
  std::uint64_t skipped() const { return skipped_; }

 private:
  struct Frame {
    Time arrival;
    std::vector<std::uint8_t> bytes;
  };

  std::int64_t unwrap(std::uint16_t sequence) const;
  void observe(Time arrival, std::uint32_t timestamp);
  bool is_ready(Time now) const;
  Playout pop_empty();
  Playout take_front();
  void shorten();

  JitterBufferOptions options_;
  std::map<std::int64_t, Frame> frames_;
  bool has_sequence_ = false;
  std::int64_t newest_ = 0;
  bool has_stray_ = false;  // the last packet was far from the rest
  std::uint16_t stray_ = 0;
  bool has_played_ = false;
  std::int64_t next_ = 0;  // the next to play, once has_played_
  bool is_playing_ = false;
  int empty_pops_ = 0;
  bool is_spurt_over_ = false;

  // Transit (arrival - RTP time, RFC 3550 A.8) against its recent minimum.
  bool has_transit_ = false;
  Duration transit_min_;
  std::uint32_t timestamp_ = 0;
  std::int64_t ticks_ = 0;
  Duration excess_peak_;

  std::size_t depth_min_ = 0;
  int depth_pops_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace earshot::client
