// One relay node on the virtual clock: the real core of each worker, and around it what
// relay/worker does with threads and sockets: a bounded socket buffer, bounded inboxes (the real
// ones), duty cycles, completions, stamps on a wall clock that steps. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "relay/core/core.h"
#include "relay/core/session_record.h"
#include "relay/worker/inbox.h"
#include "relay/worker/passed_packet.h"
#include "relay/worker/worker_group.h"
#include "tests/sim/invariants.h"
#include "tests/sim/mutation.h"
#include "tests/sim/packet.h"
#include "tests/sim/schedule.h"
#include "tools/replay/random.h"

namespace earshot::sim {

struct NodeOptions {
  NodeId id;
  std::size_t workers_count = 1;
  std::size_t sessions_max = 64;  // per worker
  std::size_t packet_credit = 64;
  std::size_t command_credit = 16;
  std::size_t socket_buffer = 256;        // datagrams
  Duration wake_max = microseconds(500);  // until a woken worker runs
  double missteering = 0;                 // share of datagrams that reach any worker
  Duration stale_max;                     // 0: never
  double send_drops = 0;                  // share of datagrams that the socket refuses
  std::uint64_t seed = 0;
  Mutation mutation = Mutation::none;
};

struct NodeCounts {
  std::uint64_t cycles = 0;
  std::uint64_t stalls = 0;
  std::uint64_t clock_steps = 0;
  std::uint64_t missteered = 0;
};

class Node {
 public:
  // `transmit`: a datagram leaves.
  Node(const NodeOptions& options, Schedule& schedule, Lives& lives, Invariants& invariants,
       std::function<void(const Emission&, WorkerIndex)> transmit);
  ~Node();

  // From the network.
  void receive(Packet&& packet);
  // An ICMP error about a datagram to there has come back, to the socket of any worker.
  void unreachable(const Endpoint& remote);
  void stall(WorkerIndex worker, Duration length);
  void step_wall_clock(Duration by);
  // No more mistakes of the kernel, no more refusals.
  void heal();
  void harm(double missteering, double send_drops);
  bool is_quiet() const;

  // The controller's side, as WorkerGroup has it.
  std::size_t workers_count() const { return workers_.size(); }
  std::uint64_t send(WorkerIndex worker, const Command& command);
  void flush();
  std::uint64_t completed(WorkerIndex worker) const;
  bool poll_event(Event& event);
  void on_wake(std::function<void()> wake_controller) {
    wake_controller_ = std::move(wake_controller);
  }
  SlotStats& stats(Ssrc ssrc);
  Counters sum() const;

  const NodeCounts& counts() const { return counts_; }
  std::span<const SessionRecord> records(WorkerIndex worker) const;
  NodeId id() const { return options_.id; }

 private:
  struct Received {
    Packet packet;
    std::int64_t stamp_ns = 0;  // wall clock
    Time at;                    // when it really came
  };
  struct Numbered {
    std::uint64_t number = 0;
    Command command;
  };
  // What travels beside a packet that was passed on: the truth about it.
  struct Passed {
    PassedPacket packet;
    Origin origin;
  };
  struct Worker;

  void wake(std::size_t worker);
  void run(std::uint64_t worker);
  std::size_t execute_commands(Worker& w);
  void execute(Worker& w, const Command& command);
  std::size_t take_passed(Worker& w, std::size_t count_max);
  void take(Worker& w, Passed& passed);
  std::size_t receive_batch(Worker& w);
  Time arrival(const Worker& w, const Received& received) const;
  void take_datagram(Worker& w, Packet& packet, Time arrival, bool is_handed_over);
  std::vector<Emission>& emissions();
  void put_out(Worker& w, const Origin* origin);
  void pass_on(Worker& w, const Origin* origin);
  void offer_events(Worker& w);
  WatchedCore watched(const Worker& w) const;
  std::size_t steer(const Packet& packet);

  void mutate_outcome(Worker& w, const Packet& packet);
  void mutate_copies(Worker& w, const Packet& packet);
  bool is_ignored(const Command& command);
  bool is_forgotten(const Worker& w, const Command& command) const;
  void seal_again(Emission& copy, Life& listener, Life& speaker, const SentFrame& frame,
                  std::uint16_t sequence, std::uint32_t nonce);

  NodeOptions options_;
  Schedule& schedule_;
  Lives& lives_;
  Invariants& invariants_;
  std::function<void(const Emission&, WorkerIndex)> transmit_;
  std::function<void()> wake_controller_ = [] {};
  replay::Random random_;
  Outbox& out_;
  std::vector<SlotStats> stats_;
  std::vector<SlotStats*> stats_of_worker_;
  std::vector<std::vector<SessionRecord>> records_;
  std::vector<std::unique_ptr<UnprovenAddresses>> unproven_;
  Inbox<Event> events_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Emission> emissions_;
  std::deque<std::vector<std::uint8_t>> mutated_;
  std::map<LifeIndex, std::uint32_t> last_nonce_;
  std::int64_t realtime_ahead_ns_ = 1'700'000'000'000'000'000;
  std::int64_t clock_steps_ = 0;
  Duration last_step_;
  NodeCounts counts_;
  bool is_healed_ = false;
};

// The real controller's interface to a node (worker_group.cpp).
std::unique_ptr<WorkerGroup> make_worker_group(Node& node);

}  // namespace earshot::sim
