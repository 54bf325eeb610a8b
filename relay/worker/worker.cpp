#include "relay/worker/worker.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>

#include "relay/base/check.h"
#include "relay/io/clock.h"

namespace earshot {
namespace {

constexpr Duration cycle_time_max = milliseconds(5);
constexpr std::size_t unreachable_per_cycle_max = 16;

void pin_to(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

}  // namespace

Worker::Worker(const Options& options, io::UdpSocket socket, std::span<SlotStats* const> stats)
    : options_(options),
      socket_(std::move(socket)),
      sender_(socket_),
      core_(options.core, stats),
      commands_(1, limits::command_inbox_credit),
      packets_(options.core.workers_count, options.packet_credit) {
  RELAY_CHECK(uv_loop_init(&loop_) == 0);
  loop_.data = this;
  RELAY_CHECK(uv_async_init(&loop_, &async_,
                            [](uv_async_t* h) { static_cast<Worker*>(h->data)->cycle(); }) == 0);
  RELAY_CHECK(uv_poll_init(&loop_, &poll_, socket_.fd()) == 0);
  RELAY_CHECK(uv_idle_init(&loop_, &idle_) == 0);
  async_.data = poll_.data = idle_.data = this;
}

Worker::~Worker() {
  stop();
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  RELAY_CHECK(uv_loop_close(&loop_) == 0);
}

void Worker::start(std::span<const std::unique_ptr<Worker>> others) {
  others_ = others;
  is_started_ = true;
  thread_ = std::thread([this] { run(); });
}

void Worker::stop() {
  if (!is_started_) return;
  is_started_ = false;
  is_stopping_.store(true, std::memory_order_release);
  wake();
  thread_.join();
}

bool Worker::try_command(NumberedCommand&& command) {
  return commands_.try_push(0, std::move(command));
}

void Worker::wake() {
  uv_async_send(&async_);
}

bool Worker::try_pass(WorkerIndex from, PassedPacket&& packet) {
  return packets_.try_push(from.value, std::move(packet));
}

void Worker::run() {
  char name[16];
  std::snprintf(name, sizeof name, "earshot-w%d", options_.core.worker.value);
  pthread_setname_np(pthread_self(), name);
  pin_to(options_.cpu);
  watch();
  uv_run(&loop_, UV_RUN_DEFAULT);
}

void Worker::watch() {
  const auto on_poll = [](uv_poll_t* h, int status, int) {
    auto& self = *static_cast<Worker*>(h->data);
    // libuv stops watching a socket with an error pending, and every ICMP message is one.
    if (status != 0) {
      self.has_socket_errors_ = true;
      self.watch();
    }
    self.cycle();
  };
  RELAY_CHECK(uv_poll_start(&poll_, UV_READABLE, on_poll) == 0);
}

void Worker::cycle() {
  // Pairs with the release in stop().
  if (is_stopping_.load(std::memory_order_acquire)) {
    uv_poll_stop(&poll_);
    uv_idle_stop(&idle_);
    uv_stop(&loop_);
    return;
  }
  const Time now = io::monotonic_now();
  const bool has_more = do_work(now);
  Counters& counters = core_.counters();
  ++counters[Counter::cycles];
  if (io::monotonic_now() - now > cycle_time_max) ++counters[Counter::cycle_overruns];
  publish();
  // A cycle that left work behind does not sleep.
  if (has_more) {
    uv_idle_start(&idle_, [](uv_idle_t* h) { static_cast<Worker*>(h->data)->cycle(); });
  } else {
    uv_idle_stop(&idle_);
  }
}

bool Worker::do_work(Time now) {
  const std::size_t commands = execute_commands(now);
  const std::size_t passed = take_passed(now, limits::receive_batch_max);
  const std::size_t received = receive(now);
  while (core_.next_timeout() <= now) {
    make_room();
    core_.on_timeout(now, out_);
  }
  flush();
  wake_others();
  bool has_refused_events = false;
  if (core_.has_events()) {
    const std::size_t self = options_.core.worker.value;
    core_.offer_events(
        [this, self](const Event& event) { return options_.events->try_push(self, Event(event)); });
    has_refused_events = core_.has_events();
    has_completions_ = true;
  }
  if (has_completions_) {
    has_completions_ = false;
    options_.wake_controller();
  }
  return commands == limits::commands_per_cycle_max || passed == limits::receive_batch_max ||
         received == limits::receive_batch_max || has_refused_events;
}

std::size_t Worker::execute_commands(Time now) {
  std::size_t count = 0;
  while (count < taken_.size() && commands_.try_pop(taken_[count])) ++count;
  if (count == 0) return 0;
  // What other workers passed on before a command was sent is handled before it: a mute or a leave
  // that the publisher's worker completed has no stragglers here.
  packets_.take_waiting([this, now](PassedPacket& packet) { take_passed(now, packet); });
  for (std::size_t i = 0; i < count; ++i) {
    execute(now, taken_[i].command);
    done_ = taken_[i].number;
    taken_[i].command = Fence{};  // leaves no key behind
  }
  flush();
  // Pairs with the acquire in completed().
  completed_.store(done_, std::memory_order_release);
  has_completions_ = true;
  return count;
}

void Worker::execute(Time now, const Command& command) {
  make_room();
  core_.on_command(now, command, out_);
  while (core_.next_timeout() <= now) {
    make_room();
    core_.on_timeout(now, out_);
  }
}

std::size_t Worker::take_passed(Time now, std::size_t count_max) {
  std::size_t count = 0;
  for (; count < count_max && packets_.try_pop(passed_); ++count) take_passed(now, passed_);
  return count;
}

void Worker::take_passed(Time now, PassedPacket& packet) {
  make_room();
  switch (packet.kind()) {
    case PassedPacket::Kind::datagram:
      core_.on_handed_over(now, packet.datagram(), out_);
      break;
    case PassedPacket::Kind::opened:
      core_.on_forwarded(now, packet.opened(), out_);
      break;
    case PassedPacket::Kind::unreachable:
      core_.on_unreachable_address(now, packet.remote());
      break;
  }
}

std::size_t Worker::receive(Time now) {
  if (has_socket_errors_) take_unreachable(now);
  const io::ReceivedBatch batch = receiver_.receive(socket_);
  for (const io::ReceivedDatagram& d : batch.datagrams) {
    make_room();
    core_.on_datagram(batch.now, {d.remote, d.local, d.arrival, d.bytes}, out_);
  }
  core_.counters()[Counter::kernel_drops] = receiver_.kernel_drops();
  return batch.datagrams.size();
}

// The kernel gives an ICMP error to any socket of the group; worker 0 knows whose address it is.
void Worker::take_unreachable(Time now) {
  has_socket_errors_ = false;
  std::array<Endpoint, unreachable_per_cycle_max> remotes;
  const std::size_t count = io::BatchReceiver::take_unreachable(socket_, remotes);
  for (std::size_t i = 0; i < count; ++i) {
    if (options_.core.worker.value == 0) {
      core_.on_unreachable_address(now, remotes[i]);
    } else if (others_[0]->try_pass(options_.core.worker,
                                    PassedPacket::of_unreachable(remotes[i]))) {
      is_to_wake_[0] = true;
    }
  }
}

void Worker::make_room() {
  if (!out_.has_room()) flush();
}

void Worker::flush() {
  if (out_.is_empty()) return;
  Counters& counters = core_.counters();
  const auto send = [&] {
    const auto outcome = sender_.flush(socket_);
    counters[Counter::datagrams_sent] += outcome.sent;
    counters[Counter::send_drops] += outcome.dropped;
  };
  for (const OutDatagram& d : out_.datagrams()) {
    if (sender_.is_full()) send();
    sender_.add(d.remote, d.local, out_.bytes(d));
  }
  send();
  pass_on();
  out_.clear();
}

void Worker::pass_on() {
  Counters& counters = core_.counters();
  const WorkerIndex self = options_.core.worker;
  for (const OutForward& forward : out_.forwards()) {
    for (std::size_t w = 0; w < others_.size(); ++w) {
      if ((forward.targets >> w & 1) == 0) continue;
      if (others_[w]->try_pass(self, PassedPacket::of(forward.packet))) {
        is_to_wake_[w] = true;
      } else {
        ++counters[Counter::forwards_refused];
      }
    }
  }
  for (const OutHandOver& hand_over : out_.hand_overs()) {
    const std::size_t w = hand_over.target.value;
    if (others_[w]->try_pass(self, PassedPacket::of(hand_over.datagram))) {
      is_to_wake_[w] = true;
    } else {
      ++counters[Counter::hand_overs_refused];
    }
  }
}

// Once a cycle, however often it flushed.
void Worker::wake_others() {
  for (std::size_t w = 0; w < others_.size(); ++w) {
    if (is_to_wake_[w]) others_[w]->wake();
    is_to_wake_[w] = false;
  }
}

void Worker::publish() {
  const Counters& c = core_.counters();
  auto out = published_.begin();
  const auto copy = [&out](const auto& values) {
    for (const std::uint64_t value : values) (out++)->store(value, std::memory_order_relaxed);
  };
  copy(c.values);
  copy(c.drops);
  copy(c.forward_drops);
}

Counters Worker::counters() const {
  Counters c;
  auto in = published_.begin();
  const auto copy = [&in](auto& values) {
    for (std::uint64_t& value : values) value = (in++)->load(std::memory_order_relaxed);
  };
  copy(c.values);
  copy(c.drops);
  copy(c.forward_drops);
  return c;
}

}  // namespace earshot
