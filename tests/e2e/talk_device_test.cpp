// `earshot talk --mic --speaker` on sound cards that are files: libasound loads them from a private
// configuration (alsa_device.c), PortAudio finds them there, and they keep time as real ones do.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "codec/wav.h"
#include "tests/e2e/talk_process.h"
#include "tests/support/temporary_folder.h"
#include "tools/client/spectrum.h"

using namespace earshot;
using namespace earshot::test;

namespace {

// Empty in a build without PortAudio.
std::string plugin_path() {
  const char* path = std::getenv("EARSHOT_ALSA_DEVICE");
  return path == nullptr ? "" : path;
}

bool has_devices() {
  return !plugin_path().empty();
}

// For the processes that are started while it lives.
class SoundCards {
 public:
  SoundCards() {
    // PortAudio wants at least one device of this name.
    add("default", {{"infile", microphone_path(440)}, {"outfile", played_path("default")}});
    setenv("ALSA_CONFIG_PATH", folder_.file("asound.conf").c_str(), 1);
  }
  ~SoundCards() { unsetenv("ALSA_CONFIG_PATH"); }
  SoundCards(const SoundCards&) = delete;
  SoundCards& operator=(const SoundCards&) = delete;

  using Settings = std::vector<std::pair<std::string, std::string>>;
  void add(const std::string& name, const Settings& settings) {
    text_ += "pcm." + name + " {\n  type earshot_test\n";
    for (const auto& [key, value] : settings) {
      const bool is_number = value.find_first_not_of("-0123456789") == std::string::npos;
      text_ += "  " + key + (is_number ? " " + value : " \"" + value + "\"") + "\n";
    }
    text_ += "}\n";
    write_file("pcm_type.earshot_test { lib \"" + plugin_path() + "\" }\n" + text_);
  }
  // Nothing at all, as on a machine without a sound card.
  void remove_all() { write_file("pcm.default { type nowhere }\n"); }

  // What somebody says who is only a tone.
  std::string microphone_path(int hz) {
    const std::string path = folder_.file(std::to_string(hz) + ".raw");
    const auto bytes = tone_bytes(hz, 1);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
    return path;
  }
  std::string played_path(const std::string& name) { return folder_.file(name + ".played"); }
  std::vector<std::int16_t> played(const std::string& name) {
    std::string error;
    const auto bytes = codec::read_file(played_path(name), error);
    REQUIRE_MESSAGE(bytes, error);
    return to_samples(*bytes);
  }
  std::string file(const std::string& name) const { return folder_.file(name); }

 private:
  void write_file(const std::string& text) { std::ofstream(folder_.file("asound.conf")) << text; }

