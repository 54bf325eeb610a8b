#include "tools/earshot/replay_text.h"

#include <array>
#include <cstdio>

#include "tools/earshot/text_table.h"

namespace earshot::tools {
namespace {

using replay::RunResult;
using replay::Trace;
using replay::Verdict;

std::string fixed(double value, int decimals) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string ms_text(Duration d) {
  return fixed(static_cast<double>(d.ns) / 1e6, 0);
}

std::string percent(double share) {
  return fixed(100 * share, 2);
}

std::string share_of(std::uint64_t part, std::uint64_t whole) {
  return percent(whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole));
}

std::string input_text(const Trace& trace, std::size_t streams) {
  const Duration length = trace.packets.back().arrival - trace.packets.front().arrival;
  std::string text = counted(static_cast<std::int64_t>(trace.packets.size()), "packet") + " of " +
                     counted(static_cast<std::int64_t>(streams), "stream") + " in " +
                     duration_text(length.ns / seconds(1).ns) + "\n";
  for (std::size_t i = 0; i < replay::skip_names.size(); ++i) {
    if (trace.notes.skipped[i] == 0) continue;
    text += "left out: " + grouped(static_cast<std::int64_t>(trace.notes.skipped[i])) + " " +
            std::string(replay::skip_names[i]) + "\n";
  }
  if (trace.notes.clamped > 0) {
    text +=
        "time ran backwards: " + counted(static_cast<std::int64_t>(trace.notes.clamped), "time") +
        ", raised to the packet before\n";
  }
  for (const std::string& remark : trace.notes.remarks) text += remark + "\n";
  return text;
}

std::string verdicts_text(const RunResult& result) {
  std::string text = name(result.policy) + ":";
  std::uint64_t all = 0;
  std::array<std::uint64_t, replay::verdict_names.size()> sums{};
  for (const replay::StreamResult& s : result.streams) {
    all += s.packets;
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += s.verdicts[i];
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (sums[i] == 0) continue;
    text += " " + grouped(static_cast<std::int64_t>(sums[i])) + " " +
            std::string(replay::verdict_names[i]) + " (" + share_of(sums[i], all) + " %),";
  }
  text.back() = '\n';
  return text;
}

std::vector<std::string> row(const RunResult& result, const replay::ListenerResult& listener) {
  const listen::Quality& q = listener.total;
  return {name(result.policy),
          listener.name,
          fixed(q.mos, 2),
          fixed(q.mos_min, 2),
          ms_text(q.delay_p50),
          ms_text(q.delay_p95),
          percent(q.concealed_share),
          percent(q.interrupted_share),
          fixed(static_cast<double>(q.late_time.ns) / 1e9, 1),
          share_of(q.lost, q.packets)};
}

}  // namespace

std::string replay_text(const Trace& trace, std::span<const RunResult> results) {
  std::string text = input_text(trace, results.front().streams.size());
  for (const RunResult& result : results) text += verdicts_text(result);
  std::vector<std::vector<std::string>> rows;
  for (const RunResult& result : results) {
    for (const replay::ListenerResult& l : result.listeners) rows.push_back(row(result, l));
  }
  text += "\n";
  text += make_text_table({{"policy"},
                           {"listener", false, true},
                           {"MOS", true},
                           {"worst s", true},
                           {"p50 ms", true},
                           {"p95 ms", true},
                           {"made up %", true},
                           {"silent %", true},
                           {">100 ms late s", true},
                           {"lost %", true}},
                          rows);
  text +=
      "\nMOS: E-model (G.107), mean and worst second. p50, p95: mouth to ear. made up: concealed "
      "by "
      "the\nlistener; silent: interrupted. lost: by the network or dropped by the relay.\n";
  return text;
}

}  // namespace earshot::tools
