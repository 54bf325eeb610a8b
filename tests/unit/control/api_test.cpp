// The HTTP API without sockets: routes, keys, bodies, and what becomes of participants.
#include "relay/control/api.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "crypto/signature.h"
#include "relay/base/limits.h"
#include "tests/support/control_rig.h"
#include "tests/support/fake_connection.h"

using namespace earshot;
using namespace earshot::control;
using namespace earshot::test;
using Json = nlohmann::json;

namespace {

const std::string channel_path = "/v1/servers/1/channels/100";

ApiKey key(const std::string& name, Scope scope, std::optional<std::string> server = {}) {
  return {name, scope, std::move(server),
          crypto::sha256({reinterpret_cast<const std::uint8_t*>(name.data()), name.size()})};
}

struct Rig : ControlRig {
  explicit Rig(const ControlRigOptions& rig_options = {})
      : ControlRig(rig_options),
        events(7),
        feed(events, [this] { return unix_now * 1'000; }),
        recordings(nullptr, workers.commands.workers(), recordings_options()),
        api(api_options(), {sessions, membership, workers.commands, verifier, events, feed,
                            recordings, [](NodeMetrics&) {}}) {
    sessions.set_observer(&feed);
  }

  static RecordingsOptions recordings_options() {
    RecordingsOptions o;
    o.unix_ms = [] { return std::int64_t{0}; };
    return o;
  }
  static ApiOptions api_options() {
    ApiOptions o;
    o.labels = {"1.2.3", {5}, "here", "earshot"};
    o.endpoint = "voice.example:8443";
    o.keys = ApiKeys(
        {key("admin", Scope::admin), key("reader", Scope::read), key("one", Scope::admin, "1")});
    return o;
  }

  // Begins a request on a connection of its own; `name` is the key's name and the key.
  FakeConnection& begin(const std::string& method, const std::string& target,
                        const std::string& body = {}, const std::string& name = "admin") {
    connections.push_back(std::make_unique<FakeConnection>());
    FakeConnection& connection = *connections.back();
    gateway::HttpRequest request;
    request.method = method;
    request.path = target.substr(0, target.find('?'));
    if (request.path.size() < target.size()) request.query = target.substr(request.path.size() + 1);
    request.body = body;
    if (!body.empty()) request.headers.emplace_back("content-type", "application/json");
    if (!name.empty()) request.headers.emplace_back("authorization", "Bearer " + name);
    if (const auto answer = api.on_request(connection, request)) connection.respond(*answer);
    return connection;
  }
  gateway::HttpResponse send(const std::string& method, const std::string& target,
                             const std::string& body = {}, const std::string& name = "admin") {
    FakeConnection& connection = begin(method, target, body, name);
    workers.wait_until([&] { return connection.response.has_value(); });
    return *connection.response;
  }
  Json get(const std::string& target, const std::string& name = "admin") {
    const auto response = send("GET", target, {}, name);
    REQUIRE(response.status == 200);
    return Json::parse(response.body);
  }
  // The status; checks that a refusal is a problem of that kind.
  int status(const std::string& method, const std::string& target, const std::string& body = {},
             const std::string& name = "admin") {
    const auto response = send(method, target, body, name);
    if (response.status >= 400) {
      CHECK(response.content_type == "application/problem+json");
      const Json problem = Json::parse(response.body);
      CHECK(problem.at("status") == response.status);
      CHECK(problem.at("type").get<std::string>().starts_with("urn:earshot:problem:"));
      detail = problem.at("detail").get<std::string>();
      CHECK_FALSE(detail.empty());
    }
    return response.status;
  }

  // Everything that a stream has for its peer.
  void read(FakeConnection& stream) {
    while (stream.read()) api.on_drained(stream);
  }

  std::vector<std::unique_ptr<FakeConnection>> connections;
  EventHub events;
  EventFeed feed;
  Recordings recordings;  // nothing records: the loop is not needed
  Api api;
  std::string detail;
};

}  // namespace

TEST_CASE("an address that keeps sending wrong keys is told to wait, and a right key never is") {
  Rig rig;
  const auto status = [&](const std::string& name, const IpAddress& peer) {
    FakeConnection connection(peer);
    gateway::HttpRequest request;
    request.method = "GET";
    request.path = "/v1/node";
    if (!name.empty()) request.headers.emplace_back("authorization", "Bearer " + name);
    return rig.api.on_request(connection, request)->status;
  };
  const IpAddress guesser = make_v4(192, 0, 2, 1);
  const IpAddress other = make_v4(192, 0, 2, 2);
  for (std::size_t i = 0; i < limits::wrong_keys_per_address_max; ++i) {
    CHECK(status("", guesser) == 401);
    CHECK(status("wrong", guesser) == 401);
  }
  CHECK(status("wrong", guesser) == 429);
  CHECK(status("", guesser) == 401);
  CHECK(status("admin", guesser) == 200);
  CHECK(status("wrong", other) == 401);
  rig.advance(limits::wrong_keys_memory);
  CHECK(status("wrong", guesser) == 401);
}

TEST_CASE("guesses from everywhere do not fill the memory") {
  WrongKeys keys;
  for (std::uint32_t i = 0; i < 3 * limits::wrong_keys_addresses_max; ++i) {
    const auto byte = [i](int shift) { return static_cast<std::uint8_t>(i >> shift); };
    CHECK_FALSE(keys.add({}, make_v4(10, byte(16), byte(8), byte(0))));
    CHECK(keys.addresses_count() <= limits::wrong_keys_addresses_max);
  }
}

TEST_CASE("every route needs a key of the right scope and server, and says so") {
  Rig rig;
  const struct {
    const char* method;
    std::string path;
    bool is_admin;
    bool is_whole_node;
  } routes[] = {
      {"GET", "/v1/node", false, true},
      {"GET", "/metrics", false, true},
      {"GET", "/v1/channels", false, false},
      {"POST", "/v1/joins", true, false},
      {"GET", "/v1/servers/1/channels", false, false},
      {"GET", channel_path, false, false},
      {"PATCH", channel_path, true, false},
      {"DELETE", channel_path, true, false},
      {"GET", channel_path + "/participants", false, false},
      {"GET", channel_path + "/participants/a", false, false},
      {"PATCH", channel_path + "/participants/a", true, false},
      {"DELETE", channel_path + "/participants/a", true, false},
      {"POST", channel_path + "/participants/a/move", true, false},
  };
  for (const auto& route : routes) {
    CAPTURE(route.method);
    CAPTURE(route.path);
    CHECK(rig.status(route.method, route.path, {}, "") == 401);
    CHECK(rig.status(route.method, route.path, {}, "wrong") == 401);
    if (route.is_admin) CHECK(rig.status(route.method, route.path, {}, "reader") == 403);
    if (route.is_whole_node) CHECK(rig.status(route.method, route.path, {}, "one") == 403);
    CHECK(rig.status("PUT", route.path) == 405);
  }
  CHECK(rig.status("GET", "/v1/servers/2/channels/100", {}, "one") == 403);
  CHECK(rig.status("GET", "/v1/events?server_id=2", {}, "one") == 403);
  CHECK(rig.status("POST", "/v1/joins", R"({"server_id":"2","channel_id":"c","user_id":"u"})",
                   "one") == 403);
  for (const char* path :
       {"/", "/v1", "/v1/", "/v1/nothing", "/v1/node/", "//v1/node", "/v1/joins/a", "/v1/servers/1",
        "/v1/servers/1/channels/100/participants/a/mov"}) {
    CAPTURE(path);
    CHECK(rig.status("GET", path) == 404);
  }
  CHECK(rig.send("PATCH", "/v1/node").headers.back().second == "GET, HEAD");
}

TEST_CASE("health and readiness need no key") {
  Rig rig;
  CHECK(rig.status("GET", "/healthz", {}, "") == 200);
  CHECK(rig.status("GET", "/readyz", {}, "") == 200);
  CHECK(rig.status("POST", "/readyz", {}, "") == 405);
  rig.api.begin_stop();
  CHECK(rig.status("GET", "/healthz", {}, "") == 200);
  CHECK(rig.status("GET", "/readyz", {}, "") == 503);
  CHECK(rig.status("POST", "/v1/joins", R"({"server_id":"2","channel_id":"c","user_id":"u"})") ==
        503);
  CHECK(rig.get("/v1/node").at("state") == "stopping");
}

TEST_CASE("a join has a token that identifies, in the shape of a voice server update") {
  Rig rig;
  const auto response =
      rig.send("POST", "/v1/joins",
               R"({"server_id":"1","channel_id":"100","user_id":"u","ttl_seconds":60,
          "grants":{"speak":false,"priority":true,"max_bitrate":64000,"late_ms_max":120}})");
  REQUIRE(response.status == 201);
  const Json join = Json::parse(response.body);
  CHECK(join.at("endpoint") == "voice.example:8443");
  CHECK(join.at("guild_id") == "1");
  CHECK(join.at("expires_at") == rig.unix_now + 60);
  Person person;
  person.claims.server_id = join.at("server_id");
  person.claims.user_id = join.at("user_id");
  person.claims.channel_id = join.at("channel_id");
  person.claims.session_id = join.at("session_id");
  person.token = join.at("token");
  CHECK(person.claims.session_id.size() == 22);
  rig.join(person);
  const Json shown = rig.get(channel_path + "/participants/u");
  CHECK(shown.at("state") == "live");
  CHECK(shown.at("mode") == "aead_xchacha20_poly1305_rtpsize");
  CHECK(shown.at("grants") == Json{{"speak", false},
                                   {"listen", true},
                                   {"priority", true},
                                   {"require_e2ee", false},
                                   {"max_bitrate", 64'000},
                                   {"late_ms_max", 120}});
}

TEST_CASE("a body that is not as it should be is refused, and the sentence says why") {
  Rig rig;
  const auto join = [&rig](const std::string& more) {
    const int status = rig.status("POST", "/v1/joins",
                                  R"({"server_id":"1","channel_id":"100","user_id":"u")" +
                                      (more.empty() ? "" : "," + more) + "}");
    return status == 400 ? rig.detail : std::to_string(status);
  };
  CHECK(join("") == "201");
  CHECK(join(R"("session":"x")") == "there is no member session");
  CHECK(join(R"("session_id":7)").starts_with("session_id must be"));
  CHECK(join(R"("session_id":"a b")").starts_with("session_id must be"));
  CHECK(join(R"("session_id":"")").starts_with("session_id must be"));
  CHECK(join(R"("ttl_seconds":0)").starts_with("ttl_seconds must be an integer from 1 to 3600"));
  CHECK(join(R"("ttl_seconds":3601)").starts_with("ttl_seconds"));
  CHECK(join(R"("ttl_seconds":1.5)").starts_with("ttl_seconds"));
  CHECK(join(R"("grants":[])") == "grants must be an object");
  CHECK(join(R"("grants":{"speak":1})") == "grants.speak must be true or false");
  CHECK(join(R"("grants":{"shout":true})") == "there is no member grants.shout");
  CHECK(join(R"("grants":{"late_ms_max":19})").starts_with("grants.late_ms_max must be 0"));
  CHECK(join(R"("grants":{"late_ms_max":2001})").starts_with("grants.late_ms_max must be"));
  CHECK(join(R"("user_id":"v")") == "the body has two members of one name");
  const auto refused = [&rig](const std::string& body) {
    return rig.status("POST", "/v1/joins", body) == 400 ? rig.detail : "";
  };
  CHECK(refused("") == "server_id is missing");
  CHECK(refused("{") == "the body must be one JSON object");
  CHECK(refused("[]") == "the body must be one JSON object");
  CHECK(refused("{}x") == "the body must be one JSON object");
  CHECK(refused("{\"a\":\"\xff\"}") == "the body must be one JSON object");
  CHECK(refused(std::string(100, '[') + std::string(100, ']')) ==
        "the body must be one JSON object");
  CHECK(refused(R"({"server_id":"1","channel_id":"100","user_id":")" + std::string(65, 'u') + "\"}")
            .starts_with("user_id must be"));
  auto& typed = *rig.connections.emplace_back(std::make_unique<FakeConnection>());
  gateway::HttpRequest form;
  form.method = "POST";
  form.path = "/v1/joins";
  form.headers = {{"authorization", "Bearer admin"},
                  {"content-type", "application/x-www-form-urlencoded"}};
  form.body = "server_id=1";
  CHECK(rig.api.on_request(typed, form)->status == 415);
}

TEST_CASE("ids in a path may hold what a path may not") {
  Rig rig;
  CHECK(rig.status("PATCH", "/v1/servers/a%2Fb/channels/%25%3f", R"({"late_ms_max":0})") == 200);
  const Json listed = rig.get("/v1/servers/a%2fb/channels").at("channels");
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].at("server_id") == "a/b");
  CHECK(listed[0].at("channel_id") == "%?");
  for (const char* path :
       {"/v1/servers/%/channels", "/v1/servers/%1/channels", "/v1/servers/%zz/channels",
        "/v1/servers//channels", "/v1/servers/%20/channels", "/v1/servers/%00/channels"}) {
    CAPTURE(path);
    CHECK(rig.status("GET", path) == 400);
  }
}

