#include "tools/earshot/interrupt.h"

#include <unistd.h>
#include <uv.h>

#include <array>
#include <csignal>
#include <utility>

#include "relay/base/check.h"
#include "tools/earshot/terminal_keys.h"

namespace earshot::tools {

struct Interrupt::State {
  std::array<uv_signal_t, 2> handles;
  std::function<void()> on_signal;
  bool was_signalled = false;
  int open = 0;
};

Interrupt::Interrupt(uv_loop_s* loop, std::function<void()> on_signal) : state_(new State) {
  state_->on_signal = std::move(on_signal);
  constexpr std::array signals{SIGINT, SIGTERM};
  for (std::size_t i = 0; i < signals.size(); ++i) {
    uv_signal_t& handle = state_->handles[i];
    RELAY_CHECK(uv_signal_init(loop, &handle) == 0);
    handle.data = state_;
    ++state_->open;
    uv_signal_start(
        &handle,
        [](uv_signal_t* signal, int number) {
          auto* state = static_cast<State*>(signal->data);
          if (std::exchange(state->was_signalled, true)) {
            restore_terminal();
            _exit(128 + number);
          }
          state->on_signal();
        },
        signals[i]);
    // The watch alone keeps no loop running.
    uv_unref(reinterpret_cast<uv_handle_t*>(&handle));
  }
}

Interrupt::~Interrupt() {
  for (uv_signal_t& handle : state_->handles) {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle), [](uv_handle_t* closed) {
      auto* state = static_cast<State*>(closed->data);
      if (--state->open == 0) delete state;
    });
  }
}

}  // namespace earshot::tools
