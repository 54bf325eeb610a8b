#include "relay/gateway/gateway_message.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "relay/base/limits.h"

using namespace earshot;
using namespace earshot::gateway;
using nlohmann::json;

namespace {

std::optional<CloseCode> refusal(std::string_view text) {
  const auto parsed = parse_client_message(text);
  const auto* code = std::get_if<CloseCode>(&parsed);
  return code == nullptr ? std::nullopt : std::optional(*code);
}

template <typename Message>
Message parse_as(std::string_view text) {
  CAPTURE(text);
  const auto parsed = parse_client_message(text);
  REQUIRE(std::holds_alternative<ClientMessage>(parsed));
  const auto& message = std::get<ClientMessage>(parsed);
  REQUIRE(std::holds_alternative<Message>(message));
  return std::get<Message>(message);
}

std::string nested(int depth) {
  return R"({"op":3,"d":)" + std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']') + "}";
}

}  // namespace

TEST_CASE("Identify carries the four strings, with ids as numbers too") {
  const auto text = parse_as<Identify>(
      R"({"op":0,"d":{"server_id":"41","user_id":"7","session_id":"x","token":"t","max_dave_protocol_version":1}})");
  CHECK(text.server_id == "41");
  CHECK(text.user_id == "7");
  CHECK(text.session_id == "x");
  CHECK(text.token == "t");
  const auto numbers = parse_as<Identify>(
      R"({"d":{"token":"t","session_id":"x","user_id":9007199254740993,"server_id":0},"op":0})");
  CHECK(numbers.user_id == "9007199254740993");
  CHECK(numbers.server_id == "0");
}

TEST_CASE("messages that are refused, and with which code") {
  struct Row {
    const char* text;
    CloseCode code;
  };
  const Row rows[] = {
      {"", CloseCode::decode_error},
      {"{", CloseCode::decode_error},
      {"nonsense", CloseCode::decode_error},
      {"[]", CloseCode::decode_error},
      {"5", CloseCode::decode_error},
      {"null", CloseCode::decode_error},
      {"{}", CloseCode::decode_error},
      {R"({"op":"0","d":{}})", CloseCode::decode_error},
      {R"({"op":0.5,"d":{}})", CloseCode::decode_error},
      {R"({"op":null,"d":{}})", CloseCode::decode_error},
      {R"({"op":18446744073709551615})", CloseCode::decode_error},
      {R"({"op":3,"d":1e999})", CloseCode::decode_error},
      {"{\"op\":3,\"d\":\"\xFF\"}", CloseCode::decode_error},
      {R"({"op":3,"d":1}{"op":3,"d":1})", CloseCode::decode_error},
      {R"({"op":3,"d":1} // comment)", CloseCode::decode_error},
      {R"({"op":-1,"d":{}})", CloseCode::unknown_opcode},
      {R"({"op":2,"d":{}})", CloseCode::unknown_opcode},  // the server's own
      {R"({"op":4,"d":{}})", CloseCode::unknown_opcode},
      {R"({"op":6,"d":{}})", CloseCode::unknown_opcode},
      {R"({"op":8,"d":{}})", CloseCode::unknown_opcode},
      {R"({"op":9,"d":{}})", CloseCode::unknown_opcode},
      {R"({"op":10,"d":{}})", CloseCode::unknown_opcode},
      {R"({"op":11,"d":{}})", CloseCode::unknown_opcode},
      {R"({"op":13,"d":{}})", CloseCode::unknown_opcode},
      {R"({"op":32,"d":{}})", CloseCode::unknown_opcode},
      {R"({"op":4294967296,"d":{}})", CloseCode::unknown_opcode},
      // Missing or out of range: malformed. Another type: a type error.
      {R"({"op":0})", CloseCode::bad_request},
      {R"({"op":0,"d":null})", CloseCode::decode_error},
      {R"({"op":0,"d":[]})", CloseCode::decode_error},
      {R"({"op":0,"d":{}})", CloseCode::bad_request},
      {R"({"op":0,"d":{"user_id":"1","session_id":"s","token":"t"}})", CloseCode::bad_request},
      {R"({"op":0,"d":{"server_id":"1","session_id":"s","token":"t"}})", CloseCode::bad_request},
      {R"({"op":0,"d":{"server_id":"1","user_id":"1","token":"t"}})", CloseCode::bad_request},
      {R"({"op":0,"d":{"server_id":"1","user_id":"1","session_id":"s"}})", CloseCode::bad_request},
      {R"({"op":0,"d":{"server_id":"1","user_id":[],"session_id":"s","token":"t"}})",
       CloseCode::decode_error},
      {R"({"op":0,"d":{"server_id":-1,"user_id":"1","session_id":"s","token":"t"}})",
       CloseCode::decode_error},
      {R"({"op":0,"d":{"server_id":"1","user_id":"1","session_id":7,"token":"t"}})",
       CloseCode::decode_error},
      {R"({"op":0,"d":{"server_id":"1","user_id":"1","session_id":"s","token":null}})",
       CloseCode::decode_error},
      {R"({"op":1,"d":{}})", CloseCode::bad_request},
      {R"({"op":1,"d":{"protocol":7}})", CloseCode::decode_error},
      {R"({"op":1,"d":{"protocol":"udp"}})", CloseCode::bad_request},
      {R"({"op":1,"d":{"protocol":"udp","data":{}}})", CloseCode::bad_request},
      {R"({"op":1,"d":{"protocol":"udp","data":{"mode":1}}})", CloseCode::decode_error},
      {R"({"op":3,"d":true})", CloseCode::decode_error},
      {R"({"op":3,"d":[1]})", CloseCode::decode_error},
      {R"({"op":3,"d":{"t":{}}})", CloseCode::decode_error},
      {R"({"op":5,"d":{}})", CloseCode::bad_request},
      {R"({"op":5,"d":7})", CloseCode::decode_error},
      {R"({"op":5,"d":{"speaking":"1"}})", CloseCode::decode_error},
      {R"({"op":5,"d":{"speaking":null}})", CloseCode::decode_error},
      {R"({"op":5,"d":{"speaking":-1}})", CloseCode::bad_request},
      {R"({"op":5,"d":{"speaking":256}})", CloseCode::bad_request},
      {R"({"op":7,"d":{"session_id":"s","token":"t"}})", CloseCode::bad_request},
      {R"({"op":7,"d":{"server_id":"1","token":"t"}})", CloseCode::bad_request},
      {R"({"op":7,"d":{"server_id":"1","session_id":"s"}})", CloseCode::bad_request},
      {R"({"op":7,"d":{"server_id":"1","session_id":"s","token":{}}})", CloseCode::decode_error},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto code = refusal(row.text);
    REQUIRE(code.has_value());
    CHECK(static_cast<int>(*code) == static_cast<int>(row.code));
  }
}