TEST_CASE("participants are shown, in pages") {
  Rig rig;
  for (const char* user : {"a", "b", "c"}) rig.join(rig.person(user));
  auto& waiting = rig.identify(rig.person("d"));
  const Json whole = rig.get(channel_path);
  CHECK(whole.at("participants_count") == 4);
  CHECK(whole.at("participants").size() == 4);
  CHECK(whole.at("participants")[3].at("state") == "joining");
  CHECK(whole.at("participants")[3].at("mode").is_null());
  CHECK(whole.at("next").is_null());
  const Json first = rig.get(channel_path + "/participants?limit=3");
  CHECK(first.at("participants").size() == 3);
  const Json second =
      rig.get(channel_path + "/participants?after=" + first.at("next").get<std::string>());
  REQUIRE(second.at("participants").size() == 1);
  CHECK(second.at("participants")[0].at("user_id") == "d");
  CHECK(second.at("participants")[0].at("ssrc") == waiting.ssrc());
  for (const char* wrong : {"limit=0", "limit=1001", "limit=x", "limit=", "after=*"}) {
    CAPTURE(wrong);
    CHECK(rig.status("GET", channel_path + "?" + wrong) == 400);
  }
  CHECK(rig.status("GET", channel_path + "/participants/nobody") == 404);
  CHECK(rig.status("GET", "/v1/servers/1/channels/200") == 404);
  rig.clients[0]->cut();
  CHECK(rig.get(channel_path + "/participants/a").at("state") == "reconnecting");
}

