// Owners of libuv's loop and timers, so that nothing else here has to know when a handle may be
// freed. Loop thread only. Deliberately thin: sockets have owners of their own.
#pragma once

#include <functional>

#include "relay/base/time.h"

struct uv_loop_s;
struct uv_timer_s;

namespace earshot::client {

// The monotonic clock, also what arrival times refer to.
Time monotonic_now();

class Loop {
 public:
  Loop();
  // Every object that lives on the loop must be gone; runs until their handles are closed.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  uv_loop_s* get() { return loop_; }
  // Until stop().
  void run();
  void stop();
  // For tests and tools: until `done` says so (asked after every turn) or `limit` has passed. The
  // last answer.
  bool run_until(const std::function<bool()>& done, Duration limit);
  void run_for(Duration duration);

 private:
  uv_loop_s* loop_;
};

// Calls back once per start() or restart(); may be destroyed at any time, also by its own callback.
class Timer {
 public:
  Timer(uv_loop_s* loop, std::function<void()> on_expired);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Rounded up to milliseconds. Replaces what was running.
  void start(Duration delay);
  void stop();
  bool is_running() const;

 private:
  struct State;
  State* state_;
};

}  // namespace earshot::client