TEST_CASE("size and depth are bounded before anything is parsed") {
  const std::string frame = R"({"op":3,"d":""})";
  std::string largest = frame;
  largest.insert(largest.size() - 2, limits::message_size_max - frame.size(), 'x');
  REQUIRE(largest.size() == limits::message_size_max);
  CHECK(refusal(largest) == CloseCode::bad_request);  // parsed, but too long to be echoed
  CHECK(refusal(largest + " ") == CloseCode::decode_error);
  CHECK(refusal(R"({"op":12,"d":)" + nested(limits::json_depth_max - 2) + "}") == std::nullopt);
  CHECK(refusal(R"({"op":12,"d":)" + nested(limits::json_depth_max - 1) + "}") ==
        CloseCode::decode_error);
  CHECK(refusal(std::string(limits::message_size_max, '[')) == CloseCode::decode_error);
  // Brackets in a text nest nothing, an escaped quote does not end it.
  CHECK(refusal(R"({"op":3,"d":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["})") == std::nullopt);
}

TEST_CASE("Select Protocol: the address counts only if it is one") {
  struct Row {
    const char* data;
    std::string address;  // empty: undeclared
  };
  const Row rows[] = {
      {R"("address":"192.0.2.7","port":5000)", "192.0.2.7:5000"},
      {R"("address":"2001:db8::1","port":65535)", "[2001:db8::1]:65535"},
      {R"("address":"::ffff:192.0.2.7","port":1)", "192.0.2.7:1"},
      {R"("address":"0.0.0.0","port":5000)", ""},
      {R"("address":"::","port":5000)", ""},
      {R"("address":"example.org","port":5000)", ""},
      {R"("address":"192.0.2.7\u0000","port":5000)", ""},
      {R"("address":"","port":5000)", ""},
      {R"("address":5,"port":5000)", ""},
      {R"("address":"192.0.2.7","port":0)", ""},
      {R"("address":"192.0.2.7","port":65536)", ""},
      {R"("address":"192.0.2.7","port":-1)", ""},
      {R"("address":"192.0.2.7","port":"5000")", ""},
      {R"("address":"192.0.2.7")", ""},
      {R"("port":5000)", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.data);
    const std::string fields = std::string(row.data) + R"(,"mode":"m")";
    for (const std::string& d :
         {R"("protocol":"udp","data":{)" + fields + "}", R"("protocol":"udp",)" + fields}) {
      const auto message = parse_as<SelectProtocol>(R"({"op":1,"d":{)" + d + "}}");
      CHECK(message.protocol == "udp");
      CHECK(message.mode == "m");
      CHECK(message.address.is_set() == !row.address.empty());
      if (!row.address.empty()) CHECK(message.address.to_string() == row.address);
    }
  }
  // Another protocol is the controller's to refuse (4012), whatever its data are.
  CHECK(parse_as<SelectProtocol>(R"({"op":1,"d":{"protocol":"webrtc","data":"sdp"}})").protocol ==
        "webrtc");
}