TEST_CASE("channels are listed in pages, and a key sees those of its server") {
  Rig rig;
  for (const char* path :
       {"/v1/servers/1/channels/x", "/v1/servers/2/channels/y", "/v1/servers/3/channels/z"}) {
    CHECK(rig.status("PATCH", path, R"({"speakers_max":3})") == 200);
  }
  const Json first = rig.get("/v1/channels?limit=2");
  CHECK(first.at("channels").size() == 2);
  const Json rest = rig.get("/v1/channels?after=" + first.at("next").get<std::string>());
  REQUIRE(rest.at("channels").size() == 1);
  CHECK(rest.at("channels")[0].at("server_id") == "3");
  CHECK(rest.at("next").is_null());
  const Json own = rig.get("/v1/channels", "one").at("channels");
  REQUIRE(own.size() == 1);
  CHECK(own[0].at("channel_id") == "x");
  CHECK(rig.get("/v1/channels?after=" + first.at("next").get<std::string>(), "one")
            .at("channels")
            .size() == 1);
}

TEST_CASE("settings of a channel are set, cleared with null, and kept") {
  Rig rig;
  CHECK(rig.status("PATCH", channel_path,
                   R"({"late_ms_max":120,"speakers_max":2,"participants_max":1})") == 200);
  CHECK(rig.get(channel_path).at("settings") ==
        Json{{"late_ms_max", 120}, {"speakers_max", 2}, {"participants_max", 1}});
  rig.join(rig.person("a"));
  auto& second = rig.connect(rig.person("b"));
  second.identify();
  rig.settle();
  CHECK(second.close_code == 4021);
  CHECK(rig.status("PATCH", channel_path, R"({"participants_max":null})") == 200);
  CHECK(rig.get(channel_path).at("settings") ==
        Json{{"late_ms_max", 120}, {"speakers_max", 2}, {"participants_max", nullptr}});
  for (const char* wrong :
       {R"({"late_ms_max":10})", R"({"speakers_max":0})", R"({"speakers_max":65})",
        R"({"participants_max":"2"})", R"({"x":1})"}) {
    CAPTURE(wrong);
    CHECK(rig.status("PATCH", channel_path, wrong) == 400);
  }
  CHECK(rig.status("DELETE", channel_path) == 204);
  CHECK(rig.clients[0]->close_code == 4022);
  CHECK(rig.status("GET", channel_path) == 404);
  CHECK(rig.status("DELETE", channel_path) == 404);
}

