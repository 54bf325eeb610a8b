#include "tests/sim/node.h"

#include <algorithm>

#include "relay/base/check.h"
#include "relay/io/clock.h"
#include "relay/wire/rtp.h"
#include "tests/sim/node_worker.h"

namespace earshot::sim {
namespace {

// Between two cycles of a worker that has left work behind.
constexpr Duration cycle_length = microseconds(40);
// Until a woken worker of a healed node runs.
constexpr Duration wake_max_healed = microseconds(20);
// Smaller steps of the wall clock pass for drift (relay/io/clock.cpp).
constexpr std::int64_t step_known_ns = 5'000'000;

// One is enough for everybody: it is empty between calls, and large.
Outbox& shared_outbox() {
  static Outbox outbox;
  return outbox;
}

}  // namespace

Node::Node(const NodeOptions& options, Schedule& schedule, Lives& lives, Invariants& invariants,
           std::function<void(const Emission&, WorkerIndex)> transmit)
    : options_(options),
      schedule_(schedule),
      lives_(lives),
      invariants_(invariants),
      transmit_(std::move(transmit)),
      random_(options.seed),
      out_(shared_outbox()),
      stats_(options.workers_count * options.sessions_max),
      records_(options.workers_count),
      events_(options.workers_count, limits::event_inbox_credit) {
  const std::size_t caps = options.mutation == Mutation::separate_caps ? options.workers_count : 1;
  for (std::size_t i = 0; i < caps; ++i)
    unproven_.push_back(std::make_unique<UnprovenAddresses>(options.seed));
  for (std::size_t w = 0; w < options.workers_count; ++w)
    stats_of_worker_.push_back(&stats_[w * options.sessions_max]);
  for (std::size_t w = 0; w < options.workers_count; ++w) {
    records_[w].resize(options.sessions_max);
    CoreOptions core;
    core.node = options.id;
    core.worker = {static_cast<std::uint8_t>(w)};
    core.workers_count = options.workers_count;
    core.sessions_max = options.sessions_max;
    core.remote_slots_max = options.sessions_max * options.workers_count;
    core.seed = options.seed + w;
    core.session_memory = {reinterpret_cast<std::uint8_t*>(records_[w].data()),
                           Core::session_memory_size(options.sessions_max)};
    core.stale_max = options.stale_max;
    core.unproven = unproven_[w % unproven_.size()].get();
    workers_.push_back(std::make_unique<Worker>(options, core, stats_of_worker_));
    workers_.back()->records = records_[w];
    workers_.back()->drained = {schedule.now(), realtime_ahead_ns_};
  }
}

Node::~Node() {
  out_.clear();
}

WatchedCore Node::watched(const Worker& w) const {
  return {w.index, &w.core, w.records, {stats_of_worker_[w.index.value], options_.sessions_max}};
}

std::span<const SessionRecord> Node::records(WorkerIndex worker) const {
  return records_[worker.value];
}

// --- The controller's side ----------------------------------------------------------------------

std::uint64_t Node::send(WorkerIndex worker, const Command& command) {
  Worker& w = *workers_[worker.value];
  w.waiting.push_back({++w.last_number, command});
  flush();
  return w.last_number;
}

void Node::flush() {
  for (auto& w : workers_) {
    if (w->waiting.empty()) continue;
    while (!w->waiting.empty() && w->commands.try_push(0, std::move(w->waiting.front())))
      w->waiting.pop_front();
    wake(w->index.value);
  }
}

std::uint64_t Node::completed(WorkerIndex worker) const {
  return workers_[worker.value]->completed;
}

bool Node::poll_event(Event& event) {
  return events_.try_pop(event);
}

SlotStats& Node::stats(Ssrc ssrc) {
  return stats_of_worker_[ssrc.worker().value][ssrc.slot().value];
}

Counters Node::sum() const {
  Counters sum;
  for (const auto& w : workers_) {
    const Counters& c = w->core.counters();
    for (std::size_t i = 0; i < counters_count; ++i) sum.values[i] += c.values[i];
    for (std::size_t i = 0; i < drop_reasons_count; ++i) {
      sum.drops[i] += c.drops[i];
      sum.forward_drops[i] += c.forward_drops[i];
    }
  }
  return sum;
}

// --- The network's side -------------------------------------------------------------------------

// As the program in the kernel does it (relay/io/steering.h), and sometimes otherwise.
std::size_t Node::steer(const Packet& packet) {
  const std::size_t count = workers_.size();
  if (random_.chance(options_.missteering)) {
    ++counts_.missteered;
    return static_cast<std::size_t>(random_.below(count));
  }
  const wire::DatagramKind kind = wire::classify(packet.bytes);
  const bool is_rtp = kind == wire::DatagramKind::rtp;
  if (!is_rtp && kind != wire::DatagramKind::rtcp && kind != wire::DatagramKind::discovery)
    return 0;
  const std::size_t offset = is_rtp ? 8 : 4;
  return packet.bytes[offset + 1] % 64u % count;
}

void Node::receive(Packet&& packet) {
  Worker& w = *workers_[steer(packet)];
  if (w.socket.size() >= options_.socket_buffer) {
    ++w.kernel_drops;
    return;
  }
  const Time now = schedule_.now();
  w.socket.push_back({std::move(packet), now.ns + realtime_ahead_ns_, now});
  wake(w.index.value);
}

void Node::unreachable(const Endpoint& remote) {
  const std::size_t at = static_cast<std::size_t>(random_.below(workers_.size()));
  if (at == 0) {
    workers_[0]->core.on_unreachable_address(schedule_.now(), remote);
  } else if (workers_[0]->packets.try_push(at, {PassedPacket::of_unreachable(remote), {}})) {
    wake(0);
  }
}

void Node::stall(WorkerIndex worker, Duration length) {
  Worker& w = *workers_[worker.value];
  w.busy_until = std::max(w.busy_until, schedule_.now() + length);
  ++counts_.stalls;
}

void Node::step_wall_clock(Duration by) {
  realtime_ahead_ns_ += by.ns;
  last_step_ = by;
  ++clock_steps_;
  ++counts_.clock_steps;
}

void Node::heal() {
  options_.missteering = 0;
  options_.send_drops = 0;
  is_healed_ = true;
  for (auto& w : workers_) w->busy_until = schedule_.now();
}

void Node::harm(double missteering, double send_drops) {
  is_healed_ = false;
  options_.missteering = missteering;
  options_.send_drops = send_drops;
}

bool Node::is_quiet() const {
  return std::none_of(workers_.begin(), workers_.end(), [](const auto& w) {
    return w->is_scheduled || !w->socket.empty() || !w->waiting.empty();
  });
}

// --- A duty cycle -------------------------------------------------------------------------------

void Node::wake(std::size_t worker) {
  Worker& w = *workers_[worker];
  if (w.is_scheduled) return;
  w.is_scheduled = true;
  const Duration longest = is_healed_ ? wake_max_healed : options_.wake_max;
  const Duration delay{
      static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(longest.ns) + 1))};
  schedule_.at<&Node::run>(schedule_.now() + delay, this, worker);
}

