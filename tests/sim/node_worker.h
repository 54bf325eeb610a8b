// What one worker of a simulated node consists of. Private to node.cpp and node_mutations.cpp.
#pragma once

#include "relay/io/clock.h"
#include "tests/sim/node.h"

namespace earshot::sim {

struct Node::Worker {
  Worker(const NodeOptions& o, const CoreOptions& c, std::span<SlotStats* const> stats)
      : index(c.worker),
        core(c, stats),
        commands(1, o.command_credit),
        packets(o.workers_count, o.packet_credit),
        held(o.workers_count) {}

  WorkerIndex index;
  std::span<SessionRecord> records;
  Core core;
  Inbox<Numbered> commands;
  Inbox<Passed> packets;
  std::deque<Numbered> waiting;  // at the controller, without credit
  std::uint64_t last_number = 0;
  std::uint64_t completed = 0;
  std::deque<Received> socket;
  std::uint64_t kernel_drops = 0;
  io::ClockSample drained;          // when the socket was empty
  std::int64_t steps_at_drain = 0;  // of the wall clock, until then
  Time busy_until;
  bool is_scheduled = false;
  bool has_completions = false;
  std::vector<std::unique_ptr<Passed>> held;  // Mutation::swap_passed, by target
};

}  // namespace earshot::sim
