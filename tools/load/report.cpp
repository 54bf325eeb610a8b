#include "tools/load/report.h"

#include <algorithm>

namespace earshot::load {
namespace {

nlohmann::json to_json(const Histogram& histogram) {
  return {{"count", histogram.count()},
          {"p50_ms", to_ms(histogram.quantile(0.5))},
          {"p99_ms", to_ms(histogram.quantile(0.99))},
          {"p999_ms", to_ms(histogram.quantile(0.999))},
          {"max_ms", to_ms(histogram.max())}};
}

void print_histogram(std::FILE* out, const char* name, const Histogram& histogram) {
  if (histogram.count() == 0) return;
  std::fprintf(out, "    %-10s p50 %9.3f   p99 %9.3f   p99.9 %9.3f   max %9.3f ms   (%llu)\n", name,
               to_ms(histogram.quantile(0.5)), to_ms(histogram.quantile(0.99)),
               to_ms(histogram.quantile(0.999)), to_ms(histogram.max()),
               static_cast<unsigned long long>(histogram.count()));
}

double share(std::int64_t ns, const Phase& phase) {
  return phase.duration().ns > 0
             ? static_cast<double>(ns) / static_cast<double>(phase.duration().ns)
             : 0;
}

}  // namespace

double to_ms(Duration duration) {
  return static_cast<double>(duration.ns) / 1e6;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double loss(const PhaseResults& results) {
  if (results.packets_expected == 0) return 0;
  return 1 - static_cast<double>(results.packets_received) /
                 static_cast<double>(results.packets_expected);
}

double controller_share(const Phase& phase) {
  return share(phase.end.controller_ns - phase.begin.controller_ns, phase);
}

double workers_share(const Phase& phase) {
  return share(phase.end.workers_ns - phase.begin.workers_ns, phase);
}

void Report::add_phase(const Phase& phase, const std::string& group, const PhaseResults& results) {
  rows_.push_back({phase, group, results});
}

void Report::add_figure(const std::string& name, double value, const std::string& unit) {
  figures_.push_back({name, unit, value});
}

void Report::add_bound(const std::string& name, double value, std::optional<double> limit,
                       const std::string& unit) {
  if (limit) bounds_.push_back({name, unit, value, *limit});
}

bool Report::is_ok() const {
  return failures_.empty() && std::all_of(bounds_.begin(), bounds_.end(),
                                          [](const Bound& bound) { return bound.is_kept(); });
}

void Report::print(std::FILE* out) const {
  std::string phase;
  for (const Row& row : rows_) {
    if (row.phase.name != phase) {
      phase = row.phase.name;
      std::fprintf(out, "%s: %.1f s", phase.c_str(), to_ms(row.phase.duration()) / 1e3);
      if (row.phase.end.resident_bytes > 0) {
        std::fprintf(out, ", relay: controller %.1f %%, workers %.1f %% of a core, %.1f MiB",
                     100 * controller_share(row.phase), 100 * workers_share(row.phase),
                     static_cast<double>(row.phase.end.resident_bytes) / (1 << 20));
      }
      std::fprintf(out, "\n");
    }
    const PhaseResults& r = row.results;
    std::fprintf(out, "  %s\n", row.group.c_str());
    print_histogram(out, "heartbeat", r.heartbeat);
    print_histogram(out, "join", r.join);
    print_histogram(out, "latency", r.latency);
    print_histogram(out, "moved", r.moved);
    if (r.packets_sent > 0) {
      std::fprintf(out,
                   "    media      sent %llu, to be received %llu, received %llu, loss %.4f %%, "
                   "repeated %llu, not authentic %llu, sent late by %.1f ms at most\n",
                   static_cast<unsigned long long>(r.packets_sent),
                   static_cast<unsigned long long>(r.packets_expected),
                   static_cast<unsigned long long>(r.packets_received), 100 * loss(r),
                   static_cast<unsigned long long>(r.packets_repeated),
                   static_cast<unsigned long long>(r.packets_not_authentic),
                   static_cast<double>(r.lag_max_ns) / 1e6);
    }
    if (r.retries > 0) {
      std::fprintf(out, "    retries    %llu\n", static_cast<unsigned long long>(r.retries));
    }
    if (r.flood_sent > 0) {
      std::fprintf(out, "    flood      %llu sent, %.0f a second\n",
                   static_cast<unsigned long long>(r.flood_sent),
                   static_cast<double>(r.flood_sent) * 1e3 / to_ms(row.phase.duration()));
    }
  }
  for (const Figure& figure : figures_) {
    std::fprintf(out, "%-48s %12.3f %s\n", figure.name.c_str(), figure.value, figure.unit.c_str());
  }
  for (const Bound& bound : bounds_) {
    std::fprintf(out, "%-48s %12.3f %s, %s %.3f\n", bound.name.c_str(), bound.value,
                 bound.unit.c_str(), bound.is_kept() ? "kept: at most" : "BROKEN: more than",
                 bound.limit);
  }
  for (const std::string& failure : failures_) std::fprintf(out, "failed: %s\n", failure.c_str());
}

nlohmann::json Report::json() const {
  nlohmann::json all{{"scenario", scenario_}, {"ok", is_ok()}, {"failures", failures_}};
  for (const char* list : {"phases", "figures", "bounds"}) all[list] = nlohmann::json::array();
  for (const Row& row : rows_) {
    const PhaseResults& r = row.results;
    all["phases"].push_back({{"name", row.phase.name},
                             {"group", row.group},
                             {"seconds", to_ms(row.phase.duration()) / 1e3},
                             {"controller_share", controller_share(row.phase)},
                             {"workers_share", workers_share(row.phase)},
                             {"resident_bytes", row.phase.end.resident_bytes},
                             {"heartbeat", to_json(r.heartbeat)},
                             {"heartbeats_sent", r.heartbeats_sent},
                             {"join", to_json(r.join)},
                             {"latency", to_json(r.latency)},
                             {"moved", to_json(r.moved)},
                             {"moves", r.moves},
                             {"retries", r.retries},
                             {"introductions", r.introductions},
                             {"packets_sent", r.packets_sent},
                             {"packets_expected", r.packets_expected},
                             {"packets_received", r.packets_received},
                             {"packets_repeated", r.packets_repeated},
                             {"packets_not_authentic", r.packets_not_authentic},
                             {"sent_late_ms_max", static_cast<double>(r.lag_max_ns) / 1e6},
                             {"flood_sent", r.flood_sent}});
  }
  for (const Figure& figure : figures_) {
    all["figures"].push_back(
        {{"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}});
  }
  for (const Bound& bound : bounds_) {
    all["bounds"].push_back({{"name", bound.name},
                             {"value", bound.value},
                             {"limit", bound.limit},
                             {"unit", bound.unit},
                             {"kept", bound.is_kept()}});
  }
  return all;
}

}  // namespace earshot::load