void Node::run(std::uint64_t worker) {
  Worker& w = *workers_[worker];
  if (schedule_.now() < w.busy_until) return schedule_.at<&Node::run>(w.busy_until, this, worker);
  w.is_scheduled = false;
  ++counts_.cycles;
  const std::size_t commands = execute_commands(w);
  const std::size_t passed = take_passed(w, limits::receive_batch_max);
  const std::size_t received = receive_batch(w);
  RELAY_CHECK(w.core.next_timeout() > schedule_.now());
  offer_events(w);
  if (std::exchange(w.has_completions, false)) wake_controller_();
  const bool has_more = commands == limits::commands_per_cycle_max ||
                        passed == limits::receive_batch_max ||
                        received == limits::receive_batch_max || w.core.has_events();
  if (!has_more || w.is_scheduled) return;
  w.is_scheduled = true;
  schedule_.at<&Node::run>(schedule_.now() + cycle_length, this, worker);
}

std::size_t Node::execute_commands(Worker& w) {
  std::vector<Numbered> taken;
  Numbered next;
  while (taken.size() < limits::commands_per_cycle_max && w.commands.try_pop(next))
    taken.push_back(next);
  if (taken.empty()) return 0;
  // What other workers passed on before a command was sent is handled before it.
  w.packets.take_waiting([&](Passed& passed) { take(w, passed); });
  for (const Numbered& one : taken) execute(w, one.command);
  w.completed = taken.back().number;
  w.has_completions = true;
  return taken.size();
}

void Node::execute(Worker& w, const Command& command) {
  if (is_forgotten(w, command)) return;
  invariants_.before_command(w.index, command);
  invariants_.before(watched(w));
  if (!is_ignored(command)) w.core.on_command(schedule_.now(), command, out_);
  while (w.core.next_timeout() <= schedule_.now()) w.core.on_timeout(schedule_.now(), out_);
  invariants_.after_command(schedule_.now(), watched(w), command, emissions(), out_.forwards());
  put_out(w, nullptr);
}

std::size_t Node::take_passed(Worker& w, std::size_t count_max) {
  std::size_t count = 0;
  Passed passed;
  for (; count < count_max && w.packets.try_pop(passed); ++count) take(w, passed);
  return count;
}

void Node::take(Worker& w, Passed& passed) {
  const Time now = schedule_.now();
  switch (passed.packet.kind()) {
    case PassedPacket::Kind::datagram: {
      const Datagram in = passed.packet.datagram();
      Packet packet{in.remote, in.local, {in.bytes.begin(), in.bytes.end()}, passed.origin};
      take_datagram(w, packet, in.arrival, true);
      break;
    }
    case PassedPacket::Kind::opened:
      invariants_.before(watched(w));
      w.core.on_forwarded(now, passed.packet.opened(), out_);
      invariants_.after_forwarded(now, watched(w), passed.packet.opened(), emissions());
      put_out(w, nullptr);
      break;
    case PassedPacket::Kind::unreachable:
      w.core.on_unreachable_address(now, passed.packet.remote());
      break;
  }
}

