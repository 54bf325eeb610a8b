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

// --- Large channels: in parts -------------------------------------------------------------------

namespace {

ControlRigOptions in_parts(std::size_t part) {
  ControlRigOptions options;
  options.introductions_per_part = part;
  return options;
}

// Of everybody that a client was told of by op 11 or op 12, in order.
std::vector<std::string> introduced(const GatewayClient& client) {
  std::vector<std::string> users;
  for (const Json& message : client.received()) {
    if (message["op"] == 11) {
      for (const auto& id : message["d"]["user_ids"]) users.push_back(id.get<std::string>());
    } else if (message["op"] == 12) {
      users.push_back(message["d"]["user_id"].get<std::string>());
    }
  }
  return users;
}

}  // namespace

TEST_CASE("a newcomer is introduced in parts, the next one when the last has left its queue") {
  for (const int version : {8, 4}) {
    CAPTURE(version);
    ControlRig rig(in_parts(2));
    std::vector<GatewayClient*> present;
    for (const char* name : {"a", "b", "c", "d", "e"})
      present.push_back(&rig.join(rig.person(name)));
    for (GatewayClient* client : present) client->take();
    rig.are_queues_drained = false;
    GatewayClient& newcomer = rig.join(rig.person("n"), version);
    CHECK(introduced(newcomer) == std::vector<std::string>{"a", "b"});
    CHECK(newcomer.count(5) == 2);
    // They are told at once.
    for (GatewayClient* client : present) CHECK(client->take_opcodes() == std::vector{11, 5});
    CHECK(newcomer.drain());
    CHECK(introduced(newcomer) == std::vector<std::string>{"a", "b", "c", "d"});
    CHECK(newcomer.count(5) == 4);
    CHECK(newcomer.drain());
    CHECK(introduced(newcomer) == std::vector<std::string>{"a", "b", "c", "d", "e"});
    CHECK(newcomer.drain());
    CHECK_FALSE(newcomer.drain());
    CHECK(introduced(newcomer).size() == 5);
    CHECK(newcomer.count(5) == 5);
  }
}

TEST_CASE("what changes during an introduction is told once, and in order") {
  ControlRig rig(in_parts(2));
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.join(rig.person("b"));
  GatewayClient& c = rig.join(rig.person("c"));
  GatewayClient& d = rig.join(rig.person("d"));
  rig.are_queues_drained = false;
  GatewayClient& n = rig.join(rig.person("n"));
  n.take();
  SUBCASE("known ones: at once") {
    a.speak(1);
    CHECK(take(n) == std::vector{speaking(a, 1, 8)});
    b.leave();
    rig.settle();
    CHECK(take(n) == std::vector{disconnected(b)});
    rig.are_queues_drained = true;
    rig.settle();
    CHECK(introduced(n) == std::vector<std::string>{"a", "b", "c", "d"});
  }
  SUBCASE("unknown ones: when their turn comes") {
    c.speak(1);
    CHECK(n.take().empty());
    d.leave();
    rig.settle();
    CHECK(n.take().empty());
    GatewayClient& e = rig.join(rig.person("e"));
    CHECK(n.take().empty());
    // It comes in while n is still on its way, and is told of it in its turn, too.
    CHECK(introduced(e) == std::vector<std::string>{"a", "b"});
    rig.are_queues_drained = true;
    rig.settle();
    CHECK(introduced(n) == std::vector<std::string>{"a", "b", "c", "e"});
    CHECK(n.count(13) == 0);
    CHECK(n.last(5)["d"]["user_id"] == "e");
    CHECK(introduced(e) == std::vector<std::string>{"a", "b", "c", "n"});
    for (const Json& message : n.received()) {
      if (message["op"] == 5 && message["d"]["user_id"] == "c")
        CHECK(message["d"]["speaking"] == 1);
    }
  }
  SUBCASE("the newcomer goes before it knows everybody") {
    n.leave();
    rig.settle();
    CHECK(a.count(13) == 1);
    CHECK(d.count(13) == 1);
    rig.are_queues_drained = true;
    GatewayClient& again = rig.join(rig.person("n"));
    CHECK(introduced(again) == std::vector<std::string>{"a", "b", "c", "d"});
  }
}

TEST_CASE("an introduction goes on after a resume, with nothing missing and nothing twice") {
  ControlRig rig(in_parts(2));
  std::vector<GatewayClient*> present;
  for (const char* name : {"a", "b", "c", "d", "e"}) present.push_back(&rig.join(rig.person(name)));
  rig.are_queues_drained = false;
  GatewayClient& n = rig.join(rig.person("n"));
  CHECK(introduced(n) == std::vector<std::string>{"a", "b"});
  n.cut();
  present[0]->leave();  // known: told when it is back
  present[3]->leave();  // unknown: never mentioned
  rig.settle();
  rig.join(rig.person("f"));
  GatewayClient& back = rig.resume(n);
  CHECK(back.take_opcodes() == std::vector{8, 9, 13});
  rig.are_queues_drained = true;
  rig.settle();
  CHECK(introduced(back) == std::vector<std::string>{"c", "e", "f"});
  CHECK(back.count(13) == 1);
}

TEST_CASE("below v8 a resume in the middle of an introduction begins it anew") {
  ControlRig rig(in_parts(2));
  std::vector<GatewayClient*> present;
  for (const char* name : {"a", "b", "c", "d"}) present.push_back(&rig.join(rig.person(name)));
  GatewayClient& n = rig.join(rig.person("n"), 4);
  rig.are_queues_drained = false;
  n.cut();
  GatewayClient& back = rig.resume(n);
  CHECK(introduced(back) == std::vector<std::string>{"a", "b"});
  // It knew this one before, so it has to hear of it, introduced anew or not.
  present[3]->leave();
  rig.settle();
  CHECK(back.last(13)["d"]["user_id"] == "d");
  rig.are_queues_drained = true;
  rig.settle();
  CHECK(introduced(back) == std::vector<std::string>{"a", "b", "c"});
  present[0]->speak(1);
  CHECK(back.last(5)["d"]["user_id"] == "a");
}
