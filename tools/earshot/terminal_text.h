// What tables on a terminal are made of: cells of a fixed width, lines that never get too wide,
// colours where there are some. Any thread; pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace earshot::tools {

struct TableStyle {
  std::size_t columns = 80;
  bool has_colors = false;
  bool has_unicode = false;
};

inline constexpr std::string_view plain = "";
inline constexpr std::string_view bold = "\x1b[1m";
inline constexpr std::string_view dim = "\x1b[2m";
inline constexpr std::string_view red = "\x1b[31m";
inline constexpr std::string_view green = "\x1b[32m";
inline constexpr std::string_view yellow = "\x1b[33m";

// Ids and texts are shown as they are, but must not be able to steer the terminal.
std::string printable(std::string_view text);
std::string shortened(std::string_view text, std::size_t width);
// Exactly that wide.
std::string left(std::string_view text, std::size_t width);
std::string right(std::string_view text, std::size_t width);

class TableWriter {
 public:
  // The style must outlive it.
  explicit TableWriter(const TableStyle& style) : style_(style) {}

  // ASCII only; what does not fit is cut off.
  void add(std::string_view text, std::string_view color = plain);
  void add_bar(std::size_t length, std::string_view color = green);
  void end_line();
  std::string take() { return std::move(text_); }

 private:
  void put(std::string_view visible, std::string_view color);

  const TableStyle& style_;
  std::string text_;
  std::size_t width_ = 0;
};

}  // namespace earshot::tools
