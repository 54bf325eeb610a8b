// The program itself: its command line, its configuration, its beginning and its end.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/e2e/raw_client.h"

using namespace earshot;
using namespace earshot::test;

namespace {

struct Run {
  ExitStatus status;
  std::string output, errors;
};

// A command that ends by itself.
Run run(std::vector<std::string> command) {
  const TestCertificate folder;
  Process process(std::move(command), (folder.directory() / "run").string());
  const auto status = process.wait(seconds(20));
  REQUIRE(status);
  return {*status, process.output(), process.errors()};
}

Run run_relay(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), relay_path());
  return run(std::move(arguments));
}

// One sentence: one line, under the program's name.
std::string sentence(const Run& run) {
  CHECK(run.status == ExitStatus{1, 0});
  CHECK(run.output.empty());
  CAPTURE(run.errors);
  // The log may have begun before the port was found to be taken.
  std::string last = run.errors;
  REQUIRE_FALSE(last.empty());
  CHECK(last.back() == '\n');
  last.pop_back();
  const auto line = last.rfind('\n');
  if (line != std::string::npos) last = last.substr(line + 1);
  CHECK(last.rfind("earshot-relay: ", 0) == 0);
  return last.substr(std::string("earshot-relay: ").size());
}

bool contains(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  CHECK(text.find(part) != std::string::npos);
  return true;
}

struct TakenPort {
  explicit TakenPort(int type) {
    descriptor = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    if (type == SOCK_STREAM) REQUIRE(::listen(descriptor, 1) == 0);
    socklen_t size = sizeof address;
    getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
    text = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~TakenPort() { close(descriptor); }
  int descriptor;
  std::string text;
};

}  // namespace

