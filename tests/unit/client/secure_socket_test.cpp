#include "tools/client/secure_socket.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include "tests/unit/client/scripted_gateway.h"

using namespace earshot;
using namespace earshot::client;
using test::ScriptedGateway;

namespace {

// A client and what became of it.
struct Client {
  Client(Loop& loop, const gateway::TlsContext& tls, SocketTarget target,
         Duration open_time_max = seconds(5)) {
    SocketEvents events;
    events.on_open = [this] { is_open = true; };
    events.on_text = [this](std::string_view text) { texts.emplace_back(text); };
    events.on_binary = [this](std::string_view text) { binaries.emplace_back(text); };
    events.on_closed = [this](const SocketClosed& how) { closed = how; };
    socket = std::make_unique<SecureSocket>(loop.get(), tls, std::move(target), open_time_max,
                                            std::move(events));
    CHECK_FALSE(closed);
  }
  bool is_open = false;
  std::vector<std::string> texts, binaries;
  std::optional<SocketClosed> closed;
  std::unique_ptr<SecureSocket> socket;
};

// A TCP port on which nobody answers: it accepts (in the kernel) and stays silent, or refuses.
struct SilentPort {
  explicit SilentPort(bool listens = true) {
    descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    if (listens) REQUIRE(listen(descriptor, 8) == 0);
    socklen_t size = sizeof address;
    getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
  ~SilentPort() { close(descriptor); }
  int descriptor = -1;
  std::uint16_t port = 0;
};

bool has_ipv6() {
  const int descriptor = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool is_there = descriptor >= 0 && bind(descriptor, reinterpret_cast<sockaddr*>(&address),
                                                sizeof address) == 0;
  if (descriptor >= 0) close(descriptor);
  return is_there;
}

}  // namespace

TEST_CASE("targets are host and port, with brackets around IPv6") {
  struct Row {
    const char* text;
    const char* host;
    std::uint16_t port;
  };
  for (const auto& row : {Row{"127.0.0.1:8443", "127.0.0.1", 8'443}, Row{"[::1]:1", "::1", 1},
                          Row{"voice.example.org:65535", "voice.example.org", 65'535}}) {
    const auto target = SocketTarget::parse(row.text);
    REQUIRE(target);
    CHECK(target.value().host == row.host);
    CHECK(target.value().port == row.port);
    CHECK(target.value().to_string() == row.text);
  }
  for (const std::string text :
       {"", ":", "host", "host:", ":80", "host:0", "host:65536", "host:8x", "host:-1", "host: 1",
        "::1:80", "[::1]", "[]:80", "[host]:80", "[::1:80"}) {
    CAPTURE(text);
    const auto target = SocketTarget::parse(text);
    REQUIRE_FALSE(target);
    CHECK(target.error().text == "\"" + text + "\" is not HOST:PORT");
  }
}

TEST_CASE("messages go both ways, and either side closes with its code") {
  Loop loop;
  ScriptedGateway gateway(loop);
  Client client(loop, gateway.tls, gateway.target());
  client.socket->send_text("too early, lost");
  REQUIRE(loop.run_until([&] { return client.texts.size() == 1; }, seconds(5)));
  CHECK(client.is_open);
  CHECK(client.socket->is_open());
  client.socket->send_text(R"({"op":99,"d":1})");
  client.socket->send_binary("bytes");
  REQUIRE(loop.run_until([&] { return gateway.binaries.size() == 1; }, seconds(5)));
  REQUIRE(gateway.received.size() == 1);
  CHECK(gateway.received[0]["op"] == 99);
  CHECK(gateway.binaries[0] == "bytes");
  gateway.connections.back()->send_binary(std::string(70'000, 'x'));
  REQUIRE(loop.run_until([&] { return client.binaries.size() == 1; }, seconds(5)));
  CHECK(client.binaries[0].size() == 70'000);
  SUBCASE("the gateway") {
    gateway.close(4'022, "closed by hand");
    REQUIRE(loop.run_until([&] { return client.closed.has_value(); }, seconds(5)));
    CHECK(client.closed->code == 4'022);
    CHECK(client.closed->reason == "closed by hand");
  }
  SUBCASE("we") {
    client.socket->close(4'901, "back soon");
    client.socket->send_text("after the close, lost");
    REQUIRE(loop.run_until([&] { return client.closed.has_value(); }, seconds(5)));
    CHECK(client.closed->code == 4'901);
    REQUIRE(loop.run_until([&] { return gateway.closings.size() == 1; }, seconds(5)));
    CHECK(gateway.closings[0] == 4'901);
  }
  SUBCASE("we, without a word") {
    client.socket->cut();
    REQUIRE(loop.run_until([&] { return gateway.closings.size() == 1; }, seconds(5)));
    CHECK(gateway.closings[0] == 1'006);
    CHECK_FALSE(client.closed);
    return;
  }
  SUBCASE("the connection breaks") {
    gateway.abort();
    REQUIRE(loop.run_until([&] { return client.closed.has_value(); }, seconds(5)));
    CHECK(client.closed->code == 1'006);
    CHECK(client.closed->reason.starts_with("the connection broke"));
  }
  CHECK(client.closed->was_open);
  CHECK_FALSE(client.socket->is_open());
  CHECK(gateway.received.size() == 1);
}

TEST_CASE("names and IPv6 literals work like IPv4") {
  Loop loop;
  SUBCASE("a name, whose first address may be the wrong one") {
    ScriptedGateway gateway(loop);
    Client client(loop, gateway.tls, gateway.target("localhost"));
    CHECK(loop.run_until([&] { return client.is_open; }, seconds(5)));
  }
  SUBCASE("an IPv6 literal") {
    if (!has_ipv6()) return;
    ScriptedGateway gateway(loop, "IP:::1", {*IpAddress::parse("::1"), 0});
    Client client(loop, gateway.tls, gateway.target("::1"));
    CHECK(loop.run_until([&] { return client.is_open; }, seconds(5)));
  }
}

TEST_CASE("what goes wrong on the way is told in words, from the loop") {
  Loop loop;
  ScriptedGateway gateway(loop);
  const auto failure = [&](const gateway::TlsContext& tls, const SocketTarget& target) {
    Client client(loop, tls, target, milliseconds(300));
    REQUIRE(loop.run_until([&] { return client.closed.has_value(); }, seconds(10)));
    CHECK(client.closed->code == 1'006);
    CHECK_FALSE(client.closed->was_open);
    CHECK_FALSE(client.is_open);
    return client.closed->reason;
  };
  const auto contains = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  SUBCASE("another authority") {
    const test::TestCertificate other;
    const auto tls = gateway::TlsContext::make_client(other.certificate_path()).value();
    contains(failure(tls, gateway.target()), "certificate verify failed");
  }
  SUBCASE("a certificate for another name") {
    ScriptedGateway named(loop, "DNS:voice.example.org");
    contains(failure(named.tls, named.target()), "certificate verify failed");
  }
  SUBCASE("nobody there") {
    const SilentPort port(false);
    contains(failure(gateway.tls, {"127.0.0.1", port.port}), "cannot connect to 127.0.0.1:");
  }
  SUBCASE("somebody there who says nothing") {
    const SilentPort port;
    contains(failure(gateway.tls, {"127.0.0.1", port.port}), "no answer from 127.0.0.1:");
  }
  SUBCASE("no such name") {
    // A label of more than 63 bytes is no name at all: nobody has to be asked.
    contains(failure(gateway.tls, {std::string(70, 'x'), 1}), "cannot resolve xxx");
  }
  SUBCASE("a path without a gateway") {
    SocketTarget target = gateway.target();
    target.path = "/elsewhere";
    contains(failure(gateway.tls, target), "the upgrade was refused with HTTP status 404");
  }
}

TEST_CASE("a socket may go away at any time, also inside its own events") {
  Loop loop;
  ScriptedGateway gateway(loop);
  SUBCASE("while it connects") {
    Client client(loop, gateway.tls, gateway.target());
    client.socket.reset();
    loop.run_for(milliseconds(50));
    CHECK_FALSE(client.closed);
  }
  SUBCASE("while it resolves a name") {
    Client client(loop, gateway.tls, gateway.target("localhost"));
    client.socket.reset();
    loop.run_for(milliseconds(50));
    CHECK_FALSE(client.closed);
  }
  SUBCASE("in on_text") {
    std::unique_ptr<SecureSocket> socket;
    int texts = 0;
    SocketEvents events;
    events.on_text = [&](std::string_view) {
      ++texts;
      socket.reset();
    };
    socket = std::make_unique<SecureSocket>(loop.get(), gateway.tls, gateway.target(), seconds(5),
                                            std::move(events));
    CHECK(loop.run_until([&] { return gateway.closings.size() == 1; }, seconds(5)));
    CHECK(texts == 1);
  }
}
