// What the demonstration says: four participants, their voices and lines, and when each line
// begins. Any thread. tools/run has the lines rendered to WAV files; here they are only read.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "relay/base/time.h"

namespace earshot::tools {

struct DemoVoice {
  const char* name;
  const char* voice;  // as espeak-ng -v takes it
  int pitch;          // as espeak-ng -p takes it
};

inline constexpr std::array demo_voices{
    DemoVoice{"ada", "en-gb+f3", 55},
    DemoVoice{"ben", "en-us+m3", 40},
    DemoVoice{"cleo", "en-gb-scotland+f4", 60},
    DemoVoice{"dan", "en-us+m7", 25},
};

struct DemoLine {
  std::size_t speaker = 0;  // index into demo_voices
  // From when the line before it ends (or, if so marked, begins) to its own beginning.
  Duration offset;
  bool is_from_begin = false;
  const char* text = "";
};

std::span<const DemoLine> demo_lines();
// Names what the file must hold: another text or voice is another file.
std::string file_name(const DemoLine& line);

// One line to be spoken, on the demonstration's time line.
struct DemoCue {
  std::size_t speaker = 0;
  std::string text;
  Duration begin;
  Duration end;
  std::vector<std::int16_t> samples;  // 48 kHz
};

// In the order in which they begin. `folder` holds a file per line.
Result<std::vector<DemoCue>> load_cues(const std::string& folder);

}  // namespace earshot::tools