TEST_CASE("SIGTERM and SIGINT: every session is closed with 1001, and the end is clean") {
  for (const int number : {SIGTERM, SIGINT}) {
    CAPTURE(number);
    World world;
    Participant& alice = world.join("alice", "channel", [](client::VoiceClientOptions& options) {
      options.signalling.reconnect_time_max = {};
    });
    RawSession bob(world, make_claims("bob"));
    RawGateway unidentified(world);
    world.speak(alice);
    world.run_for(milliseconds(200));
    const Time start = client::monotonic_now();
    world.relay.process().send_signal(number);
    REQUIRE(world.run_until([&] { return alice.end.has_value(); }));
    CHECK(alice.end->code == 1'001);
    CHECK(bob.gateway->close_code() == 1'001);
    CHECK(unidentified.close_code() == 1'001);
    const auto status = world.relay.stop(number, seconds(5));
    REQUIRE(status);
    CHECK(*status == ExitStatus{0, 0});
    CHECK(client::monotonic_now() - start < seconds(3));
    CHECK(contains(world.relay.log(), "event=node_stopped"));
  }
}

TEST_CASE("a client that does not answer the close does not hold up the end") {
  World world;
  RawSession alice(world, make_claims("alice"));
  const Time start = client::monotonic_now();
  // The loop does not run, so nothing is read.
  const auto status = world.relay.stop(SIGTERM, seconds(5));
  REQUIRE(status);
  CHECK(*status == ExitStatus{0, 0});
  CHECK(client::monotonic_now() - start < seconds(3));
}

TEST_CASE("standard output carries the ready line and nothing else") {
  RelayProcess relay;
  for (const Endpoint& at : {relay.gateway(), relay.media(), relay.admin()}) {
    CHECK(at.ip == make_v4(127, 0, 0, 1));
    CHECK(at.port != 0);
  }
  const std::string expected = "ready gateway=" + relay.gateway().to_string() +
                               " udp=" + relay.media().to_string() + " api=https://" +
                               relay.admin().to_string() + " ca=" + relay.ca_path();
  CHECK(relay.ready_line() == expected);
  CHECK(relay.process().is_running());
  CHECK(relay.stop(SIGTERM, seconds(5)) == ExitStatus{0, 0});
  CHECK_FALSE(relay.log().empty());
}

TEST_CASE("a port in use is one sentence, whichever it is") {
  RelayProcess relay;
  const TakenPort tcp(SOCK_STREAM);
  const TakenPort udp(SOCK_DGRAM);
  struct Row {
    const char* key;
    std::string address;
  };
  for (const Row& row :
       {Row{"gateway.listen", tcp.text}, Row{"admin.listen", tcp.text},
        Row{"media.listen", udp.text}, Row{"gateway.listen", relay.gateway().to_string()},
        Row{"media.listen", relay.media().to_string()}}) {
    CAPTURE(row.key);
    std::vector<std::string> command = relay.command();
    command.insert(command.end(), {"--set", row.key + std::string("=") + row.address});
    const std::string said = sentence(run(command));
    contains(said, row.key);
    contains(said, row.address);
    contains(said, "in use");
  }
  // The one that runs has not noticed.
  CHECK(relay.process().is_running());
}

TEST_CASE("a second start on the same state, after the first has ended or been killed") {
  RelayProcess first;
  const auto start_again = [&] {
    std::vector<std::string> command = first.command();
    Process again(command, first.state_folder() + "/again");
    const Time deadline = client::monotonic_now() + seconds(20);
    while (again.output().empty() && client::monotonic_now() < deadline) usleep(10'000);
    CHECK(again.output().rfind("ready ", 0) == 0);
    again.send_signal(SIGTERM);
    CHECK(again.wait(seconds(5)) == ExitStatus{0, 0});
  };
  start_again();
  CHECK(first.stop(SIGTERM, seconds(5)) == ExitStatus{0, 0});
  start_again();
}

TEST_CASE("the very same ports can be used again at once, also after a crash") {
  World world;
  world.join("alice");
  RawSession bob(world, make_claims("bob"));
  std::vector<std::string> command = world.relay.command();
  command.insert(command.end(), {"--set", "gateway.listen=" + world.relay.gateway().to_string(),
                                 "--set", "admin.listen=" + world.relay.admin().to_string(),
                                 "--set", "media.listen=" + world.relay.media().to_string()});
  // Connections in mid-air must not keep the port.
  CHECK(world.relay.stop(SIGTERM, seconds(5)) == ExitStatus{0, 0});
  for (int i = 0; i < 2; ++i) {
    Process again(command, world.relay.state_folder() + "/again");
    const Time deadline = client::monotonic_now() + seconds(20);
    while (again.output().empty() && client::monotonic_now() < deadline) usleep(10'000);
    CHECK_MESSAGE(again.output().rfind("ready ", 0) == 0, again.errors());
    again.send_signal(SIGKILL);
    CHECK(again.wait(seconds(5)) == ExitStatus{-1, SIGKILL});
  }
}

TEST_CASE("a wrong configuration names file, line and key") {
  RelayProcess relay;
  const std::string file = relay.state_folder() + "/wrong.toml";
  struct Row {
    const char* text;
    int line;
    const char* key;
  };
  for (const Row& row : {Row{"[media]\nworkers = \"many\"\n", 2, "media.workers"},
                         Row{"[media]\n\nworkers = 65\n", 3, "media.workers"},
                         Row{"[media]\nwrokers = 1\n", 2, "media.wrokers"},
                         Row{"[medium]\nworkers = 1\n", 2, "medium.workers"},
                         Row{"[gateway]\nlisten = [\"localhost\"]\n", 2, "gateway.listen"},
                         Row{"[media]\nencryption_modes = [\"aead_aes256_gcm_rtpsize\"]\n", 2,
                             "media.encryption_modes"},
                         Row{"[media]\nlate_ms_max = 10\n", 2, "media.late_ms_max"},
                         Row{"[tokens]\nkeys = [{ id = \"a\", alg = \"RS256\", file = \"x\" }]\n",
                             2, "tokens.keys"}}) {
    CAPTURE(row.text);
    std::ofstream(file) << row.text;
    const std::string said = sentence(run_relay({"--config", file}));
    contains(said, file + ":" + std::to_string(row.line));
    contains(said, row.key);
    contains(sentence(run_relay({"--config", file, "--check-config"})), row.key);
  }
  std::ofstream(file) << "[media\nworkers = 1\n";
  contains(sentence(run_relay({"--config", file})), file + ":1");
  contains(sentence(run_relay({"--config", "/nowhere/relay.toml"})), "/nowhere/relay.toml");
}

TEST_CASE("what the configuration names has to be there, and to fit") {
  RelayProcess relay;
  const auto with = [&](const std::string& setting) {
    return sentence(
        run_relay({"--config", relay.config_path(), "--check-config", "--set", setting}));
  };
  const std::string folder = relay.state_folder();
  std::ofstream(folder + "/short.key") << "c2hvcnQ\n";
  std::ofstream(folder + "/empty.key") << "";
  const auto key = [&](const std::string& name) {
    return "tokens.keys=[{id=\"a\",alg=\"HS256\",file=\"" + folder + "/" + name + "\"}]";
  };
  contains(with("gateway.tls_cert=/nowhere.pem"), "/nowhere.pem");
  contains(with("gateway.tls_key=" + folder + "/certificate.pem"), "certificate.pem");
  contains(with(key("missing.key")), "missing.key");
  contains(with(key("short.key")), "short.key");
  contains(with(key("empty.key")), "empty.key");
  contains(with("nothing.at.all=1"), "nothing.at.all");
  contains(with("media.workers"), "media.workers");
  contains(sentence(run_relay({"--check-config"})), "gateway.tls_cert");
  const TestCertificate other;
  contains(with("gateway.tls_key=" + other.key_path()), "key.pem");
}

TEST_CASE("--check-config, --print-config, --version and --help, and wrong usage") {
  RelayProcess relay;
  const Run checked = run_relay({"--config", relay.config_path(), "--check-config"});
  CHECK(checked.status == ExitStatus{0, 0});
  CHECK(checked.output == "the configuration is fine\n");
  CHECK(checked.errors.empty());

  const Run printed =
      run_relay({"--config", relay.config_path(), "--set", "media.workers=7", "--print-config"});
  CHECK(printed.status == ExitStatus{0, 0});
  contains(printed.output, "\nworkers = 7\n");
  contains(printed.output, relay.state_folder() + "/token.key");
  // What is printed is a configuration, and it is the same one.
  const std::string copy = relay.state_folder() + "/copy.toml";
  std::ofstream(copy) << printed.output;
  const Run again = run_relay({"--config", copy, "--print-config"});
  CHECK(again.output == printed.output);
  CHECK(run_relay({"--config", copy, "--check-config"}).status == ExitStatus{0, 0});
  // No secret is in it.
  std::ifstream key_file(relay.state_folder() + "/token.key");
  std::string key;
  std::getline(key_file, key);
  REQUIRE(key.size() >= 43);
  CHECK(printed.output.find(key) == std::string::npos);

  const Run version = run_relay({"--version"});
  CHECK(version.status == ExitStatus{0, 0});
  CHECK(version.output.rfind("earshot-relay 0.", 0) == 0);
  CHECK(run_relay({"--help"}).status == ExitStatus{0, 0});
  for (const char* wrong : {"--nonsense", "stray", "--config"}) {
    CAPTURE(wrong);
    const Run refused = run_relay({wrong});
    CHECK(refused.status == ExitStatus{2, 0});
    CHECK(refused.output.empty());
    CHECK_FALSE(refused.errors.empty());
  }
}

TEST_CASE("neither tokens nor keys are in the log, not even when it tells everything") {
  World world({"log.level=debug"});
  Participant& alice = world.join("alice");
  RawSession bob(world, make_claims("bob"));
  world.talk({&alice}, milliseconds(300));
  bob.gateway->cut();
  bob.resume(bob.sequence()).next(9);
  RawGateway refused(world);
  refused.identify(make_claims("carol"), bob.token + "x");
  CHECK(refused.close_code() == 4'004);
  world.relay.stop(SIGTERM, seconds(5));
  const std::string log = world.relay.log();
  // The signature alone would do.
  CHECK(log.find(bob.token.substr(bob.token.rfind('.') + 1)) == std::string::npos);
  CHECK(log.find("secret_key") == std::string::npos);
}
