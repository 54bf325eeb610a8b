#include "relay/gateway/listener.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "relay/gateway/websocket.h"
#include "tests/support/listener_rig.h"

using namespace earshot;
using namespace earshot::gateway;
using earshot::test::SocketClient;
using namespace std::string_literals;

namespace {

// What an owner above the seam sees; it answers texts by echoing them, "close N" and "abort" by
// doing so.
class Recorder final : public ConnectionEvents {
 public:
  std::optional<HttpResponse> on_request(Connection& connection,
                                         const HttpRequest& request) override {
    log.push_back(request.method + " " + request.path);
    if (request.path == "/abort") connection.abort();
    if (request.path == "/big")
      return HttpResponse{200, "text/plain", std::string(3'000'000, 'b'), {}};
    return HttpResponse{200, "text/plain", "served " + request.path + " " + request.body, {}};
  }
  bool accepts_websocket(const HttpRequest& request) override { return request.path == "/"; }
  void on_open(Connection& connection, const HttpRequest& request) override {
    log.push_back("open " + request.query);
    connection.context = this;
    connections.push_back(&connection);
    if (!greeting.empty()) connection.send_text(greeting);
  }
  void on_text(Connection& connection, std::string_view message) override {
    CHECK(connection.context == this);
    if (message.starts_with("close ")) {
      connection.close(static_cast<std::uint16_t>(std::stoi(std::string(message.substr(6)))),
                       "because");
      connection.send_text("ignored once closing");
    } else if (message == "abort") {
      connection.abort();
      connection.send_text("ignored once aborted");
    } else {
      connection.send_text(message);
    }
  }
  void on_binary(Connection& connection, std::string_view message) override {
    connection.send_binary(message);
  }
  void on_drained(Connection& connection) override {
    CHECK(connection.send_queue_bytes() == 0);
    ++drained;
  }
  void on_closed(Connection& connection, std::uint16_t code) override {
    std::erase(connections, &connection);
    log.push_back("closed " + std::to_string(code));
  }
  bool admits(const IpAddress&) override {
    ++asked;
    if (is_admitting) ++held;
    return is_admitting;
  }
  void on_released(const IpAddress& peer) override {
    CHECK(peer.is_loopback());
    --held;
  }

  std::vector<std::string> log;
  std::vector<Connection*> connections;
  std::string greeting;
  bool is_admitting = true;
  int asked = 0;
  int held = 0;
  int drained = 0;
};

const Endpoint loopback_v4{make_v4(127, 0, 0, 1), 0};
const Endpoint loopback_v6{*IpAddress::parse("::1"), 0};

struct Rig : test::ListenerRig {
  explicit Rig(ListenerOptions options = {}) : ListenerRig(events, std::move(options)) {}
  Recorder events;
};

using Log = std::vector<std::string>;

}  // namespace

TEST_CASE("a WebSocket opens, echoes, and closes with the code of either side") {
  Rig rig;
  rig.events.greeting = "hello";
  SUBCASE("the client closes") {
    SocketClient& client = rig.open();
    client.send_text("one");
    client.send_text("two");
    REQUIRE(rig.run_until([&] { return client.messages().size() == 3; }));
    CHECK(client.messages() == Log{"hello", "one", "two"});
    CHECK(rig.events.drained > 0);
    client.close_websocket(4901);
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK_FALSE(client.was_reset());
    CHECK(client.close_code() == 4901);
    CHECK(rig.events.log == Log{"open v=8", "closed 4901"});
  }
  SUBCASE("the client closes without a code") {
    SocketClient& client = rig.open();
    client.close_websocket(0);
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(rig.events.log == Log{"open v=8", "closed 1005"});
  }
  SUBCASE("the relay closes with 4006") {
    SocketClient& client = rig.open();
    client.send_text("close 4006");
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK_FALSE(client.was_reset());
    CHECK(client.close_code() == 4006);
    CHECK(client.messages() == Log{"hello"});
    CHECK(rig.events.log == Log{"open v=8", "closed 4006"});
  }
  SUBCASE("the relay aborts") {
    SocketClient& client = rig.open();
    client.send_text("abort");
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(client.was_reset());
    REQUIRE(rig.run_until_gone());
    CHECK(rig.events.log == Log{"open v=8", "closed 1006"});
  }
  SUBCASE("the connection breaks") {
    SocketClient& client = rig.open();
    client.reset();
    REQUIRE(rig.run_until_gone());
    CHECK(rig.events.log == Log{"open v=8", "closed 1006"});
  }
  SUBCASE("TCP ends without a close frame") {
    SocketClient& client = rig.open();
    client.end_output();
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    REQUIRE(rig.run_until_gone());
    CHECK(rig.events.log == Log{"open v=8", "closed 1006"});
  }
  for (const auto& client : rig.clients) client->reset();
  REQUIRE(rig.run_until_gone());
  CHECK(rig.events.held == 0);
  CHECK(rig.events.connections.empty());
}

