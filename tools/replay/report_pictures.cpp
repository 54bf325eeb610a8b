#include "tools/replay/report_pictures.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tools/replay/report_text.h"

namespace earshot::replay::report {
namespace {

constexpr int tall = 150;
constexpr int flat = 110;
// A longer gap between two samples of a buffer's level is a pause.
constexpr std::int64_t level_gap_windows_percent = 35;

double to_seconds(Duration duration) {
  return static_cast<double>(duration.ns) / 1e9;
}

double to_ms(Duration duration) {
  return static_cast<double>(duration.ns) / 1e6;
}

// Values are milliseconds; above three seconds the labels are seconds.
Axis delay_axis(double ms_high) {
  if (ms_high <= 3'000) return linear_axis(std::max(ms_high, 50.0), "ms");
  Axis axis = linear_axis(ms_high / 1'000, "s");
  axis.high *= 1'000;
  for (Axis::Tick& tick : axis.ticks) tick.value *= 1'000;
  return axis;
}

double high_of(const std::vector<Columns>& list) {
  double high = 0;
  for (const Columns& columns : list) high = std::max(high, columns.high());
  return high;
}

void draw_bound(Picture& picture, const Policy& policy, bool is_upright) {
  if (policy.ms == 0) return;
  const std::string label = "bound " + std::to_string(policy.ms) + " ms";
  if (is_upright) return picture.upright(policy.ms, "bound", label);
  picture.level(policy.ms, "bound", label);
}

// Packets per bin of lateness; the last is for all above.
struct Bins {
  int width = 1;  // ms
  std::vector<std::uint64_t> all, dropped;
};

constexpr std::size_t lateness_last = std::tuple_size_v<decltype(RunResult::lateness_ms)> - 1;

std::size_t highest_lateness(const ReportInput& input) {
  std::size_t highest = 49;
  for (const RunResult* run : input.runs) {
    highest = std::max<std::size_t>(highest, run->policy.ms);
    for (std::size_t ms = 0; ms <= lateness_last; ++ms) {
      if (run->lateness_ms[ms] > 0) highest = std::max(highest, ms);
    }
  }
  return std::min(highest, lateness_last);
}

Bins bins_of(const RunResult& run, int width, std::size_t highest) {
  const auto w = static_cast<std::size_t>(width);
  Bins bins{width, {}, {}};
  bins.all.resize(highest / w + 1);
  bins.dropped.resize(bins.all.size());
  for (std::size_t ms = 0; ms <= highest; ++ms) bins.all[ms / w] += run.lateness_ms[ms];
  for (const Judged& judged : run.verdicts) {
    if (judged.verdict != Verdict::late || !judged.has_lateness) continue;
    const auto ms = static_cast<std::size_t>(std::max(judged.lateness_ticks / 48, 0));
    ++bins.dropped[std::min(ms, highest) / w];
  }
  return bins;
}

std::vector<Picture::Bar> bars_of(const std::vector<std::uint64_t>& counts, double width,
                                  double inset) {
  std::vector<Picture::Bar> bars;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const double from = static_cast<double>(i) * width;
    bars.push_back({from + inset, from + width - inset, log_count(counts[i])});
  }
  return bars;
}

// Lengths of losses, in groups that are wider where there are few.
struct LossGroup {
  std::size_t longest;  // packets
  const char* label;
};
constexpr std::array<LossGroup, 10> loss_groups{{{1, "1"},
                                                 {2, "2"},
                                                 {3, "3"},
                                                 {4, "4"},
                                                 {5, "5"},
                                                 {8, "6-8"},
                                                 {12, "9-12"},
                                                 {20, "13-20"},
                                                 {50, "21-50"},
                                                 {SIZE_MAX, "> 50"}}};
using LossCounts = std::array<std::uint64_t, loss_groups.size()>;

LossCounts losses_of(const ListenerResult& listener) {
  LossCounts counts{};
  for (const HeardStream& stream : listener.streams) {
    for (std::size_t i = 0; i < stream.missing_runs.size(); ++i) {
      std::size_t group = 0;
      while (i + 1 > loss_groups[group].longest) ++group;
      counts[group] += stream.missing_runs[i];
    }
  }
  return counts;
}

std::string describe_losses(const ListenerResult& listener) {
  std::uint64_t runs = 0;
  std::size_t longest = 0;
  for (const HeardStream& stream : listener.streams) {
    for (const std::uint64_t n : stream.missing_runs) runs += n;
    longest = std::max(longest, stream.missing_runs.size());
  }
  if (runs == 0) return "nothing is missing";
  const bool is_open = longest == listen::QualityMeter::missing_run_max;
  return grouped(runs) + (runs == 1 ? " gap" : " gaps") + ", the longest of " +
         (is_open ? "at least " : "") + grouped(longest) + (longest == 1 ? " packet" : " packets");
}

}  // namespace

Pictures::Pictures(const ReportInput& input) : input_(input), begin_(input.runs[0]->begin) {
  Duration length;
  has_packets_ = true;
  for (const RunResult* run : input.runs) {
    length = std::max(length, run->end - begin_);
    has_packets_ = has_packets_ && run->verdicts.size() == input.trace->packets.size();
  }
  // Whole windows: the last one is not cut off.
  const std::int64_t window = std::max<std::int64_t>(input.quality.window.ns, 1'000'000);
  length_ = {(length.ns / window + 1) * window};
  if (!has_packets_) return;
  for (const RunResult* run : input.runs) marks_.push_back(marks_of(*run));
}

PacketMarks Pictures::marks_of(const RunResult& run) const {
  PacketMarks marks{{}, {}, {}, {}, Columns(length_)};
  for (std::size_t i = 0; i < run.verdicts.size(); ++i) {
    const Judged& judged = run.verdicts[i];
    Duration at = input_.trace->packets[i].arrival - begin_;
    if (judged.verdict == Verdict::lost) marks.lost_at.push_back(to_seconds(at));
    if (!judged.has_lateness) continue;
    const Duration lateness{std::int64_t{judged.lateness_ticks} * 62'500 / 3};
    // A capture knows when packets arrived; they stand where they were spoken.
    if (!input_.trace->is_sending_time) at = std::max(at - lateness, Duration{});
    const Picture::Point point{to_seconds(at), to_ms(lateness)};
    if (judged.verdict == Verdict::late) {
      marks.dropped.push_back(point);
      marks.dropped_at.push_back(point.x);
      continue;
    }
    marks.kept.add(at, at, point.y);
    if (lateness > input_.quality.late_over) marks.kept_late.push_back(point);
  }
  return marks;
}

Figure Pictures::describe(std::size_t run, std::string caption, const Picture& picture,
                          const std::string& title) const {
  const std::string policy = name(input_.runs[run]->policy);
  return {policy, caption, picture.svg(title + ", " + policy + ": " + caption)};
}

std::vector<Figure> Pictures::lateness_over_time() const {
  double high = 0;
  for (std::size_t i = 0; i < marks_.size(); ++i) {
    high = std::max({high, marks_[i].kept.high(), 1.1 * input_.runs[i]->policy.ms});
    for (const Picture::Point& point : marks_[i].dropped) high = std::max(high, point.y);
  }
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < marks_.size(); ++i) {
    const PacketMarks& marks = marks_[i];
    Picture picture(tall, {"lost"}, time_axis(length_), delay_axis(high));
    picture.area(marks.kept, "area");
    picture.mean_line(marks.kept, "line thin");
    draw_bound(picture, input_.runs[i]->policy, false);
    picture.marks(marks.kept_late, Mark::triangle, "kept-late");
    picture.marks(marks.dropped, Mark::cross, "dropped");
    picture.lane_marks(0, marks.lost_at, Mark::bar, "lost");
    figures.push_back(describe(i,
                               grouped(marks.dropped.size()) + " dropped, " +
                                   grouped(marks.kept_late.size()) + " kept though more than " +
                                   in_ms(input_.quality.late_over) + " late, " +
                                   grouped(marks.lost_at.size()) + " lost before the relay",
                               picture, "Lateness at the relay over time"));
  }
  return figures;
}

std::vector<Figure> Pictures::lateness_distribution() const {
  const std::size_t highest = highest_lateness(input_);
  int width = 1;
  for (const int next : {2, 5, 10}) {
    if (highest / static_cast<std::size_t>(width) > 140) width = next;
  }
  std::vector<Bins> runs;
  std::uint64_t most = 1;
  for (const RunResult* run : input_.runs) {
    const Bins& bins = runs.emplace_back(bins_of(*run, width, highest));
    most = std::max(most, *std::max_element(bins.all.begin(), bins.all.end()));
  }
  Axis x = linear_axis(static_cast<double>(highest) + width, "ms");
  if (highest == lateness_last) {
    // The last bin holds all above: the axis ends with it.
    x.high = static_cast<double>(lateness_last + static_cast<std::size_t>(width));
    std::erase_if(x.ticks, [&](const Axis::Tick& tick) { return tick.value > x.high; });
    x.ticks.back().label = "1000 ms and more";
  }
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Picture picture(flat, {}, x, count_axis(static_cast<double>(most)));
    picture.bars(bars_of(runs[i].all, width, 0), "bars");
    picture.bars(bars_of(runs[i].dropped, width, 0.2 * width), "bars-dropped");
    draw_bound(picture, input_.runs[i]->policy, true);
    std::uint64_t late = 0;
    std::uint64_t all = 0;
    for (std::size_t ms = 0; ms <= lateness_last; ++ms) {
      all += input_.runs[i]->lateness_ms[ms];
      const bool is_late = milliseconds(static_cast<std::int64_t>(ms)) >= input_.quality.late_over;
      if (is_late) late += input_.runs[i]->lateness_ms[ms];
    }
    figures.push_back(describe(i,
                               grouped(late) + " of " + grouped(all) + " packets were " +
                                   in_ms(input_.quality.late_over) + " late or more",
                               picture, "How late packets reach the relay"));
  }
  return figures;
}

// By run: what `add` puts in for each stream.
template <typename Add>
std::vector<Columns> Pictures::columns_for(std::size_t listener, const Add& add) const {
  std::vector<Columns> list;
  for (const RunResult* run : input_.runs) {
    Columns& columns = list.emplace_back(length_);
    for (const HeardStream& stream : run->listeners[listener].streams) add(stream, columns);
  }
  return list;
}

std::vector<Figure> Pictures::delay(std::size_t listener) const {
  const Duration window = input_.quality.window;
  const auto delays = columns_for(listener, [&](const HeardStream& stream, Columns& columns) {
    for (const listen::QualityWindow& w : stream.windows) {
      const Duration from = w.begin - begin_;
      if (w.delays > 0) columns.add(from, from + window, to_ms(w.delay_mean), w.delays);
    }
  });
  const auto made_up = columns_for(listener, [&](const HeardStream& stream, Columns& columns) {
    for (const listen::QualityWindow& w : stream.windows) {
      const Duration from = w.begin - begin_;
      columns.add(from, from + window, to_seconds(w.made_up) / to_seconds(window), w.packets);
    }
  });
  const double high = high_of(delays);
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < delays.size(); ++i) {
    std::vector<std::string> lanes{"made up"};
    if (has_packets_) lanes.push_back("dropped");
    Picture picture(tall, lanes, time_axis(length_), delay_axis(high));
    picture.area(delays[i], "area");
    picture.mean_line(delays[i], "line");
    picture.lane_bars(0, made_up[i], "made-up");
    if (has_packets_) picture.lane_marks(1, marks_[i].dropped_at, Mark::cross, "dropped");
    const listen::Quality& q = input_.runs[i]->listeners[listener].total;
    figures.push_back(describe(i,
                               "p50 " + in_ms(q.delay_p50) + ", p95 " + in_ms(q.delay_p95) + "; " +
                                   percent(q.concealed_share + q.interrupted_share) +
                                   " of the time made up or silent",
                               picture, "Delay from mouth to ear over time"));
  }
  return figures;
}

