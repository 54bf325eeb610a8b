#include "tools/replay/report_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "tools/replay/report_text.h"

namespace earshot::replay::report {
namespace {

constexpr int plot_top = 10;
constexpr int lane_height = 17;
// Between the plot and its lanes, so that their labels stay apart.
constexpr int lanes_gap = 7;
constexpr int lane_bar_height = 13;
constexpr int axis_height = 18;
// Marks that are nearer than this are one.
constexpr double cell = 4;

double to_seconds(Duration duration) {
  return static_cast<double>(duration.ns) / 1e9;
}

std::string two_digits(std::int64_t value) {
  return (value < 10 ? "0" : "") + std::to_string(value);
}

// By the step between labels: "5", "2:30" or "1:30".
std::string time_label(double at, double step, double length) {
  if (length <= 120) return number(at, step < 1 ? 1 : 0);
  const auto whole = static_cast<std::int64_t>(at + 0.5);
  if (length <= 7'200) return std::to_string(whole / 60) + ":" + two_digits(whole % 60);
  return std::to_string(whole / 3'600) + ":" + two_digits(whole / 60 % 60);
}

std::string_view time_unit(double length) {
  if (length <= 120) return " s";
  return length <= 7'200 ? " min" : " h";
}

double even_step(double high, int steps_max) {
  double step = std::pow(10.0, std::floor(std::log10(std::max(high, 1e-9))) - 1);
  for (const double factor : {2.0, 2.5, 2.0, 2.0, 2.5, 2.0}) {
    if (high / step <= steps_max) break;
    step *= factor;
  }
  return step;
}

// "1", "100", "10 k", "1 M".
std::string decade_label(int decade) {
  constexpr std::array<const char*, 4> units{"", " k", " M", " G"};
  const int unit = std::min(decade / 3, 3);
  return "1" + std::string(static_cast<std::size_t>(decade - 3 * unit), '0') +
         units[static_cast<std::size_t>(unit)];
}

std::string point(char command, double x, double y) {
  std::string out(1, command);
  out += coordinate(x);
  const std::string second = coordinate(y);
  if (second[0] != '-') out += ' ';
  return out + second;
}

std::string mark_shape(Mark mark, double x, double y) {
  switch (mark) {
    case Mark::cross:
      return point('M', x - 2.5, y - 2.5) + "l5 5m-5 0l5-5";
    case Mark::triangle:
      return point('M', x, y - 3) + "l3 5h-6z";
    case Mark::bar:
      return point('M', x, y - 4) + "v8";
  }
  return {};
}

double column_x(std::size_t column) {
  return plot_left + static_cast<double>(column) + 0.5;
}

// Ends of runs of columns that are not empty.
template <typename Run>
void for_runs(const std::vector<Columns::Column>& columns, const Run& run) {
  for (std::size_t first = 0; first < columns.size(); ++first) {
    if (columns[first].is_empty()) continue;
    std::size_t end = first;
    while (end < columns.size() && !columns[end].is_empty()) ++end;
    run(first, end);
    first = end;
  }
}

// A polyline that leaves out what lies between two equal neighbours.
class Line {
 public:
  explicit Line(char first_command) : command_(first_command) {}

  void add(double x, double y) {
    const std::string height = coordinate(y);
    if (height == last_height_) {
      waiting_ = point('L', x, y);
      return;
    }
    data_ += std::exchange(waiting_, {});
    data_ += point(std::exchange(command_, 'L'), x, y);
    last_height_ = height;
  }
  std::string take() { return data_ + std::exchange(waiting_, {}); }

 private:
  char command_;
  std::string data_, waiting_, last_height_;
};

}  // namespace

Axis time_axis(Duration length) {
  constexpr std::array<double, 17> steps{0.1, 0.2, 0.5, 1,   2,     5,     10,    15,   30,
                                         60,  120, 300, 600, 1'200, 1'800, 3'600, 7'200};
  Axis axis;
  axis.high = std::max(to_seconds(length), 0.1);
  double step = steps[0];
  for (const double next : steps) {
    if (axis.high / step > 6) step = next;
  }
  while (axis.high / step > 6) step *= 2;
  for (int i = 0; step * i <= axis.high * 1.0001; ++i) {
    axis.ticks.push_back({step * i, time_label(step * i, step, axis.high)});
  }
  axis.ticks.back().label += time_unit(axis.high);
  return axis;
}

Axis linear_axis(double high, std::string_view unit, int steps_max) {
  Axis axis;
  const double step = even_step(high, steps_max);
  const int steps = std::max(static_cast<int>(std::ceil(high / step - 1e-9)), 1);
  axis.high = step * steps;
  const int digits = step < 1 ? 1 : 0;
  for (int i = 0; i <= steps; ++i) axis.ticks.push_back({step * i, number(step * i, digits)});
  if (!unit.empty()) (axis.ticks.back().label += ' ') += unit;
  return axis;
}

Axis count_axis(double high) {
  Axis axis;
  axis.low = -0.4;
  const int decades = std::max(static_cast<int>(std::ceil(std::log10(std::max(high, 1.0)))), 1);
  axis.high = decades;
  for (int i = 0; i <= decades; ++i) {
    if (decades <= 4 || i % 2 == 0) axis.ticks.push_back({static_cast<double>(i), decade_label(i)});
  }
  return axis;
}

double log_count(std::uint64_t count) {
  return std::log10(static_cast<double>(std::max<std::uint64_t>(count, 1)));
}

void Columns::add(Duration from, Duration to, double value, double weight) {
  if (from.ns >= length_.ns || to.ns < 0 || weight <= 0) return;
  const auto column = [this](Duration at) {
    const double share = static_cast<double>(at.ns) / static_cast<double>(length_.ns);
    return static_cast<std::size_t>(std::clamp(share * plot_columns, 0.0, plot_columns - 1.0));
  };
  // `to` does not belong to it.
  const std::size_t last = column({std::max(to.ns - 1, from.ns)});
  for (std::size_t i = column(from); i <= last; ++i) {
    Column& c = columns_[i];
    c.low = c.is_empty() ? value : std::min(c.low, value);
    c.high = c.is_empty() ? value : std::max(c.high, value);
    c.sum += value * weight;
    c.weight += weight;
  }
}

double Columns::high() const {
  double high = 0;
  for (const Column& c : columns_) {
    if (!c.is_empty()) high = std::max(high, c.high);
  }
  return high;
}

Picture::Picture(int plot_height, std::vector<std::string> lanes, Axis x, Axis y)
    : plot_height_(plot_height), lanes_(std::move(lanes)), x_(std::move(x)), y_(std::move(y)) {}

double Picture::x(double value) const {
  return plot_left + std::clamp(x_.share(value), 0.0, 1.0) * plot_columns;
}

double Picture::y(double value) const {
  return plot_top + (1 - std::clamp(y_.share(value), 0.0, 1.0)) * plot_height_;
}

double Picture::lane_bottom(std::size_t lane) const {
  return plot_top + plot_height_ + lanes_gap + lane_height * static_cast<double>(lane + 1);
}

void Picture::path(std::string_view data, std::string_view style) {
  if (data.empty()) return;
  ((body_ += "<path class=\"") += style) += "\" d=\"";
  (body_ += data) += "\"/>\n";
}

void Picture::area(const Columns& columns, std::string_view style) {
  std::string data;
  const auto& list = columns.list();
  for_runs(list, [&](std::size_t first, std::size_t end) {
    Line there('M');
    there.add(column_x(first) - 0.5, y(list[first].high));
    for (std::size_t i = first; i < end; ++i) there.add(column_x(i), y(list[i].high));
    there.add(column_x(end) - 0.5, y(list[end - 1].high));
    Line back('L');
    for (std::size_t i = end; i-- > first;) back.add(column_x(i), y(list[i].low));
    back.add(column_x(first) - 0.5, y(list[first].low));
    data += there.take() + back.take() + "z";
  });
  path(data, style);
}

void Picture::mean_line(const Columns& columns, std::string_view style) {
  std::string data;
  const auto& list = columns.list();
  for_runs(list, [&](std::size_t first, std::size_t end) {
    Line line('M');
    line.add(column_x(first) - 0.5, y(list[first].mean()));
    for (std::size_t i = first; i < end; ++i) line.add(column_x(i), y(list[i].mean()));
    line.add(column_x(end) - 0.5, y(list[end - 1].mean()));
    data += line.take();
  });
  path(data, style);
}

void Picture::level(double value, std::string_view style, std::string_view label) {
  const double at = y(value);
  path(point('M', plot_left, at) + "h" + std::to_string(plot_columns), style);
  // Above the line, if there is room.
  const double text_at = at < plot_top + 14 ? at + 11 : at - 4;
  labels_ += "<text class=\"label\" text-anchor=\"end\" x=\"" +
             std::to_string(plot_left + plot_columns - 2) + "\" y=\"" + coordinate(text_at) +
             "\">" + escape(label) + "</text>\n";
}

void Picture::upright(double value, std::string_view style, std::string_view label) {
  const double at = x(value);
  path(point('M', at, plot_top) + "v" + std::to_string(plot_height_), style);
  const bool is_left = at > plot_left + plot_columns * 0.7;
  labels_ += "<text class=\"label\"" + std::string(is_left ? " text-anchor=\"end\"" : "") +
             " x=\"" + coordinate(is_left ? at - 4 : at + 4) + "\" y=\"" +
             std::to_string(plot_top + 9) + "\">" + escape(label) + "</text>\n";
}

void Picture::marks(const std::vector<Point>& points, Mark mark, std::string_view style) {
  std::set<std::pair<int, int>> cells;
  for (const Point& p : points) {
    cells.emplace(static_cast<int>(x(p.x) / cell), static_cast<int>(y(p.y) / cell));
  }
  std::string data;
  for (const auto& [column, row] : cells) {
    data += mark_shape(mark, (column + 0.5) * cell, (row + 0.5) * cell);
  }
  path(data, style);
}

void Picture::lane_marks(std::size_t lane, const std::vector<double>& at, Mark mark,
                         std::string_view style) {
  std::set<int> cells;
  for (const double value : at) cells.insert(static_cast<int>(x(value) / cell));
  std::string data;
  for (const int column : cells) {
    data += mark_shape(mark, (column + 0.5) * cell, lane_bottom(lane) - lane_height / 2.0 + 1);
  }
  path(data, style);
}

void Picture::lane_bars(std::size_t lane, const Columns& columns, std::string_view style) {
  constexpr double least = 1.5;
  std::string data;
  const auto& list = columns.list();
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].is_empty() || list[i].high <= 0) continue;
    std::size_t end = i + 1;
    const auto height_of = [&](std::size_t column) {
      const double share = std::min(list[column].high, 1.0);
      return coordinate(std::max(share * lane_bar_height, least));
    };
    const std::string height = height_of(i);
    while (end < list.size() && list[end].high > 0 && height_of(end) == height) ++end;
    const std::string width = std::to_string(end - i);
    data += point('M', column_x(i) - 0.5, lane_bottom(lane)) + "v-" + height + "h" + width + "v" +
            height + "z";
    i = end - 1;
  }
  path(data, style);
}

