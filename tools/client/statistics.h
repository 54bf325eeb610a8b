// Counting one received stream: loss, duplicates, jitter, and latency where sender and listener
// share a clock. Any one thread. Sans-IO; measures, and decides nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/time.h"

namespace earshot::client {

// Sequence numbers and arrival times of one stream.
class StreamStatistics {
 public:
  enum class Verdict : std::uint8_t {
    fresh,
    duplicate,
    stray,      // far from the rest, and alone so far: not counted
    restarted,  // the second of a stream that began anew; the stray before it counts too
  };

  Verdict on_packet(Time arrival, std::uint16_t sequence, std::uint32_t timestamp);

  std::uint64_t received() const { return received_; }  // without duplicates
  std::uint64_t duplicates() const { return duplicates_; }
  // Sequence numbers between the first and the newest that never came (so far).
  std::uint64_t lost() const;
  std::uint64_t reordered() const { return reordered_; }
  // Interarrival jitter, RFC 3550 A.8.
  Duration jitter() const;

 private:
  void observe_jitter(Time arrival, std::uint32_t timestamp);
  void restart(std::uint16_t sequence);
  bool is_seen(std::int64_t sequence) const;
  void count(std::int64_t sequence);

  // Which of the newest packets came; older ones cannot be told from duplicates and count as such.
  static constexpr std::int64_t window = 4'096;

  bool has_sequence_ = false;
  std::int64_t first_ = 0;
  std::int64_t newest_ = 0;
  std::uint64_t lost_before_ = 0;    // of what came before a restart
  std::uint64_t received_here_ = 0;  // since the restart
  std::uint64_t received_ = 0;
  std::uint64_t duplicates_ = 0;
  std::uint64_t reordered_ = 0;
  bool has_stray_ = false;
  std::uint16_t stray_ = 0;
  std::array<bool, window> seen_{};

  bool has_transit_ = false;
  std::uint32_t arrival_ticks_ = 0;
  std::uint32_t timestamp_ = 0;
  double jitter_ticks_ = 0;
};

// Log-linear histogram of durations: 64 steps to each power of two, so 1.6 % off at most.
class LatencyHistogram {
 public:
  void add(Duration value);
  std::uint64_t count() const { return count_; }
  // `share` from 0 to 1; zero if nothing was added.
  Duration percentile(double share) const;
  Duration max() const { return max_; }

 private:
  std::vector<std::uint32_t> buckets_;
  std::uint64_t count_ = 0;
  Duration max_;
};

// Where the clients of one process note when they sent what, for the listeners among them. Loop
// thread only.
class LatencyBook {
 public:
  void on_sent(Ssrc ssrc, std::uint16_t sequence, Time sent);
  // Nothing if this process did not send it, or too long ago (20 s of speech).
  std::optional<Time> sent_at(Ssrc ssrc, std::uint16_t sequence) const;

 private:
  struct Entry {
    std::uint16_t sequence = 0;
    bool is_used = false;
    Time sent;
  };
  std::unordered_map<std::uint32_t, std::vector<Entry>> streams_;
};

}  // namespace earshot::client
