#include "relay/gateway/websocket.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

using namespace earshot;
using namespace earshot::gateway;
using namespace std::string_literals;

namespace {

using Event = WebSocket::Event;

// A frame byte by byte: the tests' own writer, so that errors of websocket.cpp do not cancel out.
struct FrameBytes {
  unsigned first = 0x81;  // FIN, RSV, opcode
  std::string payload;
  bool is_masked = true;
  int length_bytes = -1;  // 0, 2 or 8; -1: the shortest

  std::string text() const {
    const std::array<unsigned char, 4> mask{0x12, 0xF0, 0x00, 0x7E};
    const int extended = length_bytes >= 0         ? length_bytes
                         : payload.size() < 126    ? 0
                         : payload.size() < 65'536 ? 2
                                                   : 8;
    const std::size_t short_length = extended == 0 ? payload.size() : extended == 2 ? 126 : 127;
    std::string out{static_cast<char>(first),
                    static_cast<char>(short_length | (is_masked ? 0x80 : 0))};
    for (int i = extended - 1; i >= 0; --i)
      out.push_back(static_cast<char>(payload.size() >> (8 * i)));
    if (!is_masked) return out + payload;
    for (const unsigned char byte : mask) out.push_back(static_cast<char>(byte));
    for (std::size_t i = 0; i < payload.size(); ++i)
      out.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
    return out;
  }
};

std::string frame(unsigned first, std::string payload, bool is_masked = true,
                  int length_bytes = -1) {
  return FrameBytes{first, std::move(payload), is_masked, length_bytes}.text();
}

std::string close_payload(unsigned code, const std::string& reason = "") {
  return std::string{static_cast<char>(code >> 8), static_cast<char>(code & 0xFF)} + reason;
}

// All that came out of a socket: "text:..", "binary:..", "closed:code", "failed:code"; and what it
// wants to send.
struct Outcome {
  std::vector<std::string> events;
  std::string sent;
};

Outcome receive_all(WebSocket& socket, const std::string& bytes, std::size_t step) {
  Outcome outcome;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    std::string_view part = std::string_view(bytes).substr(at, step);
    for (;;) {
      const Event event = socket.receive(part, outcome.sent);
      if (event == Event::text) outcome.events.push_back("text:" + socket.message());
      if (event == Event::binary) outcome.events.push_back("binary:" + socket.message());
      if (event == Event::closed)
        outcome.events.push_back("closed:" + std::to_string(socket.peer_close_code()));
      if (event == Event::failed)
        outcome.events.push_back("failed:" + std::to_string(socket.failure_code()));
      if (event == Event::need_more) break;
    }
    CHECK(part.empty());
  }
  return outcome;
}

}  // namespace

