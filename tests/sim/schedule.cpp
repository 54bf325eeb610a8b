#include "tests/sim/schedule.h"

#include <algorithm>
#include <utility>

namespace earshot::sim {

void Schedule::at(Time when, Handler handler, void* self, std::uint64_t argument) {
  items_.push_back({std::max(when, now_), ++order_, handler, self, argument});
  std::push_heap(items_.begin(), items_.end());
}

void Schedule::call(Time when, std::function<void()> what) {
  std::size_t index = calls_.size();
  if (free_calls_.empty()) {
    calls_.push_back(std::move(what));
  } else {
    index = free_calls_.back();
    free_calls_.pop_back();
    calls_[index] = std::move(what);
  }
  at(when, &Schedule::run_call, this, index);
}

void Schedule::run_call(void* self, std::uint64_t index) {
  auto& schedule = *static_cast<Schedule*>(self);
  const auto what = std::exchange(schedule.calls_[index], nullptr);
  schedule.free_calls_.push_back(index);
  what();
}

bool Schedule::step(Time until) {
  if (items_.empty() || items_.front().when >= until) {
    now_ = std::max(now_, until);
    return false;
  }
  std::pop_heap(items_.begin(), items_.end());
  const Item item = items_.back();
  items_.pop_back();
  now_ = item.when;
  item.handler(item.self, item.argument);
  return true;
}

}  // namespace earshot::sim