TEST_CASE("mute and deafen answer with what holds, whether or not the user is there") {
  Rig rig;
  const std::string path = channel_path + "/participants/a";
  const auto patch = [&](const std::string& body) {
    return Json::parse(rig.send("PATCH", path, body).body);
  };
  Json expected{{"user_id", "a"}, {"server_id", "1"}, {"channel_id", "100"},
                {"mute", true},   {"deafen", false},  {"present", false}};
  CHECK(patch(R"({"mute":true})") == expected);
  rig.join(rig.person("a"));
  expected["present"] = true;
  CHECK(patch("{}") == expected);
  expected["deafen"] = true;
  CHECK(patch(R"({"deafen":true})") == expected);
  CHECK(rig.get(path).at("mute") == true);
  expected["deafen"] = expected["mute"] = false;
  CHECK(patch(R"({"mute":false,"deafen":false})") == expected);
  CHECK(rig.status("PATCH", path, R"({"mute":null})") == 400);
  CHECK(rig.status("PATCH", path, R"({"muted":true})") == 400);
}

TEST_CASE("an answer that is owed is lost with its connection, and nothing else is") {
  Rig rig;
  rig.join(rig.person("a"));
  FakeConnection& gone = rig.begin("PATCH", channel_path + "/participants/a", R"({"mute":true})");
  rig.api.on_abandoned(gone);
  rig.settle();
  CHECK_FALSE(gone.response.has_value());
  CHECK(rig.get(channel_path + "/participants/a").at("mute") == true);
  CHECK(rig.status("DELETE", channel_path + "/participants/a") == 204);
}

