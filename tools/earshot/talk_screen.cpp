#include "tools/earshot/talk_screen.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace earshot::tools {
namespace {

constexpr std::size_t name_width_min = 8;
constexpr std::size_t name_width_max = 24;
constexpr std::size_t state_width = 7;
constexpr std::size_t level_width = 10;  // " -23 dBFS"
constexpr std::size_t bar_width_max = 48;
constexpr double level_lowest = -60.0;
constexpr double level_warm = -12.0;
constexpr double level_hot = -3.0;

struct Widths {
  std::size_t name = 0, bar = 0;
};

// Of a narrow terminal names take a third; the bar gets what is left.
Widths widths(const TalkScreen& screen, std::size_t columns) {
  std::size_t longest = 8;
  for (const auto& participant : screen.participants) {
    longest = std::max(longest, participant.user_id.size());
  }
  longest = std::min(std::max(longest, screen.user_id.size() + 6), name_width_max);
  Widths result;
  result.name = std::min(longest, std::max(columns / 3, name_width_min));
  const std::size_t used = result.name + 1 + state_width + level_width;
  result.bar = std::min(columns > used ? columns - used : 0, bar_width_max);
  return result;
}

std::size_t position(double level, std::size_t width) {
  const double part = std::clamp((level - level_lowest) / -level_lowest, 0.0, 1.0);
  return static_cast<std::size_t>(std::lround(part * static_cast<double>(width)));
}

// Green, yellow, red; then the held peak by itself.
void add_meter(TableWriter& out, const MeterLevel& meter, std::size_t width) {
  const std::size_t filled = position(meter.level, width);
  const std::size_t warm = position(level_warm, width);
  const std::size_t hot = position(level_hot, width);
  out.add_bar(std::min(filled, warm), green);
  if (filled > warm) out.add_bar(std::min(filled, hot) - warm, yellow);
  if (filled > hot) out.add_bar(filled - hot, red);
  const std::size_t peak = position(meter.peak, width);
  std::string rest(width - filled, ' ');
  if (peak > filled) rest[peak - filled - 1] = '|';
  out.add(rest, meter.peak > level_hot ? red : plain);
}

void add_row(TableWriter& out, std::string_view name, std::string_view state,
             std::string_view state_color, const MeterLevel& meter, const Widths& width) {
  out.add(left(printable(name), width.name));
  out.add(" ");
  out.add(left(state, state_width), state_color);
  add_meter(out, meter, width.bar);
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.0f dBFS", meter.level);
  out.add(meter.level > level_lowest ? right(text.data(), level_width) : "");
  out.end_line();
}

void add_own(TableWriter& out, const TalkScreen& screen, const Widths& width) {
  using Microphone = TalkScreen::Microphone;
  const std::size_t room = width.name > 6 ? width.name - 6 : 0;
  const std::string name = shortened(printable(screen.user_id), room) + " (you)";
  switch (screen.microphone) {
    case Microphone::none:
      return;
    case Microphone::open:
      return add_row(out, name, "TALK", red, screen.own, width);
    case Microphone::held_back:
      return add_row(out, name, "wait", yellow, screen.own, width);
    case Microphone::closed:
      return add_row(out, name, "off", dim, screen.own, width);
  }
}

std::string clock(Duration time) {
  const std::int64_t seconds = time.ms() / 1'000;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%lld:%02lld", static_cast<long long>(seconds / 60),
                static_cast<long long>(seconds % 60));
  return text.data();
}

void add_title(TableWriter& out, const TalkScreen& screen, std::size_t columns) {
  const std::string state = screen.is_joined ? clock(screen.time) : "connecting";
  const std::size_t width = std::min<std::size_t>(columns, 78);
  const std::size_t room = width > state.size() + 1 ? width - state.size() - 1 : 0;
  out.add(left("channel " + printable(screen.channel_id), room), bold);
  out.add(" ");
  out.add(state, screen.is_joined ? plain : yellow);
  out.end_line();
}

std::string hint(const TalkScreen& screen) {
  using Microphone = TalkScreen::Microphone;
  const bool has_key = screen.has_keys && screen.microphone != Microphone::none;
  std::string text;
  if (has_key && screen.mode == client::TalkMode::toggle) {
    text = screen.microphone == Microphone::open ? "space: stop talking   " : "space: talk   ";
  }
  if (has_key && screen.mode == client::TalkMode::hold) text = "hold space: talk   ";
  text += screen.has_keys ? "q: leave" : "Ctrl-C: leave";
  if (screen.microphone == Microphone::held_back) text += "   (others are heard)";
  if (screen.is_muted) text += "   (loudspeaker off while you talk)";
  return text;
}

// Those who speak come first only where not all can be shown: names that jump are hard to read.
std::vector<TalkScreen::Participant> shown(const TalkScreen& screen, std::size_t count) {
  auto rows = screen.participants;
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.user_id < b.user_id; });
  if (rows.size() <= count) return rows;
  std::stable_partition(rows.begin(), rows.end(), [](const auto& row) { return row.is_speaking; });
  rows.resize(count);
  return rows;
}

}  // namespace

std::string make_talk_screen(const TalkScreen& screen, const TableStyle& style, std::size_t lines) {
  TableWriter out(style);
  const Widths width = widths(screen, style.columns);
  add_title(out, screen, style.columns);
  add_own(out, screen, width);
  const std::size_t used = 2 + (screen.microphone == TalkScreen::Microphone::none ? 0U : 1U);
  std::size_t room = lines > used ? lines - used : 1;
  const std::size_t count = screen.participants.size();
  // The line that says how many more there are takes the place of one.
  if (count > room) --room;
  for (const auto& participant : shown(screen, room)) {
    add_row(out, participant.user_id, participant.is_speaking ? "speaks" : "", green,
            participant.level, width);
  }
  if (count > room) {
    out.add("and " + std::to_string(count - room) + " more", dim);
    out.end_line();
  }
  out.add(hint(screen), dim);
  out.end_line();
  return out.take();
}

}  // namespace earshot::tools
