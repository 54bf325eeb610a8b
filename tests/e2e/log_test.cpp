// What a node writes about a whole life at level debug, and what must not stand there.
#include <doctest/doctest.h>

#include <csignal>
#include <map>
#include <regex>
#include <sstream>

#include "crypto/signature.h"
#include "tests/e2e/raw_client.h"
#include "tests/support/hex.h"
#include "tests/support/socket_client.h"

using namespace earshot;
using namespace earshot::test;

namespace {

using LogLine = std::map<std::string, std::string>;

// Strict logfmt: single blanks, snake_case names, bare values or quoted ones with known escapes.
LogLine parse(const std::string& line) {
  static const std::regex field(
      R"re( ([a-z][a-z0-9_]*)=([\x21\x23-\x3c\x3e-\x5b\x5d-\x7e]+|"(?:[ !\x23-\x5b\x5d-~]|\\["\\]|\\x[0-9a-f]{2})*"))re");
  CAPTURE(line);
  LogLine fields;
  const std::string padded = " " + line;
  auto at = padded.cbegin();
  std::smatch found;
  while (
      std::regex_search(at, padded.cend(), found, field, std::regex_constants::match_continuous)) {
    CHECK(fields.emplace(found[1], found[2]).second);
    at = found.suffix().first;
  }
  CHECK(at == padded.cend());
  static const std::regex time(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)");
  CHECK(std::regex_match(fields["time"], time));
  static const std::regex level("debug|info|warn|error");
  CHECK(std::regex_match(fields["level"], level));
  CHECK_FALSE(fields["event"].empty());
  return fields;
}

std::vector<LogLine> parse_all(const std::string& log) {
  std::vector<LogLine> lines;
  std::istringstream stream(log);
  for (std::string line; std::getline(stream, line);) lines.push_back(parse(line));
  return lines;
}

std::vector<LogLine> of_event(const std::vector<LogLine>& lines, const std::string& event) {
  std::vector<LogLine> found;
  for (const LogLine& line : lines) {
    if (line.at("event") == event) found.push_back(line);
  }
  return found;
}

// Every form in which bytes could come to stand in a text.
std::vector<std::string> forms_of(std::span<const std::uint8_t> bytes) {
  std::vector<std::string> forms{
      crypto::base64url_encode(bytes), to_hex(bytes), std::string(bytes.begin(), bytes.end()),
      Json(std::vector<std::uint8_t>(bytes.begin(), bytes.end())).dump()};
  std::string standard = forms[0];
  for (char& c : standard) c = c == '-' ? '+' : c == '_' ? '/' : c;
  forms.push_back(standard);
  std::string upper = forms[1];
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  forms.push_back(upper);
  return forms;
}

class Secrets {
 public:
  void add(const std::string& text) { texts_.push_back(text); }
  void add(std::span<const std::uint8_t> bytes) {
    for (const std::string& form : forms_of(bytes)) add(form);
  }
  // The whole and each of its parts: the signature is what makes it a token.
  void add_token(const std::string& token) {
    std::istringstream stream(token);
    for (std::string part; std::getline(stream, part, '.');) add(part);
  }
  void check_absent_from(const std::string& log) const {
    for (const std::string& text : texts_) {
      CAPTURE(text);
      REQUIRE(text.size() >= 4);
      CHECK(log.find(text) == std::string::npos);
    }
  }

 private:
  std::vector<std::string> texts_;
};

// Through as many ways in as there are, each with words of its own.
void offend(World& world, Secrets& secrets) {
  const auto mallory = make_claims("mallory");
  for (const std::string& token :
       {std::string("words-instead-of-a-token"), world.relay.sign("somebody-else"),
        world.relay.sign(mallory) + "AAAA"}) {
    secrets.add_token(token);
    RawGateway refused(world);
    refused.identify(mallory, token);
    CHECK(refused.close_code() == 4'004);
    RawGateway no_resume(world);
    no_resume.resume("server", "session-unknown", token);
    CHECK(no_resume.close_code() == 4'006);
  }
  RawGateway talker(world);
  talker.send_text(R"({"op":77,"d":{"text":"said-in-a-message"}})");
  CHECK(talker.close_code() != 0);
  secrets.add("said-in-a-message");
  for (const Endpoint& at : {world.relay.gateway(), world.relay.admin()}) {
    SocketClient socket(at, world.tls);
    socket.send(
        "GET /path-of-a-stranger?key=key-in-a-query HTTP/1.1\r\nHost: name-of-a-host\r\n"
        "Authorization: Bearer key-of-an-application\r\nConnection: close\r\n\r\n");
    CHECK(world.run_until([&] {
      socket.pump();
      return socket.has_ended();
    }));
  }
  for (const char* word :
       {"path-of-a-stranger", "key-in-a-query", "name-of-a-host", "key-of-an-application"}) {
    secrets.add(word);
  }
}

}  // namespace

TEST_CASE("the log of a whole life at level debug: every line parses, and no secret is in it") {
  World world({"log.level=debug", "media.workers=2"});
  Secrets secrets;
  secrets.add(world.relay.token_key());
  std::vector<std::string> users{"alice", R"(b"=event=forged\n)"};
  {
    // A whole client that speaks, drops its connection, comes back and leaves.
    const std::string token = world.relay.sign(users[0], "channel");
    secrets.add_token(token);
    secrets.add("session-of-alice");
    Participant& alice = world.join_with_token(users[0], token, [&](auto& options) {
      options.mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
    });
    // A name that does its worst, with a key that the test knows.
    auto claims = make_claims(users[1], "channel", "server", "session-of-bob");
    secrets.add("session-of-bob");
    RawSession bob(world, claims);
    secrets.add_token(bob.token);
    secrets.add(bob.key);
    secrets.add(":" + std::to_string(bob.seen.port));
    world.talk({&alice}, milliseconds(300));
    bob.speak();
    bob.gateway->cut();
    bob.resume(bob.sequence());
    bob.gateway->next(9);
    bob.gateway->close(1'000);
    alice.client->cut();
    CHECK(world.run_until([&] { return alice.resumes == 1; }));
    for (const std::string& message : alice.messages) {
      const Json parsed = Json::parse(message);
      if (parsed["op"] == 4) {
        secrets.add(parsed["d"]["secret_key"].get<std::vector<std::uint8_t>>());
      }
    }
    // She takes herself over.
    const std::string again = world.relay.sign(users[0], "other-channel");
    secrets.add_token(again);
    Participant& second = world.join_with_token(users[0], again);
    CHECK(world.run_until([&] { return alice.end.has_value(); }));
    offend(world, secrets);
    second.client->leave();
    CHECK(world.run_until([&] { return second.end.has_value(); }));
  }
  world.settle();
  REQUIRE(world.relay.stop(SIGTERM, seconds(10)) == ExitStatus{0, 0});

  const std::string log = world.relay.log();
  CAPTURE(log);
  secrets.check_absent_from(log);
  const std::vector<LogLine> lines = parse_all(log);
  REQUIRE(lines.size() >= 10);
  CHECK(lines.front().at("event") == "node_started");
  CHECK(lines.back().at("event") == "node_stopped");
  // Nobody's full address, but for those that the node itself listens on.
  for (const LogLine& line : lines) {
    const std::string& event = line.at("event");
    CAPTURE(event);
    if (event == "node_started" || event == "media_address_is_private") continue;
    for (const auto& [name, value] : line) {
      CAPTURE(value);
      CHECK(value.find("127.0.0.1") == std::string::npos);
      CHECK(value.find("::1") == std::string::npos);
      if (name == "peer") CHECK(value == "127.0.0.0/24");
    }
  }
  const auto joined = of_event(lines, "session_joined");
  REQUIRE(joined.size() == 3);
  CHECK(joined[0].at("user") == "alice");
  CHECK(joined[1].at("user") == R"("b\"=event=forged\\n")");
  CHECK(joined[1].at("channel") == "channel");
  CHECK(of_event(lines, "session_resumed").size() == 2);
  std::map<std::string, int> reasons;
  for (const LogLine& line : of_event(lines, "session_left")) ++reasons[line.at("reason")];
  CHECK(reasons == std::map<std::string, int>{{"disconnected", 2}, {"taken_over", 1}});
  reasons.clear();
  for (const LogLine& line : of_event(lines, "token_refused")) ++reasons[line.at("reason")];
  CHECK(reasons == std::map<std::string, int>{
                       {"malformed", 2}, {"other_user_or_server", 1}, {"wrong_signature", 2}});
}

TEST_CASE("the log at its default level names nobody") {
  World world;
  Participant& alice = world.join("person-alice");
  alice.client->leave();
  CHECK(world.run_until([&] { return alice.end.has_value(); }));
  world.settle();
  REQUIRE(world.relay.stop(SIGTERM, seconds(10)) == ExitStatus{0, 0});
  const std::string log = world.relay.log();
  CAPTURE(log);
  CHECK(of_event(parse_all(log), "session_left").size() == 1);
  CHECK(log.find("person-alice") == std::string::npos);
}

TEST_CASE("addresses stand in the log in full where the operator asks for them") {
  World world({"log.addresses=full"});
  world.join("alice");
  REQUIRE(world.relay.stop(SIGTERM, seconds(10)) == ExitStatus{0, 0});
  const auto joined = of_event(parse_all(world.relay.log()), "session_joined");
  REQUIRE(joined.size() == 1);
  CHECK(joined[0].at("peer") == "127.0.0.1");
}
