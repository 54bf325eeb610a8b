#include "tools/earshot/terminal_keys.h"

#include <termios.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "relay/base/check.h"

namespace earshot::tools {
namespace {

// What a crash needs to know. Written by the main thread only.
termios original_mode;
volatile std::sig_atomic_t is_raw = 0;

// In the background it is the terminal of somebody else. One that controls nobody has no
// background.
bool owns_terminal() noexcept {
  const pid_t foreground = tcgetpgrp(STDIN_FILENO);
  return foreground < 0 || foreground == getpgrp();
}

void enter_raw_mode() {
  if (!owns_terminal()) return;
  if (is_raw == 0 && tcgetattr(STDIN_FILENO, &original_mode) != 0) return;
  termios mode = original_mode;
  // Ctrl-C and Ctrl-Z stay signals; a read never waits.
  mode.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  mode.c_cc[VMIN] = 0;
  mode.c_cc[VTIME] = 0;
  is_raw = 1;
  tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

}  // namespace

void restore_terminal() noexcept {
  if (is_raw == 0) return;
  if (owns_terminal()) tcsetattr(STDIN_FILENO, TCSANOW, &original_mode);
  is_raw = 0;
}

std::string plain_keys(std::string_view bytes) {
  std::string keys;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '\x1b') {
      keys += bytes[i];
      continue;
    }
    // ESC [ ... final byte, ESC O x, or Alt with a key (ECMA-48 s5.4).
    if (++i < bytes.size() && bytes[i] == '[') {
      do {
        ++i;
      } while (i < bytes.size() && (bytes[i] < '@' || bytes[i] > '~'));
    } else if (i < bytes.size() && bytes[i] == 'O') {
      ++i;
    }
  }
  return keys;
}

struct TerminalKeys::State {
  KeyEvents events;
  uv_poll_t input;
  uv_signal_t stop, proceed, hangup;
  int open = 4;

  void on_readable(int status) {
    std::array<char, 64> block;
    const ssize_t got = status < 0 ? -1 : read(STDIN_FILENO, block.data(), block.size());
    if (got < 0 && errno != EINTR && errno != EAGAIN) {
      uv_poll_stop(&input);
      events.on_hangup();
      return;
    }
    if (got <= 0) return;
    for (const char key : plain_keys({block.data(), static_cast<std::size_t>(got)})) {
      events.on_key(key);
    }
  }

  void listen() {
    enter_raw_mode();
    if (is_raw == 0) return;
    uv_poll_start(&input, UV_READABLE, [](uv_poll_t* handle, int status, int) {
      static_cast<State*>(handle->data)->on_readable(status);
    });
  }

  void on_stop() {
    events.on_stop();
    uv_poll_stop(&input);
    restore_terminal();
    raise(SIGSTOP);
    // Here it goes on.
    listen();
    events.on_continue();
  }

  template <typename Handle>
  void close(Handle& handle) {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle), [](uv_handle_t* closed) {
      auto* state = static_cast<State*>(closed->data);
      if (--state->open == 0) delete state;
    });
  }
};

Result<std::unique_ptr<TerminalKeys>> TerminalKeys::open(uv_loop_s* loop, KeyEvents events) {
  if (isatty(STDIN_FILENO) != 1) return Error{"standard input is no terminal"};
  auto* state = new State;
  state->events = std::move(events);
  RELAY_CHECK(uv_signal_init(loop, &state->stop) == 0);
  RELAY_CHECK(uv_signal_init(loop, &state->proceed) == 0);
  RELAY_CHECK(uv_signal_init(loop, &state->hangup) == 0);
  RELAY_CHECK(uv_poll_init(loop, &state->input, STDIN_FILENO) == 0);
  state->input.data = state->stop.data = state->proceed.data = state->hangup.data = state;
  uv_signal_start(
      &state->stop, [](uv_signal_t* handle, int) { static_cast<State*>(handle->data)->on_stop(); },
      SIGTSTP);
  // After a SIGSTOP from elsewhere the terminal may be in any mode.
  uv_signal_start(
      &state->proceed,
      [](uv_signal_t* handle, int) { static_cast<State*>(handle->data)->listen(); }, SIGCONT);
  uv_signal_start(
      &state->hangup,
      [](uv_signal_t* handle, int) { static_cast<State*>(handle->data)->events.on_hangup(); },
      SIGHUP);
  // Keys alone keep no loop running.
  uv_unref(reinterpret_cast<uv_handle_t*>(&state->input));
  for (uv_signal_t* handle : {&state->stop, &state->proceed, &state->hangup}) {
    uv_unref(reinterpret_cast<uv_handle_t*>(handle));
  }
  static const int at_exit = std::atexit([] { restore_terminal(); });
  RELAY_CHECK(at_exit == 0);
  state->listen();
  auto keys = std::unique_ptr<TerminalKeys>(new TerminalKeys);
  keys->state_ = state;
  return keys;
}

TerminalKeys::~TerminalKeys() {
  restore_terminal();
  state_->close(state_->input);
  state_->close(state_->stop);
  state_->close(state_->proceed);
  state_->close(state_->hangup);
}

bool TerminalKeys::is_in_foreground() {
  const bool is_there = owns_terminal();
  if (!is_there && is_raw != 0) {
    // The shell took it back, and has its own mode set.
    uv_poll_stop(&state_->input);
    is_raw = 0;
  }
  if (is_there && is_raw == 0) state_->listen();
  return is_there;
}

}  // namespace earshot::tools
