#include "tests/support/aborts.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "relay/base/check.h"

namespace earshot::test {

bool aborts(const std::function<void()>& call) {
  const pid_t child = fork();
  RELAY_CHECK(child >= 0);
  if (child == 0) {
    // The message of the failed check would look like a failure of the test; doctest's handler
    // would report one.
    std::signal(SIGABRT, SIG_DFL);
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
    call();
    _exit(0);
  }
  int status = 0;
  RELAY_CHECK(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace earshot::test
