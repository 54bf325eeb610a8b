#include "tools/earshot/demo_script.h"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <utility>

#include "codec/opus.h"
#include "tools/client/frame_source.h"

namespace earshot::tools {
namespace {

constexpr std::size_t ada = 0;
constexpr std::size_t ben = 1;
constexpr std::size_t cleo = 2;
constexpr std::size_t dan = 3;

constexpr std::array lines{
    DemoLine{ada, milliseconds(300), false, "Hello, this is Ada. Can everyone hear me?"},
    DemoLine{ben, milliseconds(250), false, "Loud and clear, Ada. This is Ben."},
    DemoLine{cleo, milliseconds(-500), false, "And this is Cleo. I hear both of you."},
    DemoLine{dan, milliseconds(200), false,
             "Dan here. The relay opened this once and sealed it for each of you."},
    DemoLine{ada, milliseconds(250), false, "Then let us all talk at the same time. Ready?"},
    DemoLine{ada, milliseconds(300), false, "One, two, three, four, five, six."},
    DemoLine{ben, milliseconds(200), true, "Monday, Tuesday, Wednesday, Thursday, Friday."},
    DemoLine{cleo, milliseconds(200), true, "Alpha, bravo, charlie, delta, echo, foxtrot."},
    DemoLine{dan, milliseconds(200), true, "North, east, south, west, and back to the north."},
    DemoLine{cleo, milliseconds(400), false, "Nobody had to wait for anybody."},
    DemoLine{ben, milliseconds(-300), false, "And nobody was mixed into anybody else."},
    DemoLine{dan, milliseconds(250), false, "Goodbye."},
    DemoLine{ada, milliseconds(150), true, "Goodbye, everyone!"},
    DemoLine{ben, milliseconds(250), true, "See you."},
};

// FNV-1a: tells versions of a text apart, no more.
std::uint32_t checksum(std::string_view text, std::uint32_t hash = 2'166'136'261U) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
  return hash;
}

Duration length_of(std::span<const std::int16_t> samples) {
  return nanoseconds(static_cast<std::int64_t>(samples.size()) * 1'000'000'000 /
                     codec::sample_rate);
}

}  // namespace

std::span<const DemoLine> demo_lines() {
  return lines;
}

std::string file_name(const DemoLine& line) {
  const DemoVoice& voice = demo_voices[line.speaker];
  const std::string how = std::string(voice.voice) + "/" + std::to_string(voice.pitch) + "/";
  std::array<char, 16> digits;
  std::snprintf(digits.data(), digits.size(), "%08x", checksum(line.text, checksum(how)));
  return std::string(voice.name) + "-" + digits.data() + ".wav";
}

Result<std::vector<DemoCue>> load_cues(const std::string& folder) {
  std::vector<DemoCue> cues;
  Duration previous_begin, previous_end;
  for (const DemoLine& line : lines) {
    auto samples = client::load_samples(folder + "/" + file_name(line));
    if (!samples) return samples.error();
    DemoCue cue;
    cue.speaker = line.speaker;
    cue.text = line.text;
    cue.begin = (line.is_from_begin ? previous_begin : previous_end) + line.offset;
    cue.begin = std::max(cue.begin, Duration{});
    cue.end = cue.begin + length_of(samples.value());
    cue.samples = std::move(samples.value());
    previous_begin = cue.begin;
    // Of several at a time the longest counts.
    previous_end = line.is_from_begin ? std::max(previous_end, cue.end) : cue.end;
    cues.push_back(std::move(cue));
  }
  std::stable_sort(cues.begin(), cues.end(),
                   [](const DemoCue& a, const DemoCue& b) { return a.begin < b.begin; });
  return cues;
}

}  // namespace earshot::tools
