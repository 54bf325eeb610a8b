// A text that is shown again and again: in place on a terminal, one below the other elsewhere. Main
// thread only. Never waits for its reader: what cannot be shown at once is left out, as the next
// version follows soon.
#pragma once

#include <cstddef>
#include <string>

namespace earshot::tools {

class LiveText {
 public:
  explicit LiveText(int descriptor);

  // What a version may use. Asked anew each time: windows change their size.
  std::size_t columns() const;
  std::size_t rows() const;
  bool is_terminal() const { return is_terminal_; }
  bool has_colors() const { return has_colors_; }
  bool has_unicode() const { return has_unicode_; }

  // Lines that end in '\n'. False once nobody reads any more.
  bool show(const std::string& text);
  // The same for the last version: waits until it is written.
  bool finish(const std::string& text);
  // Takes the last version away from a terminal, so that something else can be written there.
  void clear();

 private:
  bool is_in_place(std::size_t lines) const;
  bool write(const std::string& text);

  int descriptor_;
  bool is_terminal_;
  bool has_colors_;
  bool has_unicode_;
  std::size_t lines_shown_ = 0;
};

}  // namespace earshot::tools
