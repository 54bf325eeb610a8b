#include <array>
#include <charconv>
#include <fstream>

#include "tools/replay/path_keys.h"

namespace earshot::replay {
namespace {

constexpr Duration default_step = milliseconds(20);
constexpr std::size_t points_max = 10'000'000;  // 55 hours of 20 ms, 160 MB
constexpr double delay_ms_max = 60'000;
constexpr double time_ms_max = 3.6e9;  // 1,000 hours

struct Line {
  std::optional<double> time_ms;
  double delay_ms = 0;
};

std::optional<double> read_ms(std::string_view text, double max) {
  double ms = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, ms, std::chars_format::fixed);
  if (parsed.ec != std::errc{} || parsed.ptr != end || !(ms >= 0 && ms <= max)) {
    return std::nullopt;
  }
  return ms;
}

std::optional<Line> read_line(std::string_view text) {
  Line line;
  const auto comma = text.find(',');
  if (comma != std::string_view::npos) {
    line.time_ms = read_ms(text.substr(0, comma), time_ms_max);
    if (!line.time_ms) return std::nullopt;
    text = text.substr(comma + 1);
  }
  const auto delay = read_ms(text, delay_ms_max);
  if (!delay) return std::nullopt;
  line.delay_ms = *delay;
  return line;
}

Duration from_ms(double ms) {
  return scale(milliseconds(1), ms);
}

// Nothing if the line has another form than the ones before it, or its time does not ascend.
bool append(DelayTrace& trace, const Line& line, bool has_times, double first_ms) {
  if (line.time_ms.has_value() != has_times) return false;
  const Duration at = has_times ? from_ms(*line.time_ms - first_ms)
                                : default_step * static_cast<std::int64_t>(trace.points.size());
  if (!trace.points.empty() && at <= trace.points.back().at) return false;
  trace.points.push_back({at, from_ms(line.delay_ms)});
  return true;
}

// The last point holds for as long as the one before it.
Duration length_of(const std::vector<DelayTrace::Point>& points) {
  const Duration last = points.back().at;
  return points.size() < 2 ? default_step : last + (last - points[points.size() - 2].at);
}

}  // namespace

Result<DelayTrace> read_delay_trace(const std::string& path) {
  std::ifstream stream(path);
  stream.peek();
  if (!stream.is_open() || stream.bad()) return Error{path + ": cannot be read"};
  DelayTrace trace;
  std::optional<Line> first;
  std::array<char, 128> text;
  for (std::size_t number = 1; stream.getline(text.data(), text.size()) || stream.gcount() > 0;
       ++number) {
    const std::string where = path + ":" + std::to_string(number) + ": ";
    std::string_view content(text.data());
    if (content.ends_with('\r')) content.remove_suffix(1);
    if (!stream.fail() && (content.empty() || content.starts_with('#'))) continue;
    const auto line = stream.fail() ? std::nullopt : read_line(content);
    if (line && !first) first = line;
    if (!line || !append(trace, *line, first->time_ms.has_value(), first->time_ms.value_or(0))) {
      return Error{where +
                   "must be DELAY or TIME,DELAY in milliseconds, as the first line is, with times "
                   "that ascend and delays up to 60000"};
    }
    if (trace.points.size() > points_max) return Error{where + "more than 10000000 delays"};
  }
  if (trace.points.empty()) return Error{path + ": has no delays"};
  trace.length = length_of(trace.points);
  return trace;
}

}  // namespace earshot::replay
