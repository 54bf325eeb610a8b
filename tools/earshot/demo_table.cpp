#include "tools/earshot/demo_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace earshot::tools {
namespace {

constexpr std::size_t name_width = 9;
constexpr std::size_t table_width = 78;
static_assert(name_width + saying_length_max + 2 == table_width, "two quotation marks");

std::string fixed(double value, int decimals, const char* unit) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.*f %s", decimals, value, unit);
  return text.data();
}

std::string whole_seconds(Duration duration) {
  return std::to_string((duration.ns + 500'000'000) / 1'000'000'000) + " s";
}

// One mark for each 6 dB above -54 dBFS: each is twice as loud as the one before it.
std::size_t bar_length(double level) {
  return static_cast<std::size_t>(std::clamp(std::lround((level + 54) / 6), 0L, 8L));
}

void add_title(TableWriter& out, const DemoState& state) {
  const std::string clock =
      whole_seconds(std::min(state.elapsed, state.total)) + " of " + whole_seconds(state.total);
  out.add(left(state.title, table_width - 14), bold);
  out.add(right(clock, 14));
  out.end_line();
}

void add_speaker(TableWriter& out, const DemoSpeaker& speaker) {
  out.add(left(speaker.name, name_width), speaker.saying.empty() ? dim : bold);
  if (!speaker.saying.empty()) {
    out.add("\"" + shortened(printable(speaker.saying), saying_length_max) + "\"");
  }
  out.end_line();
}

void add_header(TableWriter& out) {
  out.add(left("listener", name_width), bold);
  out.add(left("speaker", name_width - 1), bold);
  out.add(right("frames heard", 13), bold);
  out.add(right("lost", 6), bold);
  out.add(right("latency p50", 12), bold);
  out.add(right("p99", 9), bold);
  out.add(right("level", 12), bold);
  out.end_line();
}

void add_pair(TableWriter& out, const DemoPair& pair, bool is_first_of_listener) {
  const bool is_measured = pair.latency_count > 0;
  out.add(left(is_first_of_listener ? printable(pair.listener) : "", name_width));
  out.add(left(printable(pair.speaker), name_width - 1));
  out.add(right(std::to_string(pair.heard), 13));
  out.add(right(std::to_string(pair.lost), 6), pair.lost > 0 ? red : plain);
  out.add(right(is_measured ? to_ms_text(pair.latency_p50) : "-", 12));
  out.add(right(is_measured ? to_ms_text(pair.latency_p99) : "-", 9));
  out.add(right(pair.audible > 0 ? fixed(pair.level, 1, "dBFS") : "-", 12));
  out.add("  ");
  out.add_bar(bar_length(pair.level_recent));
  out.end_line();
}

}  // namespace

std::string to_ms_text(Duration duration) {
  const double ms = static_cast<double>(duration.ns) / 1e6;
  return fixed(ms, ms < 100 ? 2 : 0, "ms");
}

std::string make_table(const DemoState& state, const TableStyle& style) {
  TableWriter out(style);
  add_title(out, state);
  for (const DemoSpeaker& speaker : state.speakers) add_speaker(out, speaker);
  out.end_line();
  add_header(out);
  const DemoPair* previous = nullptr;
  for (const DemoPair& pair : state.pairs) {
    add_pair(out, pair, previous == nullptr || previous->listener != pair.listener);
    previous = &pair;
  }
  return out.take();
}

}  // namespace earshot::tools
