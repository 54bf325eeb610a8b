// The simulator's command line: runs seeds, tells what they covered, and for a failure everything
// that is needed to see it again.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "tests/sim/world.h"

using namespace earshot;
using namespace earshot::sim;

namespace {

struct Arguments {
  std::uint64_t seed = 1;
  std::uint64_t seeds = 1;
  std::int64_t seconds = 30;
  double participant_hours = 0;  // go on until there are so many
  bool is_verbose = false;
  std::string totals_file;
};

World* running = nullptr;
std::uint64_t running_seed = 0;

double hours(std::int64_t ns) {
  return static_cast<double>(ns) / 3.6e12;
}

double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

void tell_failure(const char* invariant, const char* text) {
  std::fprintf(stderr, "sim: seed %llu at %.6f s: %s: %s\n",
               static_cast<unsigned long long>(running_seed),
               static_cast<double>((running->now() - running->began()).ns) * 1e-9, invariant, text);
  std::fputs(running->journal().tell(running->began()).c_str(), stderr);
  std::fprintf(stderr, "replay: sim --seed %llu\n", static_cast<unsigned long long>(running_seed));
}

// A check of the relay's own failed.
void on_abort(int) {
  if (running != nullptr) tell_failure("check", "a RELAY_CHECK failed, see above");
  std::_Exit(134);
}

bool run_seed(const Arguments& arguments, std::uint64_t seed, Totals& totals) {
  WorldOptions options;
  options.seed = seed;
  options.length = seconds(arguments.seconds);
  World world(options);
  running = &world;
  running_seed = seed;
  bool is_good = true;
  try {
    world.run();
  } catch (const Violation& violation) {
    tell_failure(violation.invariant.c_str(), violation.what());
    is_good = false;
  }
  running = nullptr;
  const Totals t = world.totals();
  if (arguments.is_verbose) {
    const Plan& p = world.plan();
    std::printf(
        "seed %llu: %zu workers, %zu participants, %zu channels, intensity %.2f: "
        "%.2f participant-hours, %llu packets in, %llu copies, hash %016llx\n",
        static_cast<unsigned long long>(seed), p.workers, p.people, p.channels, p.intensity,
        hours(t.participant_ns), static_cast<unsigned long long>(t.counters[Counter::received]),
        static_cast<unsigned long long>(t.copies), static_cast<unsigned long long>(t.hash));
  }
  totals.add(t);
  return is_good;
}

void tell_totals(std::FILE* out, const Totals& t, std::uint64_t seeds, std::uint64_t failures) {
  const auto n = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  const double h = hours(t.participant_ns);
  std::fprintf(out,
               "%llu seeds, %.1f participant-hours, %llu failures, %.0f CPU seconds (%.1f "
               "participant-hours each)\n",
               n(seeds), h, n(failures), cpu_seconds(), h / cpu_seconds());
  std::fprintf(
      out, "%llu datagrams in, %llu accepted, %llu copies judged, %llu roll calls, hash %016llx\n",
      n(t.counters[Counter::received]), n(t.counters[Counter::accepted]), n(t.copies),
      n(t.roll_calls), n(t.hash));
  std::fprintf(out, "faults per participant-hour:");
  for (std::size_t i = 0; i < faults_count; ++i)
    std::fprintf(out, " %s %.2f", fault_rows[i].name.data(), static_cast<double>(t.faults[i]) / h);
  std::fprintf(
      out,
      "\nuplinks: sent %llu, lost %llu, outage %llu, queue full %llu, duplicated %llu, held %llu\n",
      n(t.uplinks.sent), n(t.uplinks.lost), n(t.uplinks.outage), n(t.uplinks.queue_full),
      n(t.uplinks.duplicated), n(t.uplinks.held));
  std::fprintf(out,
               "node: cycles %llu, stalls %llu, clock steps %llu, wrongly steered %llu, fresh keys "
               "asked %llu\ncounters:",
               n(t.node.cycles), n(t.node.stalls), n(t.node.clock_steps), n(t.node.missteered),
               n(t.fresh_keys));
  for (std::size_t i = 0; i < counters_count; ++i)
    if (t.counters.values[i] != 0)
      std::fprintf(out, " %s %llu", counter_names[i].data(), n(t.counters.values[i]));
  std::fprintf(out, "\ndrops:");
  for (std::size_t i = 0; i < drop_reasons_count; ++i)
    if (t.counters.drops[i] != 0)
      std::fprintf(out, " %s %llu", drop_reason_names[i].data(), n(t.counters.drops[i]));
  std::fprintf(out, "\nforward drops:");
  for (std::size_t i = 0; i < drop_reasons_count; ++i)
    if (t.counters.forward_drops[i] != 0)
      std::fprintf(out, " %s %llu", drop_reason_names[i].data(), n(t.counters.forward_drops[i]));
  std::fputc('\n', out);
}

bool read_arguments(int argc, char** argv, Arguments& a) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--verbose") {
      a.is_verbose = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const char* value = argv[++i];
    if (name == "--seed") {
      a.seed = std::strtoull(value, nullptr, 10);
    } else if (name == "--seeds") {
      a.seeds = std::strtoull(value, nullptr, 10);
    } else if (name == "--seconds") {
      a.seconds = std::strtoll(value, nullptr, 10);
    } else if (name == "--participant-hours") {
      a.participant_hours = std::strtod(value, nullptr);
    } else if (name == "--totals") {
      a.totals_file = value;
    } else {
      return false;
    }
  }
  return a.seconds > 0 && a.seconds <= 1'000'000;
}

void write_totals(const Arguments& a, const Totals& t, std::uint64_t seeds,
                  std::uint64_t failures) {
  if (a.totals_file.empty()) return;
  std::FILE* file = std::fopen(a.totals_file.c_str(), "w");
  if (file == nullptr) return;
  tell_totals(file, t, seeds, failures);
  std::fclose(file);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!read_arguments(argc, argv, arguments)) {
    std::fputs(
        "usage: sim [--seed N] [--seeds N] [--seconds N] [--participant-hours N] "
        "[--totals FILE] [--verbose]\n",
        stderr);
    return 2;
  }
  std::signal(SIGABRT, on_abort);
  Totals totals;
  std::uint64_t done = 0;
  std::uint64_t failures = 0;
  const auto is_enough = [&] {
    return arguments.participant_hours > 0
               ? hours(totals.participant_ns) >= arguments.participant_hours
               : done >= arguments.seeds;
  };
  for (; !is_enough(); ++done) {
    if (!run_seed(arguments, arguments.seed + done, totals)) ++failures;
    if (done % 64 == 63) write_totals(arguments, totals, done + 1, failures);
    if (failures >= 20) break;
  }
  tell_totals(stdout, totals, done, failures);
  write_totals(arguments, totals, done, failures);
  return failures == 0 ? 0 : 1;
}
