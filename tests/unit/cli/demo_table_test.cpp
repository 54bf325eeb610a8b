#include "tools/earshot/demo_table.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

using namespace earshot;
using namespace earshot::tools;

namespace {

DemoPair make_pair(std::string listener, std::string speaker) {
  DemoPair pair;
  pair.listener = std::move(listener);
  pair.speaker = std::move(speaker);
  pair.sent = pair.heard = pair.latency_count = 412;
  pair.audible = 380;
  pair.latency_p50 = microseconds(117);
  pair.latency_p99 = microseconds(1'349);
  pair.level = -21.34;
  return pair;
}

DemoState make_state() {
  DemoState state;
  state.title = "Four participants in channel lobby on 127.0.0.1:40001";
  state.elapsed = milliseconds(11'600);
  state.total = milliseconds(27'400);
  state.speakers = {{"ada", "Can everyone hear me?"}, {"ben", ""}};
  state.pairs = {make_pair("ada", "ben"), make_pair("ada", "cleo"), make_pair("ben", "ada")};
  return state;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("the table shows every pair with its numbers and their units") {
  DemoState state = make_state();
  state.pairs[1].lost = 3;
  state.pairs[1].level_recent = -20;
  CHECK(make_table(state, {}) ==
        "Four participants in channel lobby on 127.0.0.1:40001             12 s of 27 s\n"
        "ada      \"Can everyone hear me?\"\n"
        "ben\n"
        "\n"
        "listener speaker  frames heard  lost latency p50      p99       level\n"
        "ada      ben               412     0     0.12 ms  1.35 ms  -21.3 dBFS\n"
        "         cleo              412     3     0.12 ms  1.35 ms  -21.3 dBFS  ######\n"
        "ben      ada               412     0     0.12 ms  1.35 ms  -21.3 dBFS\n");
}

TEST_CASE("what was not measured yet is no zero") {
  DemoState state = make_state();
  DemoPair silent;
  silent.listener = "ada";
  silent.speaker = "ben";
  state.pairs = {silent};
  CHECK(lines_of(make_table(state, {})).back() ==
        "ada      ben                 0     0           -        -           -");
}

TEST_CASE("durations stay readable and narrow") {
  CHECK(to_ms_text(microseconds(4)) == "0.00 ms");
  CHECK(to_ms_text(microseconds(125)) == "0.12 ms");
  CHECK(to_ms_text(milliseconds(99)) == "99.00 ms");
  CHECK(to_ms_text(milliseconds(1'234)) == "1234 ms");
}

TEST_CASE("no line is wider than the window, and the table keeps its height") {
  DemoState state = make_state();
  state.speakers[0].saying = std::string(200, 'x');
  state.pairs[0].speaker = std::string(64, 'y');
  state.pairs[0].level_recent = 0;
  const auto height = lines_of(make_table(state, {})).size();
  for (std::size_t columns = 1; columns <= 90; ++columns) {
    const auto lines = lines_of(make_table(state, {columns, false, false}));
    CHECK(lines.size() == height);
    for (const auto& line : lines) CHECK(line.size() <= columns);
  }
}

TEST_CASE("an id or a text cannot steer the terminal") {
  DemoState state = make_state();
  state.speakers[0].saying = "\x1b[2J\r\n";
  state.pairs[0].speaker = "\x1b]0;t\a";
  const std::string table = make_table(state, {});
  CHECK(table.find('\x1b') == std::string::npos);
  CHECK(table.find('\a') == std::string::npos);
  CHECK(lines_of(table).size() == lines_of(make_table(make_state(), {})).size());
}

TEST_CASE("colors and wide characters only where the terminal has them") {
  DemoState state = make_state();
  state.pairs[0].level_recent = -10;
  CHECK(make_table(state, {80, true, false}).find("\x1b[1m") != std::string::npos);
  CHECK(make_table(state, {80, false, true}).find("\u25ae") != std::string::npos);
  CHECK(make_table(state, {80, false, false}).find("\u25ae") == std::string::npos);
}
