#include "tools/replay/report_tables.h"

#include <algorithm>
#include <array>
#include <vector>

#include "tools/replay/report_text.h"

namespace earshot::replay::report {
namespace {

// More rows than this help nobody.
constexpr std::size_t streams_max = 40;

bool is_off(const Policy& policy) {
  return policy.kind == Policy::Kind::late && policy.ms == 0;
}

// What the others are compared with: plain forwarding, or else the last one.
std::size_t reference(const ReportInput& input) {
  for (std::size_t i = 0; i < input.runs.size(); ++i) {
    if (is_off(input.runs[i]->policy)) return i;
  }
  return input.runs.size() - 1;
}

std::string head(std::initializer_list<const char*> names,
                 std::initializer_list<const char*> columns) {
  std::string out = "<div class=\"scroll\"><table>\n<thead><tr>";
  for (const char* name : names) out += std::string("<th class=\"name\">") + name + "</th>";
  for (const char* column : columns) out += std::string("<th>") + column + "</th>";
  return out + "</tr></thead>\n";
}

std::string cell(const std::string& text, bool is_best = false) {
  return (is_best ? "<td class=\"best\">" : "<td>") + text + "</td>";
}

// "120 <small>0.4 %</small>".
std::string count_cell(std::uint64_t count, std::uint64_t of) {
  if (count == 0 || of == 0) return cell(grouped(count));
  const double share = static_cast<double>(count) / static_cast<double>(of);
  return cell(grouped(count) + " <small>" + percent(share) + "</small>");
}

std::string usable_cell(const ReportInput& input, const RunResult& run, const listen::Quality& q) {
  if (is_off(run.policy)) return cell("0");
  return input.has_shadow ? cell(grouped(q.dropped_but_usable)) : cell("not known");
}

std::string quality_cells(const ReportInput& input, const RunResult& run, const listen::Quality& q,
                          const std::string& best_mos) {
  if (q.packets == 0) return "<td colspan=\"11\">nothing was sent</td>";
  return cell(number(q.mos, 2), number(q.mos, 2) == best_mos) + cell(number(q.mos_min, 2)) +
         cell(in_ms(q.delay_p50)) + cell(in_ms(q.delay_p95)) + cell(percent(q.concealed_share)) +
         cell(percent(q.interrupted_share)) + cell(in_seconds(q.late_time)) +
         count_cell(q.lost, q.packets) + count_cell(q.dropped, q.packets) +
         count_cell(q.discarded, q.packets) + usable_cell(input, run, q);
}

std::string table_head(std::initializer_list<const char*> names) {
  return head(names, {"MOS", "worst second", "mouth to ear p50", "mouth to ear p95", "made up",
                      "inter&shy;rupted", "time late", "lost", "of them dropped", "dis&shy;carded",
                      "dropped, but usable"});
}

// The highest MOS as it is shown; nothing if all are the same.
template <typename Get>
std::string best_mos(const ReportInput& input, const Get& quality_of) {
  double best = 0;
  double worst = 5;
  for (const RunResult* run : input.runs) {
    best = std::max(best, quality_of(*run).mos);
    worst = std::min(worst, quality_of(*run).mos);
  }
  return number(best, 2) == number(worst, 2) ? std::string() : number(best, 2);
}

std::string row_group(const std::string& name, std::size_t rows) {
  return "<th scope=\"rowgroup\" rowspan=\"" + std::to_string(rows) + "\">" + name + "</th>";
}

std::string row_name(const RunResult& run) {
  return "<th scope=\"row\">" + escape(name(run.policy)) + "</th>";
}

// One group of the table: a quality under every policy.
template <typename Get>
std::string quality_rows(const ReportInput& input, const std::string& group,
                         const Get& quality_of) {
  const std::string best = best_mos(input, quality_of);
  std::string out = "<tbody>\n";
  for (std::size_t i = 0; i < input.runs.size(); ++i) {
    const RunResult& run = *input.runs[i];
    out += "<tr>" + (i == 0 ? row_group(group, input.runs.size()) : std::string()) + row_name(run) +
           quality_cells(input, run, quality_of(run), best) + "</tr>\n";
  }
  return out + "</tbody>\n";
}

std::string difference(double of, double to) {
  const std::string text = number(of - to, 2);
  return text[0] == '-' ? "\xE2\x88\x92" + text.substr(1) : "+" + text;
}

std::string finding(const RunResult& run, const RunResult& other, std::size_t listener) {
  const listen::Quality& a = run.listeners[listener].total;
  const listen::Quality& b = other.listeners[listener].total;
  const double made_up = a.concealed_share + a.interrupted_share;
  const double made_up_before = b.concealed_share + b.interrupted_share;
  return "<li><b>" + escape(run.listeners[listener].name) + "</b>, " + escape(name(run.policy)) +
         " instead of " + escape(name(other.policy)) + ": MOS " + number(a.mos, 2) +
         " instead of " + number(b.mos, 2) + " (" + difference(a.mos, b.mos) + "); late for " +
         in_seconds(a.late_time) + " instead of " + in_seconds(b.late_time) + "; " +
         percent(made_up) + " of the time made up or silent instead of " + percent(made_up_before) +
         ".</li>\n";
}

std::string word(const std::string& name, const std::string& text) {
  return "<div><dt>" + name + "</dt><dd>" + text + "</dd></div>\n";
}

std::string delay_words(const ReportInput& input) {
  std::string text =
      "Delay from the speaker's mouth to the listener's ear, of what was played: the network, the "
      "wait in the listener's buffer, and " +
      in_ms(input.quality.terminal_delay) +
      " for capture, codec and devices. Half of the packets had no more than p50, 95 of 100 no "
      "more than p95.";
  if (input.trace->is_sending_time) return text;
  return text +
         " <b>The input is a capture:</b> how long packets had been on their way before they were "
         "captured, nobody knows, and it is not contained. Only how much longer than the fastest "
         "ones they took is. Real delays are longer by a constant, and MOS lower, under every "
         "policy alike.";
}

std::string model_words(const ReportInput& input) {
  const listen::EModelOptions& e = input.quality.emodel;
  return "The E-model (ITU-T G.107) is made for planning telephone networks. It knows delay and "
         "loss, and nothing of the sound: not of stretched time, not of how well a gap was "
         "concealed, not of audio wider than a telephone's. For Opus there are no measured "
         "constants; these are judgements: Ie " +
         coordinate(e.ie) + ", Bpl " + coordinate(e.bpl) + ", A " + coordinate(e.advantage) +
         ". It is good for telling which of two networks or policies is better, not for promising "
         "what people will say. Where it matters, listen.";
}

enum class Column : std::uint8_t { always, if_any };
struct VerdictColumn {
  Verdict verdict;
  const char* text;
  Column shown;
};
constexpr std::array<VerdictColumn, static_cast<std::size_t>(Verdict::count)> verdict_columns{
    {{Verdict::keep, "kept", Column::always},
     {Verdict::late, "dropped: late", Column::always},
     {Verdict::duplicate, "dropped: seen before", Column::always},
     {Verdict::stale, "dropped: waited in the relay", Column::if_any},
     {Verdict::rate, "dropped: too many per second", Column::if_any},
     {Verdict::speakers, "dropped: too many speakers", Column::if_any},
     {Verdict::muted, "dropped: muted", Column::if_any},
     {Verdict::lost, "lost on the uplink", Column::always}}};

bool is_shown(const ReportInput& input, const VerdictColumn& column) {
  if (column.shown == Column::always) return true;
  for (const RunResult* run : input.runs) {
    for (const StreamResult& stream : run->streams) {
      if (stream.verdicts[static_cast<std::size_t>(column.verdict)] > 0) return true;
    }
  }
  return false;
}

std::string verdict_cells(const ReportInput& input, const StreamResult& stream) {
  std::string out = cell(grouped(stream.packets));
  for (const VerdictColumn& column : verdict_columns) {
    if (!is_shown(input, column)) continue;
    out += count_cell(stream.verdicts[static_cast<std::size_t>(column.verdict)], stream.packets);
  }
  return out;
}

std::string verdict_head(const ReportInput& input) {
  std::string out =
      "<div class=\"scroll\"><table>\n<thead><tr><th class=\"name\">stream</th>"
      "<th class=\"name\">policy</th><th>packets</th>";
  for (const VerdictColumn& column : verdict_columns) {
    if (is_shown(input, column)) out += std::string("<th>") + column.text + "</th>";
  }
  return out + "</tr></thead>\n";
}

StreamResult sum_of(const RunResult& run, std::size_t first) {
  StreamResult sum{};
  for (std::size_t i = first; i < run.streams.size(); ++i) {
    sum.packets += run.streams[i].packets;
    for (std::size_t v = 0; v < sum.verdicts.size(); ++v) {
      sum.verdicts[v] += run.streams[i].verdicts[v];
    }
  }
  return sum;
}

std::string verdict_rows(const ReportInput& input, const std::string& group,
                         const std::vector<StreamResult>& rows) {
  std::string out = "<tbody>\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out += "<tr>" + (i == 0 ? row_group(group, rows.size()) : std::string()) +
           row_name(*input.runs[i]) + verdict_cells(input, rows[i]) + "</tr>\n";
  }
  return out + "</tbody>\n";
}

std::string stream_name(const RunResult& run, std::size_t stream) {
  return "SSRC " + std::to_string(run.streams[stream].ssrc.value);
}

}  // namespace

