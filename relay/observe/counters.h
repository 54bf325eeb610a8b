// Counters of one worker: plain integers owned by the worker's core, published as relaxed atomics
// for the controller. Conservation, per worker after every call:
//   received + taken_over = accepted + control + handed_over + sum(drops)
//   forwards_taken = forwards_accepted + sum(forward_drops)
// and over all workers at quiescence: handed_over = taken_over + hand_overs_refused,
// forwards_offered = forwards_taken + forwards_refused, datagrams_offered = datagrams_sent +
// send_drops. What the kernel dropped is counted beside it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "relay/observe/drop_reason.h"

namespace earshot {

enum class Counter : std::uint8_t {
  received,            // datagrams from the worker's own socket
  taken_over,          // datagrams another worker handed over
  accepted,            // packets that were fanned out, even if nobody listens
  discovery_replies,   // control
  keep_alives,         // control
  leftovers,           // control
  rtcp,                // control: authenticated or not, RTCP goes no further
  handed_over,         // datagrams of another worker
  hand_overs_refused,  // no credit
  forwards_offered,    // copies of opened packets for other workers
  forwards_refused,    // no credit
  forwards_taken,
  forwards_accepted,
  datagrams_offered,  // produced by the core
  datagrams_sent,
  send_drops,    // the socket would block, or refused
  kernel_drops,  // SO_RXQ_OVFL
  resealed,      // ciphertexts that started with BE DE
  address_moves,
  nonce_moves,
  fresh_keys_asked,
  open_failures,
  unreachable,        // ICMP errors that stopped a slot
  unproven_refused,   // packets not sent to an address that nobody has proven to be theirs
  commands_outlived,  // about a slot that had ended
  cycles,
  cycle_overruns,  // duty cycles longer than 5 ms
  count
};

constexpr std::size_t counters_count = static_cast<std::size_t>(Counter::count);

constexpr std::array<std::string_view, counters_count> counter_names{"received",
                                                                     "taken_over",
                                                                     "accepted",
                                                                     "discovery_replies",
                                                                     "keep_alives",
                                                                     "leftovers",
                                                                     "rtcp",
                                                                     "handed_over",
                                                                     "hand_overs_refused",
                                                                     "forwards_offered",
                                                                     "forwards_refused",
                                                                     "forwards_taken",
                                                                     "forwards_accepted",
                                                                     "datagrams_offered",
                                                                     "datagrams_sent",
                                                                     "send_drops",
                                                                     "kernel_drops",
                                                                     "resealed",
                                                                     "address_moves",
                                                                     "nonce_moves",
                                                                     "fresh_keys_asked",
                                                                     "open_failures",
                                                                     "unreachable",
                                                                     "unproven_refused",
                                                                     "commands_outlived",
                                                                     "cycles",
                                                                     "cycle_overruns"};
static_assert(counter_names.back() == "cycle_overruns");

constexpr std::string_view name(Counter counter) {
  return counter_names[static_cast<std::size_t>(counter)];
}

struct Counters {
  std::array<std::uint64_t, counters_count> values{};
  std::array<std::uint64_t, drop_reasons_count> drops{};          // of datagrams
  std::array<std::uint64_t, drop_reasons_count> forward_drops{};  // of packets from other workers

  std::uint64_t& operator[](Counter c) { return values[static_cast<std::size_t>(c)]; }
  std::uint64_t operator[](Counter c) const { return values[static_cast<std::size_t>(c)]; }
  std::uint64_t& operator[](DropReason r) { return drops[static_cast<std::size_t>(r)]; }
  std::uint64_t operator[](DropReason r) const { return drops[static_cast<std::size_t>(r)]; }

  std::uint64_t control() const {
    return (*this)[Counter::discovery_replies] + (*this)[Counter::keep_alives] +
           (*this)[Counter::leftovers] + (*this)[Counter::rtcp];
  }
  std::uint64_t drops_total() const;
  std::uint64_t forward_drops_total() const;
  // Both per-worker equations above.
  [[nodiscard]] bool is_conserved() const;
};

}  // namespace earshot
