// From Ready to the first datagram: Select Protocol, the key, Session Description, and what may go
// wrong between them.
#include <doctest/doctest.h>

#include "tests/support/media_party.h"

using namespace earshot;
using namespace earshot::test;
using Json = nlohmann::json;

namespace {

constexpr std::string_view gcm = "aead_aes256_gcm_rtpsize";
constexpr std::string_view xchacha = "aead_xchacha20_poly1305_rtpsize";

bool has_both_modes(const ControlRig& rig) {
  if (rig.modes.size() == 2) return true;
  MESSAGE("this CPU has no AES instructions");
  return false;
}

}  // namespace

TEST_CASE("Select Protocol leads to Session Description with a fresh key") {
  ControlRig rig;
  std::vector<std::vector<std::uint8_t>> keys;
  for (const auto mode : rig.modes) {
    for (const int version : {0, 4, 8}) {
      GatewayClient& client = rig.identify(rig.person("a"), version);
      client.take();
      client.select(crypto::name(mode), {make_v4(127, 0, 0, 1), 5'000});
      CHECK(client.take().empty());
      rig.settle();
      const auto messages = client.take();
      REQUIRE(messages.size() == 1);
      const Json& d = messages[0]["d"];
      CHECK(messages[0]["op"] == 4);
      CHECK(messages[0].contains("seq") == (version == 8));
      CHECK(d["mode"] == crypto::name(mode));
      CHECK(d["dave_protocol_version"] == 0);
      REQUIRE(d["secret_key"].size() == crypto::key_size);
      keys.push_back(client.key());
      client.leave();
      rig.settle();
    }
  }
  std::sort(keys.begin(), keys.end());
  CHECK(std::unique(keys.begin(), keys.end()) == keys.end());
}

TEST_CASE("what cannot be selected ends the session") {
  struct Row {
    const char* message;
    std::uint16_t code;
  };
  const Row rows[] = {
      {R"({"op":1,"d":{"protocol":"webrtc","data":"sdp","codecs":[]}})", 4012},
      {R"({"op":1,"d":{"protocol":"udp","data":{"address":"127.0.0.1","port":1,"mode":"xsalsa20_poly1305"}}})",
       4016},
      {R"({"op":1,"d":{"protocol":"udp","data":{"address":"127.0.0.1","port":1,"mode":""}}})",
       4016},
      {R"({"op":1,"d":{"protocol":"udp","data":{"address":"127.0.0.1","port":1}}})", 4020},
      {R"({"op":1,"d":{}})", 4020},
      {R"({"op":1,"d":{"protocol":1}})", 4002},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.message));
    ControlRig rig;
    GatewayClient& client = rig.identify(rig.person("a"));
    client.send_text(row.message);
    CHECK(client.close_code == row.code);
    rig.settle();
    CHECK(client.count(4) == 0);
    CHECK(rig.sessions.sessions_count() == 0);
    CHECK(rig.membership.participants_count() == 0);
  }
}

