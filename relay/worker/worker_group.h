// All workers of a node: their sockets on the one public port, their threads, and the inboxes
// between them and the controller. Every method is called by the controller thread only, unless it
// says otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "relay/base/address.h"
#include "relay/base/ids.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/core/command.h"
#include "relay/core/event.h"
#include "relay/core/slot_stats.h"
#include "relay/observe/counters.h"

namespace earshot {

struct WorkerGroupOptions {
  Endpoint listen;                // [::] is one dual-stack socket a worker; port 0: any free one
  std::size_t workers_count = 1;  // 1..limits::workers_max
  bool is_pinned =
      true;  // to the cores of the affinity mask, in order; skipped when there are fewer cores
  NodeId node;
  bool loopback_only = false;
  Duration stale_max;  // 0: never
  std::size_t sessions_per_worker_max = 0;  // 0: limits::sessions_per_worker_max
  std::uint64_t seed = 0;
  // Called from worker threads when events or completions wait; it must only wake the controller's
  // loop.
  std::function<void()> wake_controller;
};

class WorkerGroup {
 public:
  // Binds, allocates, starts the threads. An error is one sentence that names the address.
  static Result<std::unique_ptr<WorkerGroup>> create(const WorkerGroupOptions& options);
  ~WorkerGroup();  // stop()
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  std::size_t size() const;
  Endpoint bound() const;  // with the real port
  bool is_secret_memory_locked() const;

  // Commands are never dropped and execute in order: what finds no credit waits here until flush().
  // Returns the command's number, counted from 1 per worker.
  std::uint64_t send(WorkerIndex worker, const Command& command);
  // Moves waiting commands on; call it when woken.
  void flush();
  // Number of the last command that the worker has completed: all up to it are done, with
  // everything they emitted.
  std::uint64_t completed(WorkerIndex worker) const;

  // Takes one event; false when none waits.
  bool poll_event(Event& event);

  // Live statistics; any thread.
  SlotStats& stats(Ssrc ssrc);
  // A recent snapshot of a worker's counters (each value consistent in itself, published every
  // cycle).
  Counters counters(WorkerIndex worker) const;

  // Ends the threads; the port is let go with this object. Idempotent.
  void stop();

 private:
  struct State;
  explicit WorkerGroup(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace earshot