std::vector<Figure> Pictures::mos(std::size_t listener) const {
  const Duration window = input_.quality.window;
  const auto list = columns_for(listener, [&](const HeardStream& stream, Columns& columns) {
    for (const listen::QualityWindow& w : stream.windows) {
      const Duration from = w.begin - begin_;
      columns.add(from, from + window, w.mos, w.packets);
    }
  });
  const Axis axis{1, 4.5, {{1, "1"}, {2, "2"}, {3, "3"}, {4, "4"}}};
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < list.size(); ++i) {
    Picture picture(flat, {}, time_axis(length_), axis);
    picture.area(list[i], "area");
    picture.mean_line(list[i], "line");
    const listen::Quality& q = input_.runs[i]->listeners[listener].total;
    figures.push_back(
        describe(i, "mean " + number(q.mos, 2) + ", worst second " + number(q.mos_min, 2), picture,
                 "MOS over time"));
  }
  return figures;
}

std::vector<Figure> Pictures::buffer(std::size_t listener) const {
  const Duration gap = input_.quality.window * level_gap_windows_percent / 100;
  const auto spans = [&](const HeardStream& stream, const auto& use) {
    for (std::size_t i = 0; i < stream.levels.size(); ++i) {
      const Duration from = stream.levels[i].at - begin_;
      Duration to = from + gap;
      if (i + 1 < stream.levels.size()) to = std::min(to, stream.levels[i + 1].at - begin_);
      use(from, to, stream.levels[i]);
    }
  };
  const auto levels = columns_for(listener, [&](const HeardStream& stream, Columns& columns) {
    spans(stream, [&](Duration from, Duration to, const listen::LevelSample& sample) {
      columns.add(from, to, to_ms(sample.level));
    });
  });
  const auto targets = columns_for(listener, [&](const HeardStream& stream, Columns& columns) {
    spans(stream, [&](Duration from, Duration to, const listen::LevelSample& sample) {
      columns.add(from, to, to_ms(sample.target));
    });
  });
  const double high = std::max(high_of(levels), high_of(targets));
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    Picture picture(flat, {}, time_axis(length_), delay_axis(high));
    picture.area(levels[i], "area");
    picture.mean_line(levels[i], "line thin");
    picture.mean_line(targets[i], "target");
    figures.push_back(describe(i,
                               "at most " + number(levels[i].high(), 0) +
                                   " ms waiting; wanted: at most " + number(targets[i].high(), 0) +
                                   " ms",
                               picture, "Buffer over time"));
  }
  return figures;
}

