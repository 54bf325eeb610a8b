// One path between a participant and the relay, in one direction: when what is sent on it arrives,
// if at all. Sans-IO, seeded and deterministic; any thread, one at a time; no allocation after the
// constructor. It carries sizes and times, never bytes.
// What happens in time (stalls, shifts, outages, other traffic) does not depend on what is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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
  Duration length{};       // 0: never
  Duration every{};        // from start to start, longer than `length`; 0: only `at`
  bool is_random = false;  // starts come by chance, `every` on average; otherwise only the phase
  bool has_random_length = false;  // with is_random: `length` is a mean, and the gaps are too
  std::vector<Duration> at{};      // ascending, after the origin; instead of `every`

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

// Whether an episode is on, and until when that stays so. Queries come in order of time; the
// answers do not depend on which ones came before.
class EpisodeWalk {
 public:
  EpisodeWalk(const Episodes& episodes, std::uint64_t seed, Time origin);

  struct Stretch {
    bool is_inside = false;
    Time end;  // never() if nothing comes after it
  };
  Stretch at(Time time);
  // `time`, or the end of the episode that it lies in.
  Time released(Time time);

 private:
  Stretch in_rhythm(Time time) const;
  Stretch in_list(Time time);
  Stretch in_random(Time time);
  void begin_block(std::int64_t block);
  void draw();

  Episodes episodes_;
  std::uint64_t seed_ = 0;
  Time origin_;
  Duration phase_;
  std::size_t next_ = 0;  // in Episodes::at
  // Random episodes are drawn anew for each block of time: that bounds the way to a late `time`.
  Random random_;
  std::int64_t block_ = -1;
  Time block_end_;
  Time start_;
  Time end_;
};

class Path {
 public:
  // `origin`: the time 0 of episodes, traces and drift.
  Path(const PathModel& model, std::uint64_t seed, Time origin = {});

  // When a sender with this clock sends what it should send at `nominal`. Without drift: then.
  // With a fast clock it is earlier, so callers ask before they call `send`.
  Time sent_at(Time nominal) const;

  // Calls in order of time. Appends when the copies arrive: none, one or two, never before `at`.
  // They are in order, from call to call too, unless the model reorders. `bytes`: with all headers
  // that the limited link sees.
  void send(Time at, std::size_t bytes, std::vector<Time>& arrivals);

  const PathCounts& counts() const { return counts_; }

 private:
  bool is_lost();
  Time after_stall(Time at);
  bool enters_queue(Duration own);
  void run_queue(Time until);
  Duration delay_at(Time time);
  Duration traced_delay(Time time);
  Duration jitter();

  PathModel model_;
  Time origin_;
  PathCounts counts_;

  // One source of chance for each model: switching one on leaves the course of the others alone.
  Random loss_random_;
  Random jitter_random_;
  Random duplication_random_;
  Random queue_random_;

  EpisodeWalk stall_;
  EpisodeWalk outage_;
  EpisodeWalk shift_;
  EpisodeWalk cross_;
  bool is_bad_ = false;    // Gilbert and Elliott's state
  Time drained_;           // when the last packet that was held is out
  Time queue_at_;          // up to when the queue has been worked off
  double queue_work_ = 0;  // nanoseconds of sending that waited then
  double queue_work_max_ = 0;
  std::size_t trace_point_ = 0;
  Time last_arrival_{INT64_MIN};
};

}  // namespace earshot::replay
