// One picture of the report as SVG: axes, curves, marks and bars. Any thread. Knows nothing of
// voice; colours are classes of the page's style sheet. However much goes in, what comes out is
// bounded by the picture's size, and a mark never disappears.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/time.h"

namespace earshot::replay::report {

// In units of the drawing; one is about a pixel.
constexpr int picture_width = 480;
constexpr int plot_left = 56;
constexpr int plot_columns = 414;

struct Axis {
  struct Tick {
    double value = 0;
    std::string label;
  };
  double low = 0;
  double high = 1;
  std::vector<Tick> ticks;

  double share(double value) const { return (value - low) / (high - low); }
};

// From 0 to `length`: seconds, minutes or hours; values are seconds.
Axis time_axis(Duration length);
// From 0 to at least `high`, in even steps; the unit stands at the last one.
Axis linear_axis(double high, std::string_view unit, int steps_max = 5);
// Of decimal logarithms: counts from 1 to at least `high`. Room below 1, so that 1 is seen.
Axis count_axis(double high);
double log_count(std::uint64_t count);

// Least, greatest and mean of what falls into each column of the picture.
class Columns {
 public:
  struct Column {
    double low = 0, high = 0, sum = 0, weight = 0;

    bool is_empty() const { return weight == 0; }
    double mean() const { return sum / weight; }
  };

  explicit Columns(Duration length) : length_(length), columns_(plot_columns) {}

  // `value` from one time to another, since the beginning; at least one column wide. Outside the
  // picture it is left out.
  void add(Duration from, Duration to, double value, double weight = 1);
  const std::vector<Column>& list() const { return columns_; }
  double high() const;  // of all

 private:
  Duration length_;
  std::vector<Column> columns_;
};

enum class Mark : std::uint8_t { cross, triangle, bar };

class Picture {
 public:
  // `lanes`: rows for marks and bars between the plot and its time axis.
  Picture(int plot_height, std::vector<std::string> lanes, Axis x, Axis y);

  void area(const Columns& columns, std::string_view style);       // least to greatest
  void mean_line(const Columns& columns, std::string_view style);  // broken where nothing is
  void level(double value, std::string_view style, std::string_view label);
  void upright(double value, std::string_view style, std::string_view label);
  // Where there is one in the neighbourhood already, it is the same mark.
  struct Point {
    double x = 0, y = 0;
  };
  void marks(const std::vector<Point>& points, Mark mark, std::string_view style);
  void lane_marks(std::size_t lane, const std::vector<double>& at, Mark mark,
                  std::string_view style);
  // For each column its greatest, a share from 0 to 1; what is above zero is seen.
  void lane_bars(std::size_t lane, const Columns& columns, std::string_view style);
  struct Bar {
    double from = 0, to = 0, value = 0;
    std::string label{};
  };
  void bars(const std::vector<Bar>& bars, std::string_view style);

  // The whole picture. `description`: for those who cannot see it; is escaped.
  std::string svg(std::string_view description) const;

 private:
  double x(double value) const;
  double y(double value) const;
  double lane_bottom(std::size_t lane) const;
  void path(std::string_view data, std::string_view style);
  std::string axes() const;

  int plot_height_;
  std::vector<std::string> lanes_;
  Axis x_, y_;
  std::string body_;
  std::string labels_;  // in front of all else
};

}  // namespace earshot::replay::report