  TemporaryFolder folder_;
  std::string text_;
};

// A person's terminal. As there is no shell, it controls nobody: Ctrl-C would be no signal.
class Terminal {
 public:
  Terminal() { REQUIRE(openpty(&master_, &slave_, nullptr, nullptr, nullptr) == 0); }
  ~Terminal() {
    close(master_);
    close(slave_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  int input() const { return dup(slave_); }
  void type(char key) { REQUIRE(write(master_, &key, 1) == 1); }
  bool is_raw() const {
    termios mode{};
    REQUIRE(tcgetattr(slave_, &mode) == 0);
    return (mode.c_lflag & (ICANON | ECHO)) == 0;
  }

 private:
  int master_ = -1, slave_ = -1;
};

std::uint64_t received(const Participant& listener, const std::string& user) {
  const auto report = listener.heard(user);
  return report ? report->received : 0;
}

bool is_speaking(const Participant& listener, const std::string& user) {
  const auto told = listener.last_speaking(user);
  return told && told->is_speaking;
}

double level_of_last_second(const std::vector<std::int16_t>& samples) {
  return client::level_dbfs(std::span(samples).last(std::min<std::size_t>(samples.size(), 24'000)));
}

}  // namespace

TEST_CASE("without PortAudio there is a sentence on how to get it" * doctest::skip(has_devices())) {
  World world;
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--mic", "--open-mic"}, {"--speaker"}, {"--list-devices"}}) {
    Talk talk(world, "alice", arguments);
    CHECK(talk.wait() == 1);
    CHECK(talk.errors() ==
          "earshot talk: this earshot was built without sound devices: install portaudio19-dev and "
          "build it again\n");
  }
}

TEST_CASE("a person speaks into a microphone and hears from a loudspeaker, both at once" *
          doctest::skip(!has_devices())) {
  SoundCards cards;
  // One that has no 48 kHz, and clocks that are wrong.
  cards.add("headset", {{"infile", cards.microphone_path(440)}, {"ppm", "400"}});
  cards.add("tin", {{"outfile", cards.played_path("tin")}, {"rate", "44100"}, {"ppm", "-400"}});
  World world;
  Participant& other = world.join("other");
  world.speak(other, 900);
  Talk talk(world, "person",
            {"--mic", "headset", "--speaker", "tin", "--open-mic", "--headphones", "--seconds", "4",
             "--json"});
  CHECK(talk.wait() == 0);
  CHECK(talk.errors().find("microphone headset at 48000 Hz, loudspeaker tin at 44100 Hz") !=
        std::string::npos);
  // Only what is ours is said.
  const std::string errors = talk.errors();
  CHECK(std::count(errors.begin(), errors.end(), '\n') == 2);
  const auto heard = other.heard("person");
  REQUIRE(heard);
  CHECK(heard->received > 150);
  CHECK(heard->tone.hz == doctest::Approx(440).epsilon(0.02));
  CHECK(heard->tone.share > 0.9);
  CHECK(heard->level == doctest::Approx(-14.2).epsilon(0.1));
  // At its own rate, so 900 Hz look like 980.
  const auto played = cards.played("tin");
  CHECK(played.size() > 120'000);
  has_tone({played.begin() + 44'100, played.end()}, 900 * 48'000 / 44'100.0);
  const Json report = talk.report();
  CHECK(report["devices"]["microphone"]["overflowed_samples"] == 0);
  CHECK(report["devices"]["loudspeaker"]["overflowed_samples"] == 0);
}

TEST_CASE("an open microphone beside a loudspeaker is quiet while others speak" *
          doctest::skip(!has_devices())) {
  SoundCards cards;
  World world;
  Participant& other = world.join("other");
  world.speak(other, 900);
  world.settle();
  Talk talk(world, "person", {"--mic", "--speaker", "--open-mic", "--json"});
  talk.wait_until_joined();
  world.run_for(milliseconds(1'500));
  // It was open until the first of the others arrived.
  CHECK(received(other, "person") < 25);
  CHECK_FALSE(is_speaking(other, "person"));
  world.fall_silent(other);
  REQUIRE(world.run_until([&] { return is_speaking(other, "person"); }, seconds(3)));
  const auto before = received(other, "person");
  CHECK(world.run_until([&] { return received(other, "person") > before + 30; }, seconds(3)));
  talk.interrupt();
  CHECK(talk.wait() == 0);
  has_tone(cards.played("default"), 900);
}

TEST_CASE("push-to-talk: the space bar, and a loudspeaker that is silent meanwhile" *
          doctest::skip(!has_devices())) {
  SoundCards cards;
  World world;
  Participant& other = world.join("other");
  world.speak(other, 900);
  Terminal terminal;
  Talk talk(world, "person", {"--mic", "--speaker", "--json"}, terminal.input());
  talk.wait_until_joined();
  REQUIRE(world.run_until([&] { return terminal.is_raw(); }));
  world.run_for(milliseconds(800));
  CHECK(received(other, "person") == 0);
  CHECK(level_of_last_second(cards.played("default")) > -30);
  terminal.type(' ');
  REQUIRE(world.run_until([&] { return is_speaking(other, "person"); }, seconds(3)));
  world.run_for(milliseconds(1'200));
  const auto said = received(other, "person");
  CHECK(said > 40);
  CHECK(level_of_last_second(cards.played("default")) < -80);
  CHECK(talk.errors().find("microphone on\n") != std::string::npos);
  terminal.type(' ');
  REQUIRE(world.run_until([&] { return !is_speaking(other, "person"); }, seconds(3)));
  world.settle();
  const auto after = received(other, "person");
  world.run_for(milliseconds(800));
  CHECK(received(other, "person") == after);
  CHECK(level_of_last_second(cards.played("default")) > -30);
  CHECK(other.heard("person")->tone.hz == doctest::Approx(440).epsilon(0.02));
  terminal.type('q');
  CHECK(talk.wait() == 0);
  CHECK(talk.report()["end"]["ok"] == true);
  CHECK_FALSE(terminal.is_raw());
}

TEST_CASE("a sound card that is pulled out: one sentence, a polite leave, exit 1" *
          doctest::skip(!has_devices())) {
  SoundCards cards;
  cards.add("loose", {{"infile", cards.microphone_path(440)},
                      {"outfile", cards.played_path("loose")},
                      {"gone_after_ms", "1000"}});
  World world;
  Participant& other = world.join("other");
  std::vector<std::string> arguments;
  std::string expected;
  SUBCASE("the microphone") {
    arguments = {"--mic", "loose", "--speaker", "--open-mic"};
    expected = "earshot talk: the microphone is gone: loose: it has stopped\n";
  }
  SUBCASE("the loudspeaker") {
    arguments = {"--speaker", "loose"};
    expected = "earshot talk: the loudspeaker is gone: loose: it has stopped\n";
  }
  Talk talk(world, "person", arguments);
  CHECK(talk.wait(seconds(15)) == 1);
  const std::string errors = talk.errors();
  CAPTURE(errors);
  CHECK(errors.ends_with(expected));
  // Joined, the devices, the end.
  CHECK(std::count(errors.begin(), errors.end(), '\n') == 3);
  CHECK(world.run_until([&] { return !other.left.empty(); }, seconds(2)));
}

TEST_CASE("what cannot be used is one sentence and exit 1" * doctest::skip(!has_devices())) {
  SoundCards cards;
  cards.add("taken", {{"infile", cards.microphone_path(440)}, {"lockfile", cards.file("lock")}});
  const int lock = open(cards.file("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(flock(lock, LOCK_EX) == 0);
  World world;
  struct Row {
    std::vector<std::string> arguments;
    std::string expected;
  };
  const std::vector<Row> rows{
      {{"--mic", "nothing", "--open-mic"}, "--mic: no microphone is called \"nothing\""},
      {{"--speaker", "17"}, "--speaker: no loudspeaker is called \"17\""},
      {{"--mic", "taken", "--open-mic"},
       "--mic: no microphone is called \"taken\", or it is in use"},
      {{"--mic"}, "--mic needs a terminal on standard input for its key; --open-mic needs none"}};
  const auto check = [&](const std::vector<std::string>& arguments, const std::string& expected) {
    CAPTURE(expected);
    Talk talk(world, "alice", arguments);
    CHECK(talk.wait() == 1);
    CHECK(talk.output().empty());
    const std::string said = talk.errors();
    CAPTURE(said);
    CHECK(said.rfind("earshot talk: " + expected, 0) == 0);
    CHECK(std::count(said.begin(), said.end(), '\n') == 1);
  };
  for (const Row& row : rows) check(row.arguments, row.expected);
  close(lock);
  cards.remove_all();
  check({"--speaker"}, "--speaker: this machine has no loudspeaker");
  check({"--mic", "--open-mic"}, "--mic: this machine has no microphone");
}

TEST_CASE("options that make no sense together are refused" * doctest::skip(!has_devices())) {
  World world;
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--mic", "--play", "tone:440"},
        {"--open-mic"},
        {"--mic", "--open-mic", "--push-to-talk", "hold"},
        {"--mic", "--push-to-talk", "sometimes"},
        {"--mic", "--threshold", "-30"}}) {
    Talk talk(world, "alice", arguments);
    CHECK(talk.wait() == 2);
  }
}

TEST_CASE("the list of devices needs no token" * doctest::skip(!has_devices())) {
  SoundCards cards;
  cards.add("headset", {{"infile", cards.microphone_path(440)}});
  const std::string prefix = cards.file("list");
  Process process({earshot_path(), "talk", "--list-devices"}, prefix);
  CHECK(process.wait(seconds(10)) == ExitStatus{0, 0});
  CHECK(process.errors().empty());
  const std::string text = process.output();
  CAPTURE(text);
  CHECK(text.find("default default    48000  default\n") != std::string::npos);
  CHECK(text.find("yes     -          48000  headset\n") != std::string::npos);
  Process json({earshot_path(), "talk", "--list-devices", "--json"}, prefix + "-json");
  CHECK(json.wait(seconds(10)) == ExitStatus{0, 0});
  CHECK(Json::parse(json.output()).size() == 2);
  cards.remove_all();
  Process none({earshot_path(), "talk", "--list-devices"}, prefix + "-none");
  CHECK(none.wait(seconds(10)) == ExitStatus{1, 0});
  CHECK(none.errors() == "earshot talk: this machine has no sound devices\n");
}
