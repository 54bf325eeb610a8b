#include "tools/client/audio_device.h"

#include <doctest/doctest.h>

#include <array>

using namespace earshot;
using namespace earshot::client;

namespace {

const std::vector<AudioDevice> devices{
    {0, "HDA Intel PCH: ALC257 Analog (hw:0,0)", "ALSA", 2, 2, 48'000, false, false},
    {1, "HDA Intel PCH: HDMI 0 (hw:0,3)", "ALSA", 0, 8, 48'000, false, false},
    {2, "USB Headset: Audio (hw:1,0)", "ALSA", 1, 2, 44'100, false, false},
    {3, "pulse", "ALSA", 32, 32, 44'100, false, false},
    {4, "default", "ALSA", 32, 32, 44'100, true, true},
    {5, "default 2", "ALSA", 32, 32, 44'100, false, false}};

}  // namespace

TEST_CASE("a device is the default one, an index, a name, or a part of one name only") {
  struct Row {
    const char* text;
    AudioDirection direction;
    int index;  // -1: an error
  };
  using enum AudioDirection;
  constexpr std::array rows{
      Row{"", input, 4},        Row{"", output, 4},       Row{"2", input, 2},
      Row{"1", output, 1},      Row{"1", input, -1},      Row{"9", input, -1},
      Row{"-1", input, -1},     Row{"usb", input, 2},     Row{"Headset", output, 2},
      Row{"hdmi", output, 1},   Row{"hdmi", input, -1},   Row{"PCH", output, -1},
      Row{"PCH", input, 0},     Row{"default", input, 4}, Row{"fault", input, -1},
      Row{"nothing", input, -1}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto found = find_audio_device(devices, row.text, row.direction);
    CHECK((found ? found.value().index : -1) == row.index);
  }
}

TEST_CASE("what is wrong with a name is said, and where to look") {
  const auto none = find_audio_device({}, "", AudioDirection::input);
  CHECK(none.error().text == "this machine has no microphone");
  const auto unknown = find_audio_device(devices, "x", AudioDirection::output);
  CHECK(unknown.error().text ==
        "no loudspeaker is called \"x\", or it is in use; earshot talk --list-devices shows what "
        "there is");
  const auto several = find_audio_device(devices, "pch", AudioDirection::output);
  CHECK(several.error().text.find("fits more than one loudspeaker: HDA Intel PCH: ALC257") !=
        std::string::npos);
}

TEST_CASE("a card that delivers in its periods is well, one that stops is not") {
  StreamWatch watch(48'000);
  Time now = Time{} + seconds(50);
  std::uint64_t samples = 0;
  for (int i = 0; i < 100; ++i) {
    CHECK(watch.step(now, samples).empty());
    now = now + milliseconds(100);
    // Half a second at once.
    if (i % 5 == 0) samples += 24'000;
  }
  int steps = 0;
  while (watch.step(now, samples).empty()) {
    now = now + milliseconds(100);
    REQUIRE(++steps < 25);
  }
  CHECK(watch.step(now, samples) == "it has stopped");
}

TEST_CASE("a process that was stopped itself does not blame the card") {
  StreamWatch watch(48'000);
  Time now = Time{} + seconds(50);
  CHECK(watch.step(now, 1'000).empty());
  now = now + seconds(60);
  CHECK(watch.step(now, 1'000).empty());
  CHECK(watch.step(now + milliseconds(100), 5'800).empty());
}

TEST_CASE("a device without a clock is found out") {
  StreamWatch watch(48'000);
  Time now = Time{} + seconds(50);
  std::uint64_t samples = 0;
  std::string trouble;
  for (int i = 0; i < 30 && trouble.empty(); ++i) {
    trouble = watch.step(now, samples);
    now = now + milliseconds(100);
    samples += 1'000'000;
  }
  CHECK(trouble == "it does not keep time, as a device without a clock");
}
