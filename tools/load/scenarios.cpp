#include "tools/load/scenarios.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "relay/base/limits.h"
#include "tools/load/crowd.h"

namespace earshot::load {
namespace {

using Seats = std::vector<std::size_t>;

constexpr Duration join_time_max = seconds(120);
constexpr Duration quit_time_max = seconds(10);
constexpr Duration breath = seconds(3);
// Media goes to a client once its kernel has acknowledged op 4.
constexpr Duration settle_time = milliseconds(300);

Duration from_seconds(double value) {
  return {static_cast<std::int64_t>(value * 1e9)};
}

class CrowdActor final : public Actor {
 public:
  CrowdActor(Poller& poller, Board& board, Seat& seat, const LoadOptions& options,
             const CrowdOptions& crowd)
      : crowd_(poller, options.target, *options.tls, options.sign, board, seat, crowd) {}
  void begin(Order order) override { crowd_.begin(order); }
  bool is_done() override { return crowd_.is_done(); }

 private:
  Crowd crowd_;
};

class FloodActor final : public Actor {
 public:
  explicit FloodActor(std::unique_ptr<Flood> flood) : flood_(std::move(flood)) {}
  void begin(Order order) override {
    if (order == Order::start) {
      flood_->start();
    } else {
      flood_->stop();
    }
  }
  bool is_done() override { return true; }

 private:
  std::unique_ptr<Flood> flood_;
};

// A run's processes and report, and the steps that all scenarios share.
class Run {
 public:
  Run(const LoadOptions& options, const std::string& scenario)
      : options_(options), leader_(options.relay), report_(scenario) {}

  std::size_t add_crowd(const CrowdOptions& crowd) {
    return leader_.add(
        [this, crowd](Poller& poller, Board& board, Seat& seat) -> Result<std::unique_ptr<Actor>> {
          return std::unique_ptr<Actor>(
              std::make_unique<CrowdActor>(poller, board, seat, options_, crowd));
        });
  }

  // `count` sessions over the processes, whole channels each.
  Seats add_crowds(const std::string& name, std::size_t count, const CrowdOptions& like) {
    Seats seats;
    const std::size_t group = like.traffic.participants;
    const std::size_t channels = (count + group - 1) / group;
    std::size_t given = 0;
    for (std::size_t p = 0; p < options_.processes; ++p) {
      const std::size_t until = channels * (p + 1) / options_.processes * group;
      CrowdOptions crowd = like;
      crowd.name = name + std::to_string(p);
      crowd.sessions = std::min(until, count) - given;
      if (crowd.sessions == 0) continue;
      given += crowd.sessions;
      crowd.at_once = std::max<std::size_t>(1, like.at_once / options_.processes);
      seats.push_back(add_crowd(crowd));
    }
    return seats;
  }

  Seats add_live() {
    if (options_.live == 0) return {};
    CrowdOptions crowd;
    crowd.name = prefix() + "live";
    crowd.sessions = options_.live / options_.participants * options_.participants;
    crowd.heartbeat_interval = from_seconds(options_.live_heartbeat_ms / 1e3);
    crowd.asks_for_address = options_.asks_for_address;
    crowd.traffic.participants = options_.participants;
    crowd.traffic.speakers = std::min(options_.live_speakers, options_.participants);
    return {add_crowd(crowd)};
  }

  CrowdOptions crowd_options() const {
    CrowdOptions crowd;
    crowd.at_once = options_.at_once;
    crowd.asks_for_address = options_.asks_for_address;
    if (options_.heartbeat_ms)
      crowd.heartbeat_interval = from_seconds(*options_.heartbeat_ms / 1e3);
    crowd.traffic.participants = options_.participants;
    crowd.traffic.speakers = 0;
    crowd.traffic.frame_size = options_.frame_size;
    return crowd;
  }

  // Two runs against one node do not take over each other's sessions.
  std::string prefix() const { return std::to_string(::getpid()) + "-"; }