std::string summary_table(const ReportInput& input) {
  std::string out = table_head({"listener", "policy"});
  for (std::size_t l = 0; l < input.runs[0]->listeners.size(); ++l) {
    const auto get = [l](const RunResult& run) -> const auto& {
      return run.listeners[l].total;
    };
    out += quality_rows(input, escape(input.runs[0]->listeners[l].name), get);
  }
  return out + "</table></div>\n";
}

std::string findings(const ReportInput& input) {
  constexpr std::size_t listeners_max = 6;
  if (input.runs.size() < 2) return {};
  std::string out = "<ul>\n";
  const std::size_t other = reference(input);
  for (std::size_t l = 0; l < std::min(input.runs[0]->listeners.size(), listeners_max); ++l) {
    for (std::size_t i = 0; i < input.runs.size(); ++i) {
      if (i != other) out += finding(*input.runs[i], *input.runs[other], l);
    }
  }
  return out + "</ul>\n";
}

std::string words(const ReportInput& input) {
  const std::string late = in_ms(input.quality.late_over);
  return "<dl class=\"words\">\n" +
         word("Listener",
              "What waits at the other end. <i>adaptive</i>: a player that follows the network and "
              "stretches time, as browsers and native clients do. <i>fixed</i>: waits the same "
              "time for everything. <i>never skips</i>: plays all it gets in a queue, and what it "
              "got late it stays late; simple players are like that.") +
         word("Policy",
              "What the relay does. <i>off</i>: forwards everything. <i>late=N</i>: drops a packet "
              "that is more than N milliseconds late if fresher ones are right behind it. "
              "<i>deadline=N</i>: drops whatever is later than N; only here for comparison, it "
              "does harm.") +
         word("MOS",
              "Mean opinion score: what people would say of the call on a scale from 1 (bad) to 5 "
              "(excellent), estimated by the E-model from each second's delay and loss, and "
              "averaged. It ends at 4.4; above 4 most people are content, below 3 many "
              "complain. Differences below 0.05 mean nothing.") +
         word("worst second", "The MOS of the worst one: what people remember.") +
         word("mouth to ear p50, p95", delay_words(input)) +
         word("made up",
              "Share of the speech in whose place the listener heard something invented "
              "(concealment), because the packet was not there in time.") +
         word("interrupted",
              "Share of the speech in whose place the listener heard silence: gaps longer than "
              "concealment bridges.") +
         word("time late",
              "How long the listener heard speech more than " + late +
                  " later than the path itself needs: people begin to talk into each other.") +
         word("lost",
              "Packets of speech that did not reach the listener: lost by the network, or dropped "
              "by the relay. Silence is not counted.") +
         word("of them dropped", "By the relay, on purpose, because of the policy.") +
         word("discarded",
              "Packets that reached the listener and were not played, as their turn was over.") +
         word("dropped, but usable",
              "Of those dropped: packets that this listener would have played if they had been "
              "forwarded. This is the price of the policy; what it buys are the other columns.") +
         word("What the numbers cannot say", model_words(input)) + "</dl>\n";
}

