// Coming back after a cut: what is redelivered, who may, and who may not.
#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>

#include "tests/e2e/raw_client.h"

using namespace earshot;
using namespace earshot::test;

namespace {

// Messages behind the handshake of a resumed connection.
std::vector<std::string> told(const RawGateway& gateway) {
  std::vector<std::string> found;
  for (const Json& message : gateway.messages) {
    const int op = message["op"];
    if (op == 8 || op == 6) continue;
    std::string text = std::to_string(op);
    if (message["d"].is_object() && message["d"].contains("user_id")) {
      text += " " + message["d"]["user_id"].get<std::string>();
    }
    if (op == 11) text += " " + message["d"]["user_ids"][0].get<std::string>();
    found.push_back(text);
  }
  return found;
}

using Told = std::vector<std::string>;

}  // namespace

TEST_CASE("after a cut the session goes on: same SSRC, same key, and media all the while") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  const Ssrc before = alice.ssrc();
  world.speak(alice);
  world.speak(bob, 600);
  REQUIRE(world.run_until([&] { return bob.received_from(alice) > 20; }));
  alice.client->cut();
  const auto at_cut = bob.received_from(alice);
  const auto heard_at_cut = alice.received_from(bob);
  REQUIRE(world.run_until([&] { return alice.resumes == 1; }));
  world.run_for(milliseconds(500));
  CHECK(alice.ssrc() == before);
  CHECK(alice.joins == 1);
  CHECK(bob.received_from(alice) > at_cut + 15);
  CHECK(alice.received_from(bob) > heard_at_cut + 15);
  CHECK(bob.left.empty());
  // Again and again, also while it has not settled.
  for (int i = 2; i < 5; ++i) {
    alice.client->cut();
    REQUIRE(world.run_until([&] { return alice.resumes == i; }));
  }
  world.fall_silent(alice);
  world.fall_silent(bob);
  world.settle();
  CHECK(bob.heard("alice")->lost == 0);
  CHECK(alice.heard("bob")->lost == 0);
  CHECK(bob.left.empty());
}

TEST_CASE("version 8: what was missed comes again, in order, behind op 9") {
  World world;
  Participant& talker = world.join("talker");
  Participant& leaver = world.join("leaver");
  RawSession victim(world, make_claims("victim"));
  world.settle();
  const int acknowledged = victim.sequence();
  victim.gateway->cut();
  world.settle();
  world.speak(talker);
  REQUIRE(world.run_until([&] { return leaver.last_speaking("talker")->is_speaking; }));
  leaver.client->leave();
  Participant& newcomer = world.join("newcomer");
  world.settle();
  const auto received = victim.received_from(talker.ssrc());
  CHECK(received > 0);
  RawGateway& resumed = victim.resume(acknowledged);
  resumed.next(9);
  world.settle();
  CHECK(told(resumed) == Told{"9", "5 talker", "13 leaver", "11 newcomer", "5 newcomer"});
  int expected = acknowledged;
  for (const Json& message : resumed.messages) {
    if (message.contains("seq")) CHECK(message["seq"] == ++expected);
  }
  CHECK_FALSE(resumed.has(4));
  // What comes from now on is numbered on.
  world.fall_silent(talker);
  REQUIRE(world.run_until([&] { return victim.sequence() == expected + 1; }));
  CHECK(victim.received_from(talker.ssrc()) > received);
  CHECK(newcomer.left == std::vector<std::string>{});
}

TEST_CASE("version 8: only what is newer than seq_ack, and all of it without one") {
  World world;
  RawSession victim(world, make_claims("victim"));
  world.join("one");
  world.join("two");
  world.settle();
  const int newest = victim.sequence();
  SUBCASE("nothing missed") {
    victim.gateway->cut();
    RawGateway& resumed = victim.resume(newest);
    resumed.next(9);
    world.settle();
    CHECK(told(resumed) == Told{"9"});
  }
  SUBCASE("the last one missed") {
    victim.gateway->cut();
    RawGateway& resumed = victim.resume(newest - 1);
    resumed.next(9);
    world.settle();
    CHECK(told(resumed) == Told{"9", "5 two"});
  }
  SUBCASE("a client that names no number is told everything that is known") {
    victim.gateway->cut();
    RawGateway& resumed = victim.resume(std::nullopt);
    resumed.next(9);
    world.settle();
    const Told all = told(resumed);
    CHECK(std::count(all.begin(), all.end(), "5 one") == 1);
    CHECK(std::count(all.begin(), all.end(), "5 two") == 1);
  }
}

