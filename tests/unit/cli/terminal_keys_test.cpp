#include "tools/earshot/terminal_keys.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <initializer_list>
#include <string>

#include "tools/client/event_loop.h"
#include "tools/earshot/crash_watch.h"
#include "tools/earshot/interrupt.h"

using namespace earshot;
using namespace earshot::tools;

namespace {

constexpr tcflag_t raw_flags = ICANON | ECHO;

// A child with a terminal of its own, as a shell would start it.
class Child {
 public:
  template <typename Run>
  explicit Child(Run run) {
    pid_ = forkpty(&master_, nullptr, nullptr, nullptr);
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      // The test program's own handlers are not what is tested.
      for (const int number : {SIGABRT, SIGSEGV, SIGINT, SIGTERM}) std::signal(number, SIG_DFL);
      run();
      std::_Exit(0);
    }
  }
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(master_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool is_raw() const {
    termios mode{};
    tcgetattr(master_, &mode);
    return (mode.c_lflag & raw_flags) == 0;
  }
  bool becomes_raw(bool expected) const {
    for (int i = 0; i < 1'000 && is_raw() != expected; ++i) usleep(10'000);
    return is_raw() == expected;
  }
  void type(const std::string& text) const {
    REQUIRE(write(master_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  void send(int number) const { kill(pid_, number); }
  int wait(int options = 0) const {
    int status = 0;
    REQUIRE(waitpid(pid_, &status, options) == pid_);
    return status;
  }

 private:
  int master_ = -1;
  pid_t pid_ = -1;
};

// Leaves at q, with what was pressed before as its exit code.
void run_keys(bool crashes = false) {
  const CrashWatch watch;
  client::Loop loop;
  int pressed = 0;
  int stops = 0;
  KeyEvents events;
  events.on_key = [&](char key) {
    if (key == ' ') ++pressed;
    if (key == 'q') loop.stop();
    if (key == 'x' && crashes) std::abort();
  };
  events.on_stop = [&] { ++stops; };
  events.on_continue = [&] { pressed += 10 * stops; };
  events.on_hangup = [&] { loop.stop(); };
  const Interrupt interrupt(loop.get(), [&] {});
  // The keys alone keep no loop running.
  client::Timer timer(loop.get(), [] {});
  timer.start(seconds(30));
  auto keys = TerminalKeys::open(loop.get(), events);
  if (!keys) std::_Exit(99);
  loop.run();
  keys.value().reset();
  std::_Exit(pressed);
}

}  // namespace

TEST_CASE("keys are what was typed, without arrows, function keys and Alt") {
  CHECK(plain_keys(" q") == " q");
  CHECK(plain_keys("\x1b[A \x1b[1;5Cq\x1bOq\x1bq") == " q");
  CHECK(plain_keys("\x1b[15~ ") == " ");
  CHECK(plain_keys("\x1b").empty());
  CHECK(plain_keys("\x1b[").empty());
  CHECK(plain_keys("\x1bO").empty());
}

TEST_CASE("keys come one by one, and the terminal is as it was afterwards") {
  const Child child([] { run_keys(); });
  REQUIRE(child.becomes_raw(true));
  child.type("  \x1b[A q");
  CHECK(WEXITSTATUS(child.wait()) == 3);
  CHECK_FALSE(child.is_raw());
}

TEST_CASE("Ctrl-Z gives the terminal back until it goes on") {
  const Child child([] { run_keys(); });
  REQUIRE(child.becomes_raw(true));
  child.send(SIGTSTP);
  CHECK(WIFSTOPPED(child.wait(WUNTRACED)));
  CHECK_FALSE(child.is_raw());
  child.send(SIGCONT);
  REQUIRE(child.becomes_raw(true));
  child.type("q");
  CHECK(WEXITSTATUS(child.wait()) == 10);
  CHECK_FALSE(child.is_raw());
}

TEST_CASE("whatever ends it, the terminal is as it was") {
  struct Row {
    int number;
    int times;
  };
  // The second SIGINT ends it at once; on a slow machine several may arrive as one.
  for (const Row row : {Row{SIGABRT, 1}, Row{SIGSEGV, 1}, Row{SIGQUIT, 1}, Row{SIGINT, 10}}) {
    CAPTURE(row.number);
    const Child child([] { run_keys(); });
    REQUIRE(child.becomes_raw(true));
    for (int i = 0; i < row.times; ++i) {
      child.send(row.number);
      usleep(100'000);
    }
    const int status = child.wait();
    // Sanitizers end with a code of their own.
    CHECK((WIFSIGNALED(status) || WEXITSTATUS(status) != 0));
    CHECK_FALSE(child.is_raw());
  }
  const Child child([] { run_keys(true); });
  REQUIRE(child.becomes_raw(true));
  child.type("x");
  child.wait();
  CHECK_FALSE(child.is_raw());
}

TEST_CASE("without a terminal there are no keys") {
  const Child child([] {
    close(STDIN_FILENO);
    open("/dev/null", O_RDONLY);
    run_keys();
  });
  CHECK(WEXITSTATUS(child.wait()) == 99);
}
