#include "tools/listen/quality.h"

#include <doctest/doctest.h>

using namespace earshot;
using namespace earshot::listen;

namespace {

using Kind = Segment::Kind;

constexpr Time start{1'000'000'000};

Time at(int n) {
  return start + slot_time * n;
}

// Everything is heard 80 ms after it was sent, but for what a test says.
struct Rig {
  explicit Rig(const QualityOptions& options = {}) : meter(options) {}

  std::uint64_t send(int n, bool is_silence = false) { return meter.on_sent(at(n), is_silence); }
  void hear(int n, Kind kind, std::uint64_t packet = 0, int delay_slots = 4, bool breaks = false) {
    Playout playout;
    playout.count = 1;
    playout.segments[0] = {
        .kind = kind, .is_interruption = breaks, .samples = 960, .packet = packet};
    meter.on_played(at(n + delay_slots), playout);
  }
  void whole(int n) {
    const auto id = send(n);
    meter.on_arrived(id);
    hear(n, Kind::frame, id);
  }
  QualityMeter meter;
};

}  // namespace

TEST_CASE("nothing sent is nothing to judge") {
  Rig rig;
  rig.hear(0, Kind::idle);
  rig.hear(1, Kind::frame, 77);
  rig.meter.on_arrived(3);
  const Quality quality = rig.meter.result();
  CHECK(quality.packets == 0);
  CHECK(quality.mos == 0);
  CHECK(rig.meter.windows().empty());
}

TEST_CASE("everything heard: delays, and the score of delay alone") {
  Rig rig;
  for (int n = 0; n < 500; ++n) rig.whole(n);
  const Quality quality = rig.meter.result();
  CHECK(quality.packets == 500);
  CHECK(quality.played == 500);
  CHECK(quality.lost + quality.discarded == 0);
  // 80 ms and 30 ms of terminals.
  CHECK(quality.delay_p50 == milliseconds(110));
  CHECK(quality.delay_p99 == milliseconds(110));
  CHECK(quality.heard_time == seconds(10));
  CHECK(quality.late_time == Duration{});
  const Rating rating = rate_call({}, milliseconds(110), 0, 1);
  CHECK(quality.r == doctest::Approx(rating.r));
  CHECK(quality.mos == doctest::Approx(rating.mos));
  CHECK(quality.mos_min == doctest::Approx(rating.mos));
  CHECK(rig.meter.windows().size() == 10);
}

TEST_CASE("what was lost, dropped, discarded, restored and played is told apart") {
  Rig rig;
  for (int n = 0; n < 50; ++n) rig.whole(n);
  rig.send(50);                        // lost
  rig.meter.on_dropped(rig.send(51));  // by the relay
  rig.meter.on_dropped(rig.send(52));  // the same, and it would have been of use
  rig.meter.on_arrived(rig.send(53));  // discarded
  const auto lost = rig.send(54);      // restored from the next one
  const auto next = rig.send(55);
  rig.meter.on_arrived(next);
  rig.hear(50, Kind::concealed);
  rig.hear(51, Kind::concealed);
  rig.hear(52, Kind::idle, 0, 4, true);
  rig.hear(53, Kind::idle, 0, 4, true);
  rig.hear(54, Kind::fec, next);
  rig.hear(55, Kind::frame, next);
  Playout shadow;
  shadow.count = 1;
  shadow.segments[0] = {.kind = Kind::frame, .samples = 960, .packet = 52};
  rig.meter.on_shadow_played(shadow);
  const Quality quality = rig.meter.result();
  CHECK(lost == 54);
  CHECK(quality.packets == 56);
  CHECK(quality.played == 51);
  CHECK(quality.restored == 1);
  CHECK(quality.lost == 3);
  CHECK(quality.dropped == 2);
  CHECK(quality.dropped_but_usable == 1);
  CHECK(quality.discarded == 1);
  CHECK(quality.bursts.loss_rate == doctest::Approx(3.0 / 56));
  CHECK(quality.concealed_share == doctest::Approx(2.0 / 56));
  CHECK(quality.interrupted_share == doctest::Approx(2.0 / 56));
}

TEST_CASE("silence is nobody's loss, and what is made up behind the last word is not heard") {
  Rig rig;
  for (int n = 0; n < 10; ++n) rig.whole(n);
  for (int n = 10; n < 15; ++n) rig.send(n, true);
  rig.hear(10, Kind::concealed);
  rig.hear(11, Kind::idle, 0, 4, true);
  rig.hear(12, Kind::idle);
  for (int n = 50; n < 60; ++n) rig.whole(n);
  const Quality quality = rig.meter.result();
  CHECK(quality.packets == 20);
  CHECK(quality.lost == 0);
  CHECK(quality.concealed_share == 0);
  CHECK(quality.interrupted_share == 0);
  CHECK(quality.heard_time == milliseconds(400));
}

TEST_CASE("percentiles and time spent late, above the path's own delay") {
  QualityOptions options;
  options.path_delay = milliseconds(60);
  options.terminal_delay = {};
  Rig rig(options);
  for (int n = 0; n < 100; ++n) {
    const auto id = rig.send(n);
    rig.meter.on_arrived(id);
    // 90 at 80 ms, 8 at 180 ms, 2 at 400 ms.
    rig.hear(n, Kind::frame, id, n < 90 ? 4 : (n < 98 ? 9 : 20));
  }
  const Quality quality = rig.meter.result();
  CHECK(quality.delay_p50 == milliseconds(80));
  CHECK(quality.delay_p95 == milliseconds(180));
  CHECK(quality.delay_p99 == milliseconds(400));
  CHECK(quality.delay_mean == microseconds((90 * 80 + 8 * 180 + 2 * 400) * 10));
  CHECK(quality.late_time == milliseconds(200));
}

TEST_CASE("windows have their own delay, loss and score; the whole is their mean by packets") {
  Rig rig;
  for (int n = 0; n < 100; ++n) {
    const auto id = rig.send(n);
    const bool is_missing = n >= 50 && n % 5 == 0;
    if (is_missing) continue;
    rig.meter.on_arrived(id);
    rig.hear(n, Kind::frame, id, n < 50 ? 4 : 14);
  }
  // A second of its own with a tenth of the packets.
  for (int n = 200; n < 205; ++n) rig.whole(n);
  const auto windows = rig.meter.windows();
  REQUIRE(windows.size() == 3);
  CHECK(windows[0].begin == start);
  CHECK(windows[0].packets == 50);
  CHECK(windows[0].delay_mean == milliseconds(110));
  CHECK(windows[1].lost == 10);
  CHECK(windows[1].delay_mean == milliseconds(310));
  CHECK(windows[2].begin == at(200));
  CHECK(windows[2].packets == 5);
  const double ratio = rig.meter.result().bursts.burst_ratio;
  CHECK(windows[1].mos == doctest::Approx(rate_call({}, milliseconds(310), 0.2, ratio).mos));
  const Quality quality = rig.meter.result();
  CHECK(quality.mos_min == windows[1].mos);
  CHECK(quality.mos ==
        doctest::Approx((50 * windows[0].mos + 50 * windows[1].mos + 5 * windows[2].mos) / 105));
}

TEST_CASE("waiting counts as loss where that is asked for") {
  QualityOptions options;
  for (const bool counts : {false, true}) {
    options.counts_waiting = counts;
    Rig rig(options);
    for (int n = 0; n < 50; ++n) {
      // 200 ms of nothing, then all of it after all.
      if (n == 20) {
        for (int i = 0; i < 10; ++i) rig.hear(n + i, Kind::idle, 0, 4, true);
      }
      const auto id = rig.send(n);
      rig.meter.on_arrived(id);
      rig.hear(n, Kind::frame, id, n < 20 ? 4 : 14);
    }
    REQUIRE(rig.meter.windows().size() == 1);
    const auto window = rig.meter.windows()[0];
    CHECK(window.made_up == milliseconds(200));
    const double loss = counts ? 0.2 : 0;
    CHECK(window.mos == doctest::Approx(rate_call({}, window.delay_mean, loss, 1).mos));
  }
}

TEST_CASE("the buffer's level is kept ten times per window") {
  Rig rig;
  for (int n = 0; n < 50; ++n) rig.meter.on_level(at(n), milliseconds(n), milliseconds(20));
  REQUIRE(rig.meter.levels().size() == 10);
  CHECK(rig.meter.levels()[1].at == at(5));
  CHECK(rig.meter.levels()[1].level == milliseconds(5));
}