TEST_CASE("a heartbeat comes back as it was") {
  struct Row {
    const char* body;
    const char* ack;
  };
  const Row rows[] = {
      {R"("d":1501184119561)", R"({"op":6,"d":1501184119561})"},
      {R"("d":0)", R"({"op":6,"d":0})"},
      {R"("d":-5)", R"({"op":6,"d":-5})"},
      {R"("d":18446744073709551615)", R"({"op":6,"d":18446744073709551615})"},
      {R"("d":1.5)", R"({"op":6,"d":1.5})"},
      {R"("d":"nonce\n")", R"({"op":6,"d":"nonce\n"})"},
      {R"("d":null)", R"({"op":6,"d":null})"},
      {R"("x":1)", R"({"op":6,"d":null})"},
      {R"("d":{"t":1501184119561,"seq_ack":-1})", R"({"op":6,"d":{"t":1501184119561}})"},
      {R"("d":{"t":"a"})", R"({"op":6,"d":{"t":"a"}})"},
      {R"("d":{})", R"({"op":6,"d":{"t":null}})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.body);
    CHECK(heartbeat_ack_message(parse_as<Heartbeat>("{\"op\":3," + std::string(row.body) + "}")) ==
          row.ack);
  }
  CHECK(parse_as<Heartbeat>(R"({"op":3,"d":{"t":1,"seq_ack":65535}})").seq_ack == 65'535);
  CHECK(parse_as<Heartbeat>(R"({"op":3,"d":{"t":1,"seq_ack":-1}})").seq_ack == -1);
  CHECK(!parse_as<Heartbeat>(R"({"op":3,"d":{"t":1,"seq_ack":"5"}})").seq_ack);
  CHECK(!parse_as<Heartbeat>(R"({"op":3,"d":7})").seq_ack);
  CHECK(refusal(R"({"op":3,"d":")" + std::string(64, 'x') + "\"}") == std::nullopt);
  CHECK(refusal(R"({"op":3,"d":")" + std::string(65, 'x') + "\"}") == CloseCode::bad_request);
}

TEST_CASE("Speaking as flags and as a boolean") {
  CHECK(parse_as<Speaking>(R"({"op":5,"d":{"speaking":1,"delay":0,"ssrc":1}})").flags == 1);
  CHECK(parse_as<Speaking>(R"({"op":5,"d":{"speaking":5}})").flags == 5);
  CHECK(parse_as<Speaking>(R"({"op":5,"d":{"speaking":0}})").flags == 0);
  CHECK(parse_as<Speaking>(R"({"op":5,"d":{"speaking":true,"delay":0}})").flags == 1);
  CHECK(parse_as<Speaking>(R"({"op":5,"d":{"speaking":false}})").flags == 0);
}

