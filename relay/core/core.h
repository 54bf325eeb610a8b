// The relay as a pure state machine: fed time, datagrams and commands, it yields datagrams, copies
// for other workers and events. One owner thread (a worker, the simulator, a test). It owns no
// socket, clock, thread, lock, log or global and allocates only in its constructor. Same inputs and
// seed: the same outputs, bit for bit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "relay/base/time.h"
#include "relay/core/command.h"
#include "relay/core/event.h"
#include "relay/core/outbox.h"
#include "relay/core/slot_stats.h"
#include "relay/core/unproven.h"
#include "relay/observe/counters.h"

namespace earshot {

struct CoreOptions {
  NodeId node;
  WorkerIndex worker;
  std::size_t workers_count = 1;  // of this node
  std::size_t sessions_max =
      limits::sessions_per_worker_max;  // slots of this worker; tests take fewer
  std::size_t remote_slots_max = limits::remote_slots_per_worker_max;
  std::size_t channels_max = limits::channels_max;
  std::uint64_t seed = 0;  // for hash tables
  // Where the session records stand, if they are to outlive this process: zero-filled,
  // session_memory_size() bytes, aligned as a page is, outliving the core. Empty: memory of its
  // own.
  std::span<std::uint8_t> session_memory;
  UnprovenAddresses* unproven = nullptr;  // shared by all workers of this node; nullptr: its own
  bool loopback_only = false;             // drop what was sent to a non-loopback local address
  Duration stale_max;                     // RTP that waited longer is dropped unopened; 0: never
};

class Core {
 public:
  // `stats[w]` is the array of worker w's slots, `sessions_max` long each; the shell owns them and
  // they outlive the core. An empty span is allowed: then nothing is published.
  Core(const CoreOptions& options, std::span<SlotStats* const> stats);
  ~Core();
  Core(Core&&) noexcept;
  Core& operator=(Core&&) noexcept;

  // Each requires out.has_room(), and emits at most limits::fanout_datagrams_max datagrams.
  void on_datagram(Time now, const Datagram& in, Outbox& out);
  // The same for a datagram that another worker received.
  void on_handed_over(Time now, const Datagram& in, Outbox& out);
  void on_forwarded(Time now, const OpenedPacket& in, Outbox& out);
  void on_command(Time now, const Command& command, Outbox& out);
  // Call when next_timeout() <= now, until it is not.
  void on_timeout(Time now, Outbox& out);
  Time next_timeout() const;

  // ICMP said that nobody is there: the slot that TrackAddress names for it gets nothing until it
  // is heard of again. Only on the worker that tracks addresses (worker 0); elsewhere it does
  // nothing.
  void on_unreachable_address(Time now, const Endpoint& remote);

  // Offers pending events; `accept` answers false when it has no room, and the event stays pending.
  void offer_events(const std::function<bool(const Event&)>& accept);
  bool has_events() const;

  // The shell counts its part (sent, kernel drops ...) in the same place.
  Counters& counters();
  const Counters& counters() const;

  // Of CoreOptions::session_memory: an array of SessionRecord, one for each slot.
  static std::size_t session_memory_size(std::size_t sessions_max);
  // Bytes allocated for one slot, for docs/benchmarks.md.
  std::size_t slot_bytes() const;
  bool is_secret_memory_locked() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace earshot
