#include "crypto/replay_window.h"

#include <doctest/doctest.h>

#include <type_traits>

using namespace earshot::crypto;

namespace {

using Window = ReplayWindow<1024>;
using Verdict = Window::Verdict;

static_assert(Window::size == 960 && ReplayWindow<128>::size == 64);
static_assert(std::is_trivially_copyable_v<Window> && std::is_standard_layout_v<Window>);

constexpr std::uint64_t base = std::uint64_t{1} << 32;

}  // namespace

// The trials of WireGuard's self-test of the same algorithm, with our window's size.
TEST_CASE("one step after another") {
  constexpr std::uint64_t limit = Window::size;
  struct Trial {
    std::uint64_t counter;
    Verdict expected;
  };
  constexpr Verdict fresh = Verdict::fresh;
  constexpr Verdict again = Verdict::duplicate;
  constexpr Verdict old = Verdict::too_old;
  const Trial trials[] = {
      {0, fresh},
      {1, fresh},
      {1, again},
      {9, fresh},
      {8, fresh},
      {7, fresh},
      {7, again},
      {limit, fresh},
      {limit - 1, fresh},
      {limit - 1, again},
      {limit - 2, fresh},
      {2, fresh},
      {2, again},
      {limit + 16, fresh},
      {3, old},
      {limit + 16, again},
      {limit * 4, fresh},
      {limit * 4 - (limit - 1), fresh},
      {10, old},
      {limit * 4 - limit, old},
      {limit * 4 - (limit + 1), old},
      {limit * 4 - (limit - 2), fresh},
      {limit * 4 + 1 - limit, again},
      {0, old},
      {UINT64_MAX - 1, fresh},
      {UINT64_MAX, fresh},
      {UINT64_MAX, again},
      {UINT64_MAX - limit + 1, fresh},
      {UINT64_MAX - limit, old},
      {UINT64_MAX - 1, again},
      {0, old},
  };
  Window window{};
  CHECK(window.is_empty());
  CHECK(window.highest() == 0);
  for (const Trial& trial : trials) {
    CAPTURE(trial.counter);
    CHECK(window.check(trial.counter) == trial.expected);
    CHECK(window.accept(trial.counter) == trial.expected);
    CHECK(window.check(trial.counter) != fresh);
    CHECK_FALSE(window.is_empty());
  }
}

TEST_CASE("forwards, backwards, and with a hole") {
  Window forwards{};
  for (std::uint64_t i = 1; i <= Window::size; ++i) CHECK(forwards.accept(i) == Verdict::fresh);
  CHECK(forwards.accept(0) == Verdict::too_old);
  for (std::uint64_t i = 1; i <= Window::size; ++i) CHECK(forwards.accept(i) == Verdict::duplicate);

  Window backwards{};
  for (std::uint64_t i = Window::size; i > 0; --i)
    CHECK(backwards.accept(base + i) == Verdict::fresh);
  CHECK(backwards.accept(base) == Verdict::too_old);
  CHECK(backwards.highest() == base + Window::size);

  Window hole{};
  CHECK(hole.accept(base) == Verdict::fresh);
  CHECK(hole.accept(base + 10'000) == Verdict::fresh);
  for (std::uint64_t i = 1; i < Window::size; ++i)
    CHECK(hole.accept(base + 10'000 - i) == Verdict::fresh);
  CHECK(hole.accept(base + 10'000 - Window::size) == Verdict::too_old);
}

TEST_CASE("a jump by exactly the bitmap leaves nothing of the old round behind") {
  for (const std::uint64_t jump : {1'023u, 1'024u, 1'025u, 2'048u, 64 * 1'024u}) {
    CAPTURE(jump);
    Window window{};
    for (std::uint64_t i = 0; i < 1'024; ++i) REQUIRE(window.accept(base + i) == Verdict::fresh);
    REQUIRE(window.accept(base + 1'023 + jump) == Verdict::fresh);
    for (std::uint64_t i = 1; i < Window::size; ++i) {
      const std::uint64_t counter = base + 1'023 + jump - i;
      CAPTURE(i);
      CHECK(window.accept(counter) ==
            (counter <= base + 1'023 ? Verdict::duplicate : Verdict::fresh));
    }
  }
}

TEST_CASE("a window in reused memory starts anew when it is zero-filled") {
  Window window{};
  REQUIRE(window.accept(5'000) == Verdict::fresh);
  window = {};
  CHECK(window.is_empty());
  CHECK(window.accept(3) == Verdict::fresh);
  CHECK(window.highest() == 3);
}

TEST_CASE("counters unwrap to the nearest value, and the first one has room below") {
  struct Row {
    std::uint64_t highest;
    bool is_first;
    std::uint32_t counter;
    std::uint64_t unwrapped;
  };
  constexpr Row rows[] = {
      {0, true, 0, base},
      {0, true, 1, base + 1},
      {0, true, UINT32_MAX, base + UINT32_MAX},
      {base, false, 0, base},
      {base, false, 1, base + 1},
      {base, false, UINT32_MAX, base - 1},
      {base, false, 0x7FFFFFFF, base + 0x7FFFFFFF},
      {base, false, 0x80000000, base - 0x80000000},
      {base, false, 0x80000001, base - 0x7FFFFFFF},
      {base + UINT32_MAX, false, 0, 2 * base},
      {base + 0xFFFFFFF0, false, 5, 2 * base + 5},
      {2 * base + 5, false, 0xFFFFFFF0, base + 0xFFFFFFF0},
      {5 * base + 0x80000000, false, 0, 5 * base},
      {5 * base + 0x80000001, false, 0, 6 * base},
      // Never below zero.
      {5, false, UINT32_MAX, UINT32_MAX},
      {0, false, UINT32_MAX, UINT32_MAX},
      {5, false, 4, 4},
  };
  for (const Row& row : rows) {
    CAPTURE(row.highest);
    CAPTURE(row.counter);
    CHECK(unwrap_counter(row.highest, row.is_first, row.counter) == row.unwrapped);
  }
}
