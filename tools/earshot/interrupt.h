// Ctrl-C and SIGTERM as an event of the loop. Main thread only; one at a time.
#pragma once

#include <functional>

struct uv_loop_s;

namespace earshot::tools {

class Interrupt {
 public:
  // Called for the first signal; the second one ends the process at once.
  Interrupt(uv_loop_s* loop, std::function<void()> on_signal);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

 private:
  struct State;
  State* state_;
};

}  // namespace earshot::tools
