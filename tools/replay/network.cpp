#include "tools/replay/network.h"

#include <algorithm>

#include "relay/base/check.h"

namespace earshot::replay {
namespace {

// What each source of chance is for.
enum class Stream : std::uint8_t { loss, jitter, duplication, queue, cross, episodes };

std::uint64_t stream_seed(std::uint64_t seed, Stream stream) {
  return derive_seed(seed, stream);
}

constexpr double ns_per_second = 1e9;

double work_of(double bytes, std::uint64_t bits_per_second) {
  return bytes * 8 * ns_per_second / static_cast<double>(bits_per_second);
}

double queue_work_max(const RateModel& rate) {
  if (rate.bits_per_second == 0) return 0;
  const double by_bytes = work_of(static_cast<double>(rate.queue_bytes), rate.bits_per_second);
  const double by_time = static_cast<double>(rate.queue_time.ns);
  if (by_bytes > 0 && by_time > 0) return std::min(by_bytes, by_time);
  return by_bytes + by_time > 0 ? by_bytes + by_time : ns_per_second;
}

Episodes cross_traffic(const RateModel& rate) {
  Episodes episodes;
  if (rate.cross_bits_per_second == 0) return episodes;
  episodes.length = rate.cross_on;
  episodes.every = rate.cross_on + rate.cross_off;
  episodes.is_random = true;
  episodes.has_random_length = true;
  return episodes;
}

Duration at_least_1ns(Duration d) {
  return std::max(d, Duration{1});
}

}  // namespace

// --- Episodes -----------------------------------------------------------------------------------

EpisodeWalk::EpisodeWalk(const Episodes& episodes, std::uint64_t seed, Time origin)
    : episodes_(episodes), seed_(seed), origin_(origin), random_(seed) {
  RELAY_CHECK(!episodes.is_active() || episodes.every.ns == 0 || episodes.length < episodes.every);
  phase_ = scale(episodes.every, random_.uniform());
}

EpisodeWalk::Stretch EpisodeWalk::at(Time time) {
  if (!episodes_.is_active()) return {false, Time::never()};
  if (time < origin_) return {false, origin_};
  if (episodes_.every.ns == 0) return in_list(time);
  return episodes_.is_random ? in_random(time) : in_rhythm(time);
}

Time EpisodeWalk::released(Time time) {
  // Episodes of a list, and random ones, may touch or overlap.
  for (Stretch stretch = at(time); stretch.is_inside; stretch = at(time)) time = stretch.end;
  return time;
}

EpisodeWalk::Stretch EpisodeWalk::in_rhythm(Time time) const {
  const Time first = origin_ + phase_;
  if (time < first) return {false, first};
  const Duration since{(time - first).ns % episodes_.every.ns};
  const Time start = time - since;
  if (since < episodes_.length) return {true, start + episodes_.length};
  return {false, start + episodes_.every};
}

EpisodeWalk::Stretch EpisodeWalk::in_list(Time time) {
  const auto& starts = episodes_.at;
  while (next_ < starts.size() && origin_ + starts[next_] + episodes_.length <= time) ++next_;
  if (next_ == starts.size()) return {false, Time::never()};
  const Time start = origin_ + starts[next_];
  if (time < start) return {false, start};
  return {true, start + episodes_.length};
}

EpisodeWalk::Stretch EpisodeWalk::in_random(Time time) {
  const std::int64_t block = (time - origin_).ns / (64 * episodes_.every.ns);
  if (block != block_) begin_block(block);
  while (end_ <= time) draw();
  if (time < start_) return {false, start_};
  return {true, end_};
}

void EpisodeWalk::begin_block(std::int64_t block) {
  block_ = block;
  random_ = Random(derive_seed(seed_, block));
  start_ = end_ = origin_ + episodes_.every * 64 * block;
  block_end_ = start_ + episodes_.every * 64;
  draw();
}

// Fixed lengths: starts alone are drawn, so that episodes of different lengths begin together.
void EpisodeWalk::draw() {
  const bool alternates = episodes_.has_random_length;
  const Duration gap_mean = alternates ? episodes_.every - episodes_.length : episodes_.every;
  const Duration gap = at_least_1ns(scale(gap_mean, random_.exponential()));
  start_ = std::min((alternates ? end_ : start_) + gap, block_end_);
  const double factor = alternates ? random_.exponential() : 1;
  end_ = std::min(start_ + at_least_1ns(scale(episodes_.length, factor)), block_end_);
}

// --- Path ---------------------------------------------------------------------------------------

Path::Path(const PathModel& model, std::uint64_t seed, Time origin)
    : model_(model),
      origin_(origin),
      loss_random_(stream_seed(seed, Stream::loss)),
      jitter_random_(stream_seed(seed, Stream::jitter)),
      duplication_random_(stream_seed(seed, Stream::duplication)),
      queue_random_(stream_seed(seed, Stream::queue)),
      stall_(model.stall, stream_seed(seed, Stream::episodes), origin),
      outage_(model.outage, stream_seed(seed, Stream::episodes), origin),
      shift_(model.shift, stream_seed(seed, Stream::episodes), origin),
      cross_(cross_traffic(model.rate), stream_seed(seed, Stream::cross), origin),
      queue_at_(origin),
      queue_work_max_(queue_work_max(model.rate)) {}

Time Path::sent_at(Time nominal) const {
  if (model_.drift_ppm == 0) return nominal;
  return nominal - scale(nominal - origin_, model_.drift_ppm / (1e6 + model_.drift_ppm));
}

void Path::send(Time at, std::size_t bytes, std::vector<Time>& arrivals) {
  ++counts_.sent;
  if (!model_.outage_holds && outage_.at(at).is_inside) {
    ++counts_.outage;
    return;
  }
  if (is_lost()) {
    ++counts_.lost;
    return;
  }
  const Time released = after_stall(at);
  Duration in_queue;
  if (model_.rate.bits_per_second != 0) {
    run_queue(released);
    const Duration own{static_cast<std::int64_t>(
        work_of(static_cast<double>(bytes), model_.rate.bits_per_second))};
    if (!enters_queue(own)) {
      ++counts_.queue_full;
      return;
    }
    in_queue = {static_cast<std::int64_t>(queue_work_)};
  }
  const bool is_doubled = model_.duplication > 0 && duplication_random_.chance(model_.duplication);
  if (is_doubled) ++counts_.duplicated;
  const Duration delay = delay_at(released);
  for (int copies = is_doubled ? 2 : 1; copies > 0; --copies) {
    const Duration varied = std::max(delay + jitter(), Duration{});
    Time arrival = released + in_queue + varied;
    if (!model_.jitter.reorders) arrival = std::max(arrival, last_arrival_);
    last_arrival_ = arrival;
    arrivals.push_back(arrival);
  }
}

// As the kernel does it: the loss is that of the state before the step.
bool Path::is_lost() {
  if (!model_.loss.is_active()) return false;
  const LossModel& loss = model_.loss;
  const bool was_bad = is_bad_;
  if (loss_random_.chance(was_bad ? loss.to_good : loss.to_bad)) is_bad_ = !is_bad_;
  return loss_random_.chance(was_bad ? loss.bad_loss : loss.good_loss);
}

// First in, first out: who comes while held packets drain waits behind them.
Time Path::after_stall(Time at) {
  Time released = std::max(at, drained_);
  const bool waits = released > at;
  released = stall_.released(released);
  if (model_.outage_holds) released = outage_.released(released);
  if (released == at && !waits) return at;
  ++counts_.held;
  drained_ = released + model_.stall_drain;
  return released;
}

// Other traffic is a fluid. While it overflows the queue, what arrives shares the room that there
// is.
bool Path::enters_queue(Duration own) {
  const double work = queue_work_ + static_cast<double>(own.ns);
  if (work > queue_work_max_ && queue_work_ > 0) {
    const double cross = static_cast<double>(model_.rate.cross_bits_per_second);
    const double rate = static_cast<double>(model_.rate.bits_per_second);
    const bool overflows = cross > rate && cross_.at(queue_at_).is_inside;
    if (!overflows || !queue_random_.chance(rate / cross)) return false;
    queue_work_ = queue_work_max_;
    return true;
  }
  queue_work_ = work;
  return true;
}

void Path::run_queue(Time until) {
  if (until <= queue_at_) return;
  if (model_.rate.cross_bits_per_second == 0) {
    queue_work_ = std::max(0.0, queue_work_ - static_cast<double>((until - queue_at_).ns));
    queue_at_ = until;
    return;
  }
  const double inflow = static_cast<double>(model_.rate.cross_bits_per_second) /
                        static_cast<double>(model_.rate.bits_per_second);
  // What happened long ago is forgotten: the queue has been empty or full many times since.
  const Duration memory = (model_.rate.cross_on + model_.rate.cross_off) * 64;
  queue_at_ = std::max(queue_at_, until - memory);
  while (queue_at_ < until) {
    const EpisodeWalk::Stretch stretch = cross_.at(queue_at_);
    const Time end = std::min(stretch.end, until);
    const double elapsed = static_cast<double>((end - queue_at_).ns);
    const double change = stretch.is_inside ? elapsed * (inflow - 1) : -elapsed;
    // A packet that is larger than the queue went in alone.
    const double brim = std::max(queue_work_, queue_work_max_);
    queue_work_ = std::clamp(queue_work_ + change, 0.0, brim);
    queue_at_ = end;
  }
}

Duration Path::delay_at(Time time) {
  Duration delay = model_.delay;
  if (model_.delay_trace) delay = delay + traced_delay(time);
  if (shift_.at(time).is_inside) delay = delay + model_.shift_by;
  return delay;
}

Duration Path::traced_delay(Time time) {
  const DelayTrace& trace = *model_.delay_trace;
  if (trace.points.empty() || trace.length.ns <= 0) return {};
  const Duration since = std::max(time - origin_, Duration{});
  const Duration now{since.ns % trace.length.ns};
  if (now < trace.points[trace_point_].at) trace_point_ = 0;
  while (trace_point_ + 1 < trace.points.size() && trace.points[trace_point_ + 1].at <= now) {
    ++trace_point_;
  }
  return trace.points[trace_point_].delay;
}

Duration Path::jitter() {
  const JitterModel& jitter = model_.jitter;
  switch (jitter.kind) {
    case JitterKind::none:
      break;
    case JitterKind::normal:
      return scale(jitter.size, jitter_random_.normal());
    case JitterKind::gamma:
      return scale(jitter.size, jitter_random_.gamma(jitter.shape) / jitter.shape);
    case JitterKind::pareto:
      return scale(jitter.size, jitter_random_.pareto(jitter.shape) * (jitter.shape - 1));
  }
  return {};
}

}  // namespace earshot::replay
