// The TCP ports under everything that is no voice client.
#include <doctest/doctest.h>

#include "tests/e2e/raw_client.h"
#include "tests/support/socket_client.h"

using namespace earshot;
using namespace earshot::test;

namespace {

// Pumps the sockets beside the world's loop.
bool run_until(World& world, const std::vector<SocketClient*>& sockets,
               const std::function<bool()>& done, Duration limit = seconds(10)) {
  const Time deadline = client::monotonic_now() + limit;
  while (!done()) {
    if (client::monotonic_now() > deadline) return false;
    for (SocketClient* socket : sockets) socket->pump();
    world.run_for(milliseconds(2));
  }
  return true;
}

// The whole answer to one request on a connection of its own.
std::string ask(World& world, const Endpoint& at, const std::string& request) {
  SocketClient socket(at, world.tls);
  socket.send(request);
  run_until(world, {&socket}, [&] { return socket.has_ended(); });
  CHECK(socket.has_ended());
  return socket.received();
}

std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
}

bool starts_with(const std::string& text, const std::string& prefix) {
  CAPTURE(text);
  CHECK(text.rfind(prefix, 0) == 0);
  return true;
}

}  // namespace

TEST_CASE("both ports answer /healthz, and 404 for what they do not know") {
  World world;
  for (const Endpoint& at : {world.relay.gateway(), world.relay.admin()}) {
    const std::string healthy = ask(world, at, get("/healthz"));
    starts_with(healthy, "HTTP/1.1 200 ");
    CHECK(healthy.find("\r\n\r\n{\"status\":\"ok\"}") != std::string::npos);
    starts_with(ask(world, at, "HEAD" + get("/healthz").substr(3)), "HTTP/1.1 200 ");
    starts_with(ask(world, at,
                    "POST /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                    "Content-Length: 0\r\n\r\n"),
                "HTTP/1.1 405 ");
    starts_with(ask(world, at, get("/nothing")), "HTTP/1.1 404 ");
    starts_with(ask(world, at, get("/healthz/")), "HTTP/1.1 404 ");
  }
  starts_with(ask(world, world.relay.gateway(), get("/")), "HTTP/1.1 426 ");
  // The application's port is no gateway.
  client::SocketTarget admin{"127.0.0.1", world.relay.admin().port, "/?v=8"};
  RawGateway refused(world, admin);
  CHECK(refused.close_code() == 1'006);
  CHECK(refused.close_reason().find("404") != std::string::npos);
}

TEST_CASE("requests on one connection are answered in turn") {
  World world;
  SocketClient socket(world.relay.gateway(), world.tls);
  socket.send("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
  socket.send(get("/healthz"));
  REQUIRE(run_until(world, {&socket}, [&] { return socket.has_ended(); }));
  const std::string& all = socket.received();
  const auto first = all.find("HTTP/1.1 200 ");
  const auto second = all.find("HTTP/1.1 404 ");
  CHECK(first == 0);
  REQUIRE(second != std::string::npos);
  CHECK(all.find("HTTP/1.1 200 ", second) != std::string::npos);
}

TEST_CASE("what two readers could read in two ways is refused, and ends the connection") {
  using namespace std::string_literals;
  const std::string host = "Host: h\r\n";
  const std::string inner = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto post = [&](const std::string& headers, const std::string& rest) {
    return "POST /healthz HTTP/1.1\r\n" + host + headers + "\r\n" + rest;
  };
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  struct Row {
    const char* name;
    std::string bytes;  // a whole healthy request follows each
    int status;
  };
  const Row rows[] = {
      {"length and coding", post("Content-Length: 6\r\n" + chunked, "0\r\n\r\nG"), 400},
      {"coding and length", post(chunked + "Content-Length: 6\r\n", "0\r\n\r\nG"), 400},
      {"two lengths", post("Content-Length: 0\r\nContent-Length: 43\r\n", inner), 400},
      {"a list of lengths", post("Content-Length: 0, 43\r\n", inner), 400},
      {"a signed length", post("Content-Length: +0\r\n", ""), 400},
      {"two codings", post(chunked + "Transfer-Encoding: identity\r\n", "0\r\n\r\n"), 400},
      {"an unknown coding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400},
      {"a coding behind a blank", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
      {"a coding in a folded line", post("X: y\r\n Transfer-Encoding: chunked\r\n", ""), 400},
      {"a chunk extension", post(chunked, "0;a=b\r\n\r\n"), 400},
      {"a chunk size with a prefix", post(chunked, "0x0\r\n\r\n"), 400},
      {"a chunk that is too long", post(chunked, "1\r\nxy\r\n0\r\n\r\n"), 400},
      {"a chunk size that ends in LF", post(chunked, "0\n\n"), 400},
      {"a trailer", post(chunked, "0\r\nHost: b\r\n\r\n"), 400},
      {"a body that is too large", post("Content-Length: 65537\r\n", ""), 413},
      {"lines that end in LF", "GET /healthz HTTP/1.1\nHost: h\n\n", 400},
      {"CR in a value", "GET /healthz HTTP/1.1\r\n" + host + "X: a\rb\r\n\r\n", 400},
      {"NUL in a value", "GET /healthz HTTP/1.1\r\n" + host + "X: a\0b\r\n\r\n"s, 400},
      {"a blank in a name", "GET /healthz HTTP/1.1\r\n" + host + "X y: a\r\n\r\n", 400},
      {"no Host", "GET /healthz HTTP/1.1\r\n\r\n", 400},
      {"two Hosts", "GET /healthz HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},
      {"absolute form", "GET http://h/healthz HTTP/1.1\r\n" + host + "\r\n", 400},
      {"authority form", "CONNECT h:443 HTTP/1.1\r\n" + host + "\r\n", 501},
      {"an unknown expectation", post("Content-Length: 0\r\nExpect: more\r\n", ""), 417},
      {"HTTP/0.9", "GET /healthz\r\n", 400},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"a WebSocket with a body",
       "GET /?v=8 HTTP/1.1\r\n" + host +
           "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 43\r\n\r\n" +
           inner,
       400},
  };
  World world;
  for (const Endpoint& at : {world.relay.gateway(), world.relay.admin()}) {
    for (const Row& row : rows) {
      CAPTURE(row.name);
      const std::string answer = ask(world, at, row.bytes + get("/healthz"));
      starts_with(answer, "HTTP/1.1 " + std::to_string(row.status) + " ");
      // Nothing of what follows is taken for a request.
      CHECK(answer.find("HTTP/1.1 200") == std::string::npos);
      CHECK(answer.find("\r\nConnection: close\r\n") != std::string::npos);
    }
  }
  // A body that was announced is waited for; then the connection goes on.
  const std::string polite =
      ask(world, world.relay.gateway(),
          post("Content-Length: 2\r\nExpect: 100-continue\r\n", "ab") + get("/healthz"));
  starts_with(polite, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 405 ");
  CHECK(polite.find("HTTP/1.1 200 ") != std::string::npos);
}

TEST_CASE("what is no HTTP is refused, and what is no TLS is cut off") {
  World world;
  starts_with(ask(world, world.relay.gateway(), "nonsense\r\n\r\n"), "HTTP/1.1 400 ");
  starts_with(ask(world, world.relay.gateway(), std::string("\0\1\2\3\r\n\r\n", 8)),
              "HTTP/1.1 400 ");
  starts_with(
      ask(world, world.relay.gateway(),
          "GET /healthz HTTP/1.1\r\nHost: h\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"),
      "HTTP/1.1 431 ");
  for (const std::string& bytes :
       {get("/healthz"), std::string("\x16\x03\x01\x00\x05hello", 10), std::string(5'000, '\xFF'),
        std::string("SSH-2.0-OpenSSH\r\n")}) {
    SocketClient plain(world.relay.gateway());
    plain.send_raw(bytes);
    CHECK(run_until(world, {&plain}, [&] { return plain.has_ended(); }));
    CHECK(plain.received().find("HTTP") == std::string::npos);
  }
  starts_with(ask(world, world.relay.gateway(), get("/healthz")), "HTTP/1.1 200 ");
}

TEST_CASE("slow and silent connections end after ten seconds, and hold up nobody") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  std::vector<std::unique_ptr<SocketClient>> sockets;
  std::vector<SocketClient*> all;
  for (int i = 0; i < 20; ++i) {
    // Half of a TCP connection: nothing is ever said on it.
    sockets.push_back(std::make_unique<SocketClient>(world.relay.gateway()));
    // TLS, and a request that never comes to its end.
    sockets.push_back(std::make_unique<SocketClient>(world.relay.gateway(), world.tls));
    sockets.back()->send("GET / HTTP/1.1\r\nHost: ");
    // Half of a TLS handshake.
    sockets.push_back(std::make_unique<SocketClient>(world.relay.gateway()));
    sockets.back()->send_raw(std::string("\x16\x03\x01\x02\x00\x01", 6));
  }
  for (const auto& socket : sockets) all.push_back(socket.get());
  const Time start = client::monotonic_now();
  world.speak(alice);
  int letters = 0;
  // One letter at a time keeps a connection busy, not alive.
  const bool all_ended = run_until(
      world, all,
      [&] {
        const auto elapsed = (client::monotonic_now() - start).ms();
        for (; letters < elapsed / 500; ++letters) {
          for (std::size_t i = 1; i < sockets.size(); i += 3) {
            if (!sockets[i]->has_ended()) sockets[i]->send("x");
          }
        }
        for (const SocketClient* socket : all) {
          if (!socket->has_ended()) return false;
        }
        return true;
      },
      seconds(20));
  CHECK(all_ended);
  CHECK(client::monotonic_now() - start >= seconds(8));
  world.fall_silent(alice);
  world.settle();
  check_hears(bob, alice, 440);
  // Newcomers were served all the while.
  world.join("carol");
}

TEST_CASE("an address opens only so many connections that do not identify") {
  World world({"gateway.unidentified_per_address_max=4"});
  world.join("alice");
  world.join("bob");
  std::vector<std::unique_ptr<SocketClient>> sockets;
  std::vector<SocketClient*> all;
  for (int i = 0; i < 6; ++i) {
    sockets.push_back(std::make_unique<SocketClient>(world.relay.gateway(), world.tls));
    all.push_back(sockets.back().get());
    run_until(world, all, [&] { return all.back()->is_secure() || all.back()->has_ended(); });
  }
  for (int i = 0; i < 6; ++i) {
    CAPTURE(i);
    CHECK(sockets[static_cast<std::size_t>(i)]->is_secure() == (i < 4));
  }
  // A place that becomes free can be used again.
  sockets[0]->reset();
  all.erase(all.begin());
  sockets.erase(sockets.begin());
  world.settle();
  world.join("carol");
}

TEST_CASE("who offers bad tokens again and again is slowed down, and let in later") {
  World world({"gateway.bad_tokens_per_address_max=3"});
  const auto claims = make_claims("mallory");
  for (int i = 0; i < 4; ++i) {
    RawGateway gateway(world);
    gateway.identify(claims, "bad");
    CHECK(gateway.close_code() == 4'004);
  }
  SocketClient refused(world.relay.gateway(), world.tls);
  CHECK(run_until(
      world, {&refused}, [&] { return refused.has_ended(); }, seconds(1)));
  CHECK_FALSE(refused.is_secure());
  world.run_for(milliseconds(200));
  world.join("alice");
}
