// Does a call stop the process? For the assertions on our own state (RELAY_CHECK), which no test
// could survive. Tests only; call it while no other thread runs, because it forks.
#pragma once

#include <functional>

namespace earshot::test {

// Runs `call` in a child process; true if that ended with SIGABRT.
[[nodiscard]] bool aborts(const std::function<void()>& call);

}  // namespace earshot::test
