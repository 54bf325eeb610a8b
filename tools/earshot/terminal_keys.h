// Single keys from the terminal on standard input, without Enter and without an echo. Main thread
// only; one at a time. The terminal is as it was before whenever the program ends or stops, by
// Ctrl-Z too; for a crash crash_watch.h sees to that. Terminals tell no releases of keys, only
// repetitions.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "relay/base/result.h"

struct uv_loop_s;

namespace earshot::tools {

struct KeyEvents {
  std::function<void(char)> on_key;
  // Ctrl-Z: the program stops when this returns.
  std::function<void()> on_stop;
  // It goes on.
  std::function<void()> on_continue;
  // The terminal is gone.
  std::function<void()> on_hangup;
};

class TerminalKeys {
 public:
  // An error if standard input is no terminal.
  static Result<std::unique_ptr<TerminalKeys>> open(uv_loop_s* loop, KeyEvents events);
  ~TerminalKeys();
  TerminalKeys(const TerminalKeys&) = delete;
  TerminalKeys& operator=(const TerminalKeys&) = delete;

  // False while the program runs in the background, where it must not read or draw. Ask now and
  // then: coming to the foreground is noticed by it.
  bool is_in_foreground();

 private:
  TerminalKeys() = default;
  struct State;
  State* state_ = nullptr;
};

// The keys among what a terminal sends: without the sequences of arrows and function keys.
std::string plain_keys(std::string_view bytes);

// As it was before any TerminalKeys. May be called at any time, also from a signal handler.
void restore_terminal() noexcept;

}  // namespace earshot::tools
