// `earshot talk` and `earshot token` as people use them: arguments, pipes, files and exit codes.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <numbers>

#include "codec/ogg_reader.h"
#include "codec/wav.h"
#include "tests/e2e/raw_client.h"
#include "tests/e2e/talk_process.h"

using namespace earshot;
using namespace earshot::test;

TEST_CASE("two commands talk to each other, and tell what they heard as JSON") {
  World world;
  Talk alice(world, "alice", {"--play", "tone:600", "--seconds", "2.5", "--json"});
  Talk bob(world, "bob", {"--seconds", "1.5", "--json", "--mode", "xchacha"});
  CHECK(bob.wait() == 0);
  CHECK(alice.wait() == 0);
  const Json heard = bob.report();
  CHECK(heard["joined"] == true);
  CHECK(heard["user_id"] == "bob");
  CHECK(heard["mode"] == "aead_xchacha20_poly1305_rtpsize");
  CHECK(heard["end"]["ok"] == true);
  CHECK(heard["end"]["text"] == "left");
  CHECK(heard["seconds"].get<double>() == doctest::Approx(1.5).epsilon(0.2));
  REQUIRE(heard["speakers"].size() == 1);
  const Json& speaker = heard["speakers"][0];
  CHECK(speaker["user_id"] == "alice");
  CHECK(speaker["ssrc"] == alice.report()["ssrc"]);
  CHECK(speaker["heard"].get<int>() > 20);
  CHECK(speaker["tone_hz"].get<double>() == doctest::Approx(600).epsilon(0.02));
  CHECK(alice.report()["frames_sent"].get<int>() > 80);
  CHECK(alice.report()["speakers"].empty());
}

TEST_CASE("a token from the command line is as good as any") {
  World world;
  const std::string prefix = world.relay.state_folder() + "/token";
  Process token({earshot_path(), "token", "--server", "s", "--user", "u", "--session", "x",
                 "--channel", "c", "--state", world.relay.state_folder(), "--deny", "speak"},
                prefix);
  CHECK(token.wait(seconds(10)) == ExitStatus{0, 0});
  std::string text = token.output();
  REQUIRE(text.size() > 1);
  CHECK(text.back() == '\n');
  text.pop_back();
  Participant& u = world.join_with_token("u", text);
  CHECK(u.client->claims().channel_id == "c");
}