std::vector<Figure> Pictures::losses(std::size_t listener) const {
  std::vector<LossCounts> runs;
  std::uint64_t most = 1;
  for (const RunResult* run : input_.runs) {
    const LossCounts& counts = runs.emplace_back(losses_of(run->listeners[listener]));
    most = std::max(most, *std::max_element(counts.begin(), counts.end()));
  }
  Axis x{0, static_cast<double>(loss_groups.size()), {}};
  for (std::size_t i = 0; i < loss_groups.size(); ++i) {
    x.ticks.push_back({static_cast<double>(i) + 0.5, loss_groups[i].label});
  }
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    // Some room for the numbers above the bars.
    Axis y = count_axis(static_cast<double>(most));
    y.high += 0.15 * (y.high - y.low);
    Picture picture(flat, {}, x, y);
    std::vector<Picture::Bar> bars = bars_of({runs[i].begin(), runs[i].end()}, 1, 0.12);
    std::size_t next = 0;
    for (const std::uint64_t n : runs[i]) {
      if (n > 0) bars[next++].label = grouped(n);
    }
    picture.bars(bars, "bars");
    figures.push_back(describe(i, describe_losses(input_.runs[i]->listeners[listener]), picture,
                               "Lengths of gaps"));
  }
  return figures;
}

}  // namespace earshot::replay::report
