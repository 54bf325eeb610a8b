#include "relay/control/admission.h"

#include <doctest/doctest.h>

using namespace earshot;
using control::Admission;

namespace {

const Time start{seconds(100).ns};
const IpAddress v4 = make_v4(192, 0, 2, 1);
const IpAddress other_v4 = make_v4(192, 0, 2, 2);

IpAddress v6(const char* text) {
  return *IpAddress::parse(text);
}

}  // namespace

TEST_CASE("unidentified connections of one address are bounded, and given back") {
  Admission admission(2, 10);
  CHECK(admission.admit(start, v4));
  CHECK(admission.admit(start, v4));
  CHECK_FALSE(admission.admit(start, v4));
  CHECK(admission.admit(start, other_v4));
  SUBCASE("one ends") {
    admission.on_released(v4);
  }
  SUBCASE("one identifies") {
    admission.on_identified(v4);
  }
  CHECK(admission.admit(start, v4));
  CHECK_FALSE(admission.admit(start, v4));
}

TEST_CASE("an identified connection counts again only while it ends") {
  Admission admission(1, 10);
  CHECK(admission.admit(start, v4));
  admission.on_identified(v4);
  CHECK(admission.admit(start, v4));
  admission.on_unidentified(v4);
  admission.on_released(v4);
  CHECK_FALSE(admission.admit(start, v4));
  admission.on_released(v4);
  CHECK(admission.admit(start, v4));
}

TEST_CASE("IPv6 counts by /64, IPv4 by address") {
  Admission admission(1, 10);
  CHECK(admission.admit(start, v6("2001:db8:0:1::1")));
  CHECK_FALSE(admission.admit(start, v6("2001:db8:0:1:ffff:ffff:ffff:ffff")));
  CHECK(admission.admit(start, v6("2001:db8:0:2::1")));
  admission.on_released(v6("2001:db8:0:1:2::3"));
  CHECK(admission.admit(start, v6("2001:db8:0:1::4")));
  CHECK(admission.admit(start, v4));
  CHECK(admission.admit(start, other_v4));
}

TEST_CASE("bad tokens slow their address down, more with each") {
  Admission admission(100, 3);
  for (int i = 0; i < 3; ++i) admission.on_bad_token(start, v4);
  CHECK(admission.admit(start, v4));
  admission.on_bad_token(start, v4);
  CHECK_FALSE(admission.admit(start, v4));
  CHECK_FALSE(admission.admit(start + milliseconds(99), v4));
  CHECK(admission.admit(start + milliseconds(100), v4));
  CHECK(admission.admit(start, other_v4));
  admission.on_bad_token(start + milliseconds(100), v4);
  CHECK_FALSE(admission.admit(start + milliseconds(299), v4));
  CHECK(admission.admit(start + milliseconds(300), v4));
  // Never for longer than half a minute.
  for (int i = 0; i < 1'000; ++i) admission.on_bad_token(start + seconds(1), v4);
  CHECK_FALSE(admission.admit(start + seconds(1) + milliseconds(29'999), v4));
  CHECK(admission.admit(start + seconds(31), v4));
}

TEST_CASE("a minute without a bad token is forgiven") {
  Admission admission(100, 1);
  admission.on_bad_token(start, v4);
  admission.on_bad_token(start + seconds(60), v4);
  CHECK_FALSE(admission.admit(start + seconds(60), v4));
  admission.on_bad_token(start + milliseconds(120'001), v4);
  CHECK(admission.admit(start + milliseconds(120'001), v4));
}

TEST_CASE("a sweep forgets what no longer matters, and nothing else") {
  Admission admission(1, 1);
  admission.sweep(start);
  CHECK(admission.admit(start, v4));
  admission.on_bad_token(start, other_v4);
  admission.on_bad_token(start, other_v4);
  admission.sweep(start + seconds(60));
  CHECK(admission.addresses_count() == 2);
  CHECK_FALSE(admission.admit(start + seconds(60), v4));
  admission.sweep(start + milliseconds(60'001));
  CHECK(admission.addresses_count() == 1);
  admission.on_released(v4);
  admission.sweep(start + seconds(61));
  CHECK(admission.addresses_count() == 0);
  // Released although it was forgotten: nothing to count down.
  admission.on_released(v4);
  CHECK(admission.addresses_count() == 0);
}
