#include "tools/client/messages.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "relay/gateway/gateway_message.h"

using namespace earshot;
using namespace earshot::client;

namespace {

template <typename T>
T parse(std::string_view text) {
  const auto message = parse_message(text);
  REQUIRE(message);
  REQUIRE(std::holds_alternative<T>(message->data));
  return std::get<T>(message->data);
}

// What the relay's own parser makes of it.
template <typename T>
T parse_as_relay(std::string_view text) {
  const auto parsed = gateway::parse_client_message(text);
  REQUIRE(std::holds_alternative<gateway::ClientMessage>(parsed));
  const auto& message = std::get<gateway::ClientMessage>(parsed);
  REQUIRE(std::holds_alternative<T>(message));
  return std::get<T>(message);
}

const TokenClaims claims{"alice", "server", "channel", "session"};

}  // namespace

TEST_CASE("the relay's messages are read as it writes them") {
  std::array<std::uint8_t, crypto::key_size> key;
  key.fill(200);
  key[0] = 1;
  const auto description = parse<SessionDescription>(
      gateway::session_description_message(crypto::AeadMode::aes256_gcm_rtpsize, key));
  CHECK(description.mode == "aead_aes256_gcm_rtpsize");
  CHECK(description.has_key);
  CHECK(description.key == key);

  const std::vector modes{crypto::AeadMode::aes256_gcm_rtpsize,
                          crypto::AeadMode::xchacha20_poly1305_rtpsize};
  gateway::ReadyInfo info{{77}, make_v4(192, 0, 2, 1), 8'444, modes, milliseconds(13'750)};
  const auto ready = parse<ReadyMessage>(gateway::ready_message(info));
  CHECK(ready.ssrc == Ssrc{77});
  CHECK(ready.ip == "192.0.2.1");
  CHECK(ready.port == 8'444);
  CHECK(ready.modes ==
        std::vector<std::string>{"aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize"});

  for (const int version : {0, 4, 5, 6, 7, 8}) {
    CAPTURE(version);
    const auto hello = parse<HelloMessage>(gateway::hello_message(version, milliseconds(13'750)));
    CHECK(hello.heartbeat_interval == milliseconds(13'750));
    const auto speaking = parse<SpeakingMessage>(gateway::speaking_message(version, "bob", {5}, 1));
    CHECK(speaking.user_id == "bob");
    CHECK(speaking.ssrc == Ssrc{5});
    CHECK(speaking.is_speaking);
    CHECK_FALSE(
        parse<SpeakingMessage>(gateway::speaking_message(version, "bob", {5}, 0)).is_speaking);
  }
  const std::vector<std::string> users{"bob", "carol"};
  CHECK(parse<ClientsConnect>(gateway::clients_connect_message(users)).user_ids == users);
  const auto connect = parse<ClientConnect>(gateway::client_connect_message("bob", {9}));
  CHECK(connect.user_id == "bob");
  CHECK(connect.audio_ssrc == Ssrc{9});
  CHECK(parse<ClientDisconnect>(gateway::client_disconnect_message("bob")).user_id == "bob");
  parse<ResumedMessage>(gateway::resumed_message());
  const auto numbered = parse_message(gateway::with_sequence(gateway::resumed_message(), 65'535));
  REQUIRE(numbered);
  CHECK(numbered->seq == 65'535);
}

TEST_CASE("what we write the relay understands") {
  const auto identify = parse_as_relay<gateway::Identify>(make_identify(claims, "the.to.ken"));
  CHECK(identify.server_id == "server");
  CHECK(identify.user_id == "alice");
  CHECK(identify.session_id == "session");
  CHECK(identify.token == "the.to.ken");

  const auto resume = parse_as_relay<gateway::Resume>(make_resume(claims, "t", -1));
  CHECK(resume.server_id == "server");
  CHECK(resume.session_id == "session");
  CHECK(resume.token == "t");
  CHECK(resume.seq_ack == -1);
  CHECK_FALSE(parse_as_relay<gateway::Resume>(make_resume(claims, "t", std::nullopt)).seq_ack);

  const auto plain = parse_as_relay<gateway::Heartbeat>(make_heartbeat(123, std::nullopt));
  CHECK_FALSE(plain.is_object);
  CHECK(plain.nonce == "123");
  const auto object = parse_as_relay<gateway::Heartbeat>(make_heartbeat(123, 7));
  CHECK(object.is_object);
  CHECK(object.nonce == "123");
  CHECK(object.seq_ack == 7);

  const auto select = parse_as_relay<gateway::SelectProtocol>(
      make_select_protocol("2001:db8::1", 5'000, "aead_xchacha20_poly1305_rtpsize"));
  CHECK(select.protocol == "udp");
  CHECK(select.mode == "aead_xchacha20_poly1305_rtpsize");
  CHECK(select.address.to_string() == "[2001:db8::1]:5000");

  CHECK(parse_as_relay<gateway::Speaking>(make_speaking({3}, true)).flags == 1);
  CHECK(parse_as_relay<gateway::Speaking>(make_speaking({3}, false)).flags == 0);
}

TEST_CASE("an id that is no UTF-8 is written as JSON nevertheless") {
  TokenClaims odd = claims;
  odd.user_id = "\xFF\xFE";
  CHECK(nlohmann::json::accept(make_identify(odd, "t")));
}

TEST_CASE("what is no message is nothing") {
  for (const char* text : {"", "{", "7", "[]", "{}", R"({"op":"8"})", R"({"op":-1})",
                           R"({"op":256})", R"({"op":1.5})", R"({"d":{}})", "\xFF"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_message(text));
  }
}

TEST_CASE("members of the wrong type keep their defaults") {
  const auto ready =
      parse<ReadyMessage>(R"({"op":2,"d":{"ssrc":"7","ip":7,"port":70000,"modes":["a",1,null]}})");
  CHECK(ready.ssrc == Ssrc{0});
  CHECK(ready.ip.empty());
  CHECK(ready.port == 0);
  CHECK(ready.modes == std::vector<std::string>{"a"});
  for (const char* text : {R"({"op":2})", R"({"op":2,"d":null})", R"({"op":2,"d":[]})"}) {
    CHECK(parse<ReadyMessage>(text).port == 0);
  }
  for (const char* key : {"[1,2,3]", "\"text\"", "null"}) {
    const auto text = std::string(R"({"op":4,"d":{"mode":"m","secret_key":)") + key + "}}";
    CHECK_FALSE(parse<SessionDescription>(text).has_key);
  }
  nlohmann::json too_big = nlohmann::json::parse(R"({"op":4,"d":{"mode":"m"}})");
  for (int i = 0; i < 32; ++i) too_big["d"]["secret_key"].push_back(i == 31 ? 256 : 1);
  CHECK_FALSE(parse<SessionDescription>(too_big.dump()).has_key);
  for (const char* interval : {"-5", "0", "1e300", "\"1\""}) {
    const auto text = std::string(R"({"op":8,"d":{"heartbeat_interval":)") + interval + "}}";
    CHECK(parse<HelloMessage>(text).heartbeat_interval == Duration{});
  }
  CHECK(parse<HelloMessage>(R"({"op":8,"d":{"heartbeat_interval":41.25}})").heartbeat_interval ==
        microseconds(41'250));
  CHECK(parse<ClientsConnect>(R"({"op":11,"d":{"user_ids":7}})").user_ids.empty());
  CHECK_FALSE(parse_message(R"({"op":5,"seq":-3,"d":{}})")->seq);
}