TEST_CASE("version 4: op 9, then op 13 for who left, then op 5 for every speaker") {
  World world;
  world.join("talker");
  Participant& leaver = world.join("leaver");
  RawSession victim(world, make_claims("victim"), 4);
  victim.gateway->cut();
  world.settle();
  leaver.client->leave();
  world.join("newcomer");
  world.settle();
  RawGateway& resumed = victim.resume(std::nullopt);
  resumed.next(9);
  world.settle();
  const Told all = told(resumed);
  const auto position = [&all](const char* what) {
    const auto found = std::find(all.begin(), all.end(), what);
    CAPTURE(what);
    REQUIRE(found != all.end());
    return found - all.begin();
  };
  CHECK(position("9") == 0);
  CHECK(position("13 leaver") < position("5 talker"));
  CHECK(position("13 leaver") < position("5 newcomer"));
  CHECK(std::find(all.begin(), all.end(), "5 leaver") == all.end());
  for (const Json& message : resumed.messages) CHECK_FALSE(message.contains("seq"));
}

TEST_CASE("a fresh token with the same claims resumes as the old one does") {
  World world;
  RawSession session(world, make_claims("alice"));
  gateway::Claims claims = session.claims;
  SUBCASE("the very same token") {}
  SUBCASE("another one for the same person and place") {
    claims.expires = std::time(nullptr) + 1'000;
  }
  const std::string token = claims.expires == 0 ? session.token : world.relay.sign(claims);
  session.gateway->cut();
  session.resume_with(token, session.sequence()).next(9);
}

