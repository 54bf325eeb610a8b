#include "relay/control/commands.h"

namespace earshot::control {

Commands::Batch& Commands::Batch::send(WorkerIndex worker, const Command& command) {
  sent_.emplace_back(worker.value, commands_.workers_.send(worker, command));
  return *this;
}

Commands::Batch& Commands::Batch::send(WorkerMask workers, const Command& command) {
  for (std::uint8_t w = 0; w < commands_.workers_.size(); ++w) {
    if ((workers >> w & 1) != 0) send(WorkerIndex{w}, command);
  }
  return *this;
}

void Commands::Batch::then(std::function<void()> done) {
  auto waiter = std::make_shared<Waiter>(Waiter{sent_.size(), std::move(done)});
  if (sent_.empty()) {
    commands_.ready_.push_back(waiter);
    commands_.wake_();
  }
  for (const auto& [worker, number] : sent_) {
    // Another batch may have been sent meanwhile, but numbers only grow: the deque stays in order
    // by insertion.
    auto& pending = commands_.pending_[worker];
    auto at = pending.end();
    while (at != pending.begin() && std::prev(at)->number > number) --at;
    pending.insert(at, {number, waiter});
  }
}

void Commands::poll() {
  workers_.flush();
  for (std::uint8_t w = 0; w < pending_.size(); ++w) {
    const std::uint64_t completed = workers_.completed({w});
    auto& pending = pending_[w];
    while (!pending.empty() && pending.front().number <= completed) {
      if (--pending.front().waiter->left == 0) ready_.push_back(std::move(pending.front().waiter));
      pending.pop_front();
    }
  }
  // What is called may send more, and add to what is ready.
  while (!ready_.empty()) {
    const auto waiter = std::move(ready_.front());
    ready_.pop_front();
    waiter->done();
  }
}

}  // namespace earshot::control
