// One worker: a thread with its own loop, its own socket and its own core. It moves packets between
// them in duty cycles and decides nothing. Constructed and stopped by the controller; everything in
// between happens on its own thread.
#pragma once

#include <uv.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "relay/core/core.h"
#include "relay/io/udp_socket.h"
#include "relay/worker/inbox.h"
#include "relay/worker/passed_packet.h"

namespace earshot {

// A command with its number, counted from 1 per worker.
struct NumberedCommand {
  std::uint64_t number = 0;
  Command command;
};

using EventInbox = Inbox<Event>;

class Worker {
 public:
  struct Options {
    CoreOptions core;
    int cpu = -1;  // pin to this core; -1: do not
    std::size_t packet_credit = limits::packet_inbox_credit;
    EventInbox* events = nullptr;           // this worker is producer number `core.worker`
    std::function<void()> wake_controller;  // worker thread
  };

  Worker(const Options& options, io::UdpSocket socket, std::span<SlotStats* const> stats);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Controller thread. `others` is indexed by worker and outlives the thread.
  void start(std::span<const std::unique_ptr<Worker>> others);
  void stop();
  // Controller thread. False without credit.
  bool try_command(NumberedCommand&& command);
  // Any thread.
  void wake();
  std::uint64_t completed() const { return completed_.load(std::memory_order_acquire); }
  Counters counters() const;
  bool is_secret_memory_locked() const { return core_.is_secret_memory_locked(); }
  Endpoint bound() const { return socket_.bound(); }
  int fd() const { return socket_.fd(); }

  // The thread of worker `from`. False without credit.
  bool try_pass(WorkerIndex from, PassedPacket&& packet);

 private:
  void run();
  void watch();
  void cycle();
  // One duty cycle; answers whether it left work behind.
  bool do_work(Time now);
  std::size_t execute_commands(Time now);
  void execute(Time now, const Command& command);
  std::size_t take_passed(Time now, std::size_t count_max);
  void take_passed(Time now, PassedPacket& packet);
  std::size_t receive(Time now);
  void take_unreachable(Time now);
  void make_room();
  void flush();
  void pass_on();
  void wake_others();
  void publish();

  Options options_;
  io::UdpSocket socket_;
  io::BatchReceiver receiver_;
  io::BatchSender sender_;
  Core core_;
  Outbox out_;
  Inbox<NumberedCommand> commands_;
  Inbox<PassedPacket> packets_;
  std::span<const std::unique_ptr<Worker>> others_;
  std::array<bool, limits::workers_max> is_to_wake_{};
  std::array<NumberedCommand, limits::commands_per_cycle_max> taken_;
  PassedPacket passed_;
  std::uint64_t done_ = 0;
  bool has_completions_ = false;
  bool has_socket_errors_ = false;

  // Written by the worker with release, read by the controller with acquire: what the command did
  // is visible with it.
  alignas(64) std::atomic<std::uint64_t> completed_{0};
  // Relaxed copies of the core's counters, in the order of Counters' three arrays.
  alignas(64)
      std::array<std::atomic<std::uint64_t>, counters_count + 2 * drop_reasons_count> published_{};
  std::atomic<bool> is_stopping_{false};

  uv_loop_t loop_{};
  uv_poll_t poll_{};
  uv_async_t async_{};
  uv_idle_t idle_{};
  bool is_started_ = false;
  std::thread thread_;
};

}  // namespace earshot
