// Stands in for relay/worker/worker_group.cpp: the same class, so that relay/control's membership
// and commands run unchanged, over a simulated node instead of threads and sockets.
#include "relay/worker/worker_group.h"

#include "relay/base/check.h"
#include "tests/sim/node.h"

namespace earshot {
namespace {

sim::Node* node_to_join = nullptr;

}  // namespace

struct WorkerGroup::State {
  sim::Node& node;
};

Result<std::unique_ptr<WorkerGroup>> WorkerGroup::create(const WorkerGroupOptions&) {
  RELAY_CHECK(node_to_join != nullptr);
  auto state = std::make_unique<State>(State{*node_to_join});
  return std::unique_ptr<WorkerGroup>(new WorkerGroup(std::move(state)));
}

WorkerGroup::WorkerGroup(std::unique_ptr<State> state) : state_(std::move(state)) {}
WorkerGroup::~WorkerGroup() = default;

std::size_t WorkerGroup::size() const {
  return state_->node.workers_count();
}
std::uint64_t WorkerGroup::send(WorkerIndex worker, const Command& command) {
  return state_->node.send(worker, command);
}
void WorkerGroup::flush() {
  state_->node.flush();
}
std::uint64_t WorkerGroup::completed(WorkerIndex worker) const {
  return state_->node.completed(worker);
}
bool WorkerGroup::poll_event(Event& event) {
  return state_->node.poll_event(event);
}

std::unique_ptr<WorkerGroup> sim::make_worker_group(Node& node) {
  node_to_join = &node;
  auto group = WorkerGroup::create({});
  node_to_join = nullptr;
  return std::move(group.value());
}

}  // namespace earshot