TEST_CASE("what a recorder delivers on a pipe is said, and its end is the end") {
  World world;
  Participant& listener = world.join("listener");
  world.settle();
  const auto bytes = tone_bytes(700, 2);
  Pipe pipe;
  Talk talk(world, "speaker", {"--play", "-", "--json"}, pipe.give(0));
  // As arecord does: 125 ms at a time, in real time, whether or not anybody reads already.
  SUBCASE("in the periods of a sound card") {
    for (std::size_t at = 0; at < bytes.size(); at += 12'000) {
      const std::size_t size = std::min<std::size_t>(12'000, bytes.size() - at);
      REQUIRE(write(pipe.ends[1], bytes.data() + at, size) == static_cast<ssize_t>(size));
      world.run_for(milliseconds(125));
    }
  }
  SUBCASE("in odd pieces") {
    for (std::size_t at = 0; at < bytes.size(); at += 1'777) {
      const std::size_t size = std::min<std::size_t>(1'777, bytes.size() - at);
      REQUIRE(write(pipe.ends[1], bytes.data() + at, size) == static_cast<ssize_t>(size));
      world.run_for(milliseconds(18));
    }
  }
  SUBCASE("as a file, all at once, as fast as the pipe takes it") {
    fcntl(pipe.ends[1], F_SETFL, O_NONBLOCK);
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t size = write(pipe.ends[1], bytes.data() + at, bytes.size() - at);
      if (size > 0) at += static_cast<std::size_t>(size);
      world.run_for(milliseconds(10));
    }
  }
  pipe.close_end(1);
  CHECK(talk.wait() == 0);
  world.settle();
  const auto report = listener.heard("speaker");
  REQUIRE(report);
  CHECK(report->tone.hz == doctest::Approx(700).epsilon(0.02));
  CHECK(report->tone.share > 0.9);
  // 100 frames, less what piled up before the join, and silence frames.
  CHECK(report->received >= 75);
  CHECK(report->received <= 125);
  CHECK(talk.report()["frames_sent"].get<std::uint64_t>() >= report->received);
}

TEST_CASE("an input that is empty from the start") {
  World world;
  Talk talk(world, "speaker", {"--play", "-"});
  CHECK(talk.wait() == 0);
}

TEST_CASE("what is heard goes to a pipe, and the report to standard error") {
  World world;
  Participant& speaker = world.join("speaker");
  world.speak(speaker, 800);
  Pipe pipe;
  Talk talk(world, "listener", {"--listen", "-", "--seconds", "2", "--json"}, -1, pipe.give(1));
  fcntl(pipe.ends[0], F_SETFL, O_NONBLOCK);
  std::vector<std::uint8_t> heard;
  std::array<std::uint8_t, 65'536> block;
  bool has_ended = false;
  REQUIRE(world.run_until([&] {
    const ssize_t size = read(pipe.ends[0], block.data(), block.size());
    if (size > 0) heard.insert(heard.end(), block.begin(), block.begin() + size);
    has_ended = size == 0;
    return has_ended;
  }));
  CHECK(talk.wait() == 0);
  const auto samples = to_samples(heard);
  CHECK(heard.size() % 1'920 == 0);
  CHECK(static_cast<double>(samples.size()) / 48'000 == doctest::Approx(2).epsilon(0.15));
  has_tone(samples, 800);
  const std::string errors = talk.errors();
  CHECK(Json::parse(errors.substr(errors.find('{')))["speakers"][0]["user_id"] == "speaker");
}

TEST_CASE("a reader that goes away ends the conversation, not with an error") {
  World world;
  Pipe pipe;
  Talk talk(world, "listener", {"--listen", "-"}, -1, pipe.give(1));
  talk.wait_until_joined();
  pipe.close_end(0);
  CHECK(talk.wait(seconds(3)) == 0);
}

TEST_CASE("a reader that never reads holds up nobody") {
  World world;
  Participant& other = world.join("other");
  Pipe pipe;
  Talk talk(world, "both", {"--listen", "-", "--play", "tone:500", "--seconds", "2"}, -1,
            pipe.give(1));
  CHECK(talk.wait() == 0);
  REQUIRE(other.heard("both"));
  CHECK(other.heard("both")->received > 80);
}

TEST_CASE("a full disk is told, with exit 1") {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  if (full < 0) return;
  World world;
  Talk talk(world, "listener", {"--listen", "-", "--seconds", "3"}, -1, full);
  CHECK(talk.wait() == 1);
  CHECK(talk.errors().find("cannot write to standard output: No space left on device") !=
        std::string::npos);
}

TEST_CASE("recordings: a file for each speaker, in either format") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  world.speak(alice, 500);
  world.speak(bob, 900);
  const std::string folder = world.relay.state_folder() + "/heard";
  SUBCASE("wav") {
    Talk talk(world, "recorder", {"--record", folder, "--seconds", "2"});
    CHECK(talk.wait() == 0);
    has_tone(load_wav(folder + "/alice.wav"), 500);
    has_tone(load_wav(folder + "/bob.wav"), 900);
    CHECK(load_wav(folder + "/mixed.wav").size() >= 90'000);
  }
  SUBCASE("ogg") {
    Talk talk(world, "recorder", {"--record", folder, "--record-format", "ogg", "--seconds", "2"});
    CHECK(talk.wait() == 0);
    std::string error;
    const auto bytes = codec::read_file(folder + "/alice.ogg", error);
    REQUIRE_MESSAGE(bytes, error);
    const auto samples = codec::decode_ogg_opus(*bytes, error);
    REQUIRE_MESSAGE(samples, error);
    has_tone(*samples, 500);
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder), {}) == 3);
}

TEST_CASE("files are said, and then the command leaves") {
  World world;
  Participant& listener = world.join("listener");
  const std::string path = world.relay.state_folder() + "/tone.wav";
  {
    codec::WavWriter writer;
    std::string error;
    REQUIRE(writer.open(path, error));
    writer.write(to_samples(tone_bytes(650, 1)));
  }
  Talk talk(world, "speaker", {"--play", path});
  CHECK(talk.wait() == 0);
  REQUIRE(world.run_until([&] { return !listener.left.empty(); }));
  CHECK(listener.heard("speaker")->received == 55);
  CHECK(listener.heard("speaker")->tone.hz == doctest::Approx(650).epsilon(0.02));
}

TEST_CASE("Ctrl-C leaves in good order") {
  World world;
  Participant& listener = world.join("listener");
  Talk talk(world, "speaker", {"--play", "tone:440", "--json"});
  talk.wait_until_joined();
  world.run_for(milliseconds(300));
  talk.interrupt();
  CHECK(talk.wait(seconds(3)) == 0);
  CHECK(talk.report()["end"]["ok"] == true);
  CHECK(world.run_until([&] { return !listener.left.empty(); }, seconds(2)));
}

TEST_CASE("addresses: IPv6 literals, names, and the media elsewhere") {
  World world;
  const auto port = std::to_string(world.relay.gateway().port);
  std::vector<std::string> endpoints{"localhost:" + port, "127.0.0.1:" + port};
  if (has_ipv6()) endpoints.push_back("[::1]:" + port);
  for (const auto& endpoint : endpoints) {
    CAPTURE(endpoint);
    Talk talk(world, endpoint, world.relay.ca_path(), world.relay.sign("u"),
              {"--seconds", "0.1", "--json"});
    CHECK(talk.wait() == 0);
  }
  if (!has_ipv6()) return;
  const std::string media = "[::1]:" + std::to_string(world.relay.media().port);
  Talk talk(world, "v6", {"--media-endpoint", media, "--seconds", "0.1", "--json"});
  CHECK(talk.wait() == 0);
  CHECK(talk.report()["media"] == media);
  CHECK(talk.report()["public_address"].get<std::string>().rfind("[::1]:", 0) == 0);
}

TEST_CASE("whatever goes wrong is one sentence and exit 1") {
  World world;
  const TestCertificate other;
  const std::string endpoint = world.relay.gateway().to_string();
  const std::string ca = world.relay.ca_path();
  const std::string token = world.relay.sign("alice");
  struct Row {
    const char* name;
    std::string endpoint, ca, token;
    std::vector<std::string> arguments;
    std::string expected;
  };
  const std::vector<Row> rows{
      {"another authority",
       endpoint,
       other.certificate_path(),
       token,
       {},
       "certificate verify failed"},
      {"the way out",
       endpoint,
       other.certificate_path(),
       token,
       {},
       "--ca names the authority to trust"},
      {"no such file", endpoint, "/nowhere.pem", token, {}, "/nowhere.pem"},
      {"a token of no use", endpoint, ca, token + "x", {}, "the relay refused the token"},
      {"no token", endpoint, ca, "abc", {}, "the token is not a JWT"},
      {"nobody there",
       "127.0.0.1:9",
       ca,
       token,
       {},
       "cannot connect to 127.0.0.1:9: connection refused"},
      {"no endpoint", "localhost", ca, token, {}, "--endpoint: \"localhost\" is not HOST:PORT"},
      {"no media",
       endpoint,
       ca,
       token,
       {"--media-endpoint", "127.0.0.1:9"},
       "no answer to IP discovery from 127.0.0.1:9"},
      {"no such source", endpoint, ca, token, {"--play", "/nowhere.ogg"}, "/nowhere.ogg"},
      {"nowhere to record", endpoint, ca, token, {"--record", ca + "/below"}, ca + "/below"},
      {"no gateway",
       world.relay.admin().to_string(),
       ca,
       token,
       {},
       "the upgrade was refused with HTTP status 404"}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Talk talk(world, row.endpoint, row.ca, row.token, row.arguments);
    CHECK(talk.wait() == 1);
    CHECK(talk.output().empty());
    const std::string said = talk.errors();
    CAPTURE(said);
    CHECK(said.rfind("earshot talk: ", 0) == 0);
    CHECK(std::count(said.begin(), said.end(), '\n') == 1);
    CHECK(said.find(row.expected) != std::string::npos);
    CHECK(said.find(token) == std::string::npos);
  }
  Talk wrong_usage(world, "alice", {"--mode", "rot13"});
  CHECK(wrong_usage.wait() == 2);
}

TEST_CASE("thrown out: the reason, and exit 1") {
  World world;
  Talk talk(world, "alice", {});
  talk.wait_until_joined();
  world.join_with_token("alice", world.relay.sign("alice", "channel", "server", "elsewhere"));
  CHECK(talk.wait() == 1);
  CHECK(talk.errors().find("the same user joined elsewhere") != std::string::npos);
}

TEST_CASE("a relay that is started anew is joined anew") {
  World world;
  Talk talk(world, "alice", {"--play", "tone:440", "--json"});
  talk.wait_until_joined();
  std::vector<std::string> command = world.relay.command();
  command.insert(command.end(), {"--set", "gateway.listen=" + world.relay.gateway().to_string(),
                                 "--set", "media.listen=" + world.relay.media().to_string()});
  SUBCASE("after a stop") {
    CHECK(world.relay.stop(SIGTERM, seconds(5)) == ExitStatus{0, 0});
  }
  SUBCASE("after a crash") {
    world.relay.process().send_signal(SIGKILL);
    CHECK(world.relay.process().wait(seconds(5)) == ExitStatus{-1, SIGKILL});
    // Its end was the test's doing.
    world.relay.forgive();
  }
  Process again(command, world.relay.state_folder() + "/again");
  REQUIRE(world.run_until([&] { return again.output().rfind("ready ", 0) == 0; }, seconds(20)));
  Participant& bob = world.join("bob");
  REQUIRE(world.run_until([&] { return bob.received() > 50; }));
  talk.interrupt();
  CHECK(talk.wait(seconds(3)) == 0);
  CHECK(talk.report()["identifies"] == 2);
  CHECK(talk.errors().find("earshot talk: interrupted: ") != std::string::npos);
  CHECK(bob.heard("alice")->tone.hz == doctest::Approx(440).epsilon(0.02));
  again.send_signal(SIGTERM);
  CHECK(again.wait(seconds(5)) == ExitStatus{0, 0});
}
