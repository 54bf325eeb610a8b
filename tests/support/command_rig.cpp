#include "tests/support/command_rig.h"

#include <chrono>
#include <vector>

#include "crypto/keys.h"
#include "relay/base/check.h"

namespace earshot::test {
namespace {

std::unique_ptr<WorkerGroup> make_group(std::size_t workers, std::size_t sessions_per_worker_max,
                                        NodeId node, std::function<void()> wake) {
  RELAY_CHECK(crypto::initialize());
  WorkerGroupOptions options;
  options.listen = {make_v4(127, 0, 0, 1), 0};
  options.workers_count = workers;
  options.is_pinned = false;
  options.node = node;
  options.loopback_only = true;
  options.sessions_per_worker_max = sessions_per_worker_max;
  options.wake_controller = std::move(wake);
  auto created = WorkerGroup::create(options);
  RELAY_CHECK(created.ok());
  return std::move(created.value());
}

}  // namespace

CommandRig::CommandRig(std::size_t workers, std::size_t sessions_per_worker_max, NodeId node)
    : group(make_group(workers, sessions_per_worker_max, node,
                       [this] {
                         const std::lock_guard lock(mutex_);
                         is_woken_ = true;
                         woken_.notify_one();
                       })),
      commands(*group) {}

void CommandRig::wait_for_worker() {
  std::unique_lock lock(mutex_);
  woken_.wait_for(lock, std::chrono::milliseconds(20), [this] { return is_woken_; });
  is_woken_ = false;
}

void CommandRig::poll() {
  commands.poll();
  Event event;
  while (group->poll_event(event)) {
    if (on_event) on_event(event);
  }
}

void CommandRig::wait_until(const std::function<bool()>& is_done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (poll(); !is_done(); poll()) {
    RELAY_CHECK(std::chrono::steady_clock::now() < end);
    wait_for_worker();
  }
}

// A worker offers its events before it takes further commands. So when two fences in a row have
// nothing between them, nothing is left.
void CommandRig::settle() {
  std::vector<std::uint64_t> before;
  for (bool is_settled = false; !is_settled;) {
    std::vector<std::uint64_t> numbers;
    for (std::uint8_t w = 0; w < group->size(); ++w) numbers.push_back(group->send({w}, Fence{}));
    for (std::uint8_t w = 0; w < group->size(); ++w)
      wait_until([&] { return group->completed({w}) >= numbers[w]; });
    poll();
    is_settled = !before.empty();
    for (std::size_t w = 0; is_settled && w < numbers.size(); ++w)
      is_settled = numbers[w] == before[w] + 1;
    before = std::move(numbers);
  }
}

}  // namespace earshot::test