std::string verdict_table(const ReportInput& input) {
  const std::size_t streams = input.runs[0]->streams.size();
  const auto rows = [&](const std::string& group, const auto& get) {
    std::vector<StreamResult> list;
    for (const RunResult* run : input.runs) list.push_back(get(*run));
    return verdict_rows(input, group, list);
  };
  std::string each;
  for (std::size_t i = 0; i < std::min(streams, streams_max); ++i) {
    each +=
        rows(stream_name(*input.runs[0], i), [i](const RunResult& run) { return run.streams[i]; });
  }
  if (streams > streams_max) {
    each += rows(grouped(streams - streams_max) + " others",
                 [](const RunResult& run) { return sum_of(run, streams_max); });
  }
  const std::string begin = verdict_head(input);
  const std::string end = "</table></div>\n";
  if (streams == 1) return begin + each + end;
  return begin + rows("all", [](const RunResult& run) { return sum_of(run, 0); }) + end +
         "<details><summary>Each stream</summary>\n" + begin + each + end + "</details>\n";
}

std::string stream_table(const ReportInput& input, std::size_t listener) {
  const std::size_t streams = input.runs[0]->streams.size();
  if (streams < 2) return {};
  std::string out = "<details><summary>Each stream</summary>\n" + table_head({"stream", "policy"});
  for (std::size_t s = 0; s < std::min(streams, streams_max); ++s) {
    const auto get = [=](const RunResult& run) -> const auto& {
      return run.listeners[listener].streams[s].quality;
    };
    out += quality_rows(input, stream_name(*input.runs[0], s), get);
  }
  out += "</table></div>\n";
  if (streams > streams_max) {
    out += "<p class=\"note\">" + grouped(streams - streams_max) + " more are not shown.</p>\n";
  }
  return out + "</details>\n";
}

}  // namespace earshot::replay::report
