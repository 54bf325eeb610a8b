#include "tools/earshot/live_text.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>

using namespace earshot::tools;

namespace {

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4'096> block;
  fcntl(descriptor, F_SETFL, O_NONBLOCK);
  for (;;) {
    const ssize_t got = read(descriptor, block.data(), block.size());
    if (got <= 0) return text;
    text.append(block.data(), static_cast<std::size_t>(got));
  }
}

struct Pipe {
  Pipe() { REQUIRE(pipe(ends.data()) == 0); }
  ~Pipe() {
    if (ends[0] >= 0) close(ends[0]);
    close(ends[1]);
  }
  std::array<int, 2> ends{-1, -1};
};

// As a terminal emulator sees it, without the translation of line ends.
struct Terminal {
  explicit Terminal(unsigned short rows) {
    setenv("TERM", "xterm", 1);
    winsize window{};
    window.ws_row = rows;
    window.ws_col = 80;
    termios mode{};
    cfmakeraw(&mode);
    REQUIRE(openpty(&master, &slave, nullptr, &mode, &window) == 0);
  }
  ~Terminal() {
    close(master);
    close(slave);
  }
  int master = -1, slave = -1;
};

}  // namespace

TEST_CASE("blocks one below the other where there is no terminal") {
  Pipe pipe;
  LiveText text(pipe.ends[1]);
  CHECK(text.show("a\nb\n"));
  CHECK(text.show("c\nd\n"));
  CHECK(read_all(pipe.ends[0]) == "a\nb\n\nc\nd\n");
  CHECK_FALSE(text.has_colors());
}

TEST_CASE("in place on a terminal: up by what was shown, line over line, then the rest is erased") {
  Terminal terminal(24);
  LiveText text(terminal.slave);
  CHECK(text.columns() == 79);
  CHECK(text.show("a\nb\n"));
  CHECK(read_all(terminal.master) == "a\x1b[K\nb\x1b[K\n\x1b[J");
  CHECK(text.show("c\n"));
  CHECK(read_all(terminal.master) == "\r\x1b[2Ac\x1b[K\n\x1b[J");
  CHECK(text.finish("d\n"));
  CHECK(read_all(terminal.master) == "\r\x1b[1Ad\x1b[K\n\x1b[J");
}

TEST_CASE("a window that is too low gets blocks") {
  Terminal terminal(2);
  LiveText text(terminal.slave);
  CHECK(text.show("a\nb\n"));
  CHECK(text.show("c\nd\n"));
  CHECK(read_all(terminal.master) == "a\nb\n\nc\nd\n");
}

TEST_CASE("a reader that is slow misses versions; one that is gone is told of") {
  Pipe pipe;
  LiveText text(pipe.ends[1]);
  const std::string version = std::string(999, 'x') + "\n";
  // More than a pipe holds: a write that waited would never return.
  for (int i = 0; i < 1'000; ++i) REQUIRE(text.show(version));
  const std::string seen = read_all(pipe.ends[0]);
  CHECK(seen.size() < 100'000);
  CHECK(text.show("last\n"));
  CHECK(read_all(pipe.ends[0]) == "\nlast\n");
  std::signal(SIGPIPE, SIG_IGN);
  close(pipe.ends[0]);
  pipe.ends[0] = -1;
  CHECK_FALSE(text.show(version));
}
