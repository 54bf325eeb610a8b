// Commands to workers, and what is to happen once they are complete. Controller thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "relay/worker/worker_group.h"

namespace earshot::control {

class Commands {
 public:
  // `workers` outlives it.
  explicit Commands(WorkerGroup& workers) : workers_(workers), pending_(workers.size()) {}

  WorkerGroup& workers() { return workers_; }

  // Called when something is ready that no worker will wake the controller for; poll() is then due.
  void on_ready(std::function<void()> wake) { wake_ = std::move(wake); }

  // A set of commands whose completion somebody waits for.
  class Batch {
   public:
    explicit Batch(Commands& commands) : commands_(commands) {}
    Batch& send(WorkerIndex worker, const Command& command);
    Batch& send(WorkerMask workers, const Command& command);
    // Calls `done` from poll(), never from here.
    void then(std::function<void()> done);

   private:
    Commands& commands_;
    std::vector<std::pair<std::size_t, std::uint64_t>> sent_;
  };
  Batch batch() { return Batch(*this); }

  // Moves waiting commands on and calls what is done. Call it when the workers woke the controller.
  void poll();

 private:
  struct Waiter {
    std::size_t left = 0;
    std::function<void()> done;
  };
  struct Pending {
    std::uint64_t number = 0;
    std::shared_ptr<Waiter> waiter;
  };

  WorkerGroup& workers_;
  std::vector<std::deque<Pending>> pending_;  // per worker, in order of number
  std::deque<std::shared_ptr<Waiter>> ready_;
  std::function<void()> wake_ = [] {};
};

}  // namespace earshot::control
