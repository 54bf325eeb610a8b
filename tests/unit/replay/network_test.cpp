// Models of a path, each against what theory says of it, with fixed seeds.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "tools/replay/network.h"

using namespace earshot;
using namespace earshot::replay;

namespace {

constexpr Duration frame = milliseconds(20);
constexpr std::size_t packet_size = 150;

struct Fate {
  Time sent;
  std::vector<Time> arrivals;

  bool is_lost() const { return arrivals.empty(); }
  Duration delay() const { return arrivals.front() - sent; }
};

// `count` packets, one every `gap`, from time 0.
std::vector<Fate> run(const PathModel& model, int count, std::uint64_t seed = 1,
                      Duration gap = frame, std::size_t size = packet_size) {
  Path path(model, seed);
  std::vector<Fate> fates;
  for (int i = 0; i < count; ++i) {
    Fate fate{Time{} + gap * i, {}};
    path.send(fate.sent, size, fate.arrivals);
    fates.push_back(std::move(fate));
  }
  return fates;
}

struct Moments {
  double mean = 0;
  double deviation = 0;
};

Moments delays_in_ms(const std::vector<Fate>& fates) {
  double sum = 0;
  double squares = 0;
  double count = 0;
  for (const Fate& fate : fates) {
    for (const Time arrival : fate.arrivals) {
      const double ms = static_cast<double>((arrival - fate.sent).ns) / 1e6;
      sum += ms;
      squares += ms * ms;
      ++count;
    }
  }
  const double mean = sum / count;
  return {mean, std::sqrt(squares / count - mean * mean)};
}

bool is_in_order(const std::vector<Fate>& fates) {
  Time last;
  for (const Fate& fate : fates) {
    for (const Time arrival : fate.arrivals) {
      if (arrival < last) return false;
      last = arrival;
    }
  }
  return true;
}

double lost_share(const std::vector<Fate>& fates) {
  const auto lost =
      std::count_if(fates.begin(), fates.end(), [](const Fate& f) { return f.is_lost(); });
  return static_cast<double>(lost) / static_cast<double>(fates.size());
}

Episodes every(Duration length, Duration period) {
  return {.length = length, .every = period, .at = {}};
}

Episodes at(Duration length, std::vector<Duration> starts) {
  return {.length = length, .every = {}, .at = std::move(starts)};
}

}  // namespace

TEST_CASE("a path without a model delivers at once, and one with a delay after it") {
  PathModel model;
  for (const Fate& fate : run(model, 10)) CHECK(fate.delay() == Duration{});
  model.delay = milliseconds(40);
  for (const Fate& fate : run(model, 10)) {
    CHECK(fate.arrivals.size() == 1);
    CHECK(fate.delay() == milliseconds(40));
  }
}

