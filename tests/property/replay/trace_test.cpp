// Any trace can be turned into CSV and back, and captures that are damaged at random are read or
// refused, never more than they hold.
#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/unit/replay/capture_builder.h"
#include "tools/replay/random.h"

using namespace earshot;
using namespace earshot::replay;
using namespace earshot::test;

namespace {

Bytes csv_of(const Trace& trace) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* const file = open_memstream(&text, &size);
  REQUIRE(write_trace_csv(trace, file).ok());
  std::fclose(file);
  const Bytes csv = bytes_of({text, size});
  std::free(text);
  return csv;
}

// Some participants and what the relay sends on, with losses.
Bytes random_capture(Random& random) {
  PcapFile file(
      {.link = 101, .is_swapped = random.chance(0.5), .has_nanoseconds = random.chance(0.5)});
  for (std::uint16_t i = 0; i < 30; ++i) {
    for (std::uint32_t ssrc = 1; ssrc <= 3; ++ssrc) {
      if (random.chance(0.1)) continue;
      const Route in{.from_port = static_cast<std::uint16_t>(40'000 + ssrc)};
      const Bytes packet = rtp({.sequence = i, .timestamp = i * 960u, .ssrc = ssrc},
                               sealed(60, static_cast<std::uint32_t>(random.next())));
      file.add(i * 20'000'000 + static_cast<std::int64_t>(ssrc), ipv4(in, udp(in, packet)));
      const Route out{.from_port = 8'444, .to_port = static_cast<std::uint16_t>(41'000 + ssrc)};
      file.add(i * 20'000'000 + 10, ipv4(out, udp(out, packet)));
    }
  }
  return file.bytes();
}

}  // namespace

TEST_CASE("a trace that was written as CSV is read again as it was") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    SynthOptions options;
    options.seed = seed;
    options.participants = 1 + random.below(8);
    options.duration = seconds(20);
    options.mode = random.chance(0.5) ? TalkMode::free : TalkMode::one_at_a_time;
    options.rtp_time_runs = random.chance(0.5);
    const Trace trace = synthesize(options);
    const Bytes csv = csv_of(trace);
    const auto again = read(csv);
    REQUIRE(again.ok());
    CHECK(again.value().packets.size() == trace.packets.size());
    CHECK(csv_of(again.value()) == csv);
  }
}

TEST_CASE("damaged captures give no more packets than they have, and times never decrease") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Bytes bytes = random_capture(random);
    const auto whole = read(bytes);
    REQUIRE(whole.ok());
    CHECK(whole.value().packets.size() > 60);
    CHECK(whole.value().packets.size() <= 90);
    for (std::uint64_t i = 1 + random.below(20); i > 0; --i) {
      bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.next());
    }
    if (random.chance(0.3)) bytes.resize(random.below(bytes.size()));
    const auto damaged = read(bytes);
    if (!damaged) {
      CHECK(damaged.error().text.starts_with("input:"));
      continue;
    }
    CHECK(damaged.value().packets.size() <= 180);
    Time last;
    for (const TracePacket& packet : damaged.value().packets) {
      CHECK(packet.arrival >= last);
      last = packet.arrival;
    }
  }
}
