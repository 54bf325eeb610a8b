// Every way to be thrown out of the gateway, with its code.
#include <doctest/doctest.h>

#include <ctime>

#include "tests/e2e/raw_client.h"

using namespace earshot;
using namespace earshot::test;

namespace {

enum class Stage { fresh, identified, joined };

// A gateway connection brought to that stage, with what it needs kept alive.
struct Rig {
  Rig(World& world, Stage stage) : claims(make_claims("alice")) {
    if (stage == Stage::joined) {
      session = std::make_unique<RawSession>(world, claims);
      gateway = session->gateway.get();
      return;
    }
    own = std::make_unique<RawGateway>(world);
    gateway = own.get();
    gateway->next(8);
    if (stage == Stage::fresh) return;
    gateway->identify(claims, world.relay.sign(claims));
    gateway->next(2);
  }
  gateway::Claims claims;
  std::unique_ptr<RawSession> session;
  std::unique_ptr<RawGateway> own;
  RawGateway* gateway = nullptr;
};

std::string nested(int depth) {
  // The object around it is the first level.
  return R"({"op":3,"d":)" + std::string(static_cast<std::size_t>(depth - 1), '[') +
         std::string(static_cast<std::size_t>(depth - 1), ']') + "}";
}

}  // namespace

TEST_CASE("a message that is wrong by itself closes with its code, at every stage") {
  struct Row {
    const char* name;
    std::string text;
    std::uint16_t code;
  };
  const std::vector<Row> rows{
      {"no JSON", "hello", 4'002},
      {"half of JSON", R"({"op":3,"d":)", 4'002},
      {"two of them", R"({"op":3,"d":1}{"op":3,"d":1})", 4'002},
      {"empty", "", 4'002},
      {"no object", "[3]", 4'002},
      {"no opcode", R"({"d":1})", 4'002},
      {"an opcode of another type", R"({"op":"3","d":1})", 4'002},
      {"an unknown opcode", R"({"op":99,"d":{}})", 4'001},
      {"an opcode of the relay's own", R"({"op":8,"d":{}})", 4'001},
      {"a negative opcode", R"({"op":-1,"d":{}})", 4'001},
      {"33 levels", nested(33), 4'002},
      {"a body of another type", R"({"op":5,"d":[]})", 4'002},
      {"no body", R"({"op":5})", 4'020},
      {"a member missing", R"({"op":0,"d":{"server_id":"s","user_id":"u","token":"t"}})", 4'020},
      {"a member of another type",
       R"({"op":0,"d":{"server_id":"s","user_id":"u","session_id":[],"token":"t"}})", 4'002},
  };
  World world;
  for (const Stage stage : {Stage::fresh, Stage::identified, Stage::joined}) {
    for (const Row& row : rows) {
      CAPTURE(static_cast<int>(stage));
      CAPTURE(row.name);
      Rig rig(world, stage);
      rig.gateway->send_text(row.text);
      CHECK(rig.gateway->close_code() == row.code);
    }
  }
}

TEST_CASE("binary messages, and messages that are too large or no UTF-8") {
  World world;
  for (const Stage stage : {Stage::fresh, Stage::joined}) {
    CAPTURE(static_cast<int>(stage));
    {
      Rig rig(world, stage);
      rig.gateway->send_binary(std::string("\x1A\x00\x01", 3));
      CHECK(rig.gateway->close_code() == 4'002);
    }
    {
      Rig rig(world, stage);
      // As large as may be: read, and refused for what it is.
      const std::string head = R"({"op":99,"d":")";
      rig.gateway->send_text(head + std::string(16 * 1'024 - head.size() - 2, 'x') + "\"}");
      CHECK(rig.gateway->close_code() == 4'001);
    }
    {
      Rig rig(world, stage);
      rig.gateway->send_text(std::string(16 * 1'024 + 1, 'x'));
      CHECK(rig.gateway->close_code() == 1'009);
    }
    {
      Rig rig(world, stage);
      rig.gateway->send_text("\xFF\xFE");
      CHECK(rig.gateway->close_code() == 1'007);
    }
  }
}

TEST_CASE("32 levels of JSON are read") {
  World world;
  Rig rig(world, Stage::joined);
  // Op 14 is known and of no consequence; a heartbeat behind it shows that the session lives.
  std::string text = nested(32);
  text.replace(text.find('3'), 1, "14");
  rig.gateway->send_text(text);
  rig.gateway->send(3, 5);
  CHECK(rig.gateway->next(6)["d"] == 5);
}

TEST_CASE("before Identify nothing else is taken, and Identify is taken once") {
  World world;
  for (const Json& message :
       {Json{{"op", 3}, {"d", 1}}, Json{{"op", 5}, {"d", {{"speaking", 1}}}},
        Json{{"op", 1},
             {"d", {{"protocol", "udp"}, {"data", {{"address", ""}, {"port", 1}, {"mode", ""}}}}}},
        Json{{"op", 12}, {"d", Json::object()}}}) {
    CAPTURE(message.dump());
    Rig rig(world, Stage::fresh);
    rig.gateway->send_text(message.dump());
    CHECK(rig.gateway->close_code() == 4'003);
  }
  for (const Stage stage : {Stage::identified, Stage::joined}) {
    for (const bool resumes : {false, true}) {
      CAPTURE(resumes);
      Rig rig(world, stage);
      const std::string token = world.relay.sign(rig.claims);
      if (resumes) rig.gateway->resume("server", rig.claims.session_id, token);
      if (!resumes) rig.gateway->identify(rig.claims, token);
      CHECK(rig.gateway->close_code() == 4'005);
    }
  }
}

TEST_CASE("a token that is not good enough, or names somebody else") {
  World world;
  const auto claims = make_claims("alice");
  const auto expiring = [&](std::int64_t in_seconds) {
    gateway::Claims changed = claims;
    changed.expires = std::time(nullptr) + in_seconds;
    return world.relay.sign(changed);
  };
  const auto made = [&](const std::string& audience, const std::string& key_id) {
    gateway::Claims changed = claims;
    changed.expires = std::time(nullptr) + 600;
    std::vector<std::uint8_t> key(32, 1);
    return gateway::make_token(audience, changed, key_id, gateway::TokenAlgorithm::hs256, key);
  };
  const std::string good = world.relay.sign(claims);
  std::string tampered = good;
  tampered[good.find('.') + 5] ^= 1;
  struct Row {
    const char* name;
    std::string token;
  };
  for (const Row& row :
       {Row{"none", ""}, Row{"no token", "abc"}, Row{"expired", expiring(-40)},
        Row{"too long a life", expiring(3'700)}, Row{"tampered with", tampered},
        Row{"another key", made("earshot", "dev")}, Row{"an unknown key", made("earshot", "other")},
        Row{"another cluster", made("elsewhere", "dev")},
        Row{"too large", std::string(5'000, 'a') + "." + good}}) {
    CAPTURE(row.name);
    RawGateway gateway(world);
    gateway.identify(claims, row.token);
    CHECK(gateway.close_code() == 4'004);
    CHECK(gateway.messages.size() == 1);
  }
  const auto refused_as = [&](const gateway::Claims& told) {
    RawGateway gateway(world);
    gateway.identify(told, good);
    return gateway.close_code();
  };
  CHECK(refused_as(make_claims("bob", "channel", "server", claims.session_id)) == 4'004);
  CHECK(refused_as(make_claims("alice", "channel", "other")) == 4'004);
  CHECK(refused_as(make_claims("alice", "channel", "server", "other")) == 4'006);
  // The channel is the token's business alone.
  RawGateway gateway(world);
  gateway.identify(make_claims("alice", "whatever"), good);
  gateway.next(2);
}

TEST_CASE("a token for another audience, signed with the node's own key") {
  World world({"cluster.name=blue"});
  RawGateway gateway(world);
  const auto claims = make_claims("alice");
  gateway.identify(claims, world.relay.sign(claims));
  CHECK(gateway.close_code() == 4'004);
}

TEST_CASE("a token that asks for end-to-end encryption gets no session without it") {
  World world;
  gateway::Claims claims = make_claims("alice");
  claims.grants.require_e2ee = true;
  RawGateway gateway(world);
  gateway.identify(claims, world.relay.sign(claims));
  CHECK(gateway.close_code() == 4'017);
}

TEST_CASE("Select Protocol: only udp, only the modes that were offered") {
  World world;
  const auto select = [](const char* protocol, const Json& mode) {
    return Json{{"protocol", protocol},
                {"data", {{"address", "127.0.0.1"}, {"port", 5'000}, {"mode", mode}}}};
  };
  struct Row {
    Json data;
    std::uint16_t code;
  };
  const std::string good = "aead_xchacha20_poly1305_rtpsize";
  for (const Row& row :
       {Row{select("webrtc", good), 4'012}, Row{select("", good), 4'012},
        Row{select("udp", "xsalsa20_poly1305"), 4'016}, Row{select("udp", ""), 4'016},
        Row{select("udp", 5), 4'002}, Row{Json{{"protocol", "udp"}}, 4'020}}) {
    CAPTURE(row.data.dump());
    Rig rig(world, Stage::identified);
    rig.gateway->send(1, row.data);
    CHECK(rig.gateway->close_code() == row.code);
  }
  // An address that makes no sense is none; the session comes up nevertheless.
  Rig rig(world, Stage::identified);
  Json odd = select("udp", good);
  odd["data"]["address"] = "nowhere";
  rig.gateway->send(1, odd);
  rig.gateway->next(4);
}

TEST_CASE("versions: 4 to 8, or none; any other is 4020") {
  World world;
  for (const char* path :
       {"/?v=3", "/?v=9", "/?v=0", "/?v=", "/?v=08", "/?v=eight", "/?v=-4", "/?v=44", "/?v"}) {
    CAPTURE(path);
    RawGateway gateway(world, path);
    CHECK(gateway.close_code() == 4'020);
    CHECK(gateway.messages.empty());
  }
  for (const char* path : {"/", "/?v=4", "/?v=8&encoding=json", "/?encoding=json&v=8", "/?"}) {
    CAPTURE(path);
    RawGateway gateway(world, path);
    gateway.next(8);
  }
}

TEST_CASE("more than 60 messages in a second are too many; 60 are not") {
  World world;
  Rig rig(world, Stage::joined);
  // What the join itself has cost is given back within a second.
  world.run_for(milliseconds(1'100));
  for (int i = 0; i < 60; ++i) rig.gateway->send(3, i);
  world.run_for(milliseconds(400));
  CHECK_FALSE(rig.gateway->is_closed());
  for (int i = 0; i < 61; ++i) rig.gateway->send(3, i);
  CHECK(rig.gateway->close_code() == 4'021);
}

TEST_CASE("a full node refuses with 4021, and takes the next one when a place is free") {
  World world({"media.sessions_per_worker_max=3"});
  Participant& one = world.join("one");
  Participant& two = world.join("two", "elsewhere");
  // The third slot of node 0 may be one whose SSRC is never given out.
  Participant& third = world.start("three");
  REQUIRE(world.run_until([&] { return third.joins == 1 || third.end; }));
  const auto claims = make_claims("four");
  RawGateway refused(world);
  refused.identify(claims, world.relay.sign(claims));
  CHECK(refused.close_code() == 4'021);
  CHECK_FALSE(one.end);
  CHECK_FALSE(two.end);
  one.client->leave();
  REQUIRE(world.run_until([&] { return one.end.has_value(); }));
  world.join("four");
  // Somebody who is there already may come back: the own place is free by then.
  Participant& again =
      world.join_with_token("two", world.relay.sign("two", "channel", "server", "second"));
  CHECK(again.joins == 1);
}

TEST_CASE("heartbeats come back in the shape they had") {
  World world;
  for (const int version : {0, 4, 8}) {
    CAPTURE(version);
    RawSession session(world, make_claims("u" + std::to_string(version)), version);
    struct Row {
      Json sent, expected;
    };
    for (const Row& row : {Row{1'234, 1'234}, Row{1501184119561, 1501184119561},
                           Row{nullptr, nullptr}, Row{{{"t", 77}, {"seq_ack", -1}}, {{"t", 77}}},
                           Row{{{"t", 78}}, {{"t", 78}}}, Row{"text", "text"}}) {
      session.gateway->send(3, row.sent);
      const Json answer = session.gateway->next(6);
      CHECK(answer["d"] == row.expected);
      CHECK_FALSE(answer.contains("seq"));
    }
  }
}

TEST_CASE("opcodes of no consequence change nothing") {
  World world;
  Rig rig(world, Stage::joined);
  for (int op = 12; op <= 31; ++op) {
    if (op == 13) continue;
    rig.gateway->send(op, Json::object());
    world.run_for(milliseconds(20));
  }
  rig.gateway->send(3, 5);
  CHECK(rig.gateway->next(6)["d"] == 5);
  CHECK_FALSE(rig.gateway->is_closed());
}
