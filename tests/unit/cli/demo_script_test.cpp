#include "tools/earshot/demo_script.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "codec/opus.h"
#include "codec/wav.h"
#include "tools/earshot/demo_table.h"

using namespace earshot;
using namespace earshot::tools;

namespace {

// Every line takes as long as it has letters, at 15 a second: about what a voice takes.
std::string make_folder() {
  const auto folder = std::filesystem::temp_directory_path() / "earshot_demo_script_test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const DemoLine& line : demo_lines()) {
    codec::WavWriter file;
    std::string error;
    REQUIRE(file.open((folder / file_name(line)).string(), error));
    const std::size_t samples = std::string(line.text).size() * codec::sample_rate / 15;
    REQUIRE(file.write(std::vector<std::int16_t>(samples, 1'000)));
    REQUIRE(file.flush());
  }
  return folder.string();
}

}  // namespace

TEST_CASE("all four speak, one at a time and at the same time, for about half a minute") {
  const auto loaded = load_cues(make_folder());
  REQUIRE(loaded.ok());
  const auto& cues = loaded.value();
  CHECK(cues.size() == demo_lines().size());
  std::set<std::size_t> speakers;
  Duration total;
  std::size_t together_most = 0;
  for (const DemoCue& cue : cues) {
    speakers.insert(cue.speaker);
    total = std::max(total, cue.end);
    const auto together = std::count_if(cues.begin(), cues.end(), [&cue](const DemoCue& other) {
      return other.begin <= cue.begin && cue.begin < other.end;
    });
    together_most = std::max(together_most, static_cast<std::size_t>(together));
    // Nobody interrupts himself: the second line would cut off the first.
    for (const DemoCue& other : cues) {
      if (&other == &cue || other.speaker != cue.speaker) continue;
      CHECK((other.end <= cue.begin || cue.end <= other.begin));
    }
  }
  CHECK(speakers.size() == demo_voices.size());
  CHECK(together_most == demo_voices.size());
  CHECK(cues.front().begin < cues.back().begin);
  CHECK(total > seconds(18));
  CHECK(total < seconds(35));
}

TEST_CASE("a line that was not rendered is named") {
  const std::string folder = make_folder();
  const std::string file = file_name(demo_lines()[2]);
  std::filesystem::remove(folder + "/" + file);
  const auto loaded = load_cues(folder);
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().text.find(file) != std::string::npos);
}

TEST_CASE("lines fit the table; file names tell lines and voices apart, and need no quoting") {
  std::set<std::string> names;
  for (const DemoLine& line : demo_lines()) {
    const std::string name = file_name(line);
    names.insert(name);
    CHECK(std::string(line.text).size() <= saying_length_max);
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos);
  }
  CHECK(names.size() == demo_lines().size());
  DemoLine other = demo_lines()[0];
  other.speaker = 1;
  CHECK(names.count(file_name(other)) == 0);
}
