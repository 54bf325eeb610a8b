// Joining, talking, leaving, joining late; both encryption modes; every version of the gateway.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/e2e/world.h"

using namespace earshot;
using namespace earshot::test;

namespace {

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

Change version(int number) {
  return [number](client::VoiceClientOptions& options) { options.signalling.version = number; };
}

}  // namespace

TEST_CASE("three participants hear each other under their names, and none hears itself") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  Participant& carol = world.join("carol");
  CHECK(alice.ssrc() != bob.ssrc());
  CHECK(bob.ssrc() != carol.ssrc());
  CHECK(alice.client->media_remote() == world.relay.media());
  CHECK(alice.client->public_endpoint().ip == make_v4(127, 0, 0, 1));
  CHECK(alice.client->public_endpoint().port == alice.client->media()->local().port);
  world.talk({&alice, &bob, &carol}, seconds(2));
  CHECK(alice.client->frames_sent() > 50);
  double hz = 440;
  for (const Participant* speaker : {&alice, &bob, &carol}) {
    for (const Participant* listener : {&alice, &bob, &carol}) {
      if (listener == speaker) {
        CHECK(listener->received_from(*speaker) == 0);
      } else {
        check_hears(*listener, *speaker, hz);
      }
    }
    hz += 150;
  }
}

TEST_CASE("who leaves is announced to all, and is heard no more") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  Participant& carol = world.join("carol", "channel", version(4));
  const Ssrc gone = alice.ssrc();
  world.speak(alice);
  REQUIRE(world.run_until([&] { return bob.received_from(gone) > 10; }));
  alice.client->leave();
  REQUIRE(world.run_until([&] { return alice.end && !bob.left.empty() && !carol.left.empty(); }));
  CHECK(alice.end->is_ok);
  CHECK(bob.left == std::vector<std::string>{"alice"});
  CHECK(carol.left == std::vector<std::string>{"alice"});
  CHECK_FALSE(bob.heard("alice")->is_present);
  world.settle();
  bob.forget_packets();
  world.talk({&carol}, milliseconds(400));
  CHECK(bob.received_from(gone) == 0);
  CHECK(bob.received_from(carol) > 0);
}

TEST_CASE("who joins late learns all who are there, speaking or not, and hears them") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  world.speak(alice, 500);
  REQUIRE(world.run_until([&] { return bob.received_from(alice) > 10; }));
  for (const int number : {8, 4}) {
    CAPTURE(number);
    const std::string user = "late" + std::to_string(number);
    Participant& late = world.join(user, "channel", version(number));
    REQUIRE(world.run_until([&] { return late.received_from(alice) > 40; }));
    CHECK(contains(late.came, "alice"));
    CHECK(contains(late.came, "bob"));
    REQUIRE(late.last_speaking("alice"));
    CHECK(late.last_speaking("alice")->ssrc == alice.ssrc());
    CHECK(late.last_speaking("alice")->is_speaking);
    REQUIRE(late.last_speaking("bob"));
    CHECK(late.last_speaking("bob")->ssrc == bob.ssrc());
    CHECK_FALSE(late.last_speaking("bob")->is_speaking);
    CHECK(late.heard("alice")->tone.hz == doctest::Approx(500).epsilon(0.02));
    // Nobody had to wait for a word of the newcomer's to know who it is.
    REQUIRE(world.run_until([&] { return bob.last_speaking(user).has_value(); }));
    CHECK(bob.last_speaking(user)->ssrc == late.ssrc());
    CHECK(contains(bob.came, user));
  }
}

TEST_CASE("speaking is told when it begins and when it ends") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  world.speak(alice);
  REQUIRE(world.run_until([&] {
    const auto told = bob.last_speaking("alice");
    return told && told->is_speaking;
  }));
  world.fall_silent(alice);
  REQUIRE(world.run_until([&] { return !bob.last_speaking("alice")->is_speaking; }));
  // The speaker is told nothing about itself.
  CHECK_FALSE(alice.last_speaking("alice"));
}

