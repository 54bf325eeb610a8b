// What happens only after a while: everything here waits for the relay's time-outs, side by side on
// one relay, so that the whole of it takes about a minute and a half.
#include <doctest/doctest.h>

#include "tests/e2e/raw_client.h"

using namespace earshot;
using namespace earshot::test;

namespace {

// One thing that is expected within bounds, counted from the start.
struct Expected {
  const char* name;
  double from, to;
  std::function<bool()> has_happened;
  std::optional<double> at = std::nullopt;
};

}  // namespace

TEST_CASE("time-outs of sessions") {
  World world;
  const Time start = client::monotonic_now();
  const auto elapsed = [start] {
    return static_cast<double>((client::monotonic_now() - start).ms()) / 1'000;
  };

  // Never identifies: 15 s.
  RawGateway unidentified(world);
  // Joins, then never heartbeats: three intervals of 13.75 s, then the connection is dropped.
  RawSession silent(world, make_claims("silent"));
  // Ready, then nothing but heartbeats: discord.py hangs there for 30 s; 60 s at most.
  RawGateway slow(world);
  const auto slow_claims = make_claims("slow");
  slow.identify(slow_claims, world.relay.sign(slow_claims));
  slow.next(2);
  // The same without heartbeats: it must live for 35 s.
  RawGateway stuck(world);
  const auto stuck_claims = make_claims("stuck");
  stuck.identify(stuck_claims, world.relay.sign(stuck_claims));
  stuck.next(2);
  // A session whose connection is gone: it ends after 60 s, and the others hear of it then.
  RawSession gone(world, make_claims("gone"));
  gone.gateway->cut();
  // Speaks and heartbeats all the time.
  Participant& speaker = world.join("speaker", "channel", counting());
  world.speak(speaker);
  // Only listens, and its port changes unnoticed after a while: keep-alives from the old one stop.
  Participant& roaming = world.join("roaming", "channel", counting());
  bool has_moved = false;

  const auto has_left = [&](const char* user) {
    return std::find(speaker.left.begin(), speaker.left.end(), user) != speaker.left.end();
  };
  bool was_silent_resumed = false;
  std::vector<Expected> expectations{
      {"a connection that never identifies is closed", 14, 17,
       [&] { return unidentified.is_closed(); }},
      {"a client that never heartbeats is dropped", 40, 44,
       [&] { return silent.gateway->is_closed(); }},
      {"a client that hangs before Select Protocol lives for 35 s at least", 35, 63,
       [&] { return stuck.is_closed(); }},
      {"one that heartbeats meanwhile has 60 s", 59, 63, [&] { return slow.is_closed(); }},
      {"a session that nobody resumes ends after 60 s", 59, 64, [&] { return has_left("gone"); }},
      {"a listener whose port changed identifies anew and hears again", 20, 55,
       [&] { return has_moved && roaming.joins == 2 && roaming.received_from(speaker) > 100; }},
  };
  double next_heartbeat = 10;
  while (elapsed() < 66) {
    world.run_for(milliseconds(100));
    for (Expected& expected : expectations) {
      if (!expected.at && expected.has_happened()) expected.at = elapsed();
    }
    if (elapsed() > next_heartbeat) {
      next_heartbeat += 10;
      if (!slow.is_closed()) slow.send(3, 1);
    }
    if (!has_moved && elapsed() > 12) {
      has_moved = true;
      roaming.forget_packets();
      REQUIRE(roaming.client->media()->rebind());
    }
    // Dropped is not over: media has gone on, and the session can be resumed.
    if (silent.gateway->is_closed() && !was_silent_resumed) {
      CHECK(silent.gateway->close_code() == 1'006);
      const auto heard = silent.received_from(speaker.ssrc());
      CHECK(heard > 1'500);
      silent.resume(silent.sequence()).next(9);
      was_silent_resumed = true;
      world.run_for(milliseconds(300));
      CHECK(silent.received_from(speaker.ssrc()) > heard + 5);
    }
  }
  for (const Expected& expected : expectations) {
    CAPTURE(expected.name);
    REQUIRE(expected.at);
    CAPTURE(*expected.at);
    CHECK(*expected.at >= expected.from);
    CHECK(*expected.at <= expected.to);
  }
  CHECK(unidentified.close_code() == 4'009);
  CHECK(slow.close_code() == 4'009);
  CHECK(was_silent_resumed);
  REQUIRE(roaming.interruptions.size() == 1);
  CHECK(roaming.interruptions[0].first == client::AfterClose::identify);
  CHECK(roaming.interruptions[0].second.code == 4'009);
  CHECK(gone.resume(std::nullopt).close_code() == 4'006);
  // Whoever does as it should is not troubled.
  CHECK(speaker.interruptions.empty());
  CHECK(speaker.client->signalling().heartbeat_round_trip() > Duration{});
}
