#include <algorithm>
#include <charconv>

#include "tools/replay/run.h"

namespace earshot::replay {
namespace {

constexpr std::size_t count_max = 100;

Error not_a_listener(std::string_view text) {
  return Error{"\"" + std::string(text) +
               "\" is no listener: adaptive, fixed:Nms (10 to 1000) or never-skips, and *N for up "
               "to 100 of them"};
}

bool read_number(std::string_view text, std::size_t min, std::size_t max, std::size_t& value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stop == end && value >= min && value <= max;
}

bool read_kind(std::string_view text, Listener& listener) {
  using listen::BufferKind;
  if (text == "adaptive") {
    listener = {"adaptive", {}};
    return true;
  }
  if (text == "never-skips") {
    listener.name = "never skips";
    listener.buffer.kind = BufferKind::never_skips;
    return true;
  }
  if (text == "fixed") text = "fixed:60ms";
  std::size_t ms = 0;
  if (!text.starts_with("fixed:") || !text.ends_with("ms") ||
      !read_number(text.substr(6, text.size() - 8), 10, 1'000, ms)) {
    return false;
  }
  listener.name = "fixed " + std::to_string(ms) + " ms";
  listener.buffer.kind = BufferKind::fixed;
  listener.buffer.delay = milliseconds(static_cast<std::int64_t>(ms));
  return true;
}

Result<void> add(std::string_view text, std::vector<Listener>& listeners) {
  const std::size_t star = text.find('*');
  std::size_t count = 1;
  Listener listener;
  const bool has_count =
      star == std::string_view::npos || read_number(text.substr(star + 1), 1, count_max, count);
  if (!has_count || !read_kind(text.substr(0, star), listener)) return not_a_listener(text);
  const auto same = static_cast<std::size_t>(
      std::count_if(listeners.begin(), listeners.end(), [&](const Listener& l) {
        return l.name == listener.name || l.name.starts_with(listener.name + " #");
      }));
  for (std::size_t i = same; i < same + count; ++i) {
    Listener next = listener;
    if (i > 0) next.name += " #" + std::to_string(i + 1);
    listeners.push_back(next);
  }
  return {};
}

}  // namespace

Result<std::vector<Listener>> parse_listeners(std::string_view text) {
  std::vector<Listener> listeners;
  for (;;) {
    const std::size_t comma = text.find(',');
    if (auto added = add(text.substr(0, comma), listeners); !added.ok()) return added.error();
    if (comma == std::string_view::npos) return listeners;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace earshot::replay