void Picture::bars(const std::vector<Bar>& bars, std::string_view style) {
  std::string data;
  const double bottom = plot_top + plot_height_;
  for (const Bar& bar : bars) {
    const double left = x(bar.from);
    const double right = x(bar.to);
    data += point('M', left, bottom) + "V" + coordinate(y(bar.value)) + "H" + coordinate(right) +
            "V" + coordinate(bottom) + "z";
    if (bar.label.empty()) continue;
    labels_ += "<text class=\"label\" text-anchor=\"middle\" x=\"" +
               coordinate((left + right) / 2) + "\" y=\"" + coordinate(y(bar.value) - 3) + "\">" +
               escape(bar.label) + "</text>\n";
  }
  path(data, style);
}

std::string Picture::axes() const {
  std::string grid;
  std::string text;
  const double right = plot_left + plot_columns;
  const double bottom = plot_top + plot_height_;
  const double axis_bottom = lanes_.empty() ? bottom : lane_bottom(lanes_.size() - 1);
  for (const Axis::Tick& tick : y_.ticks) {
    const double at = y(tick.value);
    grid += point('M', plot_left, at) + "H" + coordinate(right);
    text += "<text text-anchor=\"end\" x=\"" + std::to_string(plot_left - 5) + "\" y=\"" +
            coordinate(at + 3.5) + "\">" + escape(tick.label) + "</text>\n";
  }
  for (const Axis::Tick& tick : x_.ticks) {
    const double at = x(tick.value);
    // Numbers only: labels of lanes and bars would collide with a line.
    grid += point('M', at, axis_bottom) + "v4";
    const bool is_last = at > right - 24;
    text += std::string("<text text-anchor=\"") + (is_last ? "end" : "middle") + "\" x=\"" +
            coordinate(is_last ? std::min(at + 8, right + 8) : at) + "\" y=\"" +
            coordinate(axis_bottom + 15) + "\">" + escape(tick.label) + "</text>\n";
  }
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    grid += point('M', plot_left, lane_bottom(i)) + "H" + coordinate(right);
    text += "<text text-anchor=\"end\" x=\"" + std::to_string(plot_left - 5) + "\" y=\"" +
            coordinate(lane_bottom(i) - 4) + "\">" + escape(lanes_[i]) + "</text>\n";
  }
  return "<path class=\"grid-lines\" d=\"" + grid + "\"/>\n" + text;
}

std::string Picture::svg(std::string_view description) const {
  const double bottom = lanes_.empty() ? plot_top + plot_height_ : lane_bottom(lanes_.size() - 1);
  const std::string height = coordinate(bottom + axis_height);
  return "<svg viewBox=\"0 0 " + std::to_string(picture_width) + " " + height +
         "\" role=\"img\" aria-label=\"" + escape(description) + "\">\n" + axes() + body_ +
         labels_ + "</svg>\n";
}

}  // namespace earshot::replay::report
