#include "tools/earshot/live_text.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace earshot::tools {
namespace {

constexpr std::size_t columns_default = 80;
constexpr std::size_t rows_default = 24;

std::string_view environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

winsize window_of(int descriptor) {
  winsize window{};
  if (ioctl(descriptor, TIOCGWINSZ, &window) != 0) return {};
  return window;
}

bool is_utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const auto value = environment(name);
    if (value.empty()) continue;
    return value.find("UTF-8") != value.npos || value.find("utf8") != value.npos;
  }
  return false;
}

}  // namespace

LiveText::LiveText(int descriptor) : descriptor_(descriptor) {
  const auto terminal = environment("TERM");
  is_terminal_ = isatty(descriptor) == 1 && !terminal.empty() && terminal != "dumb";
  has_colors_ = is_terminal_ && environment("NO_COLOR").empty();
  has_unicode_ = is_terminal_ && is_utf8_locale();
}

std::size_t LiveText::columns() const {
  if (!is_terminal_) return columns_default;
  const winsize window = window_of(descriptor_);
  // In the last column a terminal waits with the line break, and erasing would take what is there.
  return window.ws_col > 1 ? window.ws_col - 1U : columns_default;
}

std::size_t LiveText::rows() const {
  if (!is_terminal_) return rows_default;
  const winsize window = window_of(descriptor_);
  return window.ws_row > 0 ? window.ws_row : rows_default;
}

// What has scrolled away cannot be written over.
bool LiveText::is_in_place(std::size_t lines) const {
  if (!is_terminal_) return false;
  const winsize window = window_of(descriptor_);
  return window.ws_row == 0 || lines < window.ws_row;
}

bool LiveText::show(const std::string& text) {
  pollfd ready{descriptor_, POLLOUT, 0};
  if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) == 0) return false;
  // A pipe takes PIPE_BUF bytes when it is writable, which is more than a screenful.
  if ((ready.revents & POLLOUT) == 0) return true;
  return finish(text);
}

bool LiveText::finish(const std::string& text) {
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  if (!is_in_place(std::max(lines, lines_shown_))) {
    const bool is_first = lines_shown_ == 0;
    lines_shown_ = lines;
    return write(is_first ? text : "\n" + text);
  }
  // One write, and nothing is erased before it is written over: no flicker.
  std::string update;
  if (lines_shown_ > 0) update += "\r\x1b[" + std::to_string(lines_shown_) + "A";
  for (const char c : text) {
    if (c == '\n') update += "\x1b[K";
    update += c;
  }
  update += "\x1b[J";
  lines_shown_ = lines;
  return write(update);
}

void LiveText::clear() {
  if (lines_shown_ > 0 && is_in_place(lines_shown_)) {
    write("\r\x1b[" + std::to_string(lines_shown_) + "A\x1b[J");
  }
  lines_shown_ = 0;
}

bool LiveText::write(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      pollfd ready{descriptor_, POLLOUT, 0};
      poll(&ready, 1, -1);
      continue;
    }
    if (written <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace earshot::tools
