// Who gets in: Hello, Identify, Ready, and every refusal.
#include <doctest/doctest.h>

#include <functional>

#include "tests/support/control_rig.h"

using namespace earshot;
using namespace earshot::test;
using Json = nlohmann::json;

namespace {

void check_nothing_left(ControlRig& rig) {
  rig.settle();
  CHECK(rig.sessions.sessions_count() == 0);
  CHECK(rig.sessions.clients_count() == 0);
  CHECK(rig.membership.participants_count() == 0);
  CHECK(rig.membership.channels_count() == 0);
}

}  // namespace

TEST_CASE("Hello comes at once, and says which version") {
  ControlRig rig;
  for (const int version : {0, 4, 5, 6, 7, 8}) {
    GatewayClient& client = rig.connect(rig.person("a"), version);
    REQUIRE(client.received().size() == 1);
    CHECK(client.received()[0] ==
          Json{{"op", 8},
               {"d", {{"v", version == 0 ? 4 : version}, {"heartbeat_interval", 13'750}}}});
  }
  for (const int version : {1, 3, 9}) {
    GatewayClient& client = rig.connect(rig.person("a"), version);
    CHECK(client.received().empty());
    CHECK(client.close_code == 4020);
  }
}

TEST_CASE("Identify leads to Ready, and to nothing more") {
  ControlRig rig;
  for (const int version : {0, 4, 5, 6, 7, 8}) {
    GatewayClient& client = rig.connect(rig.person("user" + std::to_string(version)), version);
    client.identify();
    CHECK(client.take_opcodes() == std::vector{8});
    rig.settle();
    const auto messages = client.take();
    REQUIRE(messages.size() == 1);
    const Json& ready = messages[0];
    CHECK(ready["op"] == 2);
    CHECK_FALSE(ready.contains("seq"));
    const Json& d = ready["d"];
    CHECK(d["ssrc"].is_number_unsigned());
    CHECK(d["ip"] == "127.0.0.1");
    CHECK(d["port"] == rig.workers.group->bound().port);
    CHECK(d["heartbeat_interval"] == 13'750);
    Json modes = Json::array();
    for (const auto mode : rig.modes) modes.push_back(crypto::name(mode));
    CHECK(d["modes"] == modes);
  }
  CHECK(rig.sessions.counters().identified == 6);
  CHECK(rig.sessions.sessions_count() == 6);
}

TEST_CASE("ids may be numbers in Identify, and are strings ever after") {
  ControlRig rig;
  const Person person = rig.person("1234567890", "100", "42");
  GatewayClient& client = rig.connect(person);
  client.send({{"op", 0},
               {"d",
                {{"server_id", 42},
                 {"user_id", 1'234'567'890},
                 {"session_id", person.claims.session_id},
                 {"token", person.token}}}});
  rig.settle();
  CHECK(client.count(2) == 1);
}

TEST_CASE("who is refused gets a code and nothing else") {
  struct Row {
    const char* what;
    std::uint16_t code;
    std::function<void(ControlRig&, GatewayClient&)> act;
  };
  const Row rows[] = {
      {"a token that is none", 4004,
       [](ControlRig&, GatewayClient& c) {
         c.person.token = "token";
         c.identify();
       }},
      {"another signature", 4004,
       [](ControlRig&, GatewayClient& c) {
         c.person.token.back() = c.person.token.back() == 'A' ? 'E' : 'A';
         c.identify();
       }},
      {"an expired token", 4004,
       [](ControlRig& rig, GatewayClient& c) {
         rig.unix_now += 631;
         c.identify();
       }},
      {"another user", 4004,
       [](ControlRig&, GatewayClient& c) {
         c.person.claims.user_id = "b";
         c.identify();
       }},
      {"another server", 4004,
       [](ControlRig&, GatewayClient& c) {
         c.person.claims.server_id = "2";
         c.identify();
       }},
      {"another session", 4006,
       [](ControlRig&, GatewayClient& c) {
         c.person.claims.session_id = "other";
         c.identify();
       }},
      {"end-to-end encryption required", 4017,
       [](ControlRig& rig, GatewayClient& c) {
         c.person.claims.grants.require_e2ee = true;
         c.person = rig.person(c.person.claims);
         c.identify();
       }},
      {"a heartbeat first", 4003, [](ControlRig&, GatewayClient& c) { c.heartbeat(); }},
      {"Select Protocol first", 4003, [](ControlRig&, GatewayClient& c) { c.select(); }},
      {"Speaking first", 4003, [](ControlRig&, GatewayClient& c) { c.speak(1); }},
      {"an opcode of no consequence first", 4003,
       [](ControlRig&, GatewayClient& c) {
         c.send({{"op", 12}});
       }},
      {"Resume without a session", 4006, [](ControlRig&, GatewayClient& c) { c.resume(-1); }},
      {"Resume with a bad token", 4006,
       [](ControlRig&, GatewayClient& c) {
         c.person.token = "token";
         c.resume(-1);
       }},
      {"no JSON", 4002, [](ControlRig&, GatewayClient& c) { c.send_text("hello"); }},
      {"no object", 4002, [](ControlRig&, GatewayClient& c) { c.send_text("[]"); }},
      {"an unknown opcode", 4001,
       [](ControlRig&, GatewayClient& c) {
         c.send({{"op", 99}});
       }},
      {"no token", 4020,
       [](ControlRig&, GatewayClient& c) {
         c.send({{"op", 0}, {"d", {{"server_id", "1"}, {"user_id", "a"}, {"session_id", "s"}}}});
       }},
      {"a token of another type", 4002,
       [](ControlRig&, GatewayClient& c) {
         c.send({{"op", 0},
                 {"d", {{"server_id", "1"}, {"user_id", "a"}, {"session_id", "s"}, {"token", 1}}}});
       }},
      {"binary", 4002, [](ControlRig&, GatewayClient& c) { c.send_binary("\x1a"); }},
      {"Identify before Ready, twice", 4005,
       [](ControlRig&, GatewayClient& c) {
         c.identify();
         c.identify();
       }},
      {"Select Protocol before Ready", 4020,
       [](ControlRig&, GatewayClient& c) {
         c.identify();
         c.select();
       }},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    ControlRig rig;
    GatewayClient& client = rig.connect(rig.person("a"));
    row.act(rig, client);
    CHECK(client.close_code == row.code);
    rig.settle();
    CHECK(client.take_opcodes() == std::vector{8});
    check_nothing_left(rig);
    // It does not stand in the way of the next one.
    rig.unix_now = 1'700'000'000;
    rig.advance(seconds(1));
    CHECK(rig.join(rig.person("a")).is_open());
  }
}

TEST_CASE("what a live session may not do ends it, and the others hear of it") {
  struct Row {
    const char* what;
    std::uint16_t code;
    std::function<void(GatewayClient&)> act;
  };
  const Row rows[] = {
      {"Identify again", 4005, [](GatewayClient& c) { c.identify(); }},
      {"Resume", 4005, [](GatewayClient& c) { c.resume(); }},
      {"no JSON", 4002, [](GatewayClient& c) { c.send_text("{"); }},
      {"an unknown opcode", 4001,
       [](GatewayClient& c) {
         c.send({{"op", 40}});
       }},
      {"Speaking without flags", 4020,
       [](GatewayClient& c) {
         c.send({{"op", 5}, {"d", Json::object()}});
       }},
      {"binary", 4002, [](GatewayClient& c) { c.send_binary("x"); }},
      {"a flood", 4021,
       [](GatewayClient& c) {
         for (int i = 0; i < 61; ++i) c.speak(i % 2);
       }},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    ControlRig rig;
    GatewayClient& other = rig.join(rig.person("b"));
    GatewayClient& client = rig.join(rig.person("a"));
    other.take();
    rig.advance(seconds(1));
    row.act(client);
    CHECK(client.close_code == row.code);
    rig.settle();
    CHECK(other.take().back() ==
          Json{{"op", 13}, {"d", {{"user_id", "a"}}}, {"seq", other.last_seq()}});
    CHECK(rig.sessions.sessions_count() == 1);
    CHECK(rig.membership.participants_count() == 1);
    // And it cannot be resumed.
    GatewayClient& again = rig.connect(client.person);
    again.resume(client.last_seq());
    CHECK(again.close_code == 4006);
  }
}

TEST_CASE("messages of no consequence change nothing") {
  ControlRig rig;
  GatewayClient& client = rig.join(rig.person("a"));
  client.take();
  for (const int opcode : {12, 14, 18, 20, 21, 26, 31}) client.send({{"op", opcode}, {"d", {}}});
  rig.settle();
  CHECK(client.is_open());
  CHECK(client.take().empty());
}

TEST_CASE("60 messages may come at once, and 60 a second") {
  ControlRig rig;
  GatewayClient& client = rig.join(rig.person("a"));
  rig.advance(seconds(1));
  client.take();
  for (int second = 0; second < 3; ++second) {
    for (int i = 0; i < 60; ++i) client.heartbeat();
    CHECK(client.is_open());
    CHECK(client.take_opcodes() == std::vector<int>(60, 6));
    rig.advance(seconds(1));
  }
}

TEST_CASE("heartbeats are answered as they were, from Identify on") {
  ControlRig rig;
  for (const int version : {0, 4, 8}) {
    GatewayClient& client = rig.connect(rig.person("a"), version);
    client.identify();
    client.heartbeat();
    const Json ack = client.last(6);
    CHECK(ack["d"] == (version == 8 ? Json{{"t", 1'501'184'119'561}} : Json(1'501'184'119'561)));
    CHECK_FALSE(ack.contains("seq"));
    rig.settle();
    client.leave();
    rig.settle();
  }
}

TEST_CASE("who does not identify within 15 s is closed") {
  ControlRig rig;
  GatewayClient& client = rig.connect(rig.person("a"));
  rig.advance(milliseconds(14'999));
  CHECK(client.is_open());
  rig.advance(milliseconds(1));
  CHECK(client.close_code == 4009);
  check_nothing_left(rig);
}

TEST_CASE("a full node answers 4021, and takes the next when somebody has left") {
  ControlRigOptions options;
  options.sessions_per_worker_max = 3;  // slot 0 is nobody's
  ControlRig rig(options);
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.identify(rig.person("b"));
  GatewayClient& c = rig.connect(rig.person("c"));
  c.identify();
  rig.settle();
  CHECK(c.close_code == 4021);
  CHECK(c.count(2) == 0);
  CHECK(rig.sessions.counters().capacity_refused == 1);
  CHECK(rig.sessions.sessions_count() == 2);
  CHECK(a.is_open());
  CHECK(b.is_open());
  b.leave();
  rig.settle();
  CHECK(rig.join(rig.person("c")).is_open());
}

TEST_CASE("unidentified connections of one address are bounded; identified ones are not") {
  ControlRigOptions options;
  options.unidentified_per_address_max = 3;
  ControlRig rig(options);
  const IpAddress peer = make_v4(192, 0, 2, 1);
  std::vector<GatewayClient*> idle;
  for (int i = 0; i < 3; ++i) {
    idle.push_back(rig.try_connect(rig.person("u" + std::to_string(i)), 8, peer));
    REQUIRE(idle.back() != nullptr);
  }
  CHECK(rig.try_connect(rig.person("x"), 8, peer) == nullptr);
  CHECK(rig.try_connect(rig.person("x"), 8, make_v4(192, 0, 2, 2)) != nullptr);
  idle[0]->identify();
  rig.settle();
  GatewayClient* more = rig.try_connect(rig.person("x"), 8, peer);
  REQUIRE(more != nullptr);
  // One that ends gives its place back: identified, refused, or never heard of.
  for (GatewayClient* client : {idle[0], idle[1], more}) {
    if (client == idle[1]) {
      client->person.token = "bad";
      client->identify();
      rig.settle();
    } else {
      client->cut();
    }
  }
  idle[2]->cut();
  int admitted = 0;
  while (rig.sessions.admits(peer)) ++admitted;
  CHECK(admitted == 3);
}

TEST_CASE("bad tokens slow their address down; good ones do not") {
  ControlRigOptions options;
  options.bad_tokens_per_address_max = 2;
  ControlRig rig(options);
  const auto refuse = [&] {
    Person person = rig.person("a");
    person.token += "x";
    GatewayClient* client = rig.try_connect(person);
    if (client == nullptr) return false;
    client->identify();
    CHECK(client->close_code == 4004);
    rig.settle();
    return true;
  };
  for (int i = 0; i < 5; ++i) {
    rig.join(rig.person("good" + std::to_string(i))).leave();
    rig.settle();
  }
  CHECK(refuse());
  CHECK(refuse());
  CHECK(refuse());
  CHECK_FALSE(refuse());
  CHECK(rig.sessions.counters().tokens_refused == 3);
  rig.now = rig.now + milliseconds(100);
  CHECK(refuse());
  CHECK_FALSE(refuse());
}

TEST_CASE("plain HTTP on the public port") {
  ControlRig rig;
  struct Row {
    const char* method;
    const char* path;
    int status;
  };
  for (const Row& row :
       {Row{"GET", "/healthz", 200}, Row{"HEAD", "/healthz", 200}, Row{"POST", "/healthz", 405},
        Row{"GET", "/", 426}, Row{"GET", "/v1/joins", 404}, Row{"GET", "/healthz/", 404}}) {
    CAPTURE(std::string(row.path));
    GatewayClient& client = rig.connect(rig.person("a"));
    gateway::HttpRequest request;
    request.method = row.method;
    request.path = row.path;
    CHECK(client.request(request).status == row.status);
    CHECK(rig.sessions.accepts_websocket(request) == (row.path == std::string("/")));
  }
}
