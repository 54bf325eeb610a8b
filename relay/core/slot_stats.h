// Live statistics of one slot: relaxed atomics, written by the worker that owns the slot (the last
// two: by worker 0), read by the controller at any time. No other order is needed: each value
// stands for itself.
#pragma once

#include <atomic>
#include <cstdint>

#include "relay/observe/drop_reason.h"

namespace earshot {

struct alignas(64) SlotStats {
  using Counter = std::atomic<std::uint64_t>;

  Counter packets_received{0};   // authenticated RTP, before any decision
  Counter bytes_received{0};     // their payload bytes
  Counter packets_forwarded{0};  // accepted for fan-out
  Counter packets_sent{0};       // to this participant
  Counter duplicates{0};
  Counter late{0};
  Counter stale{0};  // dropped unopened: what came from the slot's address and names its SSRC
  Counter rate{0};
  Counter speakers{0};
  Counter muted{0};
  Counter lost{0};             // RFC 3550 A.3: expected minus received, never below zero
  Counter jitter_ticks{0};     // RFC 3550 A.8, 48 kHz ticks
  Counter last_packet_ns{0};   // arrival of the last authenticated packet, monotonic
  Counter active_since_ns{0};  // start of the present talk spurt; 0 while silent
  // These two are written by the worker that tracks addresses, and read by the owner too.
  Counter keep_alive_ns{0};   // last keep-alive from its address, monotonic; 0 before the first
  Counter unreachable_ns{0};  // last ICMP error about its address, monotonic; 0 before the first

  // Where packets dropped for that reason are counted; nullptr for what concerns no stream.
  Counter* of(DropReason reason) {
    switch (reason) {
      case DropReason::duplicate:
        return &duplicates;
      case DropReason::late:
        return &late;
      case DropReason::stale:
        return &stale;
      case DropReason::rate:
        return &rate;
      case DropReason::speakers:
        return &speakers;
      case DropReason::muted:
        return &muted;
      default:
        return nullptr;
    }
  }

  void reset() {
    for (Counter* c : {&packets_received, &bytes_received, &packets_forwarded, &packets_sent,
                       &duplicates, &late, &stale, &rate, &speakers, &muted, &lost, &jitter_ticks,
                       &last_packet_ns, &active_since_ns, &keep_alive_ns, &unreachable_ns}) {
      c->store(0, std::memory_order_relaxed);
    }
  }
};

// Single writer: no read-modify-write instruction is needed.
inline void add(SlotStats::Counter& counter, std::uint64_t n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
inline void set(SlotStats::Counter& counter, std::uint64_t value) {
  counter.store(value, std::memory_order_relaxed);
}
inline std::uint64_t get(const SlotStats::Counter& counter) {
  return counter.load(std::memory_order_relaxed);
}

}  // namespace earshot
