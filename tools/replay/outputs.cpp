#include "tools/replay/outputs.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>

namespace earshot::replay {
namespace {

constexpr int format_version = 1;
constexpr double ticks_per_ms = 48;

// Three decimals are more than these models know, and keep files readable.
double rounded(double value) {
  return std::round(value * 1'000) / 1'000;
}

double to_ms(Duration d) {
  return rounded(static_cast<double>(d.ns) / 1e6);
}

double to_s(Duration d) {
  return rounded(static_cast<double>(d.ns) / 1e9);
}

Json input_json(const Trace& trace, const std::vector<Ssrc>& streams) {
  Json skipped = Json::object();
  for (std::size_t i = 0; i < skip_names.size(); ++i) {
    if (trace.notes.skipped[i] > 0) skipped[std::string(skip_names[i])] = trace.notes.skipped[i];
  }
  const Time begin = trace.packets.front().arrival;
  Json ssrcs = Json::array();
  for (const Ssrc ssrc : streams) ssrcs.push_back(ssrc.value);
  return {{"packets", trace.packets.size()},
          {"seconds", to_s(trace.packets.back().arrival - begin)},
          {"begin_ns", begin.ns},
          {"times", trace.is_sending_time ? "sending" : "arrival"},
          {"ssrcs", ssrcs},
          {"skipped", skipped},
          {"clamped", trace.notes.clamped},
          {"remarks", trace.notes.remarks}};
}

Json verdicts_json(const StreamResult& stream) {
  Json counts = Json::object();
  for (std::size_t i = 0; i < verdict_names.size(); ++i) {
    counts[std::string(verdict_names[i])] = stream.verdicts[i];
  }
  return counts;
}

Json quality_json(const listen::Quality& q) {
  return {{"packets", q.packets},
          {"played", q.played},
          {"restored_by_fec", q.restored},
          {"lost", q.lost},
          {"dropped_by_relay", q.dropped},
          {"dropped_but_usable", q.dropped_but_usable},
          {"discarded_by_listener", q.discarded},
          {"mos", rounded(q.mos)},
          {"mos_worst_second", rounded(q.mos_min)},
          {"r_factor", rounded(q.r)},
          {"mouth_to_ear_ms",
           {{"mean", to_ms(q.delay_mean)},
            {"p50", to_ms(q.delay_p50)},
            {"p95", to_ms(q.delay_p95)},
            {"p99", to_ms(q.delay_p99)}}},
          {"heard_s", to_s(q.heard_time)},
          {"late_over_100_ms_s", to_s(q.late_time)},
          {"concealed_share", rounded(q.concealed_share)},
          {"interrupted_share", rounded(q.interrupted_share)},
          {"rfc3611",
           {{"loss_rate", rounded(q.bursts.loss_rate)},
            {"discard_rate", rounded(q.bursts.discard_rate)},
            {"burst_density", rounded(q.bursts.burst_density)},
            {"gap_density", rounded(q.bursts.gap_density)},
            {"burst_duration_ms", to_ms(q.bursts.burst_duration)},
            {"gap_duration_ms", to_ms(q.bursts.gap_duration)},
            {"bursts", q.bursts.bursts},
            {"burst_ratio", rounded(q.bursts.burst_ratio)}}}};
}

Json buffer_json(const listen::BufferCounters& c) {
  return {{"accepted", c.accepted},
          {"duplicates", c.duplicates},
          {"late", c.late},
          {"strays", c.strays},
          {"overflowed", c.overflowed},
          {"restarts", c.restarts},
          {"samples_taken_out", c.samples_taken_out},
          {"samples_put_in", c.samples_put_in},
          {"samples_concealed", c.samples_concealed},
          {"samples_interrupted", c.samples_interrupted}};
}

// The least lateness that this share of the packets does not exceed, in whole milliseconds.
std::size_t lateness_quantile(const RunResult& result, double share) {
  std::uint64_t all = 0;
  for (const std::uint64_t n : result.lateness_ms) all += n;
  std::uint64_t sum = 0;
  for (std::size_t ms = 0; ms < result.lateness_ms.size(); ++ms) {
    sum += result.lateness_ms[ms];
    if (static_cast<double>(sum) >= share * static_cast<double>(all)) return ms;
  }
  return result.lateness_ms.size() - 1;
}

Json result_json(const RunResult& result) {
  Json streams = Json::array();
  for (const StreamResult& s : result.streams) {
    streams.push_back(
        {{"ssrc", s.ssrc.value}, {"packets", s.packets}, {"verdicts", verdicts_json(s)}});
  }
  Json listeners = Json::array();
  for (const ListenerResult& l : result.listeners) {
    Json listener = {{"listener", l.name}, {"total", quality_json(l.total)}};
    Json& heard = listener["streams"] = Json::array();
    for (std::size_t i = 0; i < l.streams.size(); ++i) {
      Json stream = {{"ssrc", result.streams[i].ssrc.value}};
      stream.update(quality_json(l.streams[i].quality));
      stream["buffer"] = buffer_json(l.streams[i].buffer);
      heard.push_back(std::move(stream));
    }
    listeners.push_back(std::move(listener));
  }
  return {{"policy", name(result.policy)},
          {"streams", streams},
          {"lateness_ms",
           {{"p50", lateness_quantile(result, 0.5)},
            {"p95", lateness_quantile(result, 0.95)},
            {"p99", lateness_quantile(result, 0.99)},
            {"max", lateness_quantile(result, 1)}}},
          {"listeners", listeners}};
}

std::string fixed(double value, int decimals) {
  std::array<char, 48> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

using Listeners = std::vector<std::pair<std::string, const Json*>>;

// (policy, listener) and the listener's totals.
Result<std::vector<std::pair<std::string, Listeners>>> read_policies(const Json& json) {
  if (!json.is_object() || json.value("earshot_replay", 0) != format_version ||
      !json.contains("policies")) {
    return Error{"not the JSON of earshot replay"};
  }
  std::vector<std::pair<std::string, Listeners>> policies;
  try {
    for (const Json& policy : json.at("policies")) {
      Listeners listeners;
      for (const Json& l : policy.at("listeners")) {
        l.at("total").at("mos").get<double>();
        l.at("total").at("mouth_to_ear_ms").at("p95").get<double>();
        listeners.emplace_back(l.at("listener").get<std::string>(), &l.at("total"));
      }
      policies.emplace_back(policy.at("policy").get<std::string>(), std::move(listeners));
    }
  } catch (const Json::exception&) {
    return Error{"not the JSON of earshot replay: something is missing in it"};
  }
  return policies;
}

void compare(const std::string& what, const Json& a, const Json& b, const DiffOptions& options,
             Diff& diff) {
  const double before = a.at("mos").get<double>();
  const double after = b.at("mos").get<double>();
  const double loss = before - after;
  // Both have three decimals: what they differ by is not to fail by rounding.
  const bool is_worse = loss > options.mos_loss_max + 1e-9;
  const double p95_before = a.at("mouth_to_ear_ms").at("p95").get<double>();
  const double p95_after = b.at("mouth_to_ear_ms").at("p95").get<double>();
  diff.lines.push_back(what + ": MOS " + fixed(before, 3) + " -> " + fixed(after, 3) + " (" +
                       (loss > 0 ? "-" : "+") + fixed(std::abs(loss), 3) + "), mouth to ear p95 " +
                       fixed(p95_before, 1) + " -> " + fixed(p95_after, 1) + " ms" +
                       (is_worse ? "  WORSE" : ""));
  diff.is_worse = diff.is_worse || is_worse;
}

}  // namespace

Json to_json(const Trace& trace, std::span<const RunResult> results, const RunDescription& how) {
  std::vector<Ssrc> ssrcs;
  for (const StreamResult& s : results.front().streams) ssrcs.push_back(s.ssrc);
  Json policies = Json::array();
  for (const RunResult& result : results) policies.push_back(result_json(result));
  return {{"earshot_replay", format_version},
          {"input", input_json(trace, ssrcs)},
          {"options",
           {{"seed", how.seed},
            {"profile", how.profile},
            {"uplink", how.uplink},
            {"downlink", how.downlink}}},
          {"policies", policies}};
}

Result<void> write_verdicts(const Trace& trace, std::span<const Judged> verdicts, std::FILE* file) {
  std::fputs("index,ssrc,seq,lateness_ms,verdict\n", file);
  for (std::size_t i = 0; i < trace.packets.size(); ++i) {
    const TracePacket& packet = trace.packets[i];
    const Judged& judged = verdicts[i];
    std::fprintf(file, "%zu,%u,%u,", i, packet.ssrc.value, packet.sequence);
    if (judged.has_lateness) std::fprintf(file, "%.3f", judged.lateness_ticks / ticks_per_ms);
    const std::string_view verdict = name(judged.verdict);
    std::fprintf(file, ",%.*s\n", static_cast<int>(verdict.size()), verdict.data());
  }
  if (std::fflush(file) != 0 || std::ferror(file) != 0) {
    return Error{std::string("cannot write the verdicts: ") + std::strerror(errno)};
  }
  return {};
}

Result<Diff> diff(const Json& a, const Json& b, const DiffOptions& options) {
  const auto before = read_policies(a);
  if (!before.ok()) return Error{"the first file is " + before.error().text};
  const auto after = read_policies(b);
  if (!after.ok()) return Error{"the second file is " + after.error().text};
  const bool is_one_each = before.value().size() == 1 && after.value().size() == 1;
  Diff result;
  for (const auto& [policy, listeners] : before.value()) {
    for (const auto& [other, theirs] : after.value()) {
      if (policy != other && !is_one_each) continue;
      for (const auto& [listener, total] : listeners) {
        const auto same = std::find_if(theirs.begin(), theirs.end(),
                                       [&](const auto& t) { return t.first == listener; });
        if (same == theirs.end()) continue;
        const std::string which = policy == other ? policy : policy + " -> " + other;
        compare(which + ", " + listener, *total, *same->second, options, result);
      }
    }
  }
  if (result.lines.empty()) {
    return Error{"the two files have no policy with the same listener in common"};
  }
  return result;
}

}  // namespace earshot::replay
