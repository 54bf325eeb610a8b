// The pictures of a report: for each quantity one for each run, on the same axes. Any thread; pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tools/replay/report.h"
#include "tools/replay/report_plot.h"

namespace earshot::replay::report {

struct Figure {
  std::string name;     // of the run: its policy
  std::string caption;  // numbers of this picture, in words
  std::string svg;
};

// What became of single packets at the relay, in seconds since the beginning, and milliseconds.
struct PacketMarks {
  std::vector<Picture::Point> dropped;
  std::vector<Picture::Point> kept_late;  // more than QualityOptions::late_over
  std::vector<double> dropped_at;
  std::vector<double> lost_at;
  Columns kept;  // lateness of those that are kept
};

class Pictures {
 public:
  explicit Pictures(const ReportInput& input);

  bool has_packets() const { return has_packets_; }
  // These need has_packets().
  std::vector<Figure> lateness_over_time() const;

  std::vector<Figure> lateness_distribution() const;
  std::vector<Figure> delay(std::size_t listener) const;
  std::vector<Figure> mos(std::size_t listener) const;
  std::vector<Figure> buffer(std::size_t listener) const;
  std::vector<Figure> losses(std::size_t listener) const;

 private:
  PacketMarks marks_of(const RunResult& run) const;
  template <typename Add>
  std::vector<Columns> columns_for(std::size_t listener, const Add& add) const;
  Figure describe(std::size_t run, std::string caption, const Picture& picture,
                  const std::string& title) const;

  const ReportInput& input_;
  Time begin_;
  Duration length_;
  bool has_packets_ = false;
  std::vector<PacketMarks> marks_;  // by run
};

}  // namespace earshot::replay::report
