#include "tools/client/statistics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>

using namespace earshot;
using client::LatencyBook;
using client::LatencyHistogram;
using client::StreamStatistics;
using Verdict = StreamStatistics::Verdict;

namespace {

struct Rig {
  // Packet n of a steady stream whose first sequence number is `first`.
  Verdict arrive(int n, Duration late = {}) {
    return statistics.on_packet(Time{5'000'000'000} + milliseconds(20) * n + late,
                                static_cast<std::uint16_t>(first + n),
                                static_cast<std::uint32_t>(n) * 960);
  }
  StreamStatistics statistics;
  int first = 65'530;
};

}  // namespace

TEST_CASE("a whole stream: nothing lost, over several wraps of the sequence number") {
  Rig rig;
  for (int n = 0; n < 200'000; ++n) REQUIRE(rig.arrive(n) == Verdict::fresh);
  CHECK(rig.statistics.received() == 200'000);
  CHECK(rig.statistics.lost() == 0);
  CHECK(rig.statistics.duplicates() == 0);
  CHECK(rig.statistics.reordered() == 0);
  CHECK(rig.statistics.jitter() == Duration{});
}

TEST_CASE("lost, duplicated and reordered packets are told apart") {
  Rig rig;
  CHECK(rig.statistics.lost() == 0);
  for (const int n : {0, 1, 4, 4, 3, 6}) rig.arrive(n);
  CHECK(rig.statistics.received() == 5);
  CHECK(rig.statistics.duplicates() == 1);
  CHECK(rig.statistics.reordered() == 1);
  CHECK(rig.statistics.lost() == 2);  // 2 and 5
  rig.arrive(2);
  CHECK(rig.statistics.lost() == 1);
  CHECK(rig.arrive(2) == Verdict::duplicate);
}

TEST_CASE("packets that the first one overtook are received, not lost or duplicates") {
  Rig rig;
  for (const int n : {3, 0, 1, 2, 4}) CHECK(rig.arrive(n) == Verdict::fresh);
  CHECK(rig.statistics.received() == 5);
  CHECK(rig.statistics.lost() == 0);
  CHECK(rig.statistics.reordered() == 3);
}

TEST_CASE("a lone stray counts nowhere; a stream that begins anew loses nothing") {
  Rig rig;
  for (int n = 0; n < 10; ++n) rig.arrive(n);
  CHECK(rig.arrive(30'000) == Verdict::stray);
  CHECK(rig.arrive(10) == Verdict::fresh);
  CHECK(rig.statistics.received() == 11);
  CHECK(rig.arrive(20'000) == Verdict::stray);
  CHECK(rig.arrive(20'001) == Verdict::restarted);
  CHECK(rig.arrive(20'000) == Verdict::duplicate);
  CHECK(rig.arrive(20'003) == Verdict::fresh);
  CHECK(rig.statistics.received() == 14);
  CHECK(rig.statistics.lost() == 1);
  CHECK(rig.statistics.duplicates() == 1);
  // What was lost before the restart stays counted.
  rig.arrive(40'000);
  rig.arrive(40'001);
  CHECK(rig.statistics.lost() == 1);
}

TEST_CASE("jitter is RFC 3550's, and pauses are none") {
  Rig rig;
  for (int n = 0; n < 500; ++n) rig.arrive(n, milliseconds(n % 2 == 0 ? 0 : 10));
  CHECK(std::abs(static_cast<double>(rig.statistics.jitter().us()) - 10'000) < 100);
  Rig pausing;
  for (int n = 0; n < 100; ++n) pausing.arrive(n);
  for (int n = 100; n < 200; ++n) pausing.arrive(n, seconds(3));
  CHECK(pausing.statistics.jitter() == Duration{});
}

TEST_CASE("percentiles are right to two per cent over nine decades") {
  LatencyHistogram empty;
  CHECK(empty.percentile(0.5) == Duration{});
  for (const std::int64_t unit : {1, 1'000, 1'000'000, 1'000'000'000}) {
    LatencyHistogram histogram;
    for (int i = 1; i <= 1'000; ++i) histogram.add(nanoseconds(i * unit));
    CHECK(histogram.count() == 1'000);
    for (const double share : {0.1, 0.5, 0.9, 0.99, 1.0}) {
      const double expected = share * 1'000 * static_cast<double>(unit);
      const auto found = static_cast<double>(histogram.percentile(share).ns);
      CHECK(std::abs(found - expected) <= expected * 0.016 + 1);
    }
    CHECK(histogram.max() == nanoseconds(1'000 * unit));
    CHECK(histogram.percentile(1.0) <= histogram.max());
  }
  LatencyHistogram clock_went_back;
  clock_went_back.add(milliseconds(-5));
  CHECK(clock_went_back.percentile(1.0) == Duration{});
}

TEST_CASE("the latency book answers for what this process sent, and only for a while") {
  LatencyBook book;
  CHECK_FALSE(book.sent_at({7}, 5));
  book.on_sent({7}, 5, Time{100});
  CHECK(book.sent_at({7}, 5) == Time{100});
  CHECK_FALSE(book.sent_at({8}, 5));
  CHECK_FALSE(book.sent_at({7}, 6));
  book.on_sent({7}, 5 + 1'024, Time{200});
  CHECK_FALSE(book.sent_at({7}, 5));
  CHECK(book.sent_at({7}, 5 + 1'024) == Time{200});
}
