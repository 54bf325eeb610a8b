// Answers that the owner above the seam gives later, or in parts.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/support/listener_rig.h"

using namespace earshot;
using namespace earshot::gateway;
using earshot::test::SocketClient;

namespace {

using Log = std::vector<std::string>;

// Owes an answer to /later..., begins a stream for /stream..., answers everything else at once.
class Owner final : public ConnectionEvents {
 public:
  std::optional<HttpResponse> on_request(Connection& connection,
                                         const HttpRequest& request) override {
    log.push_back(request.method + " " + request.path);
    if (request.path.starts_with("/later")) {
      owed[request.path] = &connection;
      return std::nullopt;
    }
    if (request.path.starts_with("/stream")) {
      const HttpResponse head{200, "text/event-stream", "not sent", {{"X-Test", "1"}}};
      if (connection.begin_stream(head)) streams[request.path] = &connection;
      // A stream that has begun, or is none, leaves nothing to answer.
      return HttpResponse{500, "text/plain", "never sent", {}};
    }
    if (request.path == "/inside") {
      connection.respond(text("inside"));
      connection.respond(text("twice"));
      return text("thrice");
    }
    if (request.path == "/abort") {
      connection.abort();
      return std::nullopt;
    }
    return text("served " + request.path);
  }
  void on_abandoned(Connection& connection) override {
    connection.respond(text("ignored"));
    connection.end_stream();
    log.push_back("abandoned");
    const auto is_gone = [&](const auto& entry) { return entry.second == &connection; };
    std::erase_if(owed, is_gone);
    std::erase_if(streams, is_gone);
  }
  void on_stopping(Connection& connection) override {
    log.push_back("stopping");
    if (!ends_when_stopping) return;
    connection.send_stream("last word");
    connection.end_stream();
  }
  void on_drained(Connection& connection) override {
    CHECK(connection.send_queue_bytes() == 0);
    ++drained;
  }
  bool accepts_websocket(const HttpRequest&) override { return false; }
  void on_open(Connection&, const HttpRequest&) override {}
  void on_text(Connection&, std::string_view) override {}
  void on_binary(Connection&, std::string_view) override {}
  void on_closed(Connection&, std::uint16_t) override {}
  bool admits(const IpAddress&) override { return true; }

  static HttpResponse text(std::string body) {
    return HttpResponse{200, "text/plain", std::move(body), {}};
  }
  std::size_t count(const std::string& entry) const {
    return static_cast<std::size_t>(std::count(log.begin(), log.end(), entry));
  }

  Log log;
  std::map<std::string, Connection*> owed;
  std::map<std::string, Connection*> streams;
  bool ends_when_stopping = true;
  int drained = 0;
};

struct Rig : test::ListenerRig {
  explicit Rig(ListenerOptions options = {}) : ListenerRig(owner, std::move(options)) {}

  // A client whose request for `target` has reached the owner.
  SocketClient& ask(const std::string& target, const std::string& version = "1.1") {
    return ask(connect(), "GET " + target + " HTTP/" + version + "\r\nHost: x\r\n\r\n");
  }
  SocketClient& ask(SocketClient& client, const std::string& request) {
    const std::size_t before = owner.log.size();
    client.send(request);
    REQUIRE(run_until([&] { return owner.log.size() > before; }));
    return client;
  }
  bool receives(const SocketClient& client, const std::string& end) {
    return run_until([&] { return client.received().ends_with(end); });
  }
  bool ends(const SocketClient& client) {
    return run_until([&] { return client.has_ended(); });
  }

  Owner owner;
};

std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
}

std::string after_head(const std::string& answer) {
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an owed answer holds the requests behind it, and then all are answered in turn") {
  Rig rig;
  SocketClient& client = rig.ask(rig.connect(), get("/later1") + get("/a") + get("/later2"));
  client.send(get("/b"));
  rig.run_for(30);
  CHECK(rig.owner.log == Log{"GET /later1"});
  CHECK(client.received().empty());
  rig.owner.owed.at("/later1")->respond(Owner::text("first"));
  REQUIRE(rig.receives(client, "served /a"));
  rig.run_for(30);
  CHECK(rig.owner.log == Log{"GET /later1", "GET /a", "GET /later2"});
  rig.owner.owed.at("/later2")->respond(Owner::text("second"));
  REQUIRE(rig.receives(client, "served /b"));
  CHECK(client.received().find("first") < client.received().find("served /a"));
  CHECK(client.received().find("served /a") < client.received().find("second"));
  rig.ask(client, get("/c"));
  CHECK(rig.receives(client, "served /c"));
  CHECK(rig.owner.count("abandoned") == 0);
}

