#include "tools/earshot/text_table.h"
#include "tools/earshot/terminal_text.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

using namespace earshot::tools;

namespace {

std::size_t widest_line(const std::string& text) {
  std::size_t width = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) width = std::max(width, line.size());
  return width;
}

}  // namespace

TEST_CASE("columns are as wide as what stands in them, and no line ends in blanks") {
  CHECK(make_text_table({{"name"}, {"count", true}, {"note"}},
                        {{"a", "7", "x"}, {"longer", "1,234", ""}}) ==
        "name    count  note\n"
        "a           7  x\n"
        "longer  1,234\n");
  CHECK(make_text_table({{"name"}}, {}) == "name\n");
}

TEST_CASE("columns that may shrink give way, the widest first") {
  const std::string a(64, 'a');
  const std::string b(40, 'b');
  const std::string text =
      make_text_table({{"a", false, true}, {"b", false, true}, {"n", true}}, {{a, b, "12345"}}, 60);
  CHECK(widest_line(text) == 60);
  CHECK(text.find("aaaa~") != std::string::npos);
  CHECK(text.find("bbbb~") != std::string::npos);
  CHECK(text.find("12345") != std::string::npos);
  // What may not shrink stays whole.
  CHECK(widest_line(make_text_table({{"n", true}}, {{std::string(70, '1')}}, 60)) == 70);
}

TEST_CASE("what comes from elsewhere cannot steer the terminal") {
  CHECK(printable("a\x1b[2Jb\n\xc3\xa4") == "a?[2Jb???");
  CHECK(make_text_table({{"x"}}, {{"\x1b"}}) == "x\n?\n");
}

TEST_CASE("numbers are grouped") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1'000) == "1,000");
  CHECK(grouped(1'234'567) == "1,234,567");
  CHECK(grouped(-123) == "-123");
  CHECK(grouped(-1'234) == "-1,234");
  CHECK(counted(1, "channel") == "1 channel");
  CHECK(counted(0, "channel") == "0 channels");
  CHECK(counted(1'500, "channel") == "1,500 channels");
}

TEST_CASE("durations have two units at most") {
  CHECK(duration_text(0) == "0 s");
  CHECK(duration_text(59) == "59 s");
  CHECK(duration_text(60) == "1 min");
  CHECK(duration_text(200) == "3 min 20 s");
  CHECK(duration_text(3'600) == "1 h");
  CHECK(duration_text(7'500) == "2 h 5 min");
  CHECK(duration_text(86'400 * 12 + 3 * 3'600 + 59) == "12 d 3 h");
}

TEST_CASE("ids that are numbers are in the order of their values, before all others") {
  std::vector<std::string> ids{"b", "10", "9", "a", "100", "09", "9a"};
  std::sort(ids.begin(), ids.end(), is_id_before);
  CHECK(ids == std::vector<std::string>{"9", "09", "10", "100", "9a", "a", "b"});
}