TEST_CASE("nobody else resumes a session, and its owner is not disturbed") {
  World world;
  Participant& witness = world.join("witness");
  RawSession victim(world, make_claims("victim"));
  const std::string session_id = victim.claims.session_id;
  const int newest = victim.sequence();
  RawGateway mallory(world);
  SUBCASE("another user's token") {
    mallory.resume("server", session_id, world.relay.sign("mallory"), newest);
  }
  SUBCASE("another user's token that carries the session id") {
    mallory.resume("server", session_id,
                   world.relay.sign(make_claims("mallory", "channel", "server", session_id)),
                   newest);
  }
  SUBCASE("the same user's, for another server") {
    mallory.resume("server", session_id,
                   world.relay.sign(make_claims("victim", "channel", "other", session_id)), newest);
  }
  SUBCASE("the same user's, for another server, which it names") {
    mallory.resume("other", session_id,
                   world.relay.sign(make_claims("victim", "channel", "other", session_id)), newest);
  }
  SUBCASE("the same user's, for another channel") {
    mallory.resume("server", session_id,
                   world.relay.sign(make_claims("victim", "elsewhere", "server", session_id)),
                   newest);
  }
  SUBCASE("the same user's, for another session") {
    mallory.resume("server", session_id,
                   world.relay.sign(make_claims("victim", "channel", "server", "second")), newest);
  }
  SUBCASE("no token at all") {
    mallory.resume("server", session_id, "", newest);
  }
  SUBCASE("a token of one's own making") {
    const auto forged =
        gateway::make_token("earshot", make_claims("victim"), "dev", gateway::TokenAlgorithm::hs256,
                            std::vector<std::uint8_t>(32, 1));
    mallory.resume("server", session_id, forged, newest);
  }
  CHECK(mallory.close_code() == 4'006);
  CHECK(mallory.messages.size() == 1);
  // The victim's connection lives, its media flows, and it can still resume.
  CHECK_FALSE(victim.gateway->is_closed());
  world.talk({&witness}, milliseconds(300));
  CHECK(victim.received_from(witness.ssrc()) > 10);
  victim.speak();
  REQUIRE(world.run_until([&] { return witness.received_from(victim.ssrc) == 1; }));
  victim.gateway->cut();
  victim.resume(victim.sequence()).next(9);
  CHECK(witness.left.empty());
}

TEST_CASE("a session that does not exist, or was left, is refused at once") {
  World world;
  SUBCASE("never heard of") {
    RawGateway gateway(world);
    const Time start = client::monotonic_now();
    gateway.resume("server", "nowhere", world.relay.sign("nobody"), 0);
    CHECK(gateway.close_code() == 4'006);
    CHECK(client::monotonic_now() - start < seconds(1));
  }
  SUBCASE("left with 1000") {
    Participant& witness = world.join("witness");
    RawSession session(world, make_claims("alice"));
    session.gateway->close(1'000);
    REQUIRE(world.run_until([&] { return !witness.left.empty(); }));
    CHECK(session.resume(std::nullopt).close_code() == 4'006);
  }
  SUBCASE("every other close may be followed by a resume") {
    for (const std::uint16_t code :
         {std::uint16_t{1'001}, std::uint16_t{4'901}, std::uint16_t{4'000}, std::uint16_t{4'014}}) {
      CAPTURE(code);
      RawSession session(world, make_claims("u" + std::to_string(code)));
      world.settle();
      session.gateway->close(code);
      REQUIRE(session.gateway->close_code() == code);
      session.resume(session.sequence()).next(9);
    }
  }
  SUBCASE("before the key was delivered") {
    RawGateway first(world);
    const auto claims = make_claims("alice");
    const std::string token = world.relay.sign(claims);
    first.identify(claims, token);
    first.next(2);
    first.cut();
    world.settle();
    RawGateway second(world);
    second.resume(claims.server_id, claims.session_id, token);
    CHECK(second.close_code() == 4'006);
  }
}

TEST_CASE("a resume over a living connection takes it over; the old one gets 4014") {
  World world;
  Participant& witness = world.join("witness");
  RawSession session(world, make_claims("alice"));
  world.settle();
  const int newest = session.sequence();
  const auto old = std::move(session.gateway);
  RawGateway& resumed = session.resume(newest);
  resumed.next(9);
  CHECK(old->close_code() == 4'014);
  world.talk({&witness}, milliseconds(300));
  CHECK(session.received_from(witness.ssrc()) > 10);
  CHECK_FALSE(resumed.is_closed());
  CHECK(witness.left.empty());
}

TEST_CASE("more was missed than the relay keeps: 4006, and Identify brings a new session") {
  World world;
  RawSession one(world, make_claims("one"));
  RawSession two(world, make_claims("two"));
  Participant& witness = world.join("witness");
  RawSession victim(world, make_claims("victim"));
  world.settle();
  const int acknowledged = victim.sequence();
  victim.gateway->cut();
  for (int i = 0; i < 150; ++i) {
    for (RawSession* session : {&one, &two}) {
      session->gateway->send(5, {{"speaking", (i + 1) % 2}, {"delay", 0}});
    }
    world.run_for(milliseconds(20));
  }
  CHECK(victim.resume(acknowledged).close_code() == 4'006);
  CHECK(witness.left.empty());
  Participant& again = world.join_with_token("victim", victim.token);
  CHECK(world.run_until([&] { return !witness.left.empty(); }));
  CHECK(again.ssrc() != victim.ssrc);
}

TEST_CASE("the token's expiry bounds the first Identify, not what comes after it") {
  World world;
  // Valid for some seconds more, by the leeway.
  gateway::Claims claims = make_claims("alice");
  claims.expires = std::time(nullptr) - 26;
  RawSession session(world, claims);
  const auto other_claims = [&] {
    gateway::Claims other = make_claims("bob");
    other.expires = claims.expires;
    return other;
  }();
  const std::string other_token = world.relay.sign(other_claims);
  world.run_for(seconds(6));
  RawGateway first(world);
  first.identify(other_claims, other_token);
  CHECK(first.close_code() == 4'004);
  session.gateway->cut();
  session.resume(session.sequence()).next(9);
  // The same token may identify again, too, while its session lives.
  RawGateway again(world);
  again.identify(claims, session.token);
  again.next(2);
  CHECK(session.gateway->close_code() == 4'014);
}
