#include "tools/earshot/text_table.h"

#include <algorithm>
#include <numeric>

#include "tools/earshot/terminal_text.h"

namespace earshot::tools {
namespace {

constexpr std::string_view gap = "  ";
constexpr std::size_t shrunk_width_min = 4;

std::string fitted(const std::string& text, std::size_t width) {
  return text.size() <= width ? text : text.substr(0, width - 1) + "~";
}

std::vector<std::size_t> natural_widths(const std::vector<TextColumn>& columns,
                                        const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::size_t width = columns[i].title.size();
    for (const auto& row : rows) width = std::max(width, row[i].size());
    widths.push_back(width);
  }
  return widths;
}

// The widest of those that may gives way first.
void shrink(const std::vector<TextColumn>& columns, std::vector<std::size_t>& widths,
            std::size_t width_max) {
  const std::size_t gaps = gap.size() * (columns.empty() ? 0 : columns.size() - 1);
  while (std::accumulate(widths.begin(), widths.end(), gaps) > width_max) {
    std::size_t* widest = nullptr;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const bool may_shrink = columns[i].shrinks && widths[i] > shrunk_width_min;
      if (may_shrink && (widest == nullptr || widths[i] > *widest)) widest = &widths[i];
    }
    if (widest == nullptr) return;
    --*widest;
  }
}

void add_line(std::string& text, const std::vector<TextColumn>& columns,
              const std::vector<std::size_t>& widths, const std::vector<std::string>& cells) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string cell = fitted(cells[i], widths[i]);
    const std::string blanks(widths[i] - cell.size(), ' ');
    if (i > 0) text += gap;
    text += columns[i].is_right ? blanks + cell : cell + blanks;
  }
  text.erase(text.find_last_not_of(' ') + 1);
  text += '\n';
}

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string make_text_table(const std::vector<TextColumn>& columns,
                            std::vector<std::vector<std::string>> rows, std::size_t width_max) {
  for (auto& row : rows) {
    for (std::string& cell : row) cell = printable(cell);
  }
  std::vector<std::size_t> widths = natural_widths(columns, rows);
  shrink(columns, widths, width_max);
  std::vector<std::string> titles;
  for (const TextColumn& column : columns) titles.push_back(column.title);
  std::string text;
  add_line(text, columns, widths, titles);
  for (const auto& row : rows) add_line(text, columns, widths, row);
  return text;
}

std::string grouped(std::int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool is_group = i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-';
    if (is_group) text += ',';
    text += digits[i];
  }
  return text;
}

std::string duration_text(std::int64_t seconds) {
  const auto two = [](std::int64_t a, const char* a_unit, std::int64_t b, const char* b_unit) {
    std::string text = std::to_string(a) + " " + a_unit;
    if (b > 0) text.append(" ").append(std::to_string(b)).append(" ").append(b_unit);
    return text;
  };
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3'600) return two(seconds / 60, "min", seconds % 60, "s");
  if (seconds < 86'400) return two(seconds / 3'600, "h", seconds / 60 % 60, "min");
  return two(seconds / 86'400, "d", seconds / 3'600 % 24, "h");
}

std::string counted(std::int64_t count, std::string_view noun) {
  return grouped(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

bool is_id_before(std::string_view a, std::string_view b) {
  const bool a_is_number = is_number(a);
  if (a_is_number != is_number(b)) return a_is_number;
  if (a_is_number && a.size() != b.size()) return a.size() < b.size();
  return a < b;
}

}  // namespace earshot::tools
