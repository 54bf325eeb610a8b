#include "tools/earshot/demo_verdict.h"

#include <doctest/doctest.h>

#include <vector>

using namespace earshot;
using namespace earshot::tools;

namespace {

DemoPair make_pair(const char* listener, const char* speaker) {
  DemoPair pair;
  pair.listener = listener;
  pair.speaker = speaker;
  pair.sent = pair.heard = 500;
  pair.audible = 450;
  pair.latency_count = 500;
  pair.latency_p50 = microseconds(100);
  pair.latency_p99 = microseconds(400);
  pair.level_sent = -25;
  pair.level = -25.3;
  return pair;
}

}  // namespace

TEST_CASE("everyone heard everyone") {
  std::vector<DemoPair> pairs{make_pair("ada", "ben"), make_pair("ben", "ada")};
  pairs[1].heard = 495;
  pairs[1].latency_p99 = microseconds(900);
  const DemoVerdict verdict = judge(pairs);
  CHECK(verdict.is_ok);
  CHECK(verdict.text ==
        "everyone heard everyone: 2 pairs, 995 of 1000 frames, added latency at most 0.10 ms (p50) "
        "and 0.90 ms (p99)");
}

TEST_CASE("one pair that did not hear is a failure that is named") {
  std::vector<DemoPair> pairs{make_pair("ada", "ben"), make_pair("ben", "ada")};
  SUBCASE("frames are missing") {
    pairs[1].heard = 480;
    CHECK(judge(pairs).text == "not everyone heard everyone: ben heard 480 of 500 frames of ada");
  }
  SUBCASE("nothing came") {
    pairs[1].heard = pairs[1].audible = 0;
    pairs[1].level = client::level_silent;
    CHECK(judge(pairs).text == "not everyone heard everyone: ben heard 0 of 500 frames of ada");
  }
  SUBCASE("all frames came, but they are not what was said") {
    pairs[1].level = -60.2;
    CHECK(judge(pairs).text ==
          "not everyone heard everyone: ben heard ada at -60.2 dBFS instead of -25.0");
  }
  SUBCASE("nothing was said") {
    pairs[1].sent = pairs[1].heard = 0;
    CHECK(judge(pairs).text == "not everyone heard everyone: ada said nothing");
  }
  CHECK_FALSE(judge(pairs).is_ok);
}

TEST_CASE("many failures stay one line") {
  std::vector<DemoPair> pairs(5, make_pair("ada", "ben"));
  for (DemoPair& pair : pairs) pair.heard = 0;
  CHECK(judge(pairs).text ==
        "not everyone heard everyone: ada heard 0 of 500 frames of ben, ada heard 0 of 500 frames "
        "of ben, ada heard 0 of 500 frames of ben and 2 more");
}

TEST_CASE("guests are not judged, and nobody is no success") {
  DemoPair guest = make_pair("ada", "guest");
  guest.is_ours = false;
  guest.sent = 0;
  CHECK_FALSE(judge(std::vector{guest}).is_ok);
  CHECK(judge(std::vector{guest, make_pair("ada", "ben")}).is_ok);
}