TEST_CASE("a move gives a join for the new channel and sends it to those who may make one") {
  Rig rig;
  auto& old = rig.join(rig.person("a"));
  const std::string path = channel_path + "/participants/a/move";
  CHECK(rig.status("POST", path, "{}") == 400);
  CHECK(rig.status("POST", path, R"({"channel_id":"100"})") == 409);
  CHECK(rig.status("POST", path, R"({"channel_id":"200","session_id":"session-a"})") == 409);
  CHECK(rig.status("POST", channel_path + "/participants/b/move", R"({"channel_id":"200"})") ==
        404);
  FakeConnection& admin = rig.begin("GET", "/v1/events");
  FakeConnection& reader = rig.begin("GET", "/v1/events", {}, "reader");
  const auto response = rig.send("POST", path, R"({"channel_id":"200"})");
  REQUIRE(response.status == 200);
  const Json join = Json::parse(response.body);
  const std::string token = join.at("token");
  Person moved;
  moved.claims = old.person.claims;
  moved.claims.channel_id = "200";
  moved.claims.session_id = join.at("session_id");
  moved.token = token;
  rig.join(moved);
  CHECK(old.close_code == 4014);
  rig.read(admin);
  rig.read(reader);
  CHECK(admin.received.find("event: voice_server_update") != std::string::npos);
  CHECK(admin.received.find(token) != std::string::npos);
  CHECK(reader.received.find("voice_server_update") == std::string::npos);
  CHECK(reader.received.find(token) == std::string::npos);
  CHECK(reader.received.find("event: moved") != std::string::npos);
  CHECK(reader.received.find(R"("to_channel_id":"200")") != std::string::npos);
}

