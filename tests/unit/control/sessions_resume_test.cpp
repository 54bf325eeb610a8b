// Resume: who may, what comes back, and what it leaves alone.
#include <doctest/doctest.h>

#include "tests/support/media_party.h"

using namespace earshot;
using namespace earshot::test;
using Json = nlohmann::json;

namespace {

Json disconnected(const std::string& user) {
  return {{"op", 13}, {"d", {{"user_id", user}}}};
}

Json without_number(Json message) {
  message.erase("seq");
  return message;
}

}  // namespace

TEST_CASE("v8: op 9 first, then exactly what was missed, with the numbers it had") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.join(rig.person("b"));
  const std::int64_t read = a.last_seq();
  a.cut();
  b.speak(1);
  GatewayClient& c = rig.join(rig.person("c"));
  b.leave();
  rig.settle();

  GatewayClient& again = rig.resume(a);
  CHECK(again.is_open());
  const auto got = again.take();
  CHECK(opcodes(got) == std::vector{8, 9, 5, 11, 5, 13});
  CHECK(got[1] == Json{{"op", 9}, {"d", nullptr}});
  for (std::size_t i = 2; i < got.size(); ++i)
    CHECK(got[i]["seq"] == read + static_cast<std::int64_t>(i) - 1);
  CHECK(got[2]["d"]["user_id"] == "b");
  CHECK(got[3]["d"]["user_ids"] == Json{"c"});
  CHECK(without_number(got[5]) == disconnected("b"));
  CHECK(rig.sessions.counters().resumed == 1);
  // The others have not noticed; and numbers go on.
  CHECK(c.count(13) == 1);
  c.speak(1);
  CHECK(again.take()[0]["seq"] == read + 5);
  CHECK(again.last_seq() == read + 5);
}

TEST_CASE("v8: what is replayed depends on seq_ack") {
  struct Row {
    const char* what;
    std::int64_t behind;  // the last number that the client read, counted back from the last sent
    std::optional<std::size_t> missed;
  };
  const Row rows[] = {
      {"everything was read", 0, 0},
      {"one is missing", 1, 1},
      {"two are missing", 2, 2},
      {"all that came after op 4", 6, 6},
      {"beyond what was sent", -1, std::nullopt},
      {"far beyond", -60'000, std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    ControlRig rig;
    GatewayClient& a = rig.join(rig.person("a"));
    REQUIRE(a.last_seq() == 1);
    rig.join(rig.person("b")).speak(1);
    rig.join(rig.person("c")).leave();
    rig.settle();
    REQUIRE(a.last_seq() == 7);
    a.cut();
    GatewayClient& again = rig.connect(a.person);
    again.resume(a.last_seq() - row.behind);
    if (row.missed) {
      CHECK(again.is_open());
      CHECK(again.received().size() == 2 + *row.missed);
    } else {
      CHECK(again.close_code == 4006);
      CHECK(again.count(9) == 0);
    }
  }
}

TEST_CASE("v8: nobody resumes over op 4, which is never kept") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  rig.join(rig.person("b"));
  a.cut();
  for (const std::int64_t seq_ack : {-1, 0}) {
    GatewayClient& again = rig.connect(a.person);
    again.resume(seq_ack);
    CHECK(again.close_code == 4006);
    CHECK(again.take_opcodes() == std::vector{8});
  }
}

