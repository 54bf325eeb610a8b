// What the processes of a load run share: orders from the one that leads, results from the others.
// One piece of anonymous shared memory, made before they fork; zero-filled is its beginning. Each
// seat has one process that writes results; the leader reads them when the order is done.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "relay/base/time.h"
#include "tools/load/histogram.h"

namespace earshot::load {

inline constexpr std::size_t seats_max = 24;
inline constexpr std::size_t phases_max = 32;

// What was measured in one phase. Media and heartbeats belong to the phase that sent them.
struct PhaseResults {
  Histogram heartbeat;  // round trip
  Histogram join;       // TCP connect to Session Description, or to Resumed
  Histogram latency;    // from one send call, through the relay, to another socket's kernel stamp
  Histogram moved;      // from a changed source port to the first packet that is heard again
  std::uint64_t heartbeats_sent = 0;
  std::uint64_t packets_sent = 0;
  std::uint64_t packets_expected = 0;
  std::uint64_t packets_received = 0;
  std::uint64_t packets_repeated = 0;
  std::uint64_t packets_not_authentic = 0;
  std::uint64_t flood_sent = 0;  // datagrams or connections
  std::int64_t lag_max_ns = 0;   // how far behind its plan this process has sent
  std::uint64_t moves = 0;
  std::uint64_t introductions = 0;  // participants that sessions were told of by op 11
  std::uint64_t retries = 0;  // attempts to come in that failed, and were repeated
};

enum class Order : std::uint8_t { none, join, cut, come_back, vanish, start, stop, quit };

// Written by its process, read by the leader.
struct Seat {
  std::atomic<std::uint64_t> order{0};  // serial << 8 | Order; written by the leader
  std::atomic<std::uint64_t> done{0};   // the last order that is carried out
  std::atomic<std::uint32_t> live{0};   // sessions in their channel now
  std::atomic<std::uint32_t> lost{0};   // ended while live without our doing
  std::atomic<std::uint32_t> resumes_refused{0};
  std::atomic<std::uint32_t> last_close_code{0};
  std::array<PhaseResults, phases_max> phases;
};

struct Board {
  std::atomic<std::uint32_t> phase{0};
  // A live speaker: its SSRC and the address that the relay knows it by.
  std::atomic<std::uint32_t> victim_ssrc{0};
  std::atomic<std::uint32_t> victim_ip{0};
  std::atomic<std::uint32_t> victim_port{0};
  std::atomic<std::uint32_t> media_ip{0};
  std::atomic<std::uint32_t> media_port{0};
  std::array<Seat, seats_max> seats;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared between processes");

}  // namespace earshot::load
