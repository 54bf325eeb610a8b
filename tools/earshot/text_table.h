// Rows of text in columns, and numbers as people read them. Any thread; pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace earshot::tools {

struct TextColumn {
  std::string title;
  bool is_right = false;  // numbers
  bool shrinks = false;   // may be cut off where the table is too wide
};

inline constexpr std::size_t text_table_width_max = 100;

// A header and the rows, none of which is wider than `width_max` as long as the columns that shrink
// have anything to give. No line ends in blanks.
std::string make_text_table(const std::vector<TextColumn>& columns,
                            std::vector<std::vector<std::string>> rows,
                            std::size_t width_max = text_table_width_max);

// "12,345"
std::string grouped(std::int64_t number);
// "45 s", "3 min 20 s", "2 h 5 min", "12 d 3 h"
std::string duration_text(std::int64_t seconds);
// "1 participant", "2 participants"
std::string counted(std::int64_t count, std::string_view noun);

// Order of ids: numbers by their value, before all others by their bytes.
bool is_id_before(std::string_view a, std::string_view b);

}  // namespace earshot::tools
