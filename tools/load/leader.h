// Starts the processes of a load run, gives them orders, and cuts the run into phases. Main thread
// of the parent process. The children die with it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "tools/load/board.h"
#include "tools/load/poller.h"
#include "tools/load/process_watch.h"

namespace earshot::load {

// What one process is: it begins an order, and is asked after every turn whether that is done.
class Actor {
 public:
  virtual ~Actor() = default;
  virtual void begin(Order order) = 0;
  virtual bool is_done() = 0;
};

struct Phase {
  std::string name;
  ProcessSample begin, end;

  Duration duration() const { return end.at - begin.at; }
};

class Leader {
 public:
  // Runs in the child. An error ends the run with its text.
  using MakeActor =
      std::function<Result<std::unique_ptr<Actor>>(Poller& poller, Board& board, Seat& seat)>;

  explicit Leader(pid_t relay);
  // Ends the children.
  ~Leader();
  Leader(const Leader&) = delete;
  Leader& operator=(const Leader&) = delete;

  // The number of its seat.
  std::size_t add(const MakeActor& make);

  // From now on results count for this phase; the one before ends.
  void begin_phase(const std::string& name);
  void end_phase();
  void give(std::span<const std::size_t> seats, Order order);
  // False if the order is not done in time, or a child has died or failed.
  bool wait(std::span<const std::size_t> seats, Duration limit);
  bool carry_out(std::span<const std::size_t> seats, Order order, Duration limit);
  bool sleep(Duration duration);

  const std::vector<Phase>& phases() const { return phases_; }
  const Seat& seat(std::size_t number) const { return board_->seats[number]; }
  PhaseResults results(std::span<const std::size_t> seats, std::size_t phase) const;
  // Interrupted by SIGINT or SIGTERM.
  static bool is_interrupted();
  // A child that has ended of its own accord.
  bool is_broken();

 private:
  [[noreturn]] static void run_child(const MakeActor& make, Board& board, Seat& seat);

  pid_t relay_;
  Board* board_;
  std::vector<pid_t> children_;
  std::vector<Phase> phases_;
  bool is_broken_ = false;
};

}  // namespace earshot::load
