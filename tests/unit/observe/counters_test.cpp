#include "relay/observe/counters.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace earshot;

namespace {

constexpr Counter into[] = {Counter::received, Counter::taken_over};
constexpr Counter out_of[] = {Counter::accepted,    Counter::discovery_replies,
                              Counter::keep_alives, Counter::leftovers,
                              Counter::rtcp,        Counter::handed_over};
constexpr Counter forwards[] = {Counter::forwards_taken, Counter::forwards_accepted};

bool is_in_an_equation(Counter counter) {
  const auto has = [counter](const auto& list) {
    return std::find(std::begin(list), std::end(list), counter) != std::end(list);
  };
  return has(into) || has(out_of) || has(forwards);
}

}  // namespace

TEST_CASE("what came in is accepted, control, handed over or dropped, once") {
  CHECK(Counters{}.is_conserved());
  for (const Counter in : into) {
    for (const Counter out : out_of) {
      CAPTURE(name(in));
      CAPTURE(name(out));
      Counters c;
      c[in] = 3;
      CHECK_FALSE(c.is_conserved());
      c[out] = 2;
      CHECK_FALSE(c.is_conserved());
      ++c[DropReason::late];
      CHECK(c.is_conserved());
      ++c[out];
      CHECK_FALSE(c.is_conserved());
    }
  }
}

TEST_CASE("every drop reason counts, in the equation of its own kind of packet") {
  for (std::size_t i = 0; i < drop_reasons_count; ++i) {
    CAPTURE(name(static_cast<DropReason>(i)));
    Counters c;
    c[Counter::received] = 1;
    ++c[static_cast<DropReason>(i)];
    CHECK(c.drops_total() == 1);
    CHECK(c.forward_drops_total() == 0);
    CHECK(c.is_conserved());

    Counters forward;
    forward[Counter::forwards_taken] = 1;
    CHECK_FALSE(forward.is_conserved());
    ++forward.forward_drops[i];
    CHECK(forward.drops_total() == 0);
    CHECK(forward.forward_drops_total() == 1);
    CHECK(forward.is_conserved());
  }
}

TEST_CASE("packets from other workers are accepted or dropped") {
  Counters c;
  c[Counter::forwards_taken] = 5;
  c[Counter::forwards_accepted] = 5;
  CHECK(c.is_conserved());
  ++c[Counter::forwards_accepted];
  CHECK_FALSE(c.is_conserved());
}

TEST_CASE("counters beside the equations do not disturb them") {
  for (std::size_t i = 0; i < counters_count; ++i) {
    const auto counter = static_cast<Counter>(i);
    CAPTURE(name(counter));
    Counters c;
    c[counter] = 1;
    CHECK(c.is_conserved() == !is_in_an_equation(counter));
  }
}

TEST_CASE("control is discovery replies, keep-alives, leftovers and RTCP") {
  Counters c;
  c[Counter::discovery_replies] = 1;
  c[Counter::keep_alives] = 20;
  c[Counter::leftovers] = 300;
  c[Counter::rtcp] = 4'000;
  c[Counter::accepted] = 50'000;
  CHECK(c.control() == 4'321);
}
