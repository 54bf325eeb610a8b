// The loop under the load generator: timers in order, descriptors, and who is served first.
#include "tools/load/poller.h"

#include <doctest/doctest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <vector>

using namespace earshot;
using namespace earshot::load;

namespace {

struct Recorder : Timed {
  void on_time(std::uint64_t token) override { tokens.push_back(token); }
  std::vector<std::uint64_t> tokens;
};

// A pipe with something in it.
struct Pipe : Watched {
  Pipe(Poller& poller, std::vector<const Pipe*>& l, bool urgent) : log(l), is_urgent_(urgent) {
    REQUIRE(::pipe(ends.data()) == 0);
    REQUIRE(::write(ends[1], "x", 1) == 1);
    poller.watch(ends[0], EPOLLIN, *this);
  }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void on_ready(std::uint32_t events) override {
    CHECK((events & EPOLLIN) != 0);
    char byte = 0;
    CHECK(::read(ends[0], &byte, 1) == 1);
    log.push_back(this);
  }
  bool is_urgent() const override { return is_urgent_; }

  std::array<int, 2> ends{};
  std::vector<const Pipe*>& log;
  bool is_urgent_;
};

}  // namespace

TEST_CASE("timers fire when they are due, the earliest first") {
  Poller poller;
  Recorder recorder;
  const Time now = monotonic_now();
  poller.call_at(now + milliseconds(20), recorder, 2);
  poller.call_at(now + milliseconds(10), recorder, 1);
  poller.call_at(now + seconds(100), recorder, 3);
  while (recorder.tokens.size() < 2) poller.turn(seconds(1));
  CHECK(recorder.tokens == std::vector<std::uint64_t>{1, 2});
  CHECK(monotonic_now() >= now + milliseconds(20));
}

TEST_CASE("a turn without anything to do ends in time") {
  Poller poller;
  const Time before = monotonic_now();
  poller.turn(milliseconds(5));
  CHECK(monotonic_now() - before >= milliseconds(5));
}

TEST_CASE("the urgent come first, and nobody is forgotten") {
  Poller poller;
  std::vector<const Pipe*> log;
  std::vector<std::unique_ptr<Pipe>> pipes;
  for (int i = 0; i < 50; ++i) pipes.push_back(std::make_unique<Pipe>(poller, log, false));
  for (int i = 0; i < 5; ++i) pipes.push_back(std::make_unique<Pipe>(poller, log, true));
  poller.turn(seconds(1));
  REQUIRE(log.size() >= 5);
  CHECK(log.size() < 55);
  for (std::size_t i = 0; i < 5; ++i) CHECK(log[i]->is_urgent());
  for (int turn = 0; turn < 50 && log.size() < 55; ++turn) poller.turn(seconds(1));
  CHECK(log.size() == 55);
}
