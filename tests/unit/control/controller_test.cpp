// A whole node on loopback: it starts, serves, names what it cannot open, and stops.
#include "relay/control/controller.h"

#include <doctest/doctest.h>
#include <uv.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "crypto/signature.h"
#include "relay/control/log.h"
#include "relay/gateway/token.h"
#include "tests/support/socket_client.h"
#include "tests/support/test_certificate.h"

using namespace earshot;
using namespace earshot::control;
using earshot::test::SocketClient;
using Json = nlohmann::json;

namespace {

const Endpoint any_port{make_v4(127, 0, 0, 1), 0};
const std::vector<std::uint8_t> secret(32, 9);

struct Rig {
  Rig() {
    log::start("error", "short");
    REQUIRE(crypto::initialize());
    REQUIRE(uv_loop_init(&loop) == 0);
    write("token.key", crypto::base64url_encode(secret) + "\n");
    config.media_listen = config.gateway_listen[0] = any_port;
    config.gateway_listen.resize(1);
    config.admin_listen = {any_port};
    config.media_workers = 1;
    config.media_pin_workers = false;
    config.media_loopback_only = true;
    config.media_sessions_per_worker_max = 16;
    config.gateway_tls_cert = certificate.certificate_path();
    config.gateway_tls_key = certificate.key_path();
    config.tokens_keys = {{"key", "HS256", path("token.key")}};
  }
  ~Rig() {
    clients.clear();
    node.reset();
    CHECK(uv_loop_close(&loop) == 0);  // nothing is left in it
  }

  std::string path(const std::string& name) { return certificate.directory() / name; }
  void write(const std::string& name, const std::string& content) {
    std::ofstream(path(name)) << content;
  }

  void start() {
    auto created = Controller::create(&loop, config);
    CAPTURE((created ? "" : created.error().text));
    REQUIRE(created.ok());
    node = std::move(created.value());
  }
  // Of another node, on a loop of its own.
  std::string refusal() {
    uv_loop_t other{};
    REQUIRE(uv_loop_init(&other) == 0);
    const auto created = Controller::create(&other, config);
    REQUIRE_FALSE(created.ok());
    CHECK(uv_loop_close(&other) == 0);
    return created.error().text;
  }

  bool run_until(const std::function<bool()>& is_done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!is_done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      uv_run(&loop, UV_RUN_NOWAIT);
      for (const auto& client : clients) client->pump();
    }
    return true;
  }
  SocketClient& connect(const Endpoint& to) {
    return *clients.emplace_back(std::make_unique<SocketClient>(to, client_tls));
  }
  // A participant whose Session Description has come.
  SocketClient& join(const std::string& user) {
    SocketClient& client = connect(node->endpoints().gateway);
    client.open_websocket();
    REQUIRE(run_until([&] { return client.messages().size() == 1; }));
    gateway::Claims claims{user, "1", "100", "session", std::time(nullptr) + 60, {}};
    const std::string token =
        gateway::make_token("earshot", claims, "key", gateway::TokenAlgorithm::hs256, secret);
    send(client, 0,
         {{"server_id", "1"}, {"user_id", user}, {"session_id", "session"}, {"token", token}});
    REQUIRE(run_until([&] { return client.messages().size() == 2; }));
    send(client, 1,
         {{"protocol", "udp"},
          {"data",
           {{"address", "127.0.0.1"}, {"port", 5}, {"mode", "aead_xchacha20_poly1305_rtpsize"}}}});
    REQUIRE(run_until([&] { return client.messages().size() >= 3; }));
    REQUIRE(Json::parse(client.messages()[2])["op"] == 4);
    return client;
  }
  static void send(SocketClient& client, int opcode, const Json& d) {
    client.send_text(Json{{"op", opcode}, {"d", d}}.dump());
  }

