#include "tools/listen/timeline.h"

#include <doctest/doctest.h>

#include <string>

using namespace earshot::listen;
using Kind = Timeline::Kind;

namespace {

constexpr std::int64_t late_max = 24'000;

// A steady sender: packet n arrives on time, with these counters.
struct Rig {
  Timeline::Place place(int n, int sequence, std::uint32_t timestamp, std::int64_t late = 0,
                        bool is_silence = false) {
    const std::int64_t arrival = 1'000'000 + std::int64_t{n} * 960 + late;
    const auto place = timeline.place(arrival, static_cast<std::uint16_t>(sequence), timestamp,
                                      is_silence, transit_min);
    if (place.kind != Kind::stray && place.transit < transit_min) transit_min = place.transit;
    return place;
  }
  Timeline timeline{late_max};
  std::int64_t transit_min = INT64_MAX;
};

}  // namespace

TEST_CASE("both counters go on over their wraps") {
  Rig rig;
  const auto first = rig.place(0, 65'530, 0xFFFF'F000);
  CHECK(first.starts_spurt);
  for (int n = 1; n < 70'000; ++n) {
    const auto place = rig.place(n, 65'530 + n, 0xFFFF'F000 + static_cast<std::uint32_t>(n) * 960);
    REQUIRE(place.kind == Kind::next);
    REQUIRE(place.sequence == first.sequence + n);
    REQUIRE(place.media == first.media + std::int64_t{n} * 960);
    REQUIRE(place.transit == first.transit);
    REQUIRE(place.step == 960);
    REQUIRE_FALSE(place.starts_spurt);
  }
}

TEST_CASE("reordered packets have their own time, also across a jump") {
  Rig rig;
  const auto first = rig.place(0, 0, 0);
  rig.place(1, 1, 960);
  // The clock jumps by an hour between 2 and 3, and 2 comes last.
  const auto third = rig.place(3, 3, 48'000 * 3'600 + 3 * 960);
  CHECK(third.media == first.media + 3 * 960);
  const auto second = rig.place(3, 2, 2 * 960, 100);
  CHECK(second.kind == Kind::older);
  CHECK(second.media == first.media + 2 * 960);
  CHECK(second.sequence == first.sequence + 2);
}

TEST_CASE("what RTP time does in a pause or in a jump, media time runs on") {
  struct Row {
    std::string name;
    int slots;                // from one packet to the next
    std::uint32_t time_step;  // by the sender
    bool is_after_silence;
    std::int64_t media_step;  // what it should be
    bool starts_spurt;
  };
  const Row rows[] = {
      {"speech", 1, 960, false, 960, false},
      {"pause, time runs", 50, 48'000, false, 48'000, true},
      {"the same behind silence", 50, 48'000, true, 48'000, true},
      {"pause, time stands still, behind silence", 50, 960, true, 48'000, true},
      {"briefly", 5, 960, true, 4'800, true},
      {"too briefly to tell from jitter", 3, 960, true, 960, true},
      {"without silence: as a stall", 20, 960, false, 960, false},
      {"without silence, longer than any stall", 50, 960, false, 48'000, true},
      {"jump ahead", 1, 48'000 * 60, false, 960, false},
      {"jump back", 1, static_cast<std::uint32_t>(-48'000 * 60), false, 960, false},
      {"jump by half of all time", 1, 0x8000'0000, false, 960, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Rig rig;
    rig.place(0, 0, 5'000);
    const auto before = rig.place(1, 1, 5'960, 0, row.is_after_silence);
    const auto after = rig.place(1 + row.slots, 2, 5'960 + row.time_step);
    CHECK(after.kind == Kind::next);
    CHECK(after.media - before.media == row.media_step);
    CHECK(after.starts_spurt == row.starts_spurt);
  }
}

TEST_CASE("a held backlog keeps its times: it was late, not the clock") {
  Rig rig;
  const auto first = rig.place(0, 0, 0);
  for (int n = 1; n < 15; ++n) {
    const auto place = rig.place(15, n, static_cast<std::uint32_t>(n) * 960, n * 48);
    CHECK(place.media == first.media + n * 960);
  }
}

TEST_CASE("a stream that begins anew goes on counting, on time") {
  struct Row {
    std::string name;
    int sequence;
    std::uint32_t timestamp;
  };
  const Row rows[] = {{"far ahead", 40'000, 123},
                      {"far back", 65'000, 123},
                      {"near, with another time", 3, 48'000 * 60}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Rig rig;
    Timeline::Place before;
    for (int n = 0; n < 10; ++n) before = rig.place(n, n, static_cast<std::uint32_t>(n) * 960);
    CHECK(rig.place(10, row.sequence, row.timestamp).kind == Kind::stray);
    const auto second = rig.place(11, row.sequence + 1, row.timestamp + 960);
    CHECK(second.kind == Kind::restarted);
    CHECK(second.sequence == before.sequence + 1);
    CHECK(second.media == before.media + 2 * 960);
    const auto third = rig.place(12, row.sequence + 2, row.timestamp + 1'920);
    CHECK(third.kind == Kind::next);
    CHECK(third.media == second.media + 960);
  }
}

TEST_CASE("a single stray changes nothing") {
  Rig rig;
  rig.place(0, 0, 0);
  CHECK(rig.place(1, 30'000, 0).kind == Kind::stray);
  CHECK(rig.place(1, 1, 960).kind == Kind::next);
  CHECK(rig.place(2, 30'001, 0).kind == Kind::stray);
  CHECK(rig.place(3, 50'001, 0).kind == Kind::stray);
}