TEST_CASE("a second Select Protocol with the same mode keeps the key and everything else") {
  for (const int version : {4, 8}) {
    ControlRig rig;
    GatewayClient& other = rig.join(rig.person("b"));
    GatewayClient& client = rig.join(rig.person("a"), version);
    const auto key = client.key();
    other.take();
    client.take();
    client.select(xchacha, {make_v4(127, 0, 0, 1), 6'000});
    rig.settle();
    CHECK(client.take_opcodes() == std::vector{4});
    CHECK(client.key() == key);
    CHECK(other.take().empty());
    CHECK(client.is_open());
  }
}

TEST_CASE("a second Select Protocol with another mode brings a fresh key, and is no new arrival") {
  ControlRig rig;
  if (!has_both_modes(rig)) return;
  GatewayClient& other = rig.join(rig.person("b"));
  GatewayClient& client = rig.join(rig.person("a"));
  const auto key = client.key();
  const std::uint32_t ssrc = client.ssrc();
  other.take();
  client.take();
  client.select(gcm);
  rig.settle();
  CHECK(client.take_opcodes() == std::vector{4});
  CHECK(client.key() != key);
  CHECK(client.last(4)["d"]["mode"] == gcm);
  CHECK(client.ssrc() == ssrc);
  CHECK(other.take().empty());
}

TEST_CASE("Select Protocol while the key is on its way: the last one counts") {
  ControlRig rig;
  if (!has_both_modes(rig)) return;
  SUBCASE("the same mode again") {
    GatewayClient& client = rig.identify(rig.person("a"));
    client.select(xchacha);
    client.select(xchacha, {make_v4(127, 0, 0, 1), 7'000});
    rig.settle();
    CHECK(client.take_opcodes() == std::vector{8, 2, 4, 4});
    CHECK(client.received()[2]["d"] == client.received()[3]["d"]);
  }
  SUBCASE("another mode, and back") {
    GatewayClient& client = rig.identify(rig.person("a"));
    client.select(xchacha);
    client.select(xchacha);
    client.select(gcm);
    rig.settle();
    CHECK(client.take_opcodes() == std::vector{8, 2, 4, 4});
    CHECK(client.received()[2]["d"]["mode"] == xchacha);
    CHECK(client.last(4)["d"]["mode"] == gcm);
    CHECK(client.received()[2]["d"]["secret_key"] != client.received()[3]["d"]["secret_key"]);
  }
  SUBCASE("one that is refused") {
    GatewayClient& client = rig.identify(rig.person("a"));
    client.select(xchacha);
    client.select("xsalsa20_poly1305");
    CHECK(client.close_code == 4016);
    rig.settle();
    CHECK(client.count(4) == 0);
    CHECK(rig.sessions.sessions_count() == 0);
  }
}

TEST_CASE("a session is over when its connection is, before op 4 was delivered") {
  struct Row {
    const char* what;
    std::function<void(ControlRig&, GatewayClient&)> reach;
  };
  const Row rows[] = {
      {"while the slot is being opened", [](ControlRig&, GatewayClient& c) { c.identify(); }},
      {"Ready",
       [](ControlRig& rig, GatewayClient& c) {
         c.identify();
         rig.settle();
       }},
      {"while the key is on its way",
       [](ControlRig& rig, GatewayClient& c) {
         c.identify();
         rig.settle();
         c.select();
       }},
      {"op 4 is sent",
       [](ControlRig& rig, GatewayClient& c) {
         c.identify();
         rig.settle();
         c.set_acknowledging(false);
         c.select();
         rig.settle();
         rig.advance(seconds(1));
       }},
  };
  for (const Row& row : rows) {
    constexpr std::uint16_t codes[] = {1000, 1001, 1005, 1006, 4014, 4901};
    for (const std::uint16_t code : codes) {
      CAPTURE(std::string(row.what));
      CAPTURE(code);
      ControlRig rig;
      GatewayClient& client = rig.connect(rig.person("a"));
      row.reach(rig, client);
      client.leave(code);
      rig.settle();
      CHECK(rig.sessions.sessions_count() == 0);
      CHECK(rig.sessions.clients_count() == 0);
      CHECK(rig.membership.participants_count() == 0);
      rig.advance(seconds(1));
      // Nothing to resume, but a fresh Identify works.
      GatewayClient& again = rig.connect(client.person);
      again.resume(client.last_seq());
      CHECK(again.close_code == 4006);
      CHECK(rig.join(client.person).is_open());
    }
  }
}

TEST_CASE("between Ready and Select Protocol a client has 60 s, and may be silent for 35") {
  ControlRig rig;
  SUBCASE("with heartbeats") {
    rig.are_heartbeats_sent = true;
    GatewayClient& client = rig.identify(rig.person("a"));
    rig.advance(milliseconds(59'999));
    CHECK(client.is_open());
    SUBCASE("in time") {
      client.select();
      rig.settle();
      rig.deliver_description();
      rig.advance(seconds(60));
      CHECK(client.is_open());
      CHECK(client.count(4) == 1);
    }
    SUBCASE("too late") {
      rig.advance(milliseconds(1));
      CHECK(client.close_code == 4009);
      CHECK(rig.sessions.sessions_count() == 0);
      // That asks for another Identify, whatever `exp` says.
      rig.unix_now += 10'000;
      CHECK(rig.join(client.person).is_open());
    }
  }
  SUBCASE("without") {
    GatewayClient& client = rig.identify(rig.person("a"));
    rig.advance(seconds(35));
    CHECK(client.is_open());
    client.select();
    rig.settle();
    CHECK(client.count(4) == 1);
    // Now it is due, three intervals after the connection was opened.
    rig.advance(seconds(6));
    CHECK(client.is_open());
    rig.advance(milliseconds(250));
    CHECK(client.is_aborted);
  }
  SUBCASE("silent all the time") {
    GatewayClient& client = rig.identify(rig.person("a"));
    rig.advance(seconds(41));
    CHECK(client.is_open());
    rig.advance(milliseconds(250));
    CHECK(client.is_aborted);
    CHECK(rig.sessions.sessions_count() == 0);
    // The connection was lost during the join.
    rig.unix_now += 10'000;
    CHECK(rig.join(client.person).is_open());
  }
}

TEST_CASE("nothing is sent to a client whose op 4 has not been delivered") {
  for (const int version : {4, 8}) {
    CAPTURE(version);
    ControlRig rig;
    MediaParty speaker(rig, rig.person("speaker"));
    MediaParty listener(rig, rig.person("listener"), version);
    rig.deliver_description();
    speaker.speak();
    REQUIRE(listener.hear().has_value());

    // Another one, whose TCP is slow.
    GatewayClient& slow = rig.identify(rig.person("slow"), version);
    slow.set_acknowledging(false);
    MediaParty late(rig, rig.person("late"), version);
    rig.deliver_description();
    ClientSocket socket(rig.workers.group->bound());
    slow.select(xchacha, socket.address());
    rig.settle();
    REQUIRE(slow.count(4) == 1);
    rig.advance(seconds(2));
    CHECK(rig.sessions.needs_ticks());
    speaker.speak();
    CHECK(late.hear().has_value());
    CHECK(socket.receive(0).empty());

    SUBCASE("it is acknowledged, and the client had 20 ms to read it") {
      slow.set_acknowledging(true);
      rig.sessions.on_tick();
      rig.now = rig.now + milliseconds(19);
      rig.sessions.on_tick();
      rig.settle();
      CHECK(rig.sessions.needs_ticks());
      speaker.speak();
      CHECK(late.hear().has_value());
      CHECK(socket.receive(0).empty());
      rig.now = rig.now + milliseconds(1);
      rig.sessions.on_tick();
      rig.settle();
      CHECK_FALSE(rig.sessions.needs_ticks());
      speaker.speak();
      CHECK_FALSE(socket.receive().empty());
    }
    SUBCASE("it is acknowledged, and the client has said something since") {
      slow.heartbeat();  // before: that proves nothing
      rig.settle();
      speaker.speak();
      CHECK(late.hear().has_value());
      CHECK(socket.receive(0).empty());
      slow.set_acknowledging(true);
      slow.heartbeat();
      rig.settle();
      CHECK_FALSE(rig.sessions.needs_ticks());
      speaker.speak();
      CHECK_FALSE(socket.receive().empty());
    }
  }
}

TEST_CASE("op 4 on a connection that is closing already is not delivered") {
  for (const int version : {4, 8}) {
    ControlRig rig;
    MediaParty speaker(rig, rig.person("speaker"));
    rig.deliver_description();
    GatewayClient& client = rig.identify(rig.person("a"), version);
    ClientSocket socket(rig.workers.group->bound());
    client.select(xchacha, socket.address());
    client.close_code = 1001;  // the listener stops, or does not like its frames
    rig.workers.settle();
    CHECK(client.count(4) == 0);
    for (int i = 0; i < 3; ++i) {
      rig.now = rig.now + milliseconds(20);
      rig.sessions.on_tick();
    }
    rig.workers.settle();
    speaker.speak();
    CHECK(get(rig.workers.group->stats(Ssrc{client.ssrc()}).packets_sent) == 0);
    rig.settle();
    CHECK(rig.sessions.sessions_count() == 1);
    GatewayClient& again = rig.connect(client.person, version);
    again.resume();
    CHECK(again.close_code == 4006);
  }
}

TEST_CASE("after a change of mode nothing comes until the new op 4 is delivered") {
  ControlRig rig;
  if (!has_both_modes(rig)) return;
  MediaParty speaker(rig, rig.person("speaker"));
  MediaParty listener(rig, rig.person("listener"));
  MediaParty witness(rig, rig.person("witness"));
  rig.deliver_description();
  speaker.speak();
  REQUIRE(listener.hear().has_value());
  REQUIRE(witness.hear().has_value());

  listener.gateway->set_acknowledging(false);
  listener.gateway->select(gcm, listener.socket.address());
  rig.settle();
  rig.advance(seconds(1));
  speaker.speak();
  REQUIRE(witness.hear().has_value());
  CHECK(listener.is_silent());

  listener.use(*listener.gateway);
  listener.gateway->set_acknowledging(true);
  rig.deliver_description();
  speaker.speak();
  CHECK(listener.hear().has_value());
}

TEST_CASE("Speaking during a change of mode is not lost") {
  ControlRig rig;
  if (!has_both_modes(rig)) return;
  GatewayClient& other = rig.join(rig.person("b"));
  GatewayClient& client = rig.join(rig.person("a"));
  other.take();
  client.select(gcm);
  client.speak(1);
  rig.settle();
  CHECK(other.take_opcodes() == std::vector{5});
  CHECK(other.last(5)["d"]["speaking"] == 1);
}

TEST_CASE("a connection that breaks after a change of mode leaves nothing to resume") {
  ControlRig rig;
  if (!has_both_modes(rig)) return;
  GatewayClient& client = rig.join(rig.person("a"));
  client.select(gcm);
  client.cut();
  rig.settle();
  CHECK(rig.sessions.sessions_count() == 0);
  GatewayClient& again = rig.connect(client.person);
  again.resume(client.last_seq());
  CHECK(again.close_code == 4006);
  CHECK(rig.join(client.person).is_open());
}
