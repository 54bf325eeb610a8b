#include "tools/earshot/talk_screen.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

using namespace earshot;
using namespace earshot::tools;

namespace {

using Microphone = TalkScreen::Microphone;

TalkScreen example() {
  TalkScreen screen;
  screen.channel_id = "7";
  screen.user_id = "42";
  screen.is_joined = true;
  screen.time = seconds(62);
  screen.microphone = Microphone::open;
  screen.own = {-18, -9};
  screen.has_loudspeaker = true;
  screen.is_muted = true;
  screen.has_keys = true;
  screen.participants = {{"carol", {-100, -100}, false}, {"bob", {-30, -30}, true}};
  return screen;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// What a terminal shows: a character for each, colours gone.
std::size_t visible_width(const std::string& line) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      while (line[i] != 'm') ++i;
    } else if ((static_cast<unsigned char>(line[i]) & 0xC0) != 0x80) {
      ++width;
    }
  }
  return width;
}

}  // namespace

TEST_CASE("the screen of a conversation, as it is") {
  const std::string text = make_talk_screen(example(), {79, false, false}, 23);
  CHECK(text ==
        "channel 7                                                                 1:02\n"
        "42 (you) TALK   ##################################      |         -18 dBFS\n"
        "bob      speaks ########################                          -30 dBFS\n"
        "carol\n"
        "space: stop talking   q: leave   (loudspeaker off while you talk)\n");
}

TEST_CASE("each state of the microphone has its word and its hint") {
  struct Row {
    Microphone microphone;
    client::TalkMode mode;
    const char* word;
    const char* hint;
  };
  using enum client::TalkMode;
  const std::vector<Row> rows{
      {Microphone::closed, toggle, "off", "space: talk   q: leave"},
      {Microphone::open, toggle, "TALK", "space: stop talking   q: leave"},
      {Microphone::closed, hold, "off", "hold space: talk   q: leave"},
      {Microphone::open, open, "TALK", "q: leave"},
      {Microphone::held_back, open, "wait", "q: leave   (others are heard)"}};
  for (const Row& row : rows) {
    TalkScreen screen = example();
    screen.microphone = row.microphone;
    screen.mode = row.mode;
    screen.is_muted = false;
    const auto lines = lines_of(make_talk_screen(screen, {79, false, false}, 23));
    CHECK(lines[1].find(row.word) == 9);
    CHECK(lines.back() == row.hint);
  }
  TalkScreen screen = example();
  screen.microphone = Microphone::none;
  screen.has_keys = screen.is_joined = screen.is_muted = false;
  const auto lines = lines_of(make_talk_screen(screen, {79, false, false}, 23));
  CHECK(lines.size() == 4);
  CHECK(lines[0].find("connecting") != std::string::npos);
  CHECK(lines.back() == "Ctrl-C: leave");
}

TEST_CASE("no line is wider than the terminal, whatever names and colours there are") {
  for (std::size_t columns = 1; columns <= 200; ++columns) {
    CAPTURE(columns);
    for (const bool is_rich : {false, true}) {
      TalkScreen screen = example();
      screen.user_id = std::string(64, 'u');
      screen.channel_id = std::string(64, 'c');
      screen.participants.push_back({std::string(64, 'n'), {0, 0}, true});
      const auto lines = lines_of(make_talk_screen(screen, {columns, is_rich, is_rich}, 23));
      CHECK(lines.size() == 6);
      for (const auto& line : lines) CHECK(visible_width(line) <= columns);
    }
  }
}

TEST_CASE("no more lines than there is room for: who speaks is shown first") {
  TalkScreen screen = example();
  screen.participants.clear();
  for (int i = 0; i < 40; ++i) {
    const std::string name = "user" + std::to_string(100 + i);
    screen.participants.push_back({name, {i == 35 ? -10.0 : -100.0, -100}, i == 35});
  }
  for (std::size_t lines = 4; lines < 50; ++lines) {
    CAPTURE(lines);
    const std::string text = make_talk_screen(screen, {79, false, false}, lines);
    CHECK(lines_of(text).size() <= lines);
    const bool has_more = text.find(" more\n") != std::string::npos;
    CHECK(has_more == (lines < 43));
    if (lines >= 5) CHECK(text.find("user135") != std::string::npos);
  }
  const std::string text = make_talk_screen(screen, {79, false, false}, 10);
  CHECK(text.find("and 34 more\n") != std::string::npos);
}

TEST_CASE("ids cannot steer the terminal") {
  TalkScreen screen = example();
  screen.participants[0].user_id = "a\x1b[2J\nb";
  screen.user_id = screen.channel_id = "\x07\x9b";
  const std::string text = make_talk_screen(screen, {79, false, false}, 23);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\x07') == std::string::npos);
  CHECK(lines_of(text).size() == 5);
}

TEST_CASE("meters stay in their scale, and colours say how loud") {
  TalkScreen screen = example();
  for (const double level : {-1'000.0, -60.0, -30.0, -12.0, -3.0, 0.0, 20.0}) {
    screen.own = {level, level};
    const auto lines = lines_of(make_talk_screen(screen, {79, true, true}, 23));
    CHECK(visible_width(lines[1]) <= 79);
    CHECK((lines[1].find("\x1b[33m") != std::string::npos) == (level > -12));
  }
}
