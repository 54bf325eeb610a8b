#include "relay/gateway/tls.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "tests/support/test_certificate.h"

using namespace earshot;
using namespace earshot::gateway;

namespace {

// Carries what one side wants to send to the other, `step` bytes at a time.
void carry(TlsStream& from, TlsStream& to, std::string& plaintext, std::size_t step = 100'000) {
  while (!from.output().empty()) {
    const std::string part(from.output().substr(0, step));
    from.consume(part.size());
    to.feed(part, plaintext);
  }
}

struct Pair {
  explicit Pair(const TlsContext& server_context, const TlsContext& client_context,
                const std::string& host)
      : server(server_context), client(client_context, host) {}

  void run(std::size_t step = 100'000) {
    while (!client.output().empty() || !server.output().empty()) {
      carry(client, server, at_server, step);
      carry(server, client, at_client, step);
    }
  }
  bool is_up() const { return server.is_established() && client.is_established(); }

  TlsStream server;
  TlsStream client;
  std::string at_server;
  std::string at_client;
};

struct Contexts {
  test::TestCertificate certificate;
  TlsContext server =
      TlsContext::make_server(certificate.certificate_path(), certificate.key_path()).value();
  TlsContext client = TlsContext::make_client(certificate.certificate_path()).value();
};

std::string long_text() {
  std::string text;
  for (int i = 0; text.size() < 100'000; ++i) text += std::to_string(i) + " ";
  return text;
}

}  // namespace

TEST_CASE("client and server agree and carry text both ways, whatever the split") {
  const Contexts contexts;
  for (const std::size_t step : {100'000u, 1'000u, 7u, 1u}) {
    CAPTURE(step);
    Pair pair(contexts.server, contexts.client, "localhost");
    pair.run(step);
    REQUIRE(pair.is_up());
    const std::string text = step > 100 ? long_text() : "short";
    CHECK(pair.client.write(text) == TlsStatus::open);
    CHECK(pair.server.write("from the server") == TlsStatus::open);
    pair.run(step);
    CHECK(pair.at_server == text);
    CHECK(pair.at_client == "from the server");
  }
}

TEST_CASE("the client checks whom it speaks to") {
  const Contexts contexts;
  const test::TestCertificate other;
  struct Row {
    std::string host;
    bool is_trusted;
  };
  const Row rows[] = {{"localhost", true},  {"127.0.0.1", true},     {"::1", true},
                      {"127.0.0.2", false}, {"::2", false},          {"example.org", false},
                      {"", false},          {"local host\n", false}, {"LOCALHOST", true}};
  for (const Row& row : rows) {
    CAPTURE(row.host);
    Pair pair(contexts.server, contexts.client, row.host);
    pair.run();
    CHECK(pair.is_up() == row.is_trusted);
    CHECK((pair.client.status() == TlsStatus::open) == row.is_trusted);
    CHECK(pair.client.error().empty() == row.is_trusted);
  }
  const TlsContext stranger = TlsContext::make_client(other.certificate_path()).value();
  Pair pair(contexts.server, stranger, "localhost");
  pair.run();
  CHECK(pair.client.status() == TlsStatus::failed);
  CHECK(pair.client.error().find("certificate verify failed") != std::string::npos);
  CHECK(pair.server.status() == TlsStatus::failed);
}

TEST_CASE("close_notify ends one direction, and both ends learn of it") {
  const Contexts contexts;
  Pair pair(contexts.server, contexts.client, "127.0.0.1");
  pair.run();
  pair.client.write("last words");
  pair.client.close();
  pair.client.close();
  pair.run();
  CHECK(pair.at_server == "last words");
  CHECK(pair.server.status() == TlsStatus::closed);
  CHECK(pair.client.status() == TlsStatus::open);
  pair.server.write("still heard");
  pair.server.close();
  pair.run();
  CHECK(pair.at_client == "still heard");
  CHECK(pair.client.status() == TlsStatus::closed);
}

TEST_CASE("bad bytes fail the stream with a reason and an alert, never more") {
  const Contexts contexts;
  SUBCASE("plain HTTP instead of TLS") {
    TlsStream server(contexts.server);
    std::string plaintext;
    CHECK(server.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n", plaintext) == TlsStatus::failed);
    CHECK_FALSE(server.error().empty());
    CHECK(plaintext.empty());
    CHECK(server.feed("more", plaintext) == TlsStatus::failed);
  }
  SUBCASE("garbage") {
    TlsStream server(contexts.server);
    std::string plaintext;
    CHECK(server.feed(std::string(500, '\xAA'), plaintext) == TlsStatus::failed);
  }
  SUBCASE("a changed byte after the handshake") {
    Pair pair(contexts.server, contexts.client, "localhost");
    pair.run();
    pair.client.write("hello");
    std::string record(pair.client.output());
    record[record.size() / 2] ^= 1;
    CHECK(pair.server.feed(record, pair.at_server) == TlsStatus::failed);
    CHECK(pair.at_server.empty());
    CHECK_FALSE(pair.server.output().empty());
    CHECK(pair.server.write("x") == TlsStatus::failed);
  }
}

TEST_CASE("output gives back what was taken, and its memory") {
  const Contexts contexts;
  Pair pair(contexts.server, contexts.client, "localhost");
  pair.run();
  const std::string text = long_text();
  pair.server.write(text);
  const std::string all(pair.server.output());
  std::string taken;
  while (!pair.server.output().empty()) {
    const std::size_t size = std::min<std::size_t>(pair.server.output().size(), 977);
    taken.append(pair.server.output().substr(0, size));
    pair.server.consume(size);
  }
  CHECK(taken == all);
  pair.client.feed(taken, pair.at_client);
  CHECK(pair.at_client == text);
}

TEST_CASE("files that cannot be used are named") {
  const test::TestCertificate one;
  const test::TestCertificate two;
  const std::string empty_path = (one.directory() / "empty.pem").string();
  std::ofstream(empty_path).put('\n');
  const auto text = [](const Result<TlsContext>& result) {
    return result.ok() ? "" : result.error().text;
  };

  CHECK(text(TlsContext::make_server("/nowhere/c.pem", one.key_path())).find("/nowhere/c.pem") !=
        std::string::npos);
  CHECK(text(TlsContext::make_server(one.certificate_path(), "/nowhere/k.pem"))
            .find("/nowhere/k.pem") != std::string::npos);
  CHECK(text(TlsContext::make_server(empty_path, one.key_path())).find(empty_path) !=
        std::string::npos);
  CHECK(text(TlsContext::make_server(one.certificate_path(), two.key_path()))
            .find("does not belong") != std::string::npos);
  CHECK(text(TlsContext::make_client("/nowhere/ca.pem")).find("/nowhere/ca.pem") !=
        std::string::npos);
  CHECK(text(TlsContext::make_client(empty_path)).find(empty_path) != std::string::npos);
  CHECK(TlsContext::make_client("").ok());
}
