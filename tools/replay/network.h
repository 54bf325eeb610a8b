// One path between a participant and the relay, in one direction: when what is sent on it arrives,
// if at all. Sans-IO, seeded and deterministic; any thread, one at a time; no allocation after the
// constructor. It carries sizes and times, never bytes.
// What happens in time (stalls, shifts, outages, other traffic) does not depend on what is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "relay/base/time.h"
#include "tools/replay/random.h"

namespace earshot::replay {

enum class JitterKind : std::uint8_t { none, normal, gamma, pareto };

struct JitterModel {
  JitterKind kind = JitterKind::none;
  // Of normal jitter the standard deviation around the delay (never below no delay); of gamma and
  // Pareto, which only ever add, the mean.
  Duration size;
  double shape = 0;       // of gamma (above 0) and Pareto (above 1)
  bool reorders = false;  // otherwise nothing overtakes
};

// Gilbert and Elliott's two states, as `tc netem loss gemodel p r 1-h 1-k` has them: a step for
// each packet.
struct LossModel {
  double to_bad = 0;     // p
  double to_good = 1;    // r
  double bad_loss = 1;   // 1-h: of the packets in the bad state
  double good_loss = 0;  // 1-k: of those in the good one

  bool is_active() const { return to_bad > 0 || good_loss > 0; }
};

// Everything on this path shares the queue; what does not fit is dropped at its tail.
struct RateModel {
  std::uint64_t bits_per_second = 0;  // 0: no limit
  std::uint64_t queue_bytes = 0;      // with queue_time: the smaller one; both 0: 1 second
  Duration queue_time;
  // Other traffic through the same queue: this much for a while, then none (both times exponential,
  // these are the means). 0: none.
  std::uint64_t cross_bits_per_second = 0;
  Duration cross_on;
  Duration cross_off;
};

// Stretches of time in which something is the case. Those of one path that have the same rhythm
// begin together: a handover is a shift and an outage.
struct Episodes {
  Duration length;         // 0: never
  Duration every;          // from start to start, longer than `length`; 0: only `at`
  bool is_random = false;  // `every` is a mean, the gaps are exponential; else the phase is random
  std::vector<Duration> at;  // ascending, after the origin; instead of `every`

  bool is_active() const { return length.ns > 0 && (every.ns > 0 || !at.empty()); }
};

// Delay over time, held until the next point and repeated from the beginning.
struct DelayTrace {
  struct Point {
    Duration at;  // the first one at 0, ascending
    Duration delay;
  };
  std::vector<Point> points;
  Duration length;  // after the last point's time
};

struct PathModel {
  Duration delay;
  JitterModel jitter;
  LossModel loss;
  double duplication = 0;  // share of packets that arrive twice; the copy has its own jitter
  RateModel rate;
  Episodes stall;        // nothing comes out; what was held comes out after it
  Duration stall_drain;  // between two packets that were held; 0: all at once
  Episodes outage;
  bool outage_holds = false;  // delivered after it, as with a stall; otherwise lost
  Episodes shift;
  Duration shift_by;     // longer by this meanwhile; may be negative
  double drift_ppm = 0;  // how much faster the sender's clock runs: see Path::sent_at
  std::shared_ptr<const DelayTrace> delay_trace;  // added to `delay`; may be null
};

// Uplink: to the relay.
enum class Direction : std::uint8_t { uplink, downlink };

inline std::uint64_t path_seed(std::uint64_t seed, std::size_t participant, Direction direction) {
  return derive_seed(seed, participant, direction);
}

struct PathCounts {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;        // LossModel
  std::uint64_t outage = 0;      // lost in an outage
  std::uint64_t queue_full = 0;  // dropped at the tail
  std::uint64_t duplicated = 0;
  std::uint64_t held = 0;  // by a stall or an outage, and delivered
};

// Where in the course of its episodes a path is. Queries come in order of time.
class EpisodeWalk {
 public:
  EpisodeWalk(const Episodes& episodes, std::uint64_t seed, Time origin);

  // The end of the episode that `at` lies in.
  std::optional<Time> end_of(Time at);

 private:
  void walk_random(Time at);

  Episodes episodes_;
  Random random_;
  Time origin_;
  Time start_;  // of the current or next episode
  std::size_t next_ = 0;
};

class Path {
 public:
  // `origin`: the time 0 of episodes, traces and drift.
  Path(const PathModel& model, std::uint64_t seed, Time origin = {});

  // When a sender with this clock sends what it should send at `nominal`. Without drift: then.
  // With a fast clock it is earlier, so callers ask before they call `send`.
  Time sent_at(Time nominal) const;

  // Calls in order of time. Appends when the copies arrive: none, one or two, never before `at`.
  // They are in order between calls unless the model reorders.
  void send(Time at, std::size_t bytes, std::vector<Time>& arrivals);

  const PathCounts& counts() const { return counts_; }

 private:
  bool is_lost();
  Time after_stall(Time at);
  // The shared queue; nothing if it is full.
  std::optional<Time> after_queue(Time at, std::size_t bytes);
  void run_queue(Time until);
  Duration delay_now(Time at);
  Duration jitter();
  Time arrival(Time at, Duration delay);

  PathModel model_;
  Time origin_;
  PathCounts counts_;

  // One source of chance for each model: switching one on leaves the others' course alone.
  Random loss_random_;
  Random jitter_random_;
  Random duplication_random_;
  Random queue_random_;

  EpisodeWalk stall_;
  EpisodeWalk outage_;
  EpisodeWalk shift_;
  bool is_bad_ = false;    // Gilbert and Elliott's state
  Time drained_;           // what a stall held is out
  Time queue_at_;          // up to where the queue has been worked on
  double queue_work_ = 0;  // nanoseconds of sending that wait then
  double queue_work_max_ = 0;
  bool is_cross_on_ = false;
  Time cross_until_;
  std::size_t trace_next_ = 0;
  Time last_arrival_;
};

}  // namespace earshot::replay