TEST_CASE("jitter has the mean and the deviation of its distribution") {
  struct Row {
    JitterKind kind;
    double shape;
    double added;      // on average, in units of `size`
    double deviation;  // in units of `size`
    double tolerance;
  };
  const Row rows[] = {
      {JitterKind::normal, 0, 0, 1, 0.02},
      {JitterKind::gamma, 2, 1, std::sqrt(0.5), 0.02},
      {JitterKind::gamma, 0.5, 1, std::sqrt(2.0), 0.02},
      // Lomax: variance over squared mean = a / (a - 2).
      {JitterKind::pareto, 6, 1, std::sqrt(6.0 / 4), 0.05},
  };
  for (const Row& row : rows) {
    CAPTURE(static_cast<int>(row.kind));
    CAPTURE(row.shape);
    PathModel model;
    model.delay = milliseconds(100);
    model.jitter = {row.kind, milliseconds(10), row.shape, true};
    const Moments found = delays_in_ms(run(model, 200'000));
    CHECK(std::abs(found.mean - (100 + 10 * row.added)) < 0.1);
    CHECK(found.deviation == doctest::Approx(10 * row.deviation).epsilon(row.tolerance));
  }
}

TEST_CASE("only a path that reorders lets packets overtake each other") {
  PathModel model;
  model.delay = milliseconds(100);
  model.jitter = {JitterKind::normal, milliseconds(30), 0, false};
  CHECK(is_in_order(run(model, 20'000)));
  model.jitter.reorders = true;
  CHECK_FALSE(is_in_order(run(model, 20'000)));
}

TEST_CASE("no jitter brings a packet before it was sent") {
  PathModel model;
  model.delay = milliseconds(1);
  model.jitter = {JitterKind::normal, milliseconds(30), 0, true};
  model.shift = at(seconds(10), {seconds(1)});
  model.shift_by = milliseconds(-50);
  for (const Fate& fate : run(model, 5'000)) CHECK(fate.delay().ns >= 0);
}

TEST_CASE("loss is as frequent and as bursty as its four parameters say") {
  struct Row {
    LossModel loss;
    double share;
    double burst;  // mean length of a run of lost packets
  };
  // In the bad state p / (p + r) of the time; with bad_loss 1 and good_loss 0 a burst is a stay
  // there: 1 / r packets.
  const Row rows[] = {
      {{0, 1, 1, 0.02}, 0.02, 1 / 0.98},
      {{0.01, 0.3, 1, 0}, 0.01 / 0.31, 1 / 0.3},
      {{0.01, 0.05, 1, 0}, 0.01 / 0.06, 20},
      {{0.02, 0.25, 0.5, 0}, 0.02 / 0.27 * 0.5, 1 / (1 - 0.75 * 0.5)},
      {{0.01, 0.25, 0.8, 0.01}, (0.25 * 0.01 + 0.01 * 0.8) / 0.26, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.share);
    PathModel model;
    model.loss = row.loss;
    const auto fates = run(model, 400'000);
    CHECK(lost_share(fates) == doctest::Approx(row.share).epsilon(0.04));
    int lost = 0;
    int bursts = 0;
    for (std::size_t i = 0; i < fates.size(); ++i) {
      lost += fates[i].is_lost() ? 1 : 0;
      bursts += fates[i].is_lost() && (i == 0 || !fates[i - 1].is_lost()) ? 1 : 0;
    }
    if (row.burst == 0) continue;
    CHECK(static_cast<double>(lost) / bursts == doctest::Approx(row.burst).epsilon(0.04));
  }
}

TEST_CASE("duplicates come as often as they should, and are counted") {
  PathModel model;
  model.duplication = 0.05;
  Path path(model, 9);
  std::vector<Time> arrivals;
  for (int i = 0; i < 100'000; ++i) path.send(Time{} + frame * i, packet_size, arrivals);
  CHECK(path.counts().sent == 100'000);
  CHECK(arrivals.size() == 100'000 + path.counts().duplicated);
  CHECK(std::abs(static_cast<double>(path.counts().duplicated) - 5'000) < 220);
}

TEST_CASE("a rate limit spaces packets, and drops what the queue cannot hold") {
  PathModel model;
  model.rate.bits_per_second = 120'000;  // a packet of 150 bytes takes 10 ms
  model.rate.queue_time = milliseconds(100);
  // As fast as it drains: nobody waits.
  for (const Fate& fate : run(model, 100, 1, milliseconds(10))) {
    CHECK(fate.delay() == milliseconds(10));
  }
  // All at once: the queue takes ten.
  const auto burst = run(model, 30, 1, Duration{});
  for (std::size_t i = 0; i < burst.size(); ++i) {
    CAPTURE(i);
    CHECK(burst[i].is_lost() == (i >= 10));
    if (!burst[i].is_lost())
      CHECK(burst[i].delay() == milliseconds(10) * (static_cast<int>(i) + 1));
  }
  // Twice as fast: half is lost, and who comes through waits for all of the queue.
  const auto flood = run(model, 10'000, 1, milliseconds(5));
  CHECK(lost_share(flood) == doctest::Approx(0.5).epsilon(0.01));
  CHECK(flood.back().arrivals.size() + flood[flood.size() - 2].arrivals.size() == 1);
  CHECK(delays_in_ms(flood).mean == doctest::Approx(98).epsilon(0.03));
}

TEST_CASE("a queue in bytes is the same as one in time at its rate") {
  PathModel in_time;
  in_time.rate.bits_per_second = 80'000;
  in_time.rate.queue_time = milliseconds(200);
  PathModel in_bytes = in_time;
  in_bytes.rate.queue_time = {};
  in_bytes.rate.queue_bytes = 2'000;
  const auto a = run(in_time, 2'000, 5, milliseconds(7));
  const auto b = run(in_bytes, 2'000, 5, milliseconds(7));
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i].arrivals == b[i].arrivals);
}

TEST_CASE("cross traffic fills the queue while it lasts and lets it drain afterwards") {
  PathModel model;
  model.rate.bits_per_second = 2'000'000;
  model.rate.queue_time = milliseconds(800);
  model.rate.cross_bits_per_second = 2'500'000;  // a quarter too much: full after 3.2 s
  model.rate.cross_on = seconds(6);
  model.rate.cross_off = seconds(10);
  const auto fates = run(model, 180'000, 3);  // an hour
  int full = 0;
  int empty = 0;
  int lost = 0;
  for (const Fate& fate : fates) {
    lost += fate.is_lost() ? 1 : 0;
    if (fate.is_lost()) continue;
    CHECK(fate.delay() < milliseconds(802));
    full += fate.delay() > milliseconds(790) ? 1 : 0;
    empty += fate.delay() < milliseconds(2) ? 1 : 0;
  }
  // On 6/16 of the time; full after 3.2 s of it, so exp(-3.2/6) of those 6 s on average.
  const double full_share = 6.0 / 16 * std::exp(-3.2 / 6);
  const double all = static_cast<double>(fates.size());
  CHECK(full / all == doctest::Approx(full_share * 0.8).epsilon(0.25));
  CHECK(empty / all > 0.45);
  // While it overflows a fifth does not fit.
  CHECK(lost / all == doctest::Approx(full_share * 0.2).epsilon(0.25));
  CHECK(is_in_order(fates));
}

TEST_CASE("a stall holds what comes meanwhile, and lets it go all at once or one by one") {
  PathModel model;
  model.delay = milliseconds(10);
  model.stall = at(milliseconds(300), {milliseconds(90)});
  for (const Duration drain : {Duration{}, milliseconds(1), milliseconds(50)}) {
    CAPTURE(drain.ns);
    model.stall_drain = drain;
    const auto fates = run(model, 100);
    CHECK(is_in_order(fates));
    // 100, 120, ..., 380 ms: fifteen packets until 390 ms.
    for (int i = 0; i < 100; ++i) {
      CAPTURE(i);
      const Fate& fate = fates[static_cast<std::size_t>(i)];
      if (i < 5) CHECK(fate.delay() == milliseconds(10));
      if (i >= 5 && i < 20) {
        CHECK(fate.arrivals.front() == Time{} + milliseconds(400) + drain * (i - 5));
      }
    }
    // Drained slower than they come, the line of those that wait grows.
    const bool grows = drain > frame;
    CHECK((fates[99].delay() > milliseconds(2'000)) == grows);
  }
}

TEST_CASE("stalls in a rhythm come as often as it says, from a random phase") {
  PathModel model;
  model.stall = every(milliseconds(300), seconds(4));
  const auto count_stalls = [](const std::vector<Fate>& fates) {
    int stalls = 0;
    for (const Fate& fate : fates) stalls += fate.delay() > milliseconds(279) ? 1 : 0;
    return stalls;
  };
  const auto a = run(model, 10'000, 1);  // 200 s
  const auto b = run(model, 10'000, 2);
  CHECK(std::abs(count_stalls(a) - 50) <= 1);
  CHECK(std::abs(count_stalls(b) - 50) <= 1);
  const auto first_held = [](const std::vector<Fate>& fates) {
    return std::find_if(fates.begin(), fates.end(), [](const Fate& f) { return f.delay().ns > 0; })
        ->sent;
  };
  CHECK(first_held(a) != first_held(b));
  CHECK(first_held(a) < Time{} + seconds(4));
}

TEST_CASE("what happens in time is the same however much is sent") {
  PathModel model;
  model.stall = {.length = milliseconds(300), .every = seconds(4), .is_random = true, .at = {}};
  model.shift = {.length = seconds(5), .every = seconds(20), .is_random = true, .at = {}};
  model.shift_by = milliseconds(100);
  model.jitter.reorders = true;  // otherwise packets wait for those before them
  const auto dense = run(model, 600'000, 8, milliseconds(1));
  const auto sparse = run(model, 3'000, 8, milliseconds(200));
  for (std::size_t i = 0; i < sparse.size(); ++i) {
    CAPTURE(i);
    CHECK(sparse[i].arrivals == dense[i * 200].arrivals);
  }
}

TEST_CASE("random episodes cover the share of time that chance gives them") {
  // Starts by chance: not covered exp(-length / every) of the time.
  const Episodes episodes{.length = seconds(1), .every = seconds(5), .is_random = true, .at = {}};
  EpisodeWalk walk(episodes, 4, Time{});
  int inside = 0;
  constexpr int count = 1'000'000;
  for (int i = 0; i < count; ++i)
    inside += walk.at(Time{} + milliseconds(50) * i).is_inside ? 1 : 0;
  CHECK(1.0 * inside / count == doctest::Approx(1 - std::exp(-0.2)).epsilon(0.04));

  Episodes alternating = episodes;
  alternating.has_random_length = true;
  EpisodeWalk second(alternating, 4, Time{});
  inside = 0;
  for (int i = 0; i < count; ++i)
    inside += second.at(Time{} + milliseconds(50) * i).is_inside ? 1 : 0;
  CHECK(1.0 * inside / count == doctest::Approx(0.2).epsilon(0.06));
}

TEST_CASE("a walk may jump as far as time goes") {
  for (const bool has_random_length : {false, true}) {
    const Episodes episodes{.length = milliseconds(1),
                            .every = milliseconds(2),
                            .is_random = true,
                            .has_random_length = has_random_length,
                            .at = {}};
    EpisodeWalk walk(episodes, 1, Time{});
    const auto far = walk.at(Time{9'000'000'000'000'000'000});
    CHECK(far.end > Time{9'000'000'000'000'000'000});
  }
  PathModel model;
  model.rate = {1'000'000, 0, {}, 2'000'000, milliseconds(1), milliseconds(1)};
  Path path(model, 1);
  std::vector<Time> arrivals;
  path.send(Time{}, packet_size, arrivals);
  path.send(Time{9'000'000'000'000'000'000}, packet_size, arrivals);
  CHECK(path.counts().sent == 2);
}

TEST_CASE("episodes of the same rhythm begin together") {
  PathModel model;
  for (const bool is_random : {false, true}) {
    model.shift = {.length = seconds(10), .every = seconds(30), .is_random = is_random, .at = {}};
    model.shift_by = milliseconds(150);
    model.outage = {
        .length = milliseconds(100), .every = seconds(30), .is_random = is_random, .at = {}};
    const auto fates = run(model, 30'000, 6);
    int begins = 0;
    for (std::size_t i = 10; i < fates.size(); ++i) {
      if (fates[i].is_lost() || fates[i].delay() != milliseconds(150)) continue;
      // Not shifted some frames ago: between here and there lies the outage.
      const Fate& before = fates[i - 10];
      if (before.is_lost() || before.delay() == milliseconds(150)) continue;
      ++begins;
      const auto first = fates.begin() + static_cast<std::ptrdiff_t>(i - 10);
      CHECK(std::any_of(first, first + 10, [](const Fate& f) { return f.is_lost(); }));
    }
    CHECK(begins > 10);
  }
}

TEST_CASE("a path shift is a step, there and back, and order is kept") {
  PathModel model;
  model.delay = milliseconds(50);
  model.shift = at(seconds(1), {seconds(2), seconds(5)});
  model.shift_by = milliseconds(150);
  const auto fates = run(model, 400);
  CHECK(is_in_order(fates));
  CHECK(fates[99].delay() == milliseconds(50));
  CHECK(fates[100].delay() == milliseconds(200));
  CHECK(fates[149].delay() == milliseconds(200));
  // Back: what is sent now may not overtake what was sent before.
  CHECK(fates[150].arrivals.front() == fates[149].arrivals.front());
  CHECK(fates[160].delay() == milliseconds(50));
  CHECK(fates[250].delay() == milliseconds(200));
}

TEST_CASE("an outage loses what is sent, or holds it") {
  PathModel model;
  model.outage = at(seconds(2), {seconds(1)});
  auto fates = run(model, 500);
  for (int i = 0; i < 500; ++i) {
    CHECK(fates[static_cast<std::size_t>(i)].is_lost() == (i >= 50 && i < 150));
  }
  model.outage_holds = true;
  fates = run(model, 500);
  CHECK(lost_share(fates) == 0);
  for (std::size_t i = 50; i < 150; ++i) CHECK(fates[i].arrivals.front() == Time{} + seconds(3));
}

TEST_CASE("a clock that runs fast sends earlier and earlier") {
  PathModel model;
  const Time origin = Time{} + seconds(1'000'000'000);
  CHECK(Path(model, 1, origin).sent_at(origin + seconds(3'600)) == origin + seconds(3'600));
  model.drift_ppm = 200;
  const Path fast(model, 1, origin);
  CHECK(fast.sent_at(origin) == origin);
  // 3,600 s of its own are 3,600 / 1.0002 s.
  CHECK(std::abs((origin + seconds(3'600) - fast.sent_at(origin + seconds(3'600))).ns -
                 719'856'029) < 2);
  model.drift_ppm = -200;
  CHECK(Path(model, 1, origin).sent_at(origin + seconds(3'600)) > origin + seconds(3'600));
}

TEST_CASE("a delay trace holds each delay until the next, and begins again at its end") {
  DelayTrace trace;
  trace.points = {{{}, milliseconds(10)},
                  {milliseconds(100), milliseconds(30)},
                  {milliseconds(160), milliseconds(5)}};
  trace.length = milliseconds(200);
  PathModel model;
  model.delay = milliseconds(1);
  model.delay_trace = std::make_shared<const DelayTrace>(trace);
  model.jitter.reorders = true;
  const auto fates = run(model, 1'000);
  for (std::size_t i = 0; i < fates.size(); ++i) {
    const std::size_t in_turn = i % 10;
    const Duration expected = milliseconds(in_turn < 5 ? 11 : in_turn < 8 ? 31 : 6);
    CHECK(fates[i].delay() == expected);
  }
}

TEST_CASE("the same seed gives the same path, another seed another one") {
  PathModel model;
  model.delay = milliseconds(50);
  model.jitter = {JitterKind::gamma, milliseconds(10), 2, true};
  model.loss = {0.02, 0.3, 1, 0};
  model.duplication = 0.01;
  model.stall = every(milliseconds(200), seconds(3));
  const auto a = run(model, 2'000, path_seed(7, 3, Direction::uplink));
  const auto again = run(model, 2'000, path_seed(7, 3, Direction::uplink));
  const auto back = run(model, 2'000, path_seed(7, 3, Direction::downlink));
  int equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].arrivals == again[i].arrivals);
    equal += a[i].arrivals == back[i].arrivals ? 1 : 0;
  }
  CHECK(equal < 200);
}

TEST_CASE("switching a model on leaves the course of the others alone") {
  PathModel model;
  model.loss = {0.02, 0.3, 1, 0};
  const auto alone = run(model, 5'000);
  model.jitter = {JitterKind::normal, milliseconds(10), 0, false};
  model.duplication = 0.1;
  model.stall = every(milliseconds(200), seconds(3));
  const auto composed = run(model, 5'000);
  for (std::size_t i = 0; i < alone.size(); ++i) CHECK(alone[i].is_lost() == composed[i].is_lost());
}