  test::TestCertificate certificate;
  gateway::TlsContext client_tls =
      gateway::TlsContext::make_client(certificate.certificate_path()).value();
  Config config;
  uv_loop_t loop{};
  std::unique_ptr<Controller> node;
  std::vector<std::unique_ptr<SocketClient>> clients;
};

}  // namespace

TEST_CASE("a node serves health, takes participants in, and stops with 1001 in time") {
  Rig rig;
  rig.start();
  const NodeEndpoints at = rig.node->endpoints();
  CHECK(at.media.ip == make_v4(127, 0, 0, 1));
  CHECK(at.media.port != 0);
  for (const Endpoint& endpoint : {at.gateway, at.admin}) {
    SocketClient& client = rig.connect(endpoint);
    client.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    REQUIRE(rig.run_until([&] { return client.has_ended(); }));
    CHECK(client.received().starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(client.received().ends_with(R"({"status":"ok"})"));
  }
  SocketClient& a = rig.join("a");
  const Json ready = Json::parse(a.messages()[1]);
  CHECK(ready["d"]["ip"] == "127.0.0.1");
  CHECK(ready["d"]["port"] == at.media.port);
  SocketClient& b = rig.join("b");
  REQUIRE(rig.run_until([&] { return a.messages().size() == 5; }));
  CHECK(Json::parse(a.messages()[4])["d"]["user_id"] == "b");

  const auto start = std::chrono::steady_clock::now();
  rig.node->stop();
  rig.node->stop();
  REQUIRE(rig.run_until([&] { return a.has_ended() && b.has_ended(); }));
  CHECK(a.close_code() == 1001);
  CHECK(b.close_code() == 1001);
  uv_run(&rig.loop, UV_RUN_DEFAULT);  // ends by itself
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("a node goes away without being stopped") {
  Rig rig;
  rig.start();
  rig.join("a");
  rig.node.reset();
}

TEST_CASE("what is in use or cannot be read is named, and nothing is left open") {
  Rig rig;
  rig.start();
  const NodeEndpoints at = rig.node->endpoints();
  SUBCASE("the gateway's port") {
    rig.config.gateway_listen = {at.gateway};
    CHECK(rig.refusal().starts_with("gateway.listen: cannot listen on " + at.gateway.to_string()));
  }
  SUBCASE("the application's port") {
    rig.config.admin_listen = {at.admin};
    CHECK(rig.refusal().starts_with("admin.listen: cannot listen on " + at.admin.to_string()));
  }
  SUBCASE("the media port") {
    rig.config.media_listen = at.media;
    CHECK(rig.refusal().find(at.media.to_string()) != std::string::npos);
  }
  SUBCASE("the certificate") {
    rig.config.gateway_tls_cert = rig.path("absent.pem");
    CHECK(rig.refusal().find(rig.path("absent.pem")) != std::string::npos);
    CHECK(check_files(rig.config).error().text.find(rig.path("absent.pem")) != std::string::npos);
  }
  SUBCASE("a token key") {
    rig.config.tokens_keys[0].file = rig.path("absent.key");
    CHECK(rig.refusal().find(rig.path("absent.key")) != std::string::npos);
  }
}

TEST_CASE("token keys have the size of their algorithm") {
  struct Row {
    std::size_t size;
    const char* algorithm;
    bool is_good;
  };
  Rig rig;
  CHECK(check_files(rig.config).ok());
  for (const Row& row :
       {Row{31, "HS256", false}, Row{32, "HS256", true}, Row{64, "HS256", true},
        Row{31, "EdDSA", false}, Row{32, "EdDSA", true}, Row{33, "EdDSA", false}}) {
    CAPTURE(row.size);
    rig.write("a.key", crypto::base64url_encode(std::vector<std::uint8_t>(row.size, 1)));
    rig.config.tokens_keys = {{"a", row.algorithm, rig.path("a.key")}};
    const auto checked = check_files(rig.config);
    CHECK(checked.ok() == row.is_good);
    if (!row.is_good) CHECK(checked.error().text.starts_with(rig.path("a.key") + ": "));
  }
}