TEST_CASE("both encryption modes, each in use by one of two") {
  World world;
  const auto with_mode = [](crypto::AeadMode mode) {
    return [mode](client::VoiceClientOptions& options) { options.mode = mode; };
  };
  const auto xchacha = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  const auto gcm = crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize)
                       ? crypto::AeadMode::aes256_gcm_rtpsize
                       : xchacha;
  Participant& alice = world.join("alice", "channel", with_mode(gcm));
  Participant& bob = world.join("bob", "channel", with_mode(xchacha));
  CHECK(alice.client->mode() == gcm);
  CHECK(bob.client->mode() == xchacha);
  world.talk({&alice, &bob}, seconds(1));
  check_hears(alice, bob, 590);
  check_hears(bob, alice, 440);
}

TEST_CASE("every version of the gateway, in one channel") {
  World world;
  std::vector<Participant*> all;
  for (const int number : {client::version_none, 4, 5, 6, 7, 8}) {
    all.push_back(&world.join("v" + std::to_string(number), "channel", version(number)));
  }
  world.talk(all, seconds(1));
  double hz = 440;
  for (const Participant* speaker : all) {
    for (const Participant* listener : all) {
      if (listener != speaker) check_hears(*listener, *speaker, hz);
    }
    hz += 150;
  }
  const auto first = [](const Participant& p, int op) {
    const auto positions = p.positions_of(op);
    REQUIRE_FALSE(positions.empty());
    return nlohmann::json::parse(p.messages[positions.front()]);
  };
  for (const Participant* p : all) {
    CAPTURE(p->user);
    const bool is_numbered = p->user == "v8";
    const auto hello = first(*p, 8);
    CHECK(hello["d"]["heartbeat_interval"] == 13'750);
    CHECK(p->positions_of(8).front() == 0);
    CHECK_FALSE(hello.contains("seq"));
    const auto ready = first(*p, 2);
    CHECK(ready["d"]["heartbeat_interval"] == 13'750);
    CHECK(ready["d"]["ssrc"] == p->ssrc().value);
    CHECK_FALSE(ready.contains("seq"));
    CHECK(first(*p, 4)["d"]["dave_protocol_version"] == 0);
    const auto speaking = first(*p, 5);
    CHECK(speaking["d"]["user_id"].is_string());
    CHECK(speaking["d"]["ssrc"].is_number_unsigned());
    CHECK(speaking["d"]["speaking"].is_boolean() == (p->user == "v0"));
    CHECK(speaking.contains("seq") == is_numbered);
    CHECK(p->positions_of(is_numbered ? 11 : 12).size() > 0);
    CHECK(p->positions_of(is_numbered ? 12 : 11).size() == 0);
  }
}

TEST_CASE("counters of clients may start anywhere and count in either byte order") {
  World world;
  Participant& listener = world.join("listener");
  struct Row {
    std::uint32_t start;
    client::CounterOrder order;
  };
  std::vector<Participant*> speakers;
  for (const auto& row : {Row{0, client::CounterOrder::little_endian},
                          Row{0x7FFFFFFF, client::CounterOrder::big_endian},
                          Row{0x12345678, client::CounterOrder::big_endian},
                          Row{1, client::CounterOrder::little_endian}}) {
    Change change = [row](client::VoiceClientOptions& options) {
      options.media.counter_start = row.start;
      options.media.counter_order = row.order;
      options.hearing.decodes = false;
    };
    speakers.push_back(&world.join("s" + std::to_string(speakers.size()), "channel", change));
  }
  // A counter that counts little-endian passes 255 within this time.
  world.talk(speakers, seconds(6));
  double hz = 440;
  for (const Participant* speaker : speakers) {
    check_hears(listener, *speaker, hz);
    hz += 150;
  }
}