TEST_CASE("v8: what a heartbeat acknowledged is gone, and so is what no longer fits") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.join(rig.person("b"));
  for (int i = 1; i <= 10; ++i) b.speak(i % 2);
  const std::int64_t all = a.last_seq();
  SUBCASE("acknowledged") {
    a.heartbeat(all - 2);
    a.cut();
    SUBCASE("older than that") {
      GatewayClient& again = rig.connect(a.person);
      again.resume(all - 3);
      CHECK(again.close_code == 4006);
    }
    SUBCASE("exactly that") {
      GatewayClient& again = rig.connect(a.person);
      again.resume(all - 2);
      CHECK(again.take_opcodes() == std::vector{8, 9, 5, 5});
    }
  }
  SUBCASE("too much was missed") {
    a.cut();
    for (int i = 1; i <= 257; ++i) {
      rig.now = rig.now + milliseconds(20);
      b.speak(i % 2);
    }
    GatewayClient& again = rig.connect(a.person);
    again.resume(all);
    CHECK(again.close_code == 4006);
  }
  SUBCASE("just not too much") {
    a.cut();
    for (int i = 1; i <= 256; ++i) {
      rig.now = rig.now + milliseconds(20);
      b.speak(i % 2);
    }
    GatewayClient& again = rig.connect(a.person);
    again.resume(all);
    CHECK(again.received().size() == 2 + 256);
  }
}

TEST_CASE("v8: what cannot be resumed stays, and its client comes back with Identify") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.join(rig.person("b"));
  rig.unix_now += 100'000;  // the token's time is over, the call's is not
  bool is_connected = true;
  SUBCASE("while it is connected") {}
  SUBCASE("while it waits to be resumed") {
    is_connected = false;
    a.cut();
  }
  GatewayClient& again = rig.connect(a.person);
  again.resume(a.last_seq() + 1);
  CHECK(again.close_code == 4006);
  CHECK(a.is_open() == is_connected);
  CHECK(b.count(13) == 0);
  if (is_connected) {
    b.speak(1);
    CHECK(a.last(5)["d"]["speaking"] == 1);
  }
  GatewayClient& anew = rig.join(a.person);
  CHECK(anew.is_open());
  CHECK(anew.count(4) == 1);
  CHECK(b.count(13) == 1);
  CHECK(rig.sessions.sessions_count() == 2);
}

TEST_CASE("below v8: op 9, op 13 for who left, then everybody who is there") {
  for (const int version : {0, 4, 7}) {
    CAPTURE(version);
    ControlRig rig;
    GatewayClient& a = rig.join(rig.person("a"), version);
    GatewayClient& b = rig.join(rig.person("b"));
    GatewayClient& c = rig.join(rig.person("c"));
    b.leave();
    rig.settle();
    a.cut();
    c.speak(1);
    GatewayClient& d = rig.join(rig.person("d"));
    c.leave();
    rig.settle();
    GatewayClient& e = rig.join(rig.person("c"));
    GatewayClient& again = rig.resume(a);
    const auto got = again.take();
    CHECK(opcodes(got) == std::vector{8, 9, 13, 13, 12, 12, 5, 5});
    CHECK(got[2] == disconnected("b"));
    CHECK(got[3] == disconnected("c"));
    CHECK(got[4]["d"]["audio_ssrc"] == d.ssrc());
    CHECK(got[5]["d"]["audio_ssrc"] == e.ssrc());
    CHECK(got[6]["d"]["ssrc"] == d.ssrc());
    CHECK(got[7]["d"]["ssrc"] == e.ssrc());
    CHECK(got[7]["d"]["user_id"] == "c");
  }
}

TEST_CASE("below v8: who left before the heartbeat before the last one is not told again") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"), 4);
  for (const char* user : {"b", "c", "d"}) {
    rig.join(rig.person(user)).leave();
    rig.settle();
    if (user[0] != 'd') a.heartbeat();
  }
  a.cut();
  const auto got = rig.resume(a).take();
  CHECK(opcodes(got) == std::vector{8, 9, 13, 13});
  CHECK(got[2] == disconnected("c"));
  CHECK(got[3] == disconnected("d"));
}

