#include "relay/worker/worker_group.h"

#include <sched.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "relay/base/check.h"
#include "relay/io/steering.h"
#include "relay/worker/worker.h"

namespace earshot {
namespace {

// All packets that other workers may have under way to one, whatever their number: 4,096 x 1.6 KiB.
constexpr std::size_t packet_credit_total = 4'096;
constexpr std::size_t packet_credit_min = 64;

std::vector<int> affinity_cpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(static_cast<std::size_t>(i), &set)) cpus.push_back(i);
  }
  return cpus;
}

std::size_t packet_credit(std::size_t workers_count) {
  if (workers_count == 1) return packet_credit_min;
  return std::clamp(packet_credit_total / (workers_count - 1), packet_credit_min,
                    limits::packet_inbox_credit);
}

// In the workers' order, which is the order of the group.
Result<std::vector<io::UdpSocket>> open_sockets(const Endpoint& listen, std::size_t count) {
  auto sockets = io::UdpSocket::open_group(listen, count);
  if (!sockets || count == 1) return sockets;
  if (auto steered = io::steer_by_ssrc(sockets.value()[0].fd(), count); !steered)
    return steered.error();
  return sockets;
}

}  // namespace

struct WorkerGroup::State {
  State(const WorkerGroupOptions& options, std::size_t sessions_max_per_worker)
      : sessions_max(sessions_max_per_worker),
        stats(options.workers_count * sessions_max_per_worker),
        unproven(options.seed),
        events(options.workers_count, limits::event_inbox_credit),
        waiting(options.workers_count),
        last_number(options.workers_count) {
    for (std::size_t w = 0; w < options.workers_count; ++w)
      stats_of_worker.push_back(&stats[w * sessions_max_per_worker]);
  }

  std::size_t sessions_max;
  std::vector<SlotStats> stats;
  std::vector<SlotStats*> stats_of_worker;
  UnprovenAddresses unproven;
  EventInbox events;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::deque<NumberedCommand>> waiting;
  std::vector<std::uint64_t> last_number;
};

Result<std::unique_ptr<WorkerGroup>> WorkerGroup::create(const WorkerGroupOptions& options) {
  RELAY_CHECK(options.workers_count >= 1 && options.workers_count <= limits::workers_max &&
              options.wake_controller);
  auto sockets = open_sockets(options.listen, options.workers_count);
  if (!sockets) return sockets.error();
  const std::size_t sessions_max = options.sessions_per_worker_max == 0
                                       ? limits::sessions_per_worker_max
                                       : options.sessions_per_worker_max;
  auto state = std::make_unique<State>(options, sessions_max);
  const auto cpus = affinity_cpus();
  const bool is_pinned = options.is_pinned && cpus.size() >= options.workers_count;
  for (std::size_t w = 0; w < options.workers_count; ++w) {
    Worker::Options o;
    o.core.node = options.node;
    o.core.worker = {static_cast<std::uint8_t>(w)};
    o.core.workers_count = options.workers_count;
    o.core.sessions_max = sessions_max;
    o.core.seed = options.seed + w;
    o.core.unproven = &state->unproven;
    o.core.loopback_only = options.loopback_only;
    o.core.stale_max = options.stale_max;
    o.cpu = is_pinned ? cpus[w] : -1;
    o.packet_credit = packet_credit(options.workers_count);
    o.events = &state->events;
    o.wake_controller = options.wake_controller;
    state->workers.push_back(
        std::make_unique<Worker>(o, std::move(sockets.value()[w]), state->stats_of_worker));
  }
  for (auto& worker : state->workers) worker->start(state->workers);
  return std::unique_ptr<WorkerGroup>(new WorkerGroup(std::move(state)));
}

WorkerGroup::WorkerGroup(std::unique_ptr<State> state) : state_(std::move(state)) {}
WorkerGroup::~WorkerGroup() {
  stop();
}

std::size_t WorkerGroup::size() const {
  return state_->workers.size();
}
Endpoint WorkerGroup::bound() const {
  return state_->workers[0]->bound();
}

bool WorkerGroup::is_secret_memory_locked() const {
  return std::all_of(state_->workers.begin(), state_->workers.end(),
                     [](const auto& w) { return w->is_secret_memory_locked(); });
}

std::uint64_t WorkerGroup::send(WorkerIndex worker, const Command& command) {
  const std::uint64_t number = ++state_->last_number[worker.value];
  state_->waiting[worker.value].push_back({number, command});
  flush();
  return number;
}

void WorkerGroup::flush() {
  for (std::size_t w = 0; w < state_->workers.size(); ++w) {
    auto& waiting = state_->waiting[w];
    const bool has_waiting = !waiting.empty();
    while (!waiting.empty() && state_->workers[w]->try_command(std::move(waiting.front())))
      waiting.pop_front();
    if (has_waiting) state_->workers[w]->wake();
  }
}

std::uint64_t WorkerGroup::completed(WorkerIndex worker) const {
  return state_->workers[worker.value]->completed();
}
bool WorkerGroup::poll_event(Event& event) {
  return state_->events.try_pop(event);
}

SlotStats& WorkerGroup::stats(Ssrc ssrc) {
  RELAY_CHECK(ssrc.worker().value < size() && ssrc.slot().value < state_->sessions_max);
  return state_->stats_of_worker[ssrc.worker().value][ssrc.slot().value];
}

Counters WorkerGroup::counters(WorkerIndex worker) const {
  return state_->workers[worker.value]->counters();
}

void WorkerGroup::stop() {
  for (auto& worker : state_->workers) worker->stop();
}

}  // namespace earshot
