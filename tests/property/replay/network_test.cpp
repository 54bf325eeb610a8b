// Paths with models made up at random: what every path promises, whatever it is made of.
#include <doctest/doctest.h>

#include <algorithm>

#include "tools/replay/network.h"

using namespace earshot;
using namespace earshot::replay;

namespace {

Duration up_to(Random& random, Duration max) {
  return {static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(max.ns) + 1))};
}

Episodes random_episodes(Random& random) {
  Episodes episodes;
  if (random.chance(0.4)) return episodes;
  episodes.length = up_to(random, seconds(2));
  if (random.chance(0.3)) {
    for (Duration at; at < seconds(60); at = at + up_to(random, seconds(10)) + Duration{1}) {
      episodes.at.push_back(at);
    }
    return episodes;
  }
  episodes.every = episodes.length + Duration{1} + up_to(random, seconds(10));
  episodes.is_random = random.chance(0.5);
  return episodes;
}

PathModel random_model(Random& random) {
  PathModel model;
  model.delay = up_to(random, milliseconds(200));
  model.jitter.kind = static_cast<JitterKind>(random.below(4));
  model.jitter.size = up_to(random, milliseconds(40));
  model.jitter.shape = 1.2 + 3 * random.uniform();
  model.jitter.reorders = random.chance(0.5);
  if (random.chance(0.5)) {
    model.loss = {random.uniform() * 0.1, random.uniform(), random.uniform(), 0.01};
  }
  if (random.chance(0.5)) model.duplication = random.uniform() * 0.1;
  if (random.chance(0.5)) model.rate.bits_per_second = 20'000 + random.below(1'000'000);
  if (random.chance(0.5)) model.rate.queue_time = up_to(random, seconds(1));
  if (random.chance(0.5)) {
    model.rate.cross_bits_per_second = 1 + random.below(2'000'000);
    model.rate.cross_on = milliseconds(1) + up_to(random, seconds(3));
    model.rate.cross_off = milliseconds(1) + up_to(random, seconds(3));
  }
  model.stall = random_episodes(random);
  model.stall_drain = random.chance(0.5) ? Duration{} : up_to(random, milliseconds(5));
  model.outage = random_episodes(random);
  model.outage_holds = random.chance(0.5);
  model.shift = random_episodes(random);
  model.shift_by = up_to(random, milliseconds(300)) - milliseconds(100);
  return model;
}

struct Run {
  std::vector<Time> arrivals;
  std::vector<Time> sent;  // of each arrival
  PathCounts counts;
};

Run run(const PathModel& model, std::uint64_t seed, Random traffic) {
  Path path(model, seed);
  Run result;
  std::vector<Time> arrivals;
  Time now;
  for (int i = 0; i < 3'000; ++i) {
    now =
        now + (traffic.chance(0.1) ? up_to(traffic, seconds(1)) : up_to(traffic, milliseconds(20)));
    arrivals.clear();
    path.send(now, 60 + traffic.below(200), arrivals);
    result.arrivals.insert(result.arrivals.end(), arrivals.begin(), arrivals.end());
    result.sent.insert(result.sent.end(), arrivals.size(), now);
  }
  result.counts = path.counts();
  return result;
}

}  // namespace

TEST_CASE("every path keeps causality, its account, and order where it promises it") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const PathModel model = random_model(random);
    const Run first = run(model, seed, random);
    bool is_causal = true;
    for (std::size_t i = 0; i < first.arrivals.size(); ++i) {
      is_causal = is_causal && first.arrivals[i] >= first.sent[i];
    }
    CHECK(is_causal);
    const PathCounts& counts = first.counts;
    CHECK(counts.sent == 3'000);
    CHECK(first.arrivals.size() ==
          counts.sent - counts.lost - counts.outage - counts.queue_full + counts.duplicated);
    if (!model.jitter.reorders) {
      CHECK(std::is_sorted(first.arrivals.begin(), first.arrivals.end()));
    }
    CHECK(first.arrivals == run(model, seed, random).arrivals);
  }
}

TEST_CASE("an origin moved by some time moves every arrival by it") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const PathModel model = random_model(random);
    const Duration moved = up_to(random, seconds(1'000'000));
    Path here(model, seed);
    Path there(model, seed, Time{} + moved);
    std::vector<Time> a;
    std::vector<Time> b;
    for (int i = 0; i < 500; ++i) {
      const Time at = Time{} + milliseconds(20) * i;
      here.send(at, 100, a);
      there.send(at + moved, 100, b);
    }
    for (Time& arrival : b) arrival = arrival - moved;
    CHECK(a == b);
  }
}
