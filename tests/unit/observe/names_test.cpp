// The names under which counters and drop reasons leave the process: stable, distinct and fit for a
// metric's label.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

#include "relay/observe/counters.h"
#include "relay/observe/drop_reason.h"

using namespace earshot;

namespace {

bool is_label(std::string_view text) {
  return !text.empty() && text.front() >= 'a' && text.front() <= 'z' && text.back() != '_' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

}  // namespace

TEST_CASE("every drop reason has a name of its own, as it is written in the source") {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < drop_reasons_count; ++i) {
    const std::string_view text = name(static_cast<DropReason>(i));
    CAPTURE(text);
    CHECK(is_label(text));
    CHECK(seen.insert(text).second);
  }
  CHECK(name(DropReason::none) == "none");
  CHECK(name(DropReason::stale) == "stale");
  CHECK(name(DropReason::not_loopback) == "not_loopback");
  CHECK(name(DropReason::malformed) == "malformed");
  CHECK(name(DropReason::not_authentic) == "not_authentic");
  CHECK(name(DropReason::nonce_collision) == "nonce_collision");
  CHECK(name(DropReason::duplicate) == "duplicate");
  CHECK(name(DropReason::late) == "late");
  CHECK(name(DropReason::inbox_full) == "inbox_full");
}

TEST_CASE("every counter has a name of its own, as it is written in the source") {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < counters_count; ++i) {
    const std::string_view text = name(static_cast<Counter>(i));
    CAPTURE(text);
    CHECK(is_label(text));
    CHECK(seen.insert(text).second);
  }
  CHECK(name(Counter::received) == "received");
  CHECK(name(Counter::keep_alives) == "keep_alives");
  CHECK(name(Counter::forwards_accepted) == "forwards_accepted");
  CHECK(name(Counter::kernel_drops) == "kernel_drops");
  CHECK(name(Counter::open_failures) == "open_failures");
  CHECK(name(Counter::cycle_overruns) == "cycle_overruns");
}
