// The virtual clock of a simulated world: what is to happen, in the order of its time, and what is
// due at one time in the order in which it was planned. One thread; nothing here reads a clock.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "relay/base/time.h"

namespace earshot::sim {

class Schedule {
 public:
  using Handler = void (*)(void* self, std::uint64_t argument);

  Time now() const { return now_; }

  // Never before now. `self` outlives the schedule's last step.
  void at(Time when, Handler handler, void* self, std::uint64_t argument = 0);
  template <auto Method, typename T>
  void at(Time when, T* self, std::uint64_t argument = 0) {
    at(
        when, [](void* object, std::uint64_t value) { (static_cast<T*>(object)->*Method)(value); },
        self, argument);
  }
  // For what is rare: it allocates.
  void call(Time when, std::function<void()> what);

  // Does the next thing; false when nothing is due before `until`, which it then is.
  bool step(Time until);

 private:
  struct Item {
    Time when;
    std::uint64_t order = 0;
    Handler handler = nullptr;
    void* self = nullptr;
    std::uint64_t argument = 0;
    bool operator<(const Item& other) const {
      return when == other.when ? order > other.order : when > other.when;
    }
  };
  static void run_call(void* self, std::uint64_t index);

  Time now_{1'000'000'000'000};  // the machine has been up for a while
  std::uint64_t order_ = 0;
  std::vector<Item> items_;  // a heap, the next one in front
  std::vector<std::function<void()>> calls_;
  std::vector<std::size_t> free_calls_;
};

}  // namespace earshot::sim
