#include "tools/replay/report.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/replay/report_pictures.h"
#include "tools/replay/report_style.h"
#include "tools/replay/report_tables.h"
#include "tools/replay/report_text.h"

namespace earshot::replay {
namespace {

using report::escape;
using report::Figure;
using report::grouped;

// Each costs up to about 50 kB; the file is to open on a phone.
constexpr std::size_t listener_pictures_max = 24;
constexpr std::size_t remarks_max = 50;

// How a kind of mark looks, and what it means.
struct Key {
  std::string_view shape;
  std::string text;
};

// One quantity: a picture for each policy, or one in a row of several quantities.
struct Row {
  std::string title;
  std::string lead;  // HTML
  std::vector<Key> legend;
  std::vector<Figure> figures;
};

constexpr std::string_view mean_shape = R"(<path class="line" d="M1 6H21"/>)";
constexpr std::string_view area_shape = R"(<path class="area" d="M1 1H21V11H1z"/>)";
constexpr std::string_view target_shape = R"(<path class="target" d="M1 6H21"/>)";
constexpr std::string_view bound_shape = R"(<path class="bound" d="M1 6H21"/>)";
constexpr std::string_view dropped_shape = R"(<path class="dropped" d="M8 3l6 6m-6 0l6-6"/>)";
constexpr std::string_view late_shape = R"(<path class="kept-late" d="M11 2l4 7h-8z"/>)";
constexpr std::string_view lost_shape = R"(<path class="lost" d="M11 2v8"/>)";
constexpr std::string_view made_up_shape =
    R"(<path class="made-up" d="M4 11V7H9V11zM9 11V2H13V11zM13 11V9H18V11z"/>)";
constexpr std::string_view bars_shape = R"(<path class="bars" d="M4 11V3H18V11z"/>)";
constexpr std::string_view bars_dropped_shape =
    R"(<path class="bars-dropped" d="M8 11V3H14V11z"/>)";

std::string legend(const std::vector<Key>& keys) {
  std::string out = "<p class=\"legend\">";
  for (const Key& key : keys) {
    out += "<span><svg viewBox=\"0 0 22 12\" aria-hidden=\"true\">" + std::string(key.shape) +
           "</svg>" + key.text + "</span> ";
  }
  return out + "</p>\n";
}

std::string show(const Figure& figure) {
  return "<figure><figcaption><b>" + escape(figure.name) + "</b>" + escape(figure.caption) +
         "</figcaption>\n" + figure.svg + "</figure>\n";
}

std::string text_of(const Row& row) {
  return "<h3>" + row.title + "</h3>\n<p class=\"lead\">" + row.lead + "</p>\n" +
         legend(row.legend);
}

std::string show(const std::vector<Row>& rows, std::size_t policies) {
  const bool is_dense = policies == 3 || policies > 4;
  const std::string grid = is_dense ? "<div class=\"grid dense\">\n" : "<div class=\"grid\">\n";
  std::string out;
  if (policies == 1) {
    out = grid;
    for (const Row& row : rows) {
      out += "<div class=\"cell\">" + text_of(row) + show(row.figures[0]) + "</div>\n";
    }
    return out + "</div>\n";
  }
  for (const Row& row : rows) {
    out += text_of(row) + grid;
    for (const Figure& figure : row.figures) out += show(figure);
    out += "</div>\n";
  }
  return out;
}

std::string fact(const std::string& name, const std::string& value) {
  return "<dt>" + name + "</dt><dd>" + value + "</dd>\n";
}

std::string counted(std::uint64_t count, const char* one, const char* more) {
  return grouped(count) + " " + (count == 1 ? one : more);
}

// What the input's reader left out, and what it remarked.
std::string notes_of(const Trace& trace) {
  std::string out;
  std::string skipped;
  for (std::size_t i = 0; i < trace.notes.skipped.size(); ++i) {
    if (trace.notes.skipped[i] == 0) continue;
    skipped += (skipped.empty() ? "" : ", ") + grouped(trace.notes.skipped[i]) + " " +
               std::string(skip_names[i]);
  }
  if (!skipped.empty()) out += fact("left out", escape(skipped));
  if (trace.notes.clamped > 0) {
    out += fact("time ran backwards", counted(trace.notes.clamped, "time", "times"));
  }
  for (std::size_t i = 0; i < std::min(trace.notes.remarks.size(), remarks_max); ++i) {
    out += fact("remark", escape(trace.notes.remarks[i]));
  }
  return out;
}

std::string policies_of(const ReportInput& input) {
  std::string out;
  for (const RunResult* run : input.runs) out += (out.empty() ? "" : ", ") + name(run->policy);
  return out;
}

std::string facts(const ReportInput& input) {
  const Trace& trace = *input.trace;
  const RunResult& run = *input.runs[0];
  std::string out = "<dl class=\"facts\">\n";
  if (!input.source.empty()) out += fact("input", escape(input.source));
  out += fact("traffic",
              counted(trace.packets.size(), "packet", "packets") + " in " +
                  counted(run.streams.size(), "stream", "streams") + ", " +
                  report::in_seconds(run.end - run.begin) +
                  (trace.is_sending_time ? "; times are those of sending"
                                         : "; times are those of arrival, where it was captured"));
  out += notes_of(trace);
  if (!input.network.empty()) out += fact("network", "<pre>" + escape(input.network) + "</pre>");
  out += fact("policies", escape(policies_of(input)));
  return out + fact("seed", std::to_string(input.seed)) + "</dl>\n";
}

std::string spread_text(const ReportInput& input) {
  return input.runs[0]->streams.size() > 1 ? "from least to greatest, of all streams"
                                           : "from least to greatest";
}

std::string relay_section(const ReportInput& input, const report::Pictures& pictures) {
  std::string out =
      "<h2 id=\"relay\">At the relay</h2>\n<p>What the relay saw, and what it did. It knows "
      "nothing of the listeners: this is the same for all of them.</p>\n" +
      report::verdict_table(input);
  std::vector<Row> rows;
  const std::string late = report::in_ms(input.quality.late_over);
  if (pictures.has_packets()) {
    rows.push_back({"Lateness over time",
                    "How much later than the fastest of the last seconds each packet came, where "
                    "it was spoken. A stall of the network is a slope: the first packet behind it "
                    "is the latest.",
                    {{area_shape, "kept"},
                     {late_shape, "kept, though more than " + late + " late"},
                     {dropped_shape, "dropped as late"},
                     {bound_shape, "the policy's bound"},
                     {lost_shape, "lost before the relay"}},
                    pictures.lateness_over_time()});
  } else {
    out +=
        "<p class=\"note\">The runs kept no verdicts: there are no pictures of single "
        "packets.</p>\n";
  }
  rows.push_back({"Lateness distribution",
                  "How many packets were how late. The scale of counts is logarithmic, so that "
                  "single packets are seen.",
                  {{bars_shape, "packets"},
                   {bars_dropped_shape, "of them dropped"},
                   {bound_shape, "the policy's bound"}},
                  pictures.lateness_distribution()});
  return out + show(rows, input.runs.size());
}

std::vector<Row> listener_rows(const ReportInput& input, const report::Pictures& pictures,
                               std::size_t listener) {
  const std::string spread = spread_text(input);
  std::vector<Key> delay_keys{{mean_shape, "mean of a second"},
                              {area_shape, spread},
                              {made_up_shape, "made up or silent, share of the second"}};
  if (pictures.has_packets()) delay_keys.push_back({dropped_shape, "dropped by the relay"});
  return {{"Delay over time",
           "From mouth to ear, of what was played, at the time at which it was spoken.", delay_keys,
           pictures.delay(listener)},
          {"MOS over time",
           "The estimate for each second; where nobody spoke there is none.",
           {{mean_shape, "mean"}, {area_shape, spread}},
           pictures.mos(listener)},
          {"Buffer over time",
           "What waits in the listener's buffer, and how long it wants things to wait.",
           {{mean_shape, "waiting, mean"}, {area_shape, spread}, {target_shape, "wanted"}},
           pictures.buffer(listener)},
          {"Loss bursts",
           "How many packets in a row were not heard, and how often: lost, dropped or discarded. "
           "A single one is concealed well, five or more are a hole.",
           {{bars_shape, "gaps of so many packets (counts are logarithmic)"}},
           pictures.losses(listener)}};
}

std::string listener_sections(const ReportInput& input, const report::Pictures& pictures) {
  const std::size_t listeners = input.runs[0]->listeners.size();
  const std::size_t most = std::max<std::size_t>(listener_pictures_max / input.runs.size(), 1);
  std::string out;
  for (std::size_t i = 0; i < std::min(listeners, most); ++i) {
    out += "<h2 id=\"listener-" + std::to_string(i + 1) +
           "\">Listener: " + escape(input.runs[0]->listeners[i].name) + "</h2>\n" +
           report::stream_table(input, i) +
           show(listener_rows(input, pictures, i), input.runs.size());
  }
  if (listeners > most) {
    out += "<p class=\"note\">" + counted(listeners - most, "listener", "listeners") +
           " more are in the table only.</p>\n";
  }
  return out;
}

Result<void> check(const ReportInput& input) {
  if (input.trace == nullptr || input.runs.empty()) return Error{"there is no run to report"};
  const RunResult& first = *input.runs[0];
  for (const RunResult* run : input.runs) {
    bool is_same = run->streams.size() == first.streams.size() &&
                   run->listeners.size() == first.listeners.size();
    for (std::size_t i = 0; is_same && i < first.listeners.size(); ++i) {
      is_same = run->listeners[i].streams.size() == first.listeners[i].streams.size();
    }
    if (!is_same) return Error{"runs of different streams or listeners cannot be compared"};
  }
  return {};
}

std::string page(const ReportInput& input) {
  const report::Pictures pictures(input);
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
      escape(input.title) + "</title>\n<style>" + std::string(report::style_sheet) +
      "</style>\n</head>\n<body>\n<h1>" + escape(input.title) + "</h1>\n" + facts(input);
  out +=
      "<h2 id=\"summary\">Summary</h2>\n" + report::findings(input) + report::summary_table(input);
  out += "<details open id=\"words\"><summary>What this means</summary>\n" + report::words(input) +
         "</details>\n";
  return out + relay_section(input, pictures) + listener_sections(input, pictures) +
         "</body>\n</html>\n";
}

}  // namespace

Result<void> write_report(std::FILE* file, const ReportInput& input) {
  if (auto checked = check(input); !checked) return checked.error();
  const std::string text = page(input);
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0) {
    return {};
  }
  return Error{std::string("the report cannot be written: ") +
               std::strerror(errno != 0 ? errno : EIO)};
}

}  // namespace earshot::replay
