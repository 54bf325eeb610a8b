// What participants are told of each other, for every protocol version, and in which order.
#include "relay/control/roster.h"

#include <doctest/doctest.h>

#include "tests/support/control_rig.h"

using namespace earshot;
using namespace earshot::test;
using Json = nlohmann::json;

namespace {

constexpr int versions[] = {0, 4, 5, 6, 7, 8};

Json speaking(const GatewayClient& who, int flags, int version) {
  Json d{{"user_id", who.person.claims.user_id}, {"ssrc", who.ssrc()}};
  if (version == 0) {
    d["speaking"] = flags != 0;
  } else {
    d["speaking"] = flags;
  }
  return {{"op", 5}, {"d", std::move(d)}};
}

Json connected(const GatewayClient& who, int version) {
  const std::string& user = who.person.claims.user_id;
  if (version == 8) return {{"op", 11}, {"d", {{"user_ids", {user}}}}};
  return {{"op", 12}, {"d", {{"user_id", user}, {"audio_ssrc", who.ssrc()}, {"video_ssrc", 0}}}};
}

Json disconnected(const GatewayClient& who) {
  return {{"op", 13}, {"d", {{"user_id", who.person.claims.user_id}}}};
}

// Without the numbers, which are checked to go up by one.
std::vector<Json> take(GatewayClient& client) {
  std::vector<Json> messages = client.take();
  std::int64_t last = 0;
  for (Json& message : messages) {
    const bool is_numbered = message["op"] != 2 && message["op"] != 6 && message["op"] != 8 &&
                             message["op"] != 9 && client.version == 8;
    REQUIRE(message.contains("seq") == is_numbered);
    if (!is_numbered) continue;
    const auto seq = message["seq"].get<std::int64_t>();
    if (last != 0) CHECK(seq == last + 1);
    last = seq;
    message.erase("seq");
  }
  return messages;
}

}  // namespace

TEST_CASE("newcomer and present hear of each other, each in its own version") {
  for (const int present_version : versions) {
    for (const int newcomer_version : versions) {
      CAPTURE(present_version);
      CAPTURE(newcomer_version);
      ControlRig rig;
      GatewayClient& present = rig.join(rig.person("a"), present_version);
      CHECK(take(present).size() == 3);
      GatewayClient& newcomer = rig.join(rig.person("b"), newcomer_version);
      const auto got = take(newcomer);
      CHECK(opcodes({got.begin(), got.begin() + 3}) == std::vector{8, 2, 4});
      CHECK(std::vector(got.begin() + 3, got.end()) ==
            std::vector{connected(present, newcomer_version),
                        speaking(present, 0, newcomer_version)});
      CHECK(take(present) == std::vector{connected(newcomer, present_version),
                                         speaking(newcomer, 0, present_version)});
      newcomer.leave();
      rig.settle();
      CHECK(take(present) == std::vector{disconnected(newcomer)});
    }
  }
}

TEST_CASE("a late joiner hears of everybody in the order in which they came, with their flags") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"), 4);
  GatewayClient& b = rig.join(rig.person("b"));
  GatewayClient& c = rig.join(rig.person("c"), 0);
  b.speak(5);
  c.speak(1);
  GatewayClient& gone = rig.join(rig.person("gone"));
  gone.leave();
  rig.settle();
  for (const int version : versions) {
    GatewayClient& late = rig.join(rig.person("late"), version);
    const auto got = take(late);
    std::vector<Json> expected;
    if (version == 8) {
      expected.push_back({{"op", 11}, {"d", {{"user_ids", {"a", "b", "c"}}}}});
    } else {
      for (const GatewayClient* other : {&a, &b, &c})
        expected.push_back(connected(*other, version));
    }
    expected.push_back(speaking(a, 0, version));
    expected.push_back(speaking(b, 5, version));
    expected.push_back(speaking(c, 1, version));
    CHECK(std::vector(got.begin() + 3, got.end()) == expected);
    late.leave();
    rig.settle();
  }
}

TEST_CASE("Speaking is passed on when it changes, to everybody else, with the sender's SSRC") {
  ControlRig rig;
  std::vector<GatewayClient*> clients;
  for (const int version : versions)
    clients.push_back(&rig.join(rig.person("u" + std::to_string(version)), version));
  GatewayClient& speaker = *clients[1];
  for (GatewayClient* client : clients) client->take();
  struct Row {
    const char* message;
    std::optional<int> told;
  };
  const Row rows[] = {
      {R"({"op":5,"d":{"speaking":1,"delay":0,"ssrc":77}})", 1},
      {R"({"op":5,"d":{"speaking":1,"delay":0}})", std::nullopt},
      {R"({"op":5,"d":{"speaking":true}})", std::nullopt},
      {R"({"op":5,"d":{"speaking":5}})", 5},
      {R"({"op":5,"d":{"speaking":0}})", 0},
      {R"({"op":5,"d":{"speaking":false}})", std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.message));
    speaker.send_text(row.message);
    for (GatewayClient* client : clients) {
      const bool is_told = row.told && client != &speaker;
      CHECK(take(*client) == (is_told ? std::vector{speaking(speaker, *row.told, client->version)}
                                      : std::vector<Json>{}));
    }
  }
}

TEST_CASE("channels and servers hear nothing of each other") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a", "100", "1"));
  GatewayClient& b = rig.join(rig.person("b", "200", "1"));
  GatewayClient& c = rig.join(rig.person("c", "100", "2"));
  for (GatewayClient* client : {&a, &b, &c}) CHECK(client->take_opcodes() == std::vector{8, 2, 4});
  a.speak(1);
  a.leave();
  rig.settle();
  for (GatewayClient* client : {&b, &c}) CHECK(client->take().empty());
}

TEST_CASE("nobody hears of a session before its op 4 is sent, nor it of them") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  a.take();
  GatewayClient& b = rig.identify(rig.person("b"));
  a.speak(1);
  b.speak(1);
  CHECK(a.take().empty());
  CHECK(b.take_opcodes() == std::vector{8, 2});
  SUBCASE("it ends before") {
    b.leave();
    rig.settle();
    CHECK(a.take().empty());
  }
  SUBCASE("what it said before is told when it enters") {
    b.select();
    rig.settle();
    CHECK(take(a) == std::vector{connected(b, 8), speaking(b, 1, 8)});
    CHECK(take(b)[2] == speaking(a, 1, 8));
  }
}

TEST_CASE("who may not speak is present, and never shown as speaking") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  Person listener = rig.person("listener");
  listener.claims.grants.speak = false;
  listener = rig.person(listener.claims);
  a.take();
  GatewayClient& b = rig.join(listener);
  CHECK(take(a) == std::vector{connected(b, 8)});
  b.speak(1);
  CHECK(a.take().empty());
  GatewayClient& c = rig.join(rig.person("c"));
  CHECK(c.count(5) == 1);
  CHECK(c.last(5)["d"]["user_id"] == "a");
}

TEST_CASE("who is not in the roster changes nothing by leaving it") {
  control::Roster roster;
  control::Session session;
  session.claims.server_id = "1";
  session.claims.channel_id = "100";
  roster.leave(session, control::EndReason::disconnected, {});
  CHECK(roster.live(session.channel()).empty());
  roster.enter(session);
  roster.enter(session);
  CHECK(roster.live(session.channel()).size() == 1);
  roster.leave(session, control::EndReason::disconnected, {});
  CHECK(roster.live(session.channel()).empty());
}