TEST_CASE("events tell what happens; a key that is gone hears no more") {
  Rig rig;
  FakeConnection& stream = rig.begin("GET", "/v1/events", {}, "reader");
  FakeConnection& other = rig.begin("GET", "/v1/events", {}, "admin");
  auto& a = rig.join(rig.person("a"));
  a.speak(1);
  rig.send("PATCH", channel_path + "/participants/a", R"({"mute":true})");
  rig.send("PATCH", channel_path + "/participants/a", R"({"mute":true})");
  rig.send("PATCH", channel_path, R"({"late_ms_max":0})");
  rig.send("DELETE", channel_path + "/participants/a");
  rig.send("DELETE", channel_path);
  rig.read(stream);
  std::string names;
  for (std::size_t at = 0; (at = stream.received.find("event: ", at)) != std::string::npos; ++at) {
    const std::size_t end = stream.received.find('\n', at);
    names += stream.received.substr(at + 7, end - at - 7) + " ";
  }
  CHECK(names == "joined speaking muted channel_updated left channel_closed ");
  CHECK(stream.received.find(R"("reason":"kicked")") != std::string::npos);
  rig.api.set_keys(ApiKeys({key("admin", Scope::admin)}));
  CHECK(stream.has_stream_ended);
  CHECK_FALSE(other.has_stream_ended);
  CHECK(rig.status("GET", "/v1/channels", {}, "reader") == 401);
}

TEST_CASE("metrics are Prometheus text with a sample for each worker and reason") {
  ControlRigOptions options;
  options.workers = 2;
  Rig rig(options);
  rig.join(rig.person("a"));
  const auto response = rig.send("GET", "/metrics", {}, "reader");
  REQUIRE(response.status == 200);
  CHECK(response.content_type.starts_with("text/plain"));
  const auto has = [&](const std::string& line) {
    return ("\n" + response.body).find("\n" + line + "\n") != std::string::npos;
  };
  CHECK(has("earshot_participants 1"));
  CHECK(has("earshot_sessions_identified_total 1"));
  CHECK(has("# TYPE earshot_worker_received_total counter"));
  CHECK(has(R"(earshot_worker_received_total{worker="1"} 0)"));
  CHECK(has(R"(earshot_worker_drops_total{worker="0",reason="stale"} 0)"));
  // The one with more free slots: no participant has the SSRC 0.
  CHECK(has(R"(earshot_worker_participants{worker="0"} 0)"));
  CHECK(has(R"(earshot_worker_participants{worker="1"} 1)"));
  CHECK(response.body.find(R"(version="1.2.3")") != std::string::npos);
}
