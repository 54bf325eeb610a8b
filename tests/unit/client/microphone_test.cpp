#include "tools/client/microphone.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <thread>
#include <utility>

#include "tests/support/allocation_count.h"
#include "tests/support/tone.h"
#include "tools/client/spectrum.h"

using namespace earshot;
using namespace earshot::client;

namespace {

// A microphone that hears a tone, on a card with a clock of its own.
struct Rig {
  explicit Rig(TalkMode mode = TalkMode::toggle, int rate = 48'000)
      : gate({mode}), card_rate(rate), microphone(rate, gate) {}

  // 20 ms of our clock.
  std::optional<std::vector<std::uint8_t>> step(double others_level = -100) {
    now = now + milliseconds(20);
    pending += card_rate * 0.02 * (1 + ppm / 1e6);
    while (pending >= period) {
      std::vector<std::int16_t> block(static_cast<std::size_t>(period));
      for (auto& sample : block) {
        sample = static_cast<std::int16_t>(amplitude * std::sin(phase));
        phase += 2 * std::numbers::pi * 440 / card_rate;
      }
      microphone.capture(block);
      pending -= period;
    }
    return microphone.next(now, others_level);
  }

  TalkGate gate;
  double card_rate;
  Microphone microphone;
  Time now = Time{} + seconds(10);
  double pending = 0, phase = 0, ppm = 0, amplitude = 9'000;
  int period = 480;
};

std::vector<std::int16_t> decode(const std::vector<std::vector<std::uint8_t>>& packets) {
  codec::Decoder decoder;
  std::vector<std::int16_t> pcm;
  for (const auto& packet : packets) {
    const auto frame = decoder.decode(packet);
    pcm.insert(pcm.end(), frame.begin(), frame.end());
  }
  return pcm;
}

}  // namespace

TEST_CASE("packets come while the gate is open, and the meter moves all the time") {
  Rig rig;
  for (int i = 0; i < 50; ++i) CHECK_FALSE(rig.step());
  CHECK(rig.microphone.meter().level() == doctest::Approx(-14.2).epsilon(0.02));
  rig.gate.on_key(rig.now);
  std::vector<std::vector<std::uint8_t>> packets;
  for (int i = 0; i < 100; ++i) {
    auto packet = rig.step();
    REQUIRE(packet);
    packets.push_back(std::move(*packet));
  }
  rig.gate.on_key(rig.now);
  // One more, which fades away: no click.
  CHECK(rig.step());
  for (int i = 0; i < 50; ++i) CHECK_FALSE(rig.step());
  const auto pcm = decode(packets);
  CHECK(goertzel_share(std::span(pcm).subspan(9'600), 440) > 0.98);
  CHECK(rig.microphone.counters().starved == 0);
  CHECK(rig.microphone.counters().frames_skipped == 0);
}

TEST_CASE("a card of any rate, with any periods") {
  for (const int rate : {8'000, 16'000, 44'100, 48'000, 96'000}) {
    for (const int period_ms : {1, 5, 10, 25, 40}) {
      CAPTURE(rate);
      CAPTURE(period_ms);
      Rig rig(TalkMode::toggle, rate);
      rig.period = rate * period_ms / 1'000;
      rig.gate.on_key(rig.now);
      std::vector<std::vector<std::uint8_t>> packets;
      for (int i = 0; i < 150; ++i) {
        auto packet = rig.step();
        if (packet) packets.push_back(std::move(*packet));
      }
      CHECK(packets.size() >= 140);
      const auto pcm = decode(packets);
      // Frame by frame: single samples that come or go shift the phase of what follows.
      ToneMeter meter(true);
      for (std::size_t at = 48'000; at + 960 <= pcm.size(); at += 960) {
        meter.add(std::span(pcm).subspan(at, 960));
      }
      CHECK(meter.dominant().hz == doctest::Approx(440).epsilon(0.01));
      CHECK(meter.dominant().share > 0.95);
      CHECK(rig.microphone.counters().starved == 0);
    }
  }
}

TEST_CASE("a card whose clock is wrong is followed: no delay piles up, nothing runs dry") {
  for (const double ppm : {300.0, -300.0}) {
    CAPTURE(ppm);
    Rig rig;
    rig.ppm = ppm;
    rig.gate.on_key(rig.now);
    int missing = 0;
    for (int i = 0; i < 15'000; ++i) missing += rig.step() ? 0 : 1;
    const auto counters = rig.microphone.counters();
    // The start has none.
    CHECK(missing <= 3);
    CHECK(counters.starved == 0);
    CHECK(counters.frames_skipped == 0);
    CHECK(counters.overflowed == 0);
    // Five minutes at 300 ppm are 4,320 samples; what the store may hold more or less is left.
    const auto corrected = static_cast<double>(ppm > 0 ? counters.taken_out : counters.put_in);
    CHECK(corrected > 3'000);
    CHECK(corrected < 4'900);
    CHECK((ppm > 0 ? counters.put_in : counters.taken_out) < 400);
  }
}

TEST_CASE("a loop that was held up gets back to a short delay, and counts what it left out") {
  Rig rig;
  rig.gate.on_key(rig.now);
  for (int i = 0; i < 20; ++i) rig.step();
  // 300 ms at once.
  rig.pending += 14'400;
  for (int i = 0; i < 100; ++i) rig.step();
  CHECK(rig.microphone.counters().frames_skipped >= 13);
  CHECK(rig.microphone.counters().frames_skipped <= 16);
  // And more than there is room for.
  rig.pending += 96'000;
  for (int i = 0; i < 100; ++i) rig.step();
  CHECK(rig.microphone.counters().overflowed > 0);
}

TEST_CASE("a card that delivers nothing is a pause, and starts again") {
  Rig rig;
  rig.gate.on_key(rig.now);
  for (int i = 0; i < 20; ++i) rig.step();
  const double rate = std::exchange(rig.card_rate, 0);
  for (int i = 0; i < 20; ++i) rig.step();
  CHECK_FALSE(rig.step());
  CHECK(rig.microphone.counters().starved == 1);
  rig.card_rate = rate;
  int heard = 0;
  for (int i = 0; i < 20; ++i) heard += rig.step() ? 1 : 0;
  CHECK(heard >= 17);
}

TEST_CASE("an open microphone beside a loudspeaker says nothing while others speak") {
  Rig rig(TalkMode::open);
  for (int i = 0; i < 10; ++i) rig.step();
  CHECK(rig.step());
  rig.step(-20);
  for (int i = 0; i < 10; ++i) CHECK_FALSE(rig.step(-20));
  for (int i = 0; i < 30; ++i) rig.step();
  CHECK(rig.step());
}

TEST_CASE("the sound card's thread allocates nothing") {
  TalkGate gate({});
  Microphone microphone(48'000, gate);
  const std::vector<std::int16_t> block(480);
  // Of other threads than this one.
  test::begin_counting_allocations();
  std::thread card([&] {
    for (int i = 0; i < 1'000; ++i) microphone.capture(block);
  });
  card.join();
  CHECK(test::end_counting_allocations() == 0);
  CHECK(microphone.counters().overflowed > 0);
}
