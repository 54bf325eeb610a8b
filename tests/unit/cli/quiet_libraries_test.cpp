#include "tools/earshot/quiet_libraries.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>

#include "tools/earshot/crash_watch.h"

using namespace earshot::tools;

namespace {

// What a child that does this leaves on standard error.
template <typename Run>
std::string errors_of(Run run) {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    // The test program's own handler is not what is tested.
    std::signal(SIGABRT, SIG_DFL);
    run();
    std::_Exit(0);
  }
  close(ends[1]);
  std::string text;
  std::array<char, 4'096> block;
  ssize_t got = 0;
  while ((got = read(ends[0], block.data(), block.size())) > 0) {
    text.append(block.data(), static_cast<std::size_t>(got));
  }
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return text;
}

void noise(const char* text) {
  std::fprintf(stderr, "%s", text);
}

}  // namespace

TEST_CASE("what libraries print is not seen, what we say is, and afterwards all is as before") {
  const std::string text = errors_of([] {
    noise("before ");
    {
      QuietLibraries quiet;
      noise("ALSA lib: noise");
      std::fprintf(quiet.messages(), "message ");
      quiet.discard();
      noise("more noise");
    }
    noise("after");
  });
  CHECK(text == "before message after");
}

TEST_CASE("a library that never ends stays unheard, until the process ends") {
  const std::string text = errors_of([] {
    {
      QuietLibraries quiet;
      std::fprintf(quiet.messages(), "message");
      quiet.stay();
    }
    noise("noise");
  });
  CHECK(text == "message");
}

TEST_CASE("a library that floods standard error does not hold us up") {
  const std::string text = errors_of([] {
    QuietLibraries quiet;
    const std::string flood(100'000, 'x');
    for (int i = 0; i < 10; ++i) noise(flood.c_str());
    std::fprintf(quiet.messages(), "message");
  });
  CHECK(text == "message");
}

TEST_CASE("what is printed just before a crash is seen") {
  const std::string text = errors_of([] {
    const CrashWatch watch;
    QuietLibraries quiet;
    noise("noise ");
    quiet.discard();
    noise("assertion failed");
    std::abort();
  });
  CHECK(text.find("noise") == std::string::npos);
  CHECK(text.find("assertion failed") == 0);
}
