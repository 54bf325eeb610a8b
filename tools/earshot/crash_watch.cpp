#include "tools/earshot/crash_watch.h"

#include <array>
#include <csignal>
#include <cstddef>

#include "tools/earshot/quiet_libraries.h"
#include "tools/earshot/terminal_keys.h"

namespace earshot::tools {
namespace {

constexpr std::array fatal_signals{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};
std::array<struct sigaction, fatal_signals.size()> previous_actions;

void restore_actions() {
  for (std::size_t i = 0; i < fatal_signals.size(); ++i) {
    sigaction(fatal_signals[i], &previous_actions[i], nullptr);
  }
}

void on_fatal_signal(int number, siginfo_t* information, void*) {
  restore_terminal();
  show_library_output();
  restore_actions();
  // A fault happens again when this returns, and is then for whoever was there before.
  if (information->si_code <= 0) raise(number);
}

}  // namespace

CrashWatch::CrashWatch() {
  struct sigaction action {};
  action.sa_sigaction = &on_fatal_signal;
  action.sa_flags = SA_SIGINFO;
  for (std::size_t i = 0; i < fatal_signals.size(); ++i) {
    sigaction(fatal_signals[i], &action, &previous_actions[i]);
  }
}

CrashWatch::~CrashWatch() {
  restore_actions();
}

}  // namespace earshot::tools
