#include "tools/load/leader.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <new>

#include "relay/base/check.h"

namespace earshot::load {
namespace {

constexpr Duration order_check = milliseconds(5);

volatile std::sig_atomic_t was_interrupted = 0;

void on_signal(int) {
  was_interrupted = 1;
}

}  // namespace

Leader::Leader(pid_t relay) : relay_(relay) {
  void* memory =
      ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  RELAY_CHECK(memory != MAP_FAILED);
  // Zero-filled pages that are not touched before they are needed are the board.
  board_ = static_cast<Board*>(memory);
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

Leader::~Leader() {
  for (const pid_t child : children_) ::kill(child, SIGKILL);
  for (const pid_t child : children_) ::waitpid(child, nullptr, 0);
  ::munmap(board_, sizeof(Board));
}

bool Leader::is_interrupted() {
  return was_interrupted != 0;
}

std::size_t Leader::add(const MakeActor& make) {
  const std::size_t number = children_.size();
  RELAY_CHECK(number < seats_max);
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  RELAY_CHECK(child >= 0);
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    // The parent is asked to stop, and stops the children.
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGTERM, SIG_DFL);
    run_child(make, *board_, board_->seats[number]);
  }
  children_.push_back(child);
  return number;
}

void Leader::run_child(const MakeActor& make, Board& board, Seat& seat) {
  Poller poller;
  auto actor = make(poller, board, seat);
  if (!actor) {
    std::fprintf(stderr, "earshot load: %s\n", actor.error().text.c_str());
    ::_exit(1);
  }
  std::uint64_t begun = 0;
  for (;;) {
    poller.turn(order_check);
    const std::uint64_t order = seat.order.load(std::memory_order_acquire);
    if (order != begun) {
      begun = order;
      actor.value()->begin(static_cast<Order>(order & 0xFF));
    }
    if (seat.done.load(std::memory_order_relaxed) == begun || !actor.value()->is_done()) continue;
    seat.done.store(begun, std::memory_order_release);
    if (static_cast<Order>(begun & 0xFF) == Order::quit) ::_exit(0);
  }
}

void Leader::begin_phase(const std::string& name) {
  end_phase();
  RELAY_CHECK(phases_.size() < phases_max);
  phases_.push_back({name, sample_process(relay_), {}});
  board_->phase = static_cast<std::uint32_t>(phases_.size() - 1);
}

void Leader::end_phase() {
  if (!phases_.empty() && phases_.back().end.at == Time{}) {
    phases_.back().end = sample_process(relay_);
  }
}

void Leader::give(std::span<const std::size_t> seats, Order order) {
  for (const std::size_t number : seats) {
    Seat& seat = board_->seats[number];
    const std::uint64_t serial = (seat.order >> 8) + 1;
    seat.order.store(serial << 8 | static_cast<std::uint64_t>(order), std::memory_order_release);
  }
}

bool Leader::wait(std::span<const std::size_t> seats, Duration limit) {
  const Time deadline = monotonic_now() + limit;
  for (;;) {
    const bool is_done = std::all_of(seats.begin(), seats.end(), [this](std::size_t number) {
      const Seat& seat = board_->seats[number];
      return seat.done.load(std::memory_order_acquire) == seat.order;
    });
    if (is_done) return true;
    if (monotonic_now() >= deadline || is_interrupted() || is_broken()) return false;
    ::usleep(5'000);
  }
}

bool Leader::carry_out(std::span<const std::size_t> seats, Order order, Duration limit) {
  give(seats, order);
  return wait(seats, limit);
}

bool Leader::sleep(Duration duration) {
  const Time deadline = monotonic_now() + duration;
  while (monotonic_now() < deadline && !is_interrupted() && !is_broken()) ::usleep(10'000);
  return !is_interrupted() && !is_broken();
}

bool Leader::is_broken() {
  for (pid_t& child : children_) {
    if (child > 0 && ::waitpid(child, nullptr, WNOHANG) == child) {
      std::erase(children_, child);
      is_broken_ = true;
      break;
    }
  }
  return is_broken_;
}

PhaseResults Leader::results(std::span<const std::size_t> seats, std::size_t phase) const {
  PhaseResults sum;
  for (const std::size_t number : seats) {
    const PhaseResults& one = board_->seats[number].phases[phase];
    sum.heartbeat.merge(one.heartbeat);
    sum.join.merge(one.join);
    sum.latency.merge(one.latency);
    sum.moved.merge(one.moved);
    sum.heartbeats_sent += one.heartbeats_sent;
    sum.packets_sent += one.packets_sent;
    sum.packets_expected += one.packets_expected;
    sum.packets_received += one.packets_received;
    sum.packets_repeated += one.packets_repeated;
    sum.packets_not_authentic += one.packets_not_authentic;
    sum.flood_sent += one.flood_sent;
    sum.lag_max_ns = std::max(sum.lag_max_ns, one.lag_max_ns);
    sum.moves += one.moves;
    sum.introductions += one.introductions;
    sum.retries += one.retries;
  }
  return sum;
}

}  // namespace earshot::load