TEST_CASE("an owed answer keeps the rules of a direct one") {
  Rig rig;
  SUBCASE("HEAD") {
    SocketClient& client =
        rig.ask(rig.connect(), "HEAD /later HTTP/1.1\r\nHost: x\r\n\r\n" + get("/a"));
    rig.owner.owed.at("/later")->respond(Owner::text("body"));
    REQUIRE(rig.receives(client, "served /a"));
    CHECK(has(client.received(), "Content-Length: 4\r\n"));
    CHECK_FALSE(has(client.received(), "body"));
  }
  SUBCASE("HTTP/1.0 closes") {
    SocketClient& client = rig.ask("/later", "1.0");
    rig.owner.owed.at("/later")->respond(Owner::text("body"));
    REQUIRE(rig.ends(client));
    CHECK(client.received().ends_with("Connection: close\r\n\r\nbody"));
    CHECK_FALSE(client.was_reset());
  }
  SUBCASE("the client asks to close: what it sends behind is not served") {
    SocketClient& client = rig.ask(
        rig.connect(), "GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + get("/a"));
    rig.owner.owed.at("/later")->respond(Owner::text("body"));
    REQUIRE(rig.ends(client));
    CHECK(client.received().ends_with("Connection: close\r\n\r\nbody"));
    CHECK(rig.owner.log == Log{"GET /later"});
  }
  SUBCASE("given inside on_request: the first one counts") {
    SocketClient& client = rig.ask(rig.connect(), get("/inside") + get("/a"));
    REQUIRE(rig.receives(client, "served /a"));
    CHECK(has(client.received(), "inside"));
    CHECK_FALSE(has(client.received(), "twice"));
    CHECK_FALSE(has(client.received(), "thrice"));
  }
  CHECK(rig.owner.count("abandoned") == 0);
}

TEST_CASE("no deadline ends a connection whose answer is owed") {
  ListenerOptions options;
  options.handshake_time_max = milliseconds(100);
  options.keep_alive_time_max = milliseconds(100);
  Rig rig(options);
  SocketClient& client = rig.ask("/later");
  rig.run_for(250);
  CHECK_FALSE(client.has_ended());
  rig.owner.owed.at("/later")->respond(Owner::text("at last"));
  REQUIRE(rig.receives(client, "at last"));
  // From here the connection is kept alive, and no longer.
  CHECK(rig.ends(client));
  CHECK(rig.listener->counters().timeouts == 1);
}

TEST_CASE("while an answer is owed only so much is read, and none of it is lost") {
  Rig rig;
  SocketClient& client = rig.ask("/later");
  const std::string body(60'000, 'b');
  const std::string post = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + body;
  std::string posts;
  for (int i = 0; i < 120; ++i) posts += post;
  client.send(posts);
  std::size_t unsent = 0;
  rig.run_until([&] { return std::exchange(unsent, client.unsent_bytes()) == unsent; }, 100);
  rig.run_for(50);
  // The two kernels hold the rest.
  CHECK(client.unsent_bytes() > 1'000'000);
  CHECK(rig.owner.log.size() == 1);
  rig.owner.owed.at("/later")->respond(Owner::text("at last"));
  CHECK(rig.run_until([&] { return rig.owner.count("POST /p") == 120; }));
}

TEST_CASE("a peer that goes away while its answer is owed") {
  Rig rig;
  SocketClient& client = rig.ask("/later");
  Connection& connection = *rig.owner.owed.at("/later");
  SUBCASE("a reset abandons, once") {
    client.reset();
    REQUIRE(rig.run_until_gone());
    CHECK(rig.owner.log == Log{"GET /later", "abandoned"});
  }
  SUBCASE("the end of its side does not: it may still read") {
    client.end_output();
    rig.run_for(30);
    connection.respond(Owner::text("for a patient reader"));
    REQUIRE(rig.ends(client));
    CHECK(client.received().ends_with("for a patient reader"));
    CHECK_FALSE(client.was_reset());
    CHECK(rig.owner.count("abandoned") == 0);
  }
  SUBCASE("the end of its side, with requests waiting") {
    client.send(get("/a") + get("/later2") + get("/b"));
    rig.run_for(10);
    client.end_output();
    rig.run_for(30);
    connection.respond(Owner::text("first"));
    REQUIRE(rig.run_until([&] { return rig.owner.owed.contains("/later2"); }));
    rig.owner.owed.at("/later2")->respond(Owner::text("second"));
    REQUIRE(rig.ends(client));
    CHECK(client.received().ends_with("served /b"));
    CHECK(rig.owner.log == Log{"GET /later", "GET /a", "GET /later2", "GET /b"});
  }
  SUBCASE("the owner aborts") {
    connection.abort();
    CHECK(rig.owner.count("abandoned") == 0);
    REQUIRE(rig.run_until_gone());
    CHECK(rig.owner.count("abandoned") == 1);
  }
  SUBCASE("aborted, and then answered all the same") {
    connection.abort();
    connection.respond(Owner::text("too late"));
    REQUIRE(rig.run_until_gone());
    CHECK(rig.owner.count("abandoned") == 0);
  }
  rig.clients.clear();
  CHECK(rig.run_until_gone());
}

TEST_CASE("aborted inside on_request: abandoned, once") {
  Rig rig;
  SocketClient& client = rig.ask("/abort");
  REQUIRE(rig.run_until_gone());
  CHECK(rig.owner.log == Log{"GET /abort", "abandoned"});
  CHECK(rig.ends(client));
}

TEST_CASE("a stream: chunks for HTTP/1.1, plain for HTTP/1.0, the head alone for HEAD") {
  Rig rig;
  SUBCASE("HTTP/1.1") {
    SocketClient& client = rig.ask("/stream");
    Connection& connection = *rig.owner.streams.at("/stream");
    REQUIRE(rig.receives(client, "\r\n\r\n"));
    CHECK(connection.send_stream("one"));
    REQUIRE(rig.receives(client, "3\r\none\r\n"));
    CHECK(connection.send_stream(""));
    CHECK(connection.send_stream(std::string(300, 'x')));
    connection.end_stream();
    CHECK_FALSE(connection.send_stream("ignored"));
    connection.end_stream();
    REQUIRE(rig.ends(client));
    CHECK(after_head(client.received()) ==
          "3\r\none\r\n12c\r\n" + std::string(300, 'x') + "\r\n0\r\n\r\n");
    for (const char* header :
         {"HTTP/1.1 200 OK\r\n", "Content-Type: text/event-stream\r\n", "X-Test: 1\r\n",
          "Transfer-Encoding: chunked\r\n", "Cache-Control: no-store\r\n",
          "X-Accel-Buffering: no\r\n", "Connection: close\r\n"}) {
      CAPTURE(header);
      CHECK(has(client.received(), header));
    }
    CHECK_FALSE(has(client.received(), "Content-Length"));
    CHECK_FALSE(client.was_reset());
  }
  SUBCASE("HTTP/1.0") {
    SocketClient& client = rig.ask("/stream", "1.0");
    rig.owner.streams.at("/stream")->send_stream("one");
    rig.owner.streams.at("/stream")->send_stream("two");
    rig.owner.streams.at("/stream")->end_stream();
    REQUIRE(rig.ends(client));
    CHECK(after_head(client.received()) == "onetwo");
    CHECK_FALSE(has(client.received(), "chunked"));
  }
  SUBCASE("HEAD") {
    SocketClient& client = rig.ask(rig.connect(), "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(rig.ends(client));
    CHECK(has(client.received(), "Transfer-Encoding: chunked\r\n"));
    CHECK(client.received().ends_with("\r\n\r\n"));
    CHECK(rig.owner.streams.empty());
  }
  SUBCASE("begun later, for a request that was owed; what the peer sends behind is ignored") {
    SocketClient& client = rig.ask(rig.connect(), get("/later") + get("/a"));
    Connection& connection = *rig.owner.owed.at("/later");
    REQUIRE(connection.begin_stream({200, "text/plain", "", {}}));
    CHECK_FALSE(connection.begin_stream({200, "text/plain", "", {}}));
    connection.respond(Owner::text("ignored"));
    client.send(get("/b"));
    rig.run_for(30);
    connection.send_stream("end");
    connection.end_stream();
    REQUIRE(rig.ends(client));
    CHECK(after_head(client.received()) == "3\r\nend\r\n0\r\n\r\n");
    CHECK(rig.owner.log == Log{"GET /later"});
  }
  rig.clients.clear();
  CHECK(rig.run_until_gone());
  CHECK(rig.owner.count("abandoned") == 0);
}

TEST_CASE("a stream whose peer goes away is abandoned, once") {
  Rig rig;
  SocketClient& client = rig.ask("/stream");
  REQUIRE(rig.receives(client, "\r\n\r\n"));
  SUBCASE("it ends its side") {
    client.end_output();
  }
  SUBCASE("it resets") {
    client.reset();
  }
  SUBCASE("the owner aborts") {
    rig.owner.streams.at("/stream")->abort();
  }
  REQUIRE(rig.run_until([&] { return rig.owner.count("abandoned") == 1; }));
  rig.clients.clear();
  REQUIRE(rig.run_until_gone());
  CHECK(rig.owner.log == Log{"GET /stream", "abandoned"});
}

TEST_CASE("on_drained tells the owner of a stream when the peer has taken everything") {
  Rig rig;
  SocketClient& client = rig.connect_small();
  rig.ask(client, get("/stream"));
  REQUIRE(rig.run_until([&] { return rig.owner.drained == 1; }));
  client.is_reading = false;
  Connection& connection = *rig.owner.streams.at("/stream");
  while (connection.send_queue_bytes() == 0) {
    CHECK(connection.send_stream(std::string(30'000, 'x')));
    rig.turn();
  }
  const int before = rig.owner.drained;
  rig.run_for(20);
  CHECK(rig.owner.drained == before);
  client.is_reading = true;
  CHECK(rig.run_until([&] { return rig.owner.drained == before + 1; }));
}

TEST_CASE("who reads a stream too slowly: its owner is told, may say so, and nobody else notices") {
  ListenerOptions options;
  options.send_queue_bytes_max = 100'000;
  Rig rig(options);
  SocketClient& slow = rig.connect_small();
  rig.ask(slow, get("/stream/slow"));
  SocketClient& quick = rig.ask("/stream/quick");
  Connection& to_slow = *rig.owner.streams.at("/stream/slow");
  Connection& to_quick = *rig.owner.streams.at("/stream/quick");
  slow.is_reading = false;
  bool is_in_time = true;
  for (int i = 0; i < 2'000 && is_in_time; ++i) {
    is_in_time = to_slow.send_stream(std::string(10'000, 's'));
    CHECK(to_quick.send_stream(std::string(10'000, 'q')));
    rig.turn();
  }
  REQUIRE_FALSE(is_in_time);
  CHECK(to_slow.send_queue_bytes() > 100'000);
  CHECK_FALSE(slow.has_ended());
  SUBCASE("a last word and the end still get through") {
    CHECK_FALSE(to_slow.send_stream("too slow"));
    to_slow.end_stream();
    slow.is_reading = true;
    REQUIRE(rig.ends(slow));
    CHECK(slow.received().ends_with("8\r\ntoo slow\r\n0\r\n\r\n"));
    CHECK_FALSE(slow.was_reset());
    CHECK(rig.owner.count("abandoned") == 0);
    CHECK(rig.listener->counters().slow_readers == 0);
  }
  SUBCASE("an owner that does not listen loses the connection") {
    for (int i = 0; i < 12; ++i) CHECK_FALSE(to_slow.send_stream(std::string(10'000, 's')));
    REQUIRE(rig.run_until([&] { return rig.owner.count("abandoned") == 1; }));
    CHECK(rig.listener->counters().slow_readers == 1);
  }
  CHECK(to_quick.send_stream("quick"));
  CHECK(rig.receives(quick, "quick\r\n"));
  // A burst longer than the queue is no offence while the socket takes it.
  CHECK(to_quick.send_stream(std::string(150'000, 'q')));
}

TEST_CASE("stop: owed answers and streams get their chance until the grace is over") {
  Rig rig;
  SocketClient& later = rig.ask(rig.connect(), get("/later") + get("/a"));
  SocketClient& stream = rig.ask("/stream");
  bool is_stopped = false;
  SUBCASE("both are in time") {
    rig.listener->stop(seconds(5), 1001, [&] { is_stopped = true; });
    rig.run_for(30);
    CHECK_FALSE(later.has_ended());
    rig.owner.owed.at("/later")->respond(Owner::text("in time"));
    REQUIRE(rig.ends(later));
    REQUIRE(rig.ends(stream));
    CHECK(later.received().ends_with("Connection: close\r\n\r\nin time"));
    CHECK(stream.received().ends_with("9\r\nlast word\r\n0\r\n\r\n"));
    rig.clients.clear();
    REQUIRE(rig.run_until([&] { return is_stopped; }));
    CHECK(rig.owner.log == Log{"GET /later", "GET /stream", "stopping"});
  }
  SUBCASE("neither is") {
    rig.owner.ends_when_stopping = false;
    rig.listener->stop(milliseconds(100), 1001, [&] { is_stopped = true; });
    REQUIRE(rig.run_until([&] { return is_stopped; }));
    CHECK(rig.owner.log == Log{"GET /later", "GET /stream", "stopping", "abandoned", "abandoned"});
    CHECK(rig.ends(later));
    CHECK(later.was_reset());
  }
  SUBCASE("deleted instead: nothing is told") {
    rig.listener.reset();
    rig.run_for(20);
    CHECK(rig.owner.log == Log{"GET /later", "GET /stream"});
  }
}

TEST_CASE("the kernel's round-trip time of a connection is known, and short on loopback") {
  Rig rig;
  SocketClient& client = rig.ask("/later");
  Connection& connection = *rig.owner.owed.at("/later");
  const auto round_trip = connection.round_trip();
  REQUIRE(round_trip);
  CHECK(*round_trip > Duration{});
  CHECK(*round_trip < seconds(1));
  client.reset();
  CHECK(rig.run_until_gone());
}