std::size_t Node::receive_batch(Worker& w) {
  std::size_t count = 0;
  for (; count < limits::receive_batch_max && !w.socket.empty(); ++count) {
    Received received = std::move(w.socket.front());
    w.socket.pop_front();
    take_datagram(w, received.packet, arrival(w, received), false);
  }
  if (count < limits::receive_batch_max) {
    w.drained = {schedule_.now(), realtime_ahead_ns_};
    w.steps_at_drain = clock_steps_;
  }
  w.core.counters()[Counter::kernel_drops] = w.kernel_drops;
  return count;
}

// A step of the wall clock moves no arrival, unless it is smaller than the time that the packet may
// have waited, or not the only one.
Time Node::arrival(const Worker& w, const Received& received) const {
  const Time now = schedule_.now();
  const Time converted = io::arrival_time(received.stamp_ns, {now, realtime_ahead_ns_}, w.drained);
  const std::int64_t steps = clock_steps_ - w.steps_at_drain;
  const std::int64_t step_size = std::max(last_step_.ns, -last_step_.ns);
  const bool is_exact =
      steps == 0 || (steps == 1 && step_size > std::max((now - w.drained.now).ns, step_known_ns));
  const bool holds =
      is_exact ? converted == received.at : converted >= w.drained.now && converted <= now;
  if (!holds) Invariants::fail("arrival", "the receive stamp became another time");
  return converted;
}

void Node::take_datagram(Worker& w, Packet& packet, Time arrival, bool is_handed_over) {
  const Time now = schedule_.now();
  const WatchedCore core = watched(w);
  invariants_.before(core);
  // Counted when it is looked at, as the relay cannot know it before.
  Origin& origin = packet.origin;
  if (origin.key && packet.bytes.size() > crypto::counter_size) {
    crypto::Counter counter;
    std::copy(packet.bytes.end() - crypto::counter_size, packet.bytes.end(), counter.begin());
    origin.is_collision = origin.key->by_relay.contains(to_nonce(counter));
  }
  const Datagram in{packet.from, packet.local, arrival, packet.bytes};
  if (is_handed_over) {
    w.core.on_handed_over(now, in, out_);
  } else {
    w.core.on_datagram(now, in, out_);
  }
  if (options_.mutation != Mutation::none) mutate_outcome(w, packet);
  emissions();
  if (options_.mutation != Mutation::none) mutate_copies(w, packet);
  invariants_.after_datagram(now, core, packet, arrival, is_handed_over, emissions_,
                             out_.forwards());
  put_out(w, &origin);
}

std::vector<Emission>& Node::emissions() {
  emissions_.clear();
  for (const OutDatagram& d : out_.datagrams())
    emissions_.push_back({d.remote, d.slot, d.has_slot, out_.bytes(d)});
  return emissions_;
}

void Node::put_out(Worker& w, const Origin* origin) {
  if (out_.is_empty()) return;
  Counters& counters = w.core.counters();
  for (const Emission& e : emissions_) {
    if (random_.chance(options_.send_drops)) {
      ++counters[Counter::send_drops];
    } else {
      ++counters[Counter::datagrams_sent];
      transmit_(e, w.index);
    }
  }
  pass_on(w, origin);
  out_.clear();
}

void Node::pass_on(Worker& w, const Origin* origin) {
  Counters& counters = w.core.counters();
  const auto push = [&](std::size_t target, Passed&& passed, Counter refused) {
    if (workers_[target]->packets.try_push(w.index.value, std::move(passed))) {
      wake(target);
    } else if (options_.mutation != Mutation::miscount_refused) {
      ++counters[refused];
    }
  };
  for (const OutForward& forward : out_.forwards()) {
    for (std::size_t target = 0; target < workers_.size(); ++target) {
      if ((forward.targets >> target & 1) == 0) continue;
      Passed passed{PassedPacket::of(forward.packet), {}};
      auto& held = w.held[target];
      if (options_.mutation == Mutation::swap_passed && held == nullptr && random_.chance(0.02)) {
        held = std::make_unique<Passed>(passed);
        continue;
      }
      push(target, std::move(passed), Counter::forwards_refused);
      if (const auto late = std::move(held))
        push(target, std::move(*late), Counter::forwards_refused);
    }
  }
  for (const OutHandOver& hand_over : out_.hand_overs()) {
    push(hand_over.target.value, {PassedPacket::of(hand_over.datagram), *origin},
         Counter::hand_overs_refused);
  }
}

void Node::offer_events(Worker& w) {
  if (!w.core.has_events()) return;
  w.core.offer_events(
      [&](const Event& event) { return events_.try_push(w.index.value, Event(event)); });
  w.has_completions = true;
}

}  // namespace earshot::sim