TEST_CASE("Resume with and without seq_ack") {
  const auto with = parse_as<Resume>(
      R"({"op":7,"d":{"server_id":"1","session_id":"s","token":"t","seq_ack":10}})");
  CHECK(with.server_id == "1");
  CHECK(with.session_id == "s");
  CHECK(with.token == "t");
  CHECK(with.seq_ack == 10);
  CHECK(!parse_as<Resume>(R"({"op":7,"d":{"server_id":1,"session_id":"s","token":"t"}})").seq_ack);
  CHECK(!parse_as<Resume>(
             R"({"op":7,"d":{"server_id":1,"session_id":"s","token":"t","seq_ack":null}})")
             .seq_ack);
}

TEST_CASE("known opcodes of no consequence are told apart from unknown ones") {
  for (const int opcode : {12, 14, 15, 16, 17, 18, 20, 21, 22, 23, 26, 28, 31}) {
    CHECK(parse_as<Ignored>("{\"op\":" + std::to_string(opcode) + "}").opcode == opcode);
  }
}

TEST_CASE("server messages say exactly what clients read") {
  CHECK(json::parse(hello_message(8, limits::heartbeat_interval)) ==
        json::parse(R"({"op":8,"d":{"v":8,"heartbeat_interval":13750}})"));
  CHECK(json::parse(hello_message(4, limits::heartbeat_interval))["d"]["v"] == 4);
  CHECK(json::parse(hello_message(0, limits::heartbeat_interval))["d"]["v"] == 4);

  const crypto::AeadMode modes[] = {crypto::AeadMode::aes256_gcm_rtpsize,
                                    crypto::AeadMode::xchacha20_poly1305_rtpsize};
  const auto ready = json::parse(ready_message(
      {Ssrc{4'294'967'295u}, make_v4(192, 0, 2, 1), 50'000, modes, limits::heartbeat_interval}));
  CHECK(ready["op"] == 2);
  CHECK(ready["d"]["ssrc"] == 4'294'967'295u);
  CHECK(ready["d"]["ip"] == "192.0.2.1");
  CHECK(ready["d"]["port"] == 50'000);
  CHECK(ready["d"]["modes"] ==
        json::parse(R"(["aead_aes256_gcm_rtpsize","aead_xchacha20_poly1305_rtpsize"])"));
  CHECK(ready["d"]["heartbeat_interval"] == 13'750);

  std::array<std::uint8_t, crypto::key_size> key{};
  key[0] = 255;
  key[31] = 7;
  const auto description =
      json::parse(session_description_message(crypto::AeadMode::aes256_gcm_rtpsize, key));
  CHECK(description["op"] == 4);
  CHECK(description["d"]["mode"] == "aead_aes256_gcm_rtpsize");
  CHECK(description["d"]["dave_protocol_version"] == 0);
  REQUIRE(description["d"]["secret_key"].size() == 32);
  CHECK(description["d"]["secret_key"][0] == 255);
  CHECK(description["d"]["secret_key"][31] == 7);

  CHECK(json::parse(resumed_message()) == json::parse(R"({"op":9,"d":null})"));
  for (const int version : {4, 5, 6, 7, 8}) {
    CHECK(json::parse(speaking_message(version, "7", Ssrc{9}, 5)) ==
          json::parse(R"({"op":5,"d":{"user_id":"7","ssrc":9,"speaking":5}})"));
  }
  CHECK(json::parse(speaking_message(0, "7", Ssrc{9}, 5)) ==
        json::parse(R"({"op":5,"d":{"user_id":"7","ssrc":9,"speaking":true}})"));
  CHECK(json::parse(speaking_message(0, "7", Ssrc{9}, 0))["d"]["speaking"] == false);
  const std::string users[] = {"7", "quote\""};
  CHECK(json::parse(clients_connect_message(users)) ==
        json::parse(R"({"op":11,"d":{"user_ids":["7","quote\""]}})"));
  CHECK(json::parse(client_connect_message("7", Ssrc{9})) ==
        json::parse(R"({"op":12,"d":{"user_id":"7","audio_ssrc":9,"video_ssrc":0}})"));
  CHECK(json::parse(client_disconnect_message("7")) ==
        json::parse(R"({"op":13,"d":{"user_id":"7"}})"));
}

TEST_CASE("a sequence number goes into a message and changes nothing else") {
  const auto plain = client_disconnect_message("7");
  auto numbered = json::parse(with_sequence(plain, 65'535));
  CHECK(numbered["seq"] == 65'535);
  numbered.erase("seq");
  CHECK(numbered == json::parse(plain));
}