  // False ends the scenario: nothing after it would mean anything.
  bool step(const Seats& seats, Order order, Duration limit, const std::string& what) {
    if (leader_.carry_out(seats, order, limit)) return true;
    if (Leader::is_interrupted()) {
      report_.fail("interrupted");
    } else {
      report_.fail(what + ": not done in " + std::to_string(limit.ms() / 1'000) + " s; " +
                   std::to_string(live(seats)) + " live");
    }
    return false;
  }
  bool sleep(Duration duration) {
    if (leader_.sleep(duration)) return true;
    report_.fail(Leader::is_interrupted() ? "interrupted" : "a process of this run has ended");
    return false;
  }

  std::size_t live(const Seats& seats) const {
    return std::accumulate(
        seats.begin(), seats.end(), std::size_t{0},
        [this](std::size_t sum, std::size_t s) { return sum + leader_.seat(s).live.load(); });
  }
  void start_talking(const Seats& seats) {
    leader_.sleep(settle_time);
    leader_.carry_out(seats, Order::start, seconds(5));
  }
  double sum(const Seats& seats, std::atomic<std::uint32_t> Seat::*member) const {
    double total = 0;
    for (const std::size_t s : seats) total += (leader_.seat(s).*member).load();
    return total;
  }
  void tell_counts(const std::string& group, const Seats& seats) {
    if (seats.empty()) return;
    double retries = 0;
    for (std::size_t p = 0; p < leader_.phases().size(); ++p) {
      retries += static_cast<double>(leader_.results(seats, p).retries);
    }
    report_.add_figure(group + ": attempts that were repeated", retries, "");
    for (const std::size_t s : seats) {
      const std::uint32_t code = leader_.seat(s).last_close_code;
      if (code != 0) report_.add_figure(group + ": last close code", code, "");
    }
    report_.add_figure(group + ": sessions lost while live", sum(seats, &Seat::lost), "");
    report_.add_figure(group + ": resumes refused", sum(seats, &Seat::resumes_refused), "");
    for (const std::size_t s : seats) {
      if (leader_.seat(s).lost.load() > 0) {
        report_.fail(group + ": sessions were lost, the last with close code " +
                     std::to_string(leader_.seat(s).last_close_code.load()));
        break;
      }
    }
  }
  void add_phases(const std::string& group, const Seats& seats) {
    if (seats.empty()) return;
    for (std::size_t p = 0; p < leader_.phases().size(); ++p) {
      rows_.push_back({p, group, leader_.results(seats, p)});
    }
  }

  Report finish(const Seats& all) {
    leader_.end_phase();
    leader_.carry_out(all, Order::quit, quit_time_max);
    std::stable_sort(rows_.begin(), rows_.end(),
                     [](const Row& a, const Row& b) { return a.phase < b.phase; });
    for (const Row& row : rows_) {
      report_.add_phase(leader_.phases()[row.phase], row.group, row.results);
    }
    return std::move(report_);
  }

  const LoadOptions& options_;
  Leader leader_;
  Report report_;

 private:
  struct Row {
    std::size_t phase;
    std::string group;
    PhaseResults results;
  };
  std::vector<Row> rows_;
};

Seats join(Seats a, const Seats& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

double seconds_of(const Phase& phase) {
  return to_ms(phase.duration()) / 1e3;
}

}  // namespace

// --- join, idle ---------------------------------------------------------------------------------

Report run_join(const LoadOptions& options) {
  Run run(options, "join");
  const Seats live = run.add_live();
  const Seats crowd = run.add_crowds(run.prefix() + "crowd", options.sessions, run.crowd_options());
  const Seats all = join(live, crowd);
  run.leader_.begin_phase("calm");
  if (!run.step(live, Order::join, join_time_max, "the live sessions join")) return run.finish(all);
  run.start_talking(live);
  if (!live.empty()) run.sleep(breath);
  run.leader_.begin_phase("join");
  const bool is_in = run.step(crowd, Order::join, join_time_max, "everybody joins");
  run.leader_.begin_phase("in");
  if (is_in) run.sleep(from_seconds(options.seconds));
  run.leader_.end_phase();
  const double took = seconds_of(run.leader_.phases()[1]);
  run.report_.add_figure("all in after", took, "s");
  run.report_.add_figure("joins a second", static_cast<double>(options.sessions) / took, "");
  run.report_.add_bound("all in after", took, options.max.join_seconds, "s");
  const PhaseResults measured = run.leader_.results(live.empty() ? crowd : live, 1);
  run.report_.add_bound("heartbeat p99", to_ms(measured.heartbeat.quantile(0.99)),
                        options.max.heartbeat_p99_ms, "ms");
  run.tell_counts("live", live);
  run.tell_counts("crowd", crowd);
  run.add_phases("live", live);
  run.add_phases("crowd", crowd);
  return run.finish(all);
}

Report run_idle(const LoadOptions& options) {
  constexpr std::size_t parts = 10;
  Run run(options, "idle");
  const Seats crowd = run.add_crowds(run.prefix() + "crowd", options.sessions, run.crowd_options());
  run.leader_.begin_phase("join");
  if (!run.step(crowd, Order::join, join_time_max * 2, "everybody joins")) return run.finish(crowd);
  run.leader_.begin_phase("settle");
  run.sleep(breath);
  for (std::size_t p = 1; p <= parts; ++p) {
    run.leader_.begin_phase("idle " + std::to_string(p));
    if (!run.sleep(from_seconds(options.seconds / parts))) return run.finish(crowd);
  }
  run.leader_.end_phase();
  const auto& phases = run.leader_.phases();
  Histogram heartbeat;
  double share = 0;
  for (std::size_t p = 2; p < phases.size(); ++p) {
    heartbeat.merge(run.leader_.results(crowd, p).heartbeat);
    share += controller_share(phases[p]) / parts;
  }
  const auto first = static_cast<double>(phases[2].begin.resident_bytes);
  const auto last = static_cast<double>(phases.back().end.resident_bytes);
  const double growth = first > 0 ? 100 * (last - first) / first : 0;
  run.report_.add_figure("heartbeat p50", to_ms(heartbeat.quantile(0.5)), "ms");
  run.report_.add_figure("heartbeat p99", to_ms(heartbeat.quantile(0.99)), "ms");
  run.report_.add_figure("heartbeat max", to_ms(heartbeat.max()), "ms");
  run.report_.add_figure("controller's share of a core", 100 * share, "%");
  run.report_.add_figure("memory at first", first / (1 << 20), "MiB");
  run.report_.add_figure("memory in the end", last / (1 << 20), "MiB");
  run.report_.add_bound("growth of memory", growth, options.max.growth_percent, "%");
  run.report_.add_bound("heartbeat p99", to_ms(heartbeat.quantile(0.99)),
                        options.max.heartbeat_p99_ms, "ms");
  run.tell_counts("crowd", crowd);
  run.add_phases("crowd", crowd);
  return run.finish(crowd);
}

// --- talk ---------------------------------------------------------------------------------------

Report run_talk(const LoadOptions& options) {
  Run run(options, "talk");
  CrowdOptions crowd = run.crowd_options();
  crowd.traffic.speakers = std::min(options.speakers, options.participants);
  const Seats seats =
      run.add_crowds(run.prefix() + "talk", options.channels * options.participants, crowd);
  run.leader_.begin_phase("join");
  if (!run.step(seats, Order::join, join_time_max, "everybody joins")) return run.finish(seats);
  run.leader_.begin_phase("warm");
  run.start_talking(seats);
  run.sleep(seconds(1));
  run.leader_.begin_phase("talk");
  run.sleep(from_seconds(options.seconds));
  run.leader_.begin_phase("drain");
  run.leader_.carry_out(seats, Order::stop, seconds(5));
  run.leader_.end_phase();
  const Phase& phase = run.leader_.phases()[2];
  const PhaseResults talk = run.leader_.results(seats, 2);
  const auto received = static_cast<double>(talk.packets_received);
  run.report_.add_figure("packets into the relay a second",
                         static_cast<double>(talk.packets_sent) / seconds_of(phase), "");
  run.report_.add_figure("packets out of it a second", received / seconds_of(phase), "");
  if (const double busy = workers_share(phase) * seconds_of(phase); busy > 0) {
    run.report_.add_figure("packets out of it a worker's CPU second", received / busy, "");
  }
  run.report_.add_bound("loss", 100 * loss(talk), options.max.loss_percent, "%");
  run.report_.add_bound("latency p99", to_ms(talk.latency.quantile(0.99)),
                        options.max.latency_p99_ms, "ms");
  if (talk.packets_not_authentic > 0) run.report_.fail("packets did not open");
  run.tell_counts("talk", seats);
  run.add_phases("talk", seats);
  return run.finish(seats);
}

// --- storm --------------------------------------------------------------------------------------

Report run_storm(const LoadOptions& options) {
  Run run(options, "storm");
  const Seats live = run.add_live();
  CrowdOptions like = run.crowd_options();
  like.at_once = SIZE_MAX;
  const Seats crowd = run.add_crowds(run.prefix() + "crowd", options.sessions, like);
  const Seats all = join(live, crowd);
  enum : std::size_t { calm, storm, in, cut, back, in_again, vanish, refill };

  run.leader_.begin_phase("calm");
  if (!run.step(live, Order::join, join_time_max, "the live sessions join")) return run.finish(all);
  run.start_talking(live);
  run.sleep(breath);
  run.leader_.begin_phase("all at once");
  const bool is_in = run.step(crowd, Order::join, join_time_max, "everybody joins");
  run.leader_.begin_phase("in");
  run.sleep(breath);
  run.leader_.begin_phase("all cut");
  run.leader_.carry_out(crowd, Order::cut, seconds(10));
  run.sleep(breath);
  run.leader_.begin_phase("all come back");
  const bool is_back =
      is_in && run.step(crowd, Order::come_back, join_time_max, "everybody comes back");
  run.leader_.begin_phase("in again");
  run.sleep(breath);
  bool is_refilled = false;
  if (options.refills && is_back) {
    run.leader_.begin_phase("vanish");
    run.leader_.carry_out(crowd, Order::vanish, seconds(10));
    run.sleep(limits::resume_window + seconds(5));
    run.leader_.begin_phase("as many others join");
    is_refilled = run.step(crowd, Order::join, join_time_max, "others take the places");
  }
  run.leader_.begin_phase("drain");
  run.leader_.carry_out(live, Order::stop, seconds(5));
  run.leader_.end_phase();

  const auto& phases = run.leader_.phases();
  const auto live_p99 = [&](std::size_t phase) {
    return to_ms(run.leader_.results(live, phase).heartbeat.quantile(0.99));
  };
  run.report_.add_figure("all in after", seconds_of(phases[storm]), "s");
  run.report_.add_figure("all back after", seconds_of(phases[back]), "s");
  if (is_refilled) run.report_.add_figure("others in after", seconds_of(phases[refill]), "s");
  PhaseResults sum;
  for (std::size_t p = storm; p < phases.size(); ++p) {
    sum.heartbeat.merge(run.leader_.results(live, p).heartbeat);
  }
  run.report_.add_bound("all in after", seconds_of(phases[storm]), options.max.join_seconds, "s");
  run.report_.add_bound("live heartbeats while all join, p99", live_p99(storm),
                        options.max.heartbeat_p99_ms, "ms");
  run.report_.add_bound("live heartbeats while all are cut, p99", live_p99(cut),
                        options.max.cut_p99_ms, "ms");
  run.report_.add_bound("longest stall of a live heartbeat", to_ms(sum.heartbeat.max()),
                        options.max.stall_ms, "ms");
  run.report_.add_bound("all back after", seconds_of(phases[back]), options.max.back_seconds, "s");
  run.tell_counts("live", live);
  run.tell_counts("crowd", crowd);
  run.add_phases("live", live);
  run.add_phases("crowd", crowd);
  return run.finish(all);
}

// --- attack -------------------------------------------------------------------------------------

Report run_attack(const LoadOptions& options) {
  Run run(options, "attack");
  CrowdOptions talk_options = run.crowd_options();
  talk_options.name = run.prefix() + "talk";
  talk_options.sessions = options.channels * options.participants;
  talk_options.heartbeat_interval = from_seconds(options.live_heartbeat_ms / 1e3);
  talk_options.traffic.speakers = std::min(options.speakers, options.participants);
  talk_options.traffic.move_interval = from_seconds(options.move_seconds);
  const Seats talk{run.add_crowd(talk_options)};
  const Seats flood{run.leader_.add(
      [&options](Poller& poller, Board& board, Seat& seat) -> Result<std::unique_ptr<Actor>> {
        auto made = Flood::create(poller, options.target, *options.tls, board, seat, options.flood);
        if (!made) return made.error();
        return std::unique_ptr<Actor>(std::make_unique<FloodActor>(std::move(made.value())));
      })};
  Seats newcomers;
  if (options.newcomers > 0) {
    CrowdOptions crowd = run.crowd_options();
    crowd.name = run.prefix() + "newcomer";
    crowd.sessions = options.newcomers;
    crowd.at_once = 1;
    if (const auto ip = IpAddress::parse(options.newcomer_source)) crowd.media_source = *ip;
    newcomers = {run.add_crowd(crowd)};
  }
  const Seats all = join(join(talk, flood), newcomers);
  run.leader_.begin_phase("join");
  if (!run.step(talk, Order::join, join_time_max, "everybody joins")) return run.finish(all);
  run.start_talking(talk);
  run.sleep(seconds(1));

  struct Cycle {
    std::size_t quiet, attack;
  };
  std::vector<Cycle> cycles;
  const auto phase = [&](const std::string& name) {
    run.leader_.begin_phase(name);
    run.leader_.give(newcomers, Order::join);
    const bool is_running = run.sleep(from_seconds(options.seconds));
    // Whatever the load: they get in before the phase ends, if they get in.
    if (is_running && !run.leader_.wait(newcomers, seconds(20))) {
      run.report_.fail(name + ": not every newcomer came in");
    }
    return run.leader_.phases().size() - 1;
  };
  for (std::size_t c = 1; c <= options.cycles && run.report_.is_ok(); ++c) {
    const std::size_t quiet = phase("quiet " + std::to_string(c));
    run.leader_.carry_out(newcomers, Order::vanish, seconds(5));
    run.leader_.carry_out(flood, Order::start, seconds(5));
    const std::size_t attack = phase("attack " + std::to_string(c));
    run.leader_.carry_out(flood, Order::stop, seconds(5));
    run.leader_.carry_out(newcomers, Order::vanish, seconds(5));
    cycles.push_back({quiet, attack});
  }
  run.leader_.begin_phase("drain");
  run.leader_.carry_out(talk, Order::stop, seconds(5));
  run.leader_.end_phase();

  std::vector<double> ratios, shares, forged_ns, forward_ns, cost_ratios, quiet_p99, attack_p99;
  PhaseResults calm, attacked;
  Histogram newcomer;
  const auto& phases = run.leader_.phases();
  for (const Cycle& cycle : cycles) {
    const PhaseResults q = run.leader_.results(talk, cycle.quiet);
    const PhaseResults a = run.leader_.results(talk, cycle.attack);
    const double floods = static_cast<double>(run.leader_.results(flood, cycle.attack).flood_sent);
    for (auto [from, to] : {std::pair(&q, &calm), std::pair(&a, &attacked)}) {
      to->packets_expected += from->packets_expected;
      to->packets_received += from->packets_received;
      to->packets_not_authentic += from->packets_not_authentic;
      to->packets_repeated += from->packets_repeated;
      to->moved.merge(from->moved);
      to->moves += from->moves;
    }
    newcomer.merge(run.leader_.results(newcomers, cycle.attack).join);
    quiet_p99.push_back(to_ms(q.latency.quantile(0.99)));
    attack_p99.push_back(to_ms(a.latency.quantile(0.99)));
    if (quiet_p99.back() > 0) ratios.push_back(attack_p99.back() / quiet_p99.back());
    shares.push_back(100 * workers_share(phases[cycle.attack]));
    const double quiet_share = workers_share(phases[cycle.quiet]);
    const double extra = workers_share(phases[cycle.attack]) - quiet_share;
    if (q.packets_received > 0 && floods > 0 && quiet_share > 0) {
      forward_ns.push_back(quiet_share * seconds_of(phases[cycle.quiet]) * 1e9 /
                           static_cast<double>(q.packets_received));
      forged_ns.push_back(extra * seconds_of(phases[cycle.attack]) * 1e9 / floods);
      cost_ratios.push_back(forged_ns.back() / forward_ns.back());
    }
  }
  Report& report = run.report_;
  report.add_figure("latency p99, quiet, median of the cycles", median(quiet_p99), "ms");
  report.add_figure("latency p99, under attack", median(attack_p99), "ms");
  report.add_figure("ratio of the two", median(ratios), "");
  report.add_figure("loss, quiet", 100 * loss(calm), "%");
  report.add_figure("loss, under attack", 100 * loss(attacked), "%");
  if (options.relay > 0) {
    report.add_figure("workers' share of a core under attack", median(shares), "%");
    report.add_figure("a forwarded packet's CPU time", median(forward_ns), "ns");
    report.add_figure("an attacker's datagram's CPU time", median(forged_ns), "ns");
    report.add_figure("ratio of the two", median(cost_ratios), "");
  }
  if (attacked.moves > 0) {
    report.add_figure("changes of port under attack", static_cast<double>(attacked.moves), "");
    report.add_figure("of them heard again", static_cast<double>(attacked.moved.count()), "");
    report.add_figure("heard again after, quiet, p50", to_ms(calm.moved.quantile(0.5)), "ms");
    report.add_figure("heard again after, under attack, p50", to_ms(attacked.moved.quantile(0.5)),
                      "ms");
    report.add_figure("heard again after, under attack, max", to_ms(attacked.moved.max()), "ms");
  }
  if (!newcomers.empty()) {
    report.add_figure("newcomers under attack: join p50", to_ms(newcomer.quantile(0.5)), "ms");
    report.add_figure("newcomers under attack: join max", to_ms(newcomer.max()), "ms");
    report.add_bound("newcomers under attack: join max", to_ms(newcomer.max()),
                     options.max.newcomer_ms, "ms");
  }
  report.add_bound("loss under attack", 100 * loss(attacked), options.max.loss_percent, "%");
  report.add_bound("ratio of latency p99", median(ratios), options.max.latency_ratio, "");
  report.add_bound("ratio of CPU times", median(cost_ratios), options.max.cost_ratio, "");
  if (attacked.packets_not_authentic > 0) report.fail("packets did not open");
  if (cycles.empty()) report.fail("no cycle was completed");
  run.tell_counts("talk", talk);
  run.add_phases("talk", talk);
  run.add_phases("flood", flood);
  run.add_phases("newcomers", newcomers);
  return run.finish(all);
}

}  // namespace earshot::load