TEST_CASE("frames that a server takes, refuses and answers") {
  const std::string kilobytes_16(16'384, 'x');
  struct Row {
    std::string name;
    std::string bytes;
    std::vector<std::string> events;
    std::string sent;
  };
  const std::vector<Row> rows = {
      {"text", frame(0x81, "hello"), {"text:hello"}, ""},
      {"empty text", frame(0x81, ""), {"text:"}, ""},
      {"binary", frame(0x82, "\0\xFF"s), {"binary:\0\xFF"s}, ""},
      {"two in a row", frame(0x81, "a") + frame(0x81, "b"), {"text:a", "text:b"}, ""},
      {"126 bytes", frame(0x81, std::string(126, 'y')), {"text:" + std::string(126, 'y')}, ""},
      {"16 KiB", frame(0x81, kilobytes_16), {"text:" + kilobytes_16}, ""},
      {"16 KiB and one",
       frame(0x81, kilobytes_16 + "x"),
       {"failed:1009"},
       frame(0x88, close_payload(1009), false)},
      {"64 KiB announced",
       frame(0x81, std::string(70'000, 'x')),
       {"failed:1009"},
       frame(0x88, close_payload(1009), false)},
      {"fragments", frame(0x01, "he") + frame(0x00, "l") + frame(0x80, "lo"), {"text:hello"}, ""},
      {"empty fragments", frame(0x01, "") + frame(0x00, "") + frame(0x80, ""), {"text:"}, ""},
      {"binary fragments", frame(0x02, "a") + frame(0x80, "b"), {"binary:ab"}, ""},
      {"fragments too big together",
       frame(0x01, kilobytes_16) + frame(0x80, "x"),
       {"failed:1009"},
       frame(0x88, close_payload(1009), false)},
      {"a character split over fragments",
       frame(0x01, "\xC3") + frame(0x80, "\xA9"),
       {"text:\xC3\xA9"},
       ""},
      {"ping", frame(0x89, "now"), {}, frame(0x8A, "now", false)},
      {"ping inside a message",
       frame(0x01, "a") + frame(0x89, "p") + frame(0x80, "b"),
       {"text:ab"},
       frame(0x8A, "p", false)},
      {"pong", frame(0x8A, "unasked"), {}, ""},
      {"longest ping",
       frame(0x89, std::string(125, 'p')),
       {},
       frame(0x8A, std::string(125, 'p'), false)},
      {"ping too long",
       frame(0x89, std::string(126, 'p')),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"fragmented ping",
       frame(0x09, "p"),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"no mask",
       frame(0x81, "a", false),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"RSV1 (compressed)",
       frame(0xC1, "a"),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"RSV2", frame(0xA1, "a"), {"failed:1002"}, frame(0x88, close_payload(1002), false)},
      {"RSV3 in a ping",
       frame(0x99, "a"),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"unknown data opcode",
       frame(0x83, "a"),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"unknown control opcode",
       frame(0x8B, "a"),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"continuation of nothing",
       frame(0x80, "a"),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"text inside a message",
       frame(0x01, "a") + frame(0x81, "b"),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"length longer than need be (16 bit)",
       frame(0x81, "a", true, 2),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"length longer than need be (64 bit)",
       frame(0x81, std::string(200, 'a'), true, 8),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"not UTF-8", frame(0x81, "\xFF"), {"failed:1007"}, frame(0x88, close_payload(1007), false)},
      {"half a character",
       frame(0x81, "a\xE2\x82"),
       {"failed:1007"},
       frame(0x88, close_payload(1007), false)},
      {"binary need not be UTF-8", frame(0x82, "\xFF"), {"binary:\xFF"}, ""},
      {"close",
       frame(0x88, close_payload(1000, "bye")),
       {"closed:1000"},
       frame(0x88, close_payload(1000), false)},
      {"close 4901",
       frame(0x88, close_payload(4901)),
       {"closed:4901"},
       frame(0x88, close_payload(4901), false)},
      {"close without a code", frame(0x88, ""), {"closed:1005"}, frame(0x88, "", false)},
      {"close with half a code",
       frame(0x88, "\x03"),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"close 1005",
       frame(0x88, close_payload(1005)),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"close 1006",
       frame(0x88, close_payload(1006)),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"close 1015",
       frame(0x88, close_payload(1015)),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"close 999",
       frame(0x88, close_payload(999)),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"close 5000",
       frame(0x88, close_payload(5000)),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"close reason not UTF-8",
       frame(0x88, close_payload(1000, "\xFF")),
       {"failed:1007"},
       frame(0x88, close_payload(1007), false)},
      {"nothing after close",
       frame(0x88, close_payload(1000)) + frame(0x81, "a"),
       {"closed:1000"},
       frame(0x88, close_payload(1000), false)},
      {"nothing after a failure",
       frame(0x83, "a") + frame(0x81, "a"),
       {"failed:1002"},
       frame(0x88, close_payload(1002), false)},
      {"close inside a message",
       frame(0x01, "a") + frame(0x88, close_payload(1001)),
       {"closed:1001"},
       frame(0x88, close_payload(1001), false)},
  };
  for (const Row& row : rows) {
    for (const std::size_t step :
         {std::size_t{1}, std::size_t{3}, std::size_t{4'096}, std::size_t{1} << 20}) {
      CAPTURE(row.name);
      CAPTURE(step);
      WebSocket socket(WebSocket::Role::server);
      const Outcome outcome = receive_all(socket, row.bytes, step);
      CHECK(outcome.events == row.events);
      CHECK(outcome.sent == row.sent);
    }
  }
}

TEST_CASE("a head alone does not reserve what it announces") {
  WebSocket socket(WebSocket::Role::server);
  std::string sent;
  std::string huge = "\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s + "mask";
  std::string_view bytes = huge;
  CHECK(socket.receive(bytes, sent) == Event::need_more);
  std::string_view one = "x";
  CHECK(socket.receive(one, sent) == Event::failed);
  CHECK(socket.failure_code() == close_code::too_big);
}

TEST_CASE("our own close: the peer's code is reported, messages in between are dropped") {
  WebSocket socket(WebSocket::Role::server);
  std::string sent;
  socket.close(4006, "session over", sent);
  CHECK(sent == frame(0x88, close_payload(4006, "session over"), false));
  sent.clear();
  socket.send_text("too late", sent);
  socket.close(4009, "again", sent);
  CHECK(sent.empty());
  CHECK(socket.peer_close_code() == close_code::abnormal);
  const Outcome outcome = receive_all(
      socket,
      frame(0x81, std::string(16'000, 'x')) + frame(0x01, "\xFF") + frame(0x89, "ping") +
          frame(0x80, std::string(10'000, 'x')) + frame(0x88, close_payload(4006)),
      100);
  CHECK(outcome.events == std::vector<std::string>{"closed:4006"});
  CHECK(outcome.sent.empty());
  CHECK(socket.is_close_sent());
  CHECK(socket.is_close_received());
}

TEST_CASE("a close reason is cut at a character") {
  struct Row {
    std::string reason;
    std::size_t kept;
  };
  const Row rows[] = {{std::string(123, 'r'), 123},
                      {std::string(124, 'r'), 123},
                      {std::string(122, 'r') + "\xC3\xA9", 122},
                      {std::string(121, 'r') + "\xE2\x82\xAC", 121}};
  for (const Row& row : rows) {
    WebSocket server(WebSocket::Role::server);
    WebSocket client(WebSocket::Role::client);
    std::string sent;
    std::string answer;
    server.close(4004, row.reason, sent);
    std::string_view bytes = sent;
    CHECK(client.receive(bytes, answer) == Event::closed);
    CHECK(client.peer_close_reason() == row.reason.substr(0, row.kept));
    CHECK(client.peer_close_code() == 4004);
  }
}

TEST_CASE("client and server role understand each other") {
  for (const std::size_t size : {0u, 1u, 125u, 126u, 65'535u, 65'536u, 200'000u}) {
    CAPTURE(size);
    WebSocket server(WebSocket::Role::server, 1 << 20);
    WebSocket client(WebSocket::Role::client, 1 << 20);
    const std::string message(size, 'm');
    std::string to_server;
    std::string to_client;
    client.send_text(message, to_server);
    client.send_binary(message, to_server);
    server.send_text(message, to_client);
    server.send_ping("are you there", to_client);
    CHECK(receive_all(server, to_server, 5'000).events ==
          std::vector<std::string>{"text:" + message, "binary:" + message});
    const Outcome at_client = receive_all(client, to_client, 5'000);
    CHECK(at_client.events == std::vector<std::string>{"text:" + message});
    const Outcome at_server = receive_all(server, at_client.sent, 1);
    CHECK(at_server.events.empty());
    CHECK(server.auxiliary_frames() == 1);
  }
}

TEST_CASE("the client masks every frame anew, and takes no masked one") {
  WebSocket client(WebSocket::Role::client);
  std::string first;
  std::string second;
  client.send_text("same", first);
  client.send_text("same", second);
  CHECK(first.size() == second.size());
  CHECK(first != second);
  CHECK(first.find("same") == std::string::npos);
  CHECK(receive_all(client, frame(0x81, "masked"), 100).events ==
        std::vector<std::string>{"failed:1002"});
}

TEST_CASE("frames that carry no message are counted") {
  WebSocket socket(WebSocket::Role::server);
  std::string bytes;
  for (int i = 0; i < 50; ++i) bytes += frame(0x89, "") + frame(0x8A, "");
  bytes += frame(0x01, "a") + frame(0x00, "") + frame(0x80, "");
  receive_all(socket, bytes, 11);
  CHECK(socket.auxiliary_frames() == 102);
}

TEST_CASE("UTF-8 (RFC 3629)") {
  const std::pair<std::string, bool> rows[] = {{"", true},
                                               {"plain", true},
                                               {"\0"s, true},
                                               {"\x7F", true},
                                               {"\x80", false},
                                               {"\xBF", false},
                                               {"\xC0\x80", false},
                                               {"\xC1\xBF", false},
                                               {"\xC2\x80", true},
                                               {"\xDF\xBF", true},
                                               {"\xC2", false},
                                               {"\xC2\x41", false},
                                               {"\xE0\x9F\xBF", false},
                                               {"\xE0\xA0\x80", true},
                                               {"\xED\x9F\xBF", true},
                                               {"\xED\xA0\x80", false},
                                               {"\xEF\xBF\xBF", true},
                                               {"\xE2\x82", false},
                                               {"\xE2\x82\x41", false},
                                               {"\xF0\x8F\xBF\xBF", false},
                                               {"\xF0\x90\x80\x80", true},
                                               {"\xF4\x8F\xBF\xBF", true},
                                               {"\xF4\x90\x80\x80", false},
                                               {"\xF5\x80\x80\x80", false},
                                               {"\xF0\x90\x80", false},
                                               {"\xF0\x90\x80\x41", false},
                                               {"\xFF", false},
                                               {"a\xC3\xA9z", true}};
  for (const auto& [text, is_valid] : rows) {
    CAPTURE(text);
    CHECK(is_utf8(text) == is_valid);
  }
}

TEST_CASE("opening handshake: RFC 6455 s1.3 and s4.2.1") {
  CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(make_websocket_key().size() == 24);
  CHECK(make_websocket_key() != make_websocket_key());

  using Headers = std::vector<std::pair<std::string, std::string>>;
  const Headers good = {{"host", "a"},
                        {"upgrade", "websocket"},
                        {"connection", "keep-alive, Upgrade"},
                        {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="},
                        {"sec-websocket-version", "13"}};
  const auto with = [&](const std::string& name, const std::string& value) {
    Headers headers = good;
    for (auto& field : headers) {
      if (field.first == name) field.second = value;
    }
    return headers;
  };
  const auto twice = [&](const std::string& name) {
    Headers headers = good;
    headers.push_back(*std::find_if(good.begin(), good.end(),
                                    [&](const auto& field) { return field.first == name; }));
    return headers;
  };
  struct Row {
    std::string name;
    std::string method;
    Headers headers;
    int status;  // 0: accepted
  };
  const Row rows[] = {
      {"good", "GET", good, 0},
      {"permessage-deflate is not taken up", "GET",
       [&] {
         Headers h = good;
         h.emplace_back("sec-websocket-extensions", "permessage-deflate");
         return h;
       }(),
       0},
      {"POST", "POST", good, 400},
      {"no connection", "GET", with("connection", "keep-alive"), 400},
      {"version 8", "GET", with("sec-websocket-version", "8"), 426},
      {"two versions", "GET", twice("sec-websocket-version"), 426},
      {"key too short", "GET", with("sec-websocket-key", "dGhlIHNhbXBsZQ=="), 400},
      {"key no base64", "GET", with("sec-websocket-key", "dGhlIHNhbXBsZSBub25j*Q=="), 400},
      {"key without padding", "GET", with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQAA"), 400},
      {"two keys", "GET", twice("sec-websocket-key"), 400},
      {"no key", "GET", with("sec-websocket-key", ""), 400},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const UpgradeVerdict verdict = check_upgrade({row.method, "/", "v=8", row.headers, ""});
    CHECK((verdict.refusal ? verdict.refusal->status : 0) == row.status);
    CHECK(verdict.accept == (row.status == 0 ? "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" : ""));
  }
  CHECK(write_upgrade_response("x").find("xtensions") == std::string::npos);
}
