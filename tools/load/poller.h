// An epoll loop with timers, lean enough for tens of thousands of sockets. One thread. Whoever is
// watched or called back must outlive the poller or be forgotten first.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "relay/base/time.h"

namespace earshot::load {

Time monotonic_now();

class Watched {
 public:
  virtual void on_ready(std::uint32_t events) = 0;
  // What is not urgent is done a little at a time, when everything else is done.
  virtual bool is_urgent() const { return true; }

 protected:
  ~Watched() = default;
};

class Timed {
 public:
  virtual void on_time(std::uint64_t token) = 0;

 protected:
  ~Timed() = default;
};

class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // `events` of epoll_ctl(2), level-triggered. Closing the descriptor ends it.
  void watch(int descriptor, std::uint32_t events, Watched& watched);
  void change(int descriptor, std::uint32_t events, Watched& watched);
  // Cannot be called off: the token tells the callee whether it still matters.
  void call_at(Time at, Timed& timed, std::uint64_t token);

  // Waits for what comes first, `limit` at most, and does it.
  void turn(Duration limit);

 private:
  struct Call {
    Time at;
    Timed* timed;
    std::uint64_t token;
    bool operator>(const Call& other) const { return at > other.at; }
  };

  int descriptor_;
  std::priority_queue<Call, std::vector<Call>, std::greater<>> calls_;
};

}  // namespace earshot::load
