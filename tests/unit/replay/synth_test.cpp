// Synthetic speech: reproducible, and as much like a conversation as the options say.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "tools/replay/trace.h"

using namespace earshot;
using namespace earshot::replay;

namespace {

std::vector<TracePacket> of(const Trace& trace, std::uint32_t ssrc) {
  std::vector<TracePacket> packets;
  std::copy_if(trace.packets.begin(), trace.packets.end(), std::back_inserter(packets),
               [ssrc](const TracePacket& p) { return p.ssrc == Ssrc{ssrc}; });
  return packets;
}

bool is_voice(const TracePacket& packet) {
  return packet.size >= 60;
}

}  // namespace

TEST_CASE("the same options give the same trace, another seed another one") {
  const SynthOptions options{.seed = 3, .participants = 4};
  const Trace a = synthesize(options);
  const Trace b = synthesize(options);
  const Trace c = synthesize({.seed = 4, .participants = 4});
  REQUIRE(a.packets.size() == b.packets.size());
  CHECK(a.is_sending_time);
  for (std::size_t i = 0; i < a.packets.size(); ++i) {
    CHECK(a.packets[i].arrival == b.packets[i].arrival);
    CHECK(a.packets[i].timestamp == b.packets[i].timestamp);
    CHECK(a.packets[i].size == b.packets[i].size);
  }
  CHECK(a.packets[0].arrival != c.packets[0].arrival);
}

TEST_CASE("packets are in order, 20 ms apart or more, with five silence frames before each pause") {
  for (const TalkMode mode : {TalkMode::one_at_a_time, TalkMode::free}) {
    const Trace trace = synthesize({.participants = 5, .duration = seconds(300), .mode = mode});
    CHECK(std::is_sorted(trace.packets.begin(), trace.packets.end(),
                         [](const auto& x, const auto& y) { return x.arrival < y.arrival; }));
    for (std::uint32_t ssrc = 1; ssrc <= 5; ++ssrc) {
      CAPTURE(ssrc);
      const auto packets = of(trace, ssrc);
      REQUIRE(packets.size() > 100);
      CHECK(packets.back().arrival < Time{} + seconds(300));
      int pauses = 0;
      for (std::size_t i = 1; i < packets.size(); ++i) {
        const Duration gap = packets[i].arrival - packets[i - 1].arrival;
        CHECK(gap.ns % milliseconds(20).ns == 0);
        CHECK(gap >= milliseconds(20));
        CHECK(packets[i].sequence == static_cast<std::uint16_t>(packets[i - 1].sequence + 1));
        CHECK(packets[i].size <= 160);
        CHECK((is_voice(packets[i]) || packets[i].size == 3));
        if (gap == milliseconds(20)) continue;
        ++pauses;
        REQUIRE(i >= 6);
        for (std::size_t k = 1; k <= 5; ++k) CHECK(packets[i - k].size == 3);
        CHECK(is_voice(packets[i - 6]));
        const auto payload = trace.payload(packets[i - 1]);
        CHECK(std::vector<std::uint8_t>(payload.begin(), payload.end()) ==
              std::vector<std::uint8_t>{0xF8, 0xFF, 0xFE});
      }
      CHECK(pauses > 3);
    }
  }
}

TEST_CASE("RTP time runs on in pauses, or stands still") {
  for (const bool runs : {true, false}) {
    const Trace trace = synthesize({.duration = seconds(120), .rtp_time_runs = runs});
    const auto packets = of(trace, 1);
    bool has_pause = false;
    for (std::size_t i = 1; i < packets.size(); ++i) {
      const auto passed =
          static_cast<std::int32_t>(packets[i].timestamp - packets[i - 1].timestamp);
      const Duration gap = packets[i].arrival - packets[i - 1].arrival;
      has_pause = has_pause || gap > milliseconds(500);
      CHECK(passed == (runs ? gap.ns * 3 / 62'500 : 960));
    }
    CHECK(has_pause);
  }
}

TEST_CASE("one talks at a time, or everybody as they like") {
  // How many talk in each frame of 20 ms.
  const auto talkers = [](TalkMode mode) {
    const Trace trace =
        synthesize({.seed = 5, .participants = 6, .duration = seconds(1'200), .mode = mode});
    std::map<std::int64_t, int> count;
    for (const TracePacket& packet : trace.packets) {
      if (is_voice(packet)) ++count[packet.arrival.ns / milliseconds(20).ns];
    }
    return count;
  };
  const auto turns = talkers(TalkMode::one_at_a_time);
  const auto twice =
      std::count_if(turns.begin(), turns.end(), [](const auto& c) { return c.second > 1; });
  // Frames of two do not begin at the same time.
  CHECK(static_cast<double>(twice) < 0.02 * static_cast<double>(turns.size()));
  // 60,000 frames, of which the gaps take a tenth.
  CHECK(turns.size() > 50'000);
  CHECK(turns.size() < 58'000);

  const auto free = talkers(TalkMode::free);
  double sum = 0;
  for (const auto& [at, count] : free) sum += count;
  // Six who talk 1.0 s of every 2.6.
  CHECK(sum / 60'000 == doctest::Approx(6 * 0.385).epsilon(0.1));
}

TEST_CASE("sizes of speech lie between 60 and 160 bytes, around 110") {
  const Trace trace = synthesize({.duration = seconds(600)});
  double sum = 0;
  double count = 0;
  int small = 0;
  int large = 0;
  for (const TracePacket& packet : trace.packets) {
    if (!is_voice(packet)) continue;
    sum += packet.size;
    ++count;
    small += packet.size < 80 ? 1 : 0;
    large += packet.size > 140 ? 1 : 0;
  }
  CHECK(sum / count == doctest::Approx(110).epsilon(0.03));
  CHECK(small > 0.02 * count);
  CHECK(large > 0.02 * count);
}

TEST_CASE("with DTX there is a small packet every 400 ms of a pause") {
  const Trace trace = synthesize({.duration = seconds(120), .has_dtx = true});
  const auto packets = of(trace, 1);
  int small = 0;
  for (std::size_t i = 1; i < packets.size(); ++i) {
    CHECK(packets[i].arrival - packets[i - 1].arrival <= milliseconds(400));
    small += packets[i].size == 4 ? 1 : 0;
  }
  CHECK(small > 20);
}

TEST_CASE("nobody, no time, and a bound") {
  CHECK(synthesize({.participants = 0}).packets.empty());
  CHECK(synthesize({.duration = {}}).packets.empty());
  const Trace cut = synthesize({.packets_max = 100});
  CHECK(cut.packets.size() == 100);
  CHECK(cut.notes.remarks.size() == 1);
}