TEST_CASE("v8 without seq_ack: op 13 for who left, then everybody, all of it numbered") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.join(rig.person("b"));
  GatewayClient& c = rig.join(rig.person("c"));
  const std::int64_t read = a.last_seq();
  a.cut();
  b.leave();
  rig.settle();
  GatewayClient& again = rig.connect(a.person);
  again.resume(std::nullopt);
  const auto got = again.take();
  CHECK(opcodes(got) == std::vector{8, 9, 13, 11, 5});
  CHECK(without_number(got[2]) == disconnected("b"));
  CHECK(got[3]["d"]["user_ids"] == Json{"c"});
  CHECK(got[4]["d"]["ssrc"] == c.ssrc());
  // The op 13 that was missed has a number too.
  CHECK(got[2]["seq"] == read + 2);
  CHECK(got[4]["seq"] == read + 4);
}

TEST_CASE("who comes and goes many times while a client is away is one leaver") {
  for (const int version : {4, 8}) {
    CAPTURE(version);
    ControlRig rig;
    GatewayClient& a = rig.join(rig.person("a"), version);
    rig.join(rig.person("b"));
    a.cut();
    for (int i = 0; i < 20; ++i) rig.join(rig.person("b"));
    rig.clients.back()->leave();
    rig.settle();
    GatewayClient& again = rig.connect(a.person, version);
    again.resume(std::nullopt);
    CHECK(again.take_opcodes() == std::vector{8, 9, 13});
  }
}

TEST_CASE("over a live socket: the old one gets 4014, the session goes on") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.join(rig.person("b"));
  b.take();
  GatewayClient& again = rig.resume(a);
  CHECK(a.close_code == 4014);
  CHECK(a.is_over());
  CHECK(again.take_opcodes() == std::vector{8, 9});
  CHECK(b.take().empty());
  CHECK(rig.sessions.sessions_count() == 1 + 1);
  b.speak(1);
  CHECK(again.take_opcodes() == std::vector{5});
  // And again, from there.
  GatewayClient& third = rig.resume(again);
  CHECK(again.close_code == 4014);
  CHECK(third.is_open());
  CHECK(b.take().empty());
}

TEST_CASE("media goes on while the connection is gone, and after the resume") {
  ControlRig rig;
  MediaParty a(rig, rig.person("a"));
  MediaParty b(rig, rig.person("b"));
  rig.deliver_description();
  const Ssrc ssrc = a.media->ssrc();
  a.gateway->cut();
  rig.advance(seconds(30));
  b.speak();
  CHECK(a.hear().has_value());
  a.speak();
  CHECK(b.hear()->ssrc == ssrc);
  a.use(rig.resume(*a.gateway));
  CHECK(a.gateway->take_opcodes() == std::vector{8, 9});
  b.speak();
  CHECK(a.hear().has_value());
  a.speak();
  CHECK(b.hear()->ssrc == ssrc);
}

TEST_CASE("foreign tokens resume nothing, and harm nobody") {
  ControlRig rig;
  GatewayClient& victim = rig.join(rig.person("victim"));
  const auto attack = [&](const Person& with, const char* session, const char* server) {
    GatewayClient& attacker = rig.connect(with);
    attacker.person.claims.session_id = session;
    attacker.person.claims.server_id = server;
    attacker.resume(victim.last_seq());
    rig.settle();
    return attacker.close_code;
  };
  bool is_attached = true;
  SUBCASE("while it is connected") {}
  SUBCASE("while it waits to be resumed") {
    is_attached = false;
    victim.cut();
  }
  // A valid token of somebody else's, with the victim's session id.
  CHECK(attack(rig.person("mallory"), "session-victim", "1") == 4006);
  // The same while the attacker has a session of its own.
  rig.join(rig.person("mallory"));
  CHECK(attack(rig.person("mallory"), "session-victim", "1") == 4006);
  // Another server.
  CHECK(attack(rig.person("victim", "100", "2"), "session-victim", "1") == 4006);
  CHECK(attack(victim.person, "session-victim", "2") == 4006);
  // Another session of the victim's own, or another channel.
  CHECK(attack(victim.person, "session-other", "1") == 4006);
  CHECK(attack(rig.person("victim", "200"), "session-victim", "1") == 4006);
  gateway::Claims claims = victim.person.claims;
  claims.session_id = "session-other";
  CHECK(attack(rig.person(claims), "session-victim", "1") == 4006);
  // No token at all.
  CHECK(attack({victim.person.claims, "x"}, "session-victim", "1") == 4006);

  CHECK(victim.is_open() == is_attached);
  GatewayClient& again = rig.resume(victim);
  CHECK(again.is_open());
  CHECK(again.count(9) == 1);
}

