#include "relay/base/time.h"

#include <doctest/doctest.h>

using namespace earshot;

__extension__ typedef __int128 Wide;

TEST_CASE("durations and times count nanoseconds") {
  CHECK(seconds(1) == milliseconds(1'000));
  CHECK(milliseconds(1) == microseconds(1'000));
  CHECK(microseconds(1) == nanoseconds(1'000));
  CHECK((milliseconds(20) * 3 + microseconds(5) - nanoseconds(5)).ns == 60'004'995);
  CHECK((seconds(1) / 3).ns == 333'333'333);
  CHECK(milliseconds(1'999).ms() == 1'999);
  CHECK(nanoseconds(1'999'999).ms() == 1);
  CHECK(nanoseconds(1'999).us() == 1);
  CHECK(milliseconds(1) < milliseconds(2));

  const Time start{1'000};
  CHECK(start + seconds(2) - start == seconds(2));
  CHECK(start - milliseconds(1) < start);
  CHECK(start + seconds(2) - seconds(2) == start);
  CHECK(Time{INT64_MAX - 1} < Time::never());
}

TEST_CASE("RTP ticks: 48,000 a second, rounded towards zero, exact at the far end") {
  struct Row {
    std::int64_t ns, ticks;
  };
  constexpr Row rows[] = {
      {0, 0},
      {20'833, 0},  // one tick is 20,833 1/3 ns
      {20'834, 1},
      {41'666, 1},
      {41'667, 2},
      {62'499, 2},
      {62'500, 3},
      {2'500'000, 120},
      {20'000'000, 960},
      {1'000'000'000, 48'000},
      {1'000'000'001, 48'000},
      {86'400'000'000'000, 4'147'200'000},               // a day: beyond 32 bits
      {3'153'600'000'000'000'000, 151'372'800'000'000},  // 100 years
      // INT64_MAX * 3 / 62500, computed with more bits.
      {INT64_MAX, 442'721'857'769'029},
      {-20'834, -1},
      {-20'000'000, -960},
  };
  for (const Row& row : rows) {
    CAPTURE(row.ns);
    CHECK(rtp_ticks(Time{row.ns}) == row.ticks);
  }
  // Against 128 bits, over every remainder.
  for (std::int64_t ns = 1'764'000'000'000'000'000; ns < 1'764'000'000'000'125'000; ns += 13) {
    const auto exact = static_cast<std::int64_t>(static_cast<Wide>(ns) * 3 / 62'500);
    REQUIRE(rtp_ticks(Time{ns}) == exact);
  }
}
