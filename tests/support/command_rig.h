// A real worker group on a free port of loopback, and the controller's commands to it. Tests only;
// the test's thread is the controller's.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "relay/control/commands.h"
#include "relay/worker/worker_group.h"

namespace earshot::test {

class CommandRig {
 public:
  explicit CommandRig(std::size_t workers = 1, std::size_t sessions_per_worker_max = 64,
                      NodeId node = {});

  // Until no command is under way, what they were waited for has been called, and every event has
  // been told.
  void settle();
  // One look at what the workers have done.
  void poll();
  // Polls until it is so. Ends the process if that takes too long.
  void wait_until(const std::function<bool()>& is_done);

  std::function<void(const Event&)> on_event;

 private:
  void wait_for_worker();

  std::mutex mutex_;
  std::condition_variable woken_;
  bool is_woken_ = false;

 public:
  std::unique_ptr<WorkerGroup> group;
  control::Commands commands;
};

}  // namespace earshot::test