TEST_CASE("every close code arrives, also behind a full queue") {
  const std::uint16_t codes[] = {1000, 1001, 4001, 4004, 4006, 4009, 4014, 4021, 4022};
  for (const std::uint16_t code : codes) {
    CAPTURE(code);
    Rig rig;
    SocketClient& client = rig.open();
    client.is_reading = false;
    for (int i = 0; i < 10; ++i) rig.events.connections.at(0)->send_text(std::string(15'000, 'm'));
    rig.events.connections.at(0)->close(code, "the reason");
    rig.run_for(20);
    client.is_reading = true;
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(client.close_code() == code);
    CHECK(client.messages().size() == 10);
    CHECK_FALSE(client.was_reset());
  }
}

TEST_CASE("protocol errors close with their code") {
  struct Row {
    std::string frames;
    std::uint16_t code;
  };
  const Row rows[] = {
      {"\x81\x01x", close_code::protocol_error},
      {"\xC1\x81"
       "1234"
       "x"s,
       close_code::protocol_error},
      {"\x81\x81\0\0\0\0\xFF"s, close_code::not_utf8},
      {"\x81\xFE\x40\x01\0\0\0\0"s + std::string(16'385, 'x'), close_code::too_big}};
  for (const Row& row : rows) {
    Rig rig;
    SocketClient& client = rig.open();
    client.send_frames(row.frames);
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(client.close_code() == row.code);
    CHECK(rig.events.log.back() == "closed 1006");
    CHECK(rig.listener->counters().protocol_errors == 1);
  }
}

TEST_CASE("a flood of pings ends with 1008, some pings do not") {
  Rig rig;
  SocketClient& calm = rig.open();
  SocketClient& flood = rig.open();
  std::string pings;
  for (int i = 0; i < 100; ++i) pings += "\x89\x80\0\0\0\0"s;
  calm.send_frames(pings);
  flood.send_frames(pings + pings);
  REQUIRE(rig.run_until([&] { return flood.has_ended(); }));
  CHECK(flood.close_code() == close_code::policy);
  calm.send_text("still here");
  REQUIRE(rig.run_until([&] { return calm.messages().size() == 1; }));
}

TEST_CASE("HTTP: pipelined requests, keep-alive, close, errors") {
  Rig rig;
  SocketClient& client = rig.connect();
  SUBCASE("GET and POST in one segment, then another GET") {
    client.send(
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: "
        "4\r\n\r\nbody");
    REQUIRE(rig.run_until([&] { return client.received().ends_with("served /b body"); }));
    client.send("GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(client.received().find("served /a ") != std::string::npos);
    CHECK(client.received().ends_with("Connection: close\r\n\r\nserved /c "));
    CHECK_FALSE(client.was_reset());
    CHECK(rig.events.log == Log{"GET /a", "POST /b", "GET /c"});
  }
  SUBCASE("a response larger than the socket takes, with a request waiting behind it") {
    SocketClient& small = rig.connect_small();
    REQUIRE(rig.run_until([&] { return small.is_secure(); }));
    small.is_reading = false;
    small.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    rig.run_for(50);
    CHECK(rig.events.log == Log{"GET /big"});
    small.is_reading = true;
    REQUIRE(rig.run_until([&] { return small.received().ends_with("served /next "); }));
    CHECK(small.received().size() > 3'000'000);
  }
  SUBCASE("a bad request") {
    client.send("GET / HTTP/1.1\r\nHost : x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(client.received().starts_with("HTTP/1.1 400 Bad Request\r\n"));
    CHECK(rig.events.log.empty());
    CHECK(rig.listener->counters().requests_refused == 1);
  }
  SUBCASE("100-continue") {
    client.send("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    REQUIRE(rig.run_until([&] { return client.received() == http_continue; }));
    client.send("ab");
    REQUIRE(rig.run_until([&] { return client.received().ends_with("served /p ab"); }));
  }
  SUBCASE("a WebSocket on a path that has none is a plain request") {
    client.open_websocket("/elsewhere");
    REQUIRE(rig.run_until([&] { return client.received().starts_with("status 200"); }));
    CHECK(rig.events.log == Log{"GET /elsewhere"});
  }
  SUBCASE("an upgrade that is none") {
    client.send(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
        "websocket\r\nSec-WebSocket-Version: 8\r\n\r\n");
    REQUIRE(rig.run_until([&] { return !client.received().empty(); }));
    CHECK(client.received().starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
    CHECK(client.received().find("Sec-WebSocket-Version: 13\r\n") != std::string::npos);
  }
  SUBCASE("frames right behind the upgrade request") {
    client.open_websocket();
    client.send_frames("\x81\x82\0\0\0\0hi"s);
    REQUIRE(rig.run_until([&] { return client.messages() == Log{"hi"}; }));
  }
  SUBCASE("aborted by the owner while it answers") {
    client.send("GET /abort HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(client.was_reset());
    CHECK(client.received().empty());
  }
  SUBCASE("the client ends its side behind the request") {
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(rig.run_until([&] { return client.is_secure(); }));
    client.end_output();
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(client.received().ends_with("served /a "));
    CHECK_FALSE(client.was_reset());
  }
}

TEST_CASE("what does not get through the handshake goes away") {
  ListenerOptions options;
  options.handshake_time_max = milliseconds(200);
  options.keep_alive_time_max = milliseconds(300);
  options.close_time_max = milliseconds(100);
  Rig rig(options);
  SUBCASE("garbage instead of TLS gets an alert") {
    SocketClient& client = rig.connect_raw();
    client.send_raw("\x16\x03\x01\x00\x04junk"s);
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(client.received().starts_with("\x15\x03"));
    CHECK(rig.listener->counters().handshakes_failed == 1);
  }
  SUBCASE("HTTP without TLS") {
    SocketClient& client = rig.connect_raw();
    client.send_raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK_FALSE(client.was_reset());
    CHECK(rig.listener->counters().handshakes_failed == 1);
  }
  SUBCASE("silence") {
    SocketClient& client = rig.connect_raw();
    rig.run_for(100);
    CHECK_FALSE(client.has_ended());
    REQUIRE(rig.run_until([&] { return client.has_ended(); }, 500));
    CHECK(rig.listener->counters().timeouts == 1);
  }
  SUBCASE("half a ClientHello") {
    SocketClient& client = rig.connect_raw();
    client.send_raw("\x16\x03\x01\x02\x00\x01"s);
    REQUIRE(rig.run_until([&] { return client.has_ended(); }, 600));
    CHECK(rig.listener->counters().timeouts == 1);
  }
  SUBCASE("TLS, and then nothing") {
    SocketClient& client = rig.connect();
    REQUIRE(rig.run_until([&] { return client.has_ended(); }, 600));
    CHECK(rig.listener->counters().timeouts == 1);
    CHECK_FALSE(client.was_reset());
  }
  SUBCASE("a request that trickles in") {
    SocketClient& client = rig.connect();
    bool has_ended = false;
    for (int i = 0; i < 40 && !has_ended; ++i) {
      client.send("G");
      has_ended = rig.run_until([&] { return client.has_ended(); }, 20);
    }
    CHECK(has_ended);
  }
  SUBCASE("kept alive, then idle") {
    SocketClient& client = rig.connect();
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(rig.run_until([&] { return !client.received().empty(); }));
    rig.run_for(220);
    CHECK_FALSE(client.has_ended());
    client.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    rig.run_for(250);
    CHECK(rig.events.log == Log{"GET /a", "GET /b"});
    CHECK_FALSE(client.has_ended());
    REQUIRE(rig.run_until([&] { return client.has_ended(); }, 500));
    CHECK_FALSE(client.was_reset());
  }
  SUBCASE("reset in the middle of the handshake") {
    SocketClient& client = rig.connect();
    client.pump();
    rig.run_until([&] { return rig.listener->counters().accepted == 1; });
    client.reset();
    REQUIRE(rig.run_until_gone());
    CHECK(rig.listener->counters().handshakes_failed == 1);
  }
  SUBCASE("a client that never answers our close") {
    SocketClient& client = rig.open();
    rig.run_for(400);
    REQUIRE_FALSE(client.has_ended());  // an open WebSocket has no deadline here
    client.is_reading = false;
    rig.events.connections.at(0)->close(4009, "");
    REQUIRE(rig.run_until_gone());
    CHECK(rig.events.log.back() == "closed 1006");
  }
  rig.clients.clear();
  REQUIRE(rig.run_until_gone());
  CHECK(rig.events.held == 0);
}

TEST_CASE("who does not read is reset when the queue is full, and nobody else") {
  ListenerOptions options;
  options.send_queue_bytes_max = 100'000;
  Rig rig(options);
  SocketClient& slow = rig.connect_small();
  slow.open_websocket();
  REQUIRE(rig.run_until([&] { return slow.is_open(); }));
  SocketClient& quick = rig.open();
  slow.is_reading = false;
  REQUIRE(rig.events.connections.size() == 2);
  Connection& to_slow = *rig.events.connections[0];
  Connection& to_quick = *rig.events.connections[1];
  std::size_t queued_max = 0;
  bool is_gone = false;
  for (int i = 0; i < 2'000 && !is_gone; ++i) {
    to_slow.send_text(std::string(10'000, 's'));
    to_quick.send_text(std::string(10'000, 'q'));
    queued_max = std::max(queued_max, to_slow.send_queue_bytes());
    rig.turn();
    is_gone = rig.listener->counters().slow_readers > 0;
  }
  CHECK(is_gone);
  CHECK(queued_max < 120'000);
  REQUIRE(rig.run_until([&] { return rig.events.connections.size() == 1; }));
  CHECK(rig.events.log.back() == "closed 1006");
  CHECK_FALSE(quick.has_ended());
  // A burst larger than the queue is no offence while the socket takes it.
  const std::size_t before = quick.messages().size();
  to_quick.send_text(std::string(150'000, 'q'));
  REQUIRE(rig.run_until([&] { return quick.messages().size() == before + 1; }));
}

TEST_CASE("admits() decides before TLS, and every admission is given back") {
  Rig rig;
  rig.events.is_admitting = false;
  SocketClient& refused = rig.connect();
  REQUIRE(rig.run_until([&] { return refused.has_ended(); }));
  CHECK_FALSE(refused.is_secure());
  CHECK(rig.listener->counters().refused == 1);
  CHECK(rig.listener->counters().accepted == 0);
  CHECK(rig.events.held == 0);
  rig.events.is_admitting = true;
  rig.open();
  CHECK(rig.events.held == 1);
}

TEST_CASE("many connections at once all get through, and a live session is not starved") {
  Rig rig;
  SocketClient& live = rig.open();
  for (int i = 0; i < 150; ++i) rig.connect().open_websocket();
  std::size_t turns_max = 0;
  for (int beat = 0; beat < 20; ++beat) {
    const std::size_t before = live.messages().size();
    live.send_text("beat");
    std::size_t turns = 0;
    while (live.messages().size() == before && turns < 1'000) {
      rig.turn();
      ++turns;
    }
    turns_max = std::max(turns_max, turns);
  }
  CHECK(turns_max <= 5);
  REQUIRE(rig.run_until([&] { return rig.events.connections.size() == 151; }, 30'000));
  CHECK(rig.listener->counters().websockets_opened == 151);
}

TEST_CASE("a crowd of silent connections does not lock anybody out") {
  ListenerOptions options;
  options.unopened_max = 10;
  Rig rig(options);
  for (int i = 0; i < 30; ++i) rig.connect_raw();
  SocketClient& client = rig.open();
  CHECK(rig.run_until([&] { return rig.listener->connections_count() == 10; }));
  CHECK(rig.listener->counters().timeouts == 21);
  CHECK(rig.clients[0]->has_ended());
  CHECK_FALSE(rig.clients[29]->has_ended());
  client.send_text("here");
  CHECK(rig.run_until([&] { return client.messages().size() == 1; }));
}

TEST_CASE("no descriptors left: accepting waits, does not spin, and goes on") {
  Rig rig;
  SocketClient& first = rig.open();
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  SocketClient& second = rig.connect();  // its own descriptor is open already
  rlimit none = before;
  none.rlim_cur = 3;
  setrlimit(RLIMIT_NOFILE, &none);
  rig.run_for(120);
  first.send_text("alive");
  const bool is_alive = rig.run_until([&] { return first.messages().size() == 1; });
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(is_alive);
  CHECK(rig.listener->counters().accept_pauses >= 1);
  CHECK(rig.listener->counters().accept_pauses <= 5);
  second.open_websocket();
  CHECK(rig.run_until([&] { return second.is_open(); }));
}

TEST_CASE("stop closes every session with the code and then says so") {
  Rig rig;
  for (int i = 0; i < 5; ++i) rig.open();
  SocketClient& idle = rig.connect();
  idle.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(rig.run_until([&] { return !idle.received().empty(); }));
  rig.connect_raw();
  SUBCASE("clients answer") {
    bool is_stopped = false;
    rig.listener->stop(seconds(2), 1001, [&] { is_stopped = true; });
    REQUIRE(rig.run_until([&] {
      std::erase_if(rig.clients, [](const auto& client) {
        return client->has_ended() && client->close_code() == 0;
      });
      return rig.events.connections.empty();
    }));
    for (const auto& client : rig.clients) CHECK(client->close_code() == 1001);
    rig.clients.clear();
    CHECK(rig.run_until([&] { return is_stopped; }));
    SocketClient& late = rig.connect();
    rig.run_until([&] { return late.has_ended(); });
    CHECK_FALSE(late.is_secure());
  }
  SUBCASE("clients do not answer") {
    for (const auto& client : rig.clients) client->is_reading = false;
    bool is_stopped = false;
    const auto start = std::chrono::steady_clock::now();
    rig.listener->stop(milliseconds(200), 1001, [&] { is_stopped = true; });
    CHECK(rig.run_until([&] { return is_stopped; }, 2'000));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
  }
  SUBCASE("deleted inside on_stopped") {
    rig.listener->stop(milliseconds(100), 1001, [&] { rig.listener.reset(); });
    CHECK(rig.run_until([&] { return rig.listener == nullptr; }));
  }
  CHECK(rig.events.held == 0);
}

TEST_CASE("stop without connections") {
  Rig rig;
  bool is_stopped = false;
  rig.listener->stop(seconds(1), 1001, [&] { is_stopped = true; });
  CHECK_FALSE(is_stopped);
  rig.turn();
  CHECK(is_stopped);
}

TEST_CASE("deleted with sessions in every state: nothing is told, nothing leaks") {
  Rig rig;
  rig.open();
  rig.connect();
  rig.connect_raw();
  rig.events.connections.at(0)->send_text("queued");
  rig.events.connections.at(0)->abort();
  rig.turn();
  const Log before = rig.events.log;
  rig.listener.reset();
  for (int i = 0; i < 20; ++i) rig.turn();
  CHECK(rig.events.log == before);
}

TEST_CASE("addresses: two endpoints share a free port; one in use is named") {
  ListenerOptions options;
  options.endpoints = {loopback_v4, loopback_v6};
  Rig rig(options);
  if (rig.listener->bound().size() == 1) {
    MESSAGE("this machine has no IPv6");
    return;
  }
  CHECK(rig.listener->bound()[0].port == rig.listener->bound()[1].port);
  CHECK(rig.listener->bound()[1].ip.to_string() == "::1");
  SocketClient& client =
      rig.add(std::make_unique<SocketClient>(rig.listener->bound()[1], rig.client_tls));
  client.open_websocket();
  REQUIRE(rig.run_until([&] { return client.is_open(); }));
  CHECK(rig.events.connections.at(0)->peer().ip == *IpAddress::parse("::1"));

  options.endpoints = {rig.listener->bound()[0]};
  const auto second = Listener::create(&rig.loop, options, rig.server_tls, rig.events);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().text.find(rig.listener->bound()[0].to_string()) != std::string::npos);
}

TEST_CASE("a new certificate is for new connections") {
  Rig rig;
  SocketClient& old = rig.open();
  const test::TestCertificate renewed;
  rig.listener->set_tls_context(
      TlsContext::make_server(renewed.certificate_path(), renewed.key_path()).value());
  SocketClient& stranger = rig.connect();
  REQUIRE(rig.run_until([&] { return stranger.has_ended(); }));
  CHECK_FALSE(stranger.is_secure());
  const TlsContext renewed_tls = TlsContext::make_client(renewed.certificate_path()).value();
  SocketClient& client =
      rig.add(std::make_unique<SocketClient>(rig.listener->bound()[0], renewed_tls));
  client.open_websocket();
  REQUIRE(rig.run_until([&] { return client.is_open(); }));
  old.send_text("still here");
  CHECK(rig.run_until([&] { return old.messages().size() == 1; }));
}
