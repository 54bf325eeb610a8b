#include "tools/earshot/terminal_text.h"

#include <algorithm>

namespace earshot::tools {
namespace {

constexpr std::string_view reset = "\x1b[0m";

}  // namespace

std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c < ' ' || c > '~') c = '?';
  }
  return result;
}

std::string shortened(std::string_view text, std::size_t width) {
  if (text.size() <= width) return std::string(text);
  return width == 0 ? "" : std::string(text.substr(0, width - 1)) + "~";
}

std::string left(std::string_view text, std::size_t width) {
  std::string cell = shortened(text, width);
  cell.resize(width, ' ');
  return cell;
}

std::string right(std::string_view text, std::size_t width) {
  const std::string cell = shortened(text, width);
  return std::string(width - cell.size(), ' ') + cell;
}

void TableWriter::add(std::string_view text, std::string_view color) {
  const auto visible = text.substr(0, std::min(text.size(), style_.columns - width_));
  width_ += visible.size();
  put(visible, color);
}

void TableWriter::add_bar(std::size_t length, std::string_view color) {
  length = std::min(length, style_.columns - width_);
  width_ += length;
  std::string bar;
  for (std::size_t i = 0; i < length; ++i) bar += style_.has_unicode ? "\u25ae" : "#";
  put(bar, color);
}

void TableWriter::end_line() {
  // No line ends in blanks.
  while (!text_.empty() && text_.back() == ' ') text_.pop_back();
  text_ += '\n';
  width_ = 0;
}

void TableWriter::put(std::string_view visible, std::string_view color) {
  const bool is_colored = style_.has_colors && !color.empty() && !visible.empty();
  if (is_colored) text_ += color;
  text_ += visible;
  if (is_colored) text_ += reset;
}

}  // namespace earshot::tools