TEST_CASE("the same token resumes after its time; another one must be valid") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  Person renewed = a.person;
  rig.renew(renewed);
  REQUIRE(renewed.token != a.person.token);
  a.cut();
  SUBCASE("the same one, expired") {
    rig.unix_now += 10'000;
    CHECK(rig.resume(a).is_open());
  }
  SUBCASE("a fresh one with the same claims") {
    a.person = renewed;
    CHECK(rig.resume(a).is_open());
  }
  SUBCASE("another one with the same claims, expired") {
    rig.unix_now += 10'000;
    GatewayClient& again = rig.connect(renewed);
    again.resume(a.last_seq());
    CHECK(again.close_code == 4006);
  }
}

TEST_CASE(
    "the token that resumed a session last is the session's: it resumes again after its time") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  Person renewed = a.person;
  rig.renew(renewed);
  a.cut();
  GatewayClient& second = rig.connect(renewed);
  second.resume(a.last_seq());
  REQUIRE(second.is_open());
  rig.unix_now += 100'000;
  second.cut();
  GatewayClient& third = rig.connect(renewed);
  third.resume(a.last_seq());
  CHECK(third.is_open());
  third.cut();
  CHECK(rig.join(renewed).is_open());
}

TEST_CASE("1000 ends a session at once; every other end of a connection leaves it resumable") {
  constexpr std::uint16_t codes[] = {1001, 1005, 1006, 1011, 4000, 4014, 4901};
  for (const std::uint16_t code : codes) {
    CAPTURE(code);
    ControlRig rig;
    GatewayClient& a = rig.join(rig.person("a"));
    a.leave(code);
    CHECK(rig.sessions.sessions_count() == 1);
    CHECK(rig.resume(a).is_open());
  }
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.join(rig.person("b"));
  a.leave(1000);
  CHECK(without_number(b.last(13)) == disconnected("a"));
  rig.settle();
  CHECK(rig.membership.participants_count() == 1);
  GatewayClient& again = rig.connect(a.person);
  again.resume(a.last_seq());
  CHECK(again.close_code == 4006);
}

TEST_CASE("a session can be resumed for 60 s, then it ends and the others hear of it") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  rig.are_heartbeats_sent = true;
  GatewayClient& b = rig.join(rig.person("b"));
  a.cut();
  rig.advance(milliseconds(59'750));
  CHECK(b.count(13) == 0);
  SUBCASE("resumed in time") {
    GatewayClient& again = rig.resume(a);
    CHECK(again.is_open());
    rig.advance(seconds(120));
    CHECK(again.is_open());
    CHECK(b.count(13) == 0);
  }
  SUBCASE("too late") {
    rig.advance(milliseconds(250));
    CHECK(without_number(b.last(13)) == disconnected("a"));
    CHECK(rig.membership.participants_count() == 1);
    GatewayClient& again = rig.connect(a.person);
    again.resume(a.last_seq());
    CHECK(again.close_code == 4006);
  }
}

TEST_CASE("three missed heartbeats: the connection is dropped, the session can be resumed") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.join(rig.person("b"));
  const Time opened = rig.now;
  b.heartbeat();
  rig.advance(seconds(30));
  b.heartbeat();
  rig.advance(limits::heartbeat_interval * 3 - seconds(31));
  CHECK(a.is_open());
  rig.advance(opened + limits::heartbeat_interval * 3 - rig.now);
  CHECK(a.is_aborted);
  CHECK_FALSE(a.close_code.has_value());
  CHECK(b.is_open());
  CHECK(b.count(13) == 0);
  CHECK(rig.resume(a).is_open());
}
