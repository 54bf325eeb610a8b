// Keeps (key, nonce) unique although one key serves both directions. One owner thread; pure over
// its state. The relay's counters have the top bits of the first and the last byte set and 30 bits
// n between them; clients count from anywhere, big-endian or little-endian. docs/protocol.md,
// "Nonces", has the rule; this does no cryptography.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "crypto/aead.h"
#include "crypto/replay_window.h"
#include "relay/base/limits.h"
#include "relay/observe/drop_reason.h"

namespace earshot {

// How a client's 32-bit counter counts on the wire.
enum class CounterOrder : std::uint8_t { unknown, big_endian, little_endian };

// One reading of the client's counters. Valid when zero-filled.
struct CounterReading {
  crypto::ReplayWindow<limits::replay_window_bits> window;
  std::uint64_t lowest;  // of what was accepted, unwrapped
  std::uint64_t last;
  std::uint64_t steps;  // sum of the distances between packets, saturating

  // The span lowest..highest is small: so far this reading explains what came.
  bool is_tight() const { return window.highest() - lowest < limits::nonce_near; }
};

// The relay's counters n in [start, start + count), taken modulo limits::nonce_space.
struct NonceRange {
  std::uint32_t start;
  std::uint32_t count;
};

// Everything that must survive a restart of the process. Standard layout, valid when zero-filled.
struct NonceState {
  std::array<NonceRange, limits::nonce_ranges_max> ranges;  // the last one is in use
  std::uint32_t ranges_count;
  std::uint32_t
      safe_count;  // so many counters may be taken before the client's position is looked at again
  std::uint32_t received_count;
  CounterOrder order;
  bool fresh_key_needed;
  std::uint32_t moves;
  CounterReading big_endian;
  CounterReading little_endian;
};

// The 4 bytes of the relay's counter n, and back; nothing if the bytes are not of the relay's form.
crypto::Counter relay_counter(std::uint32_t n);
std::optional<std::uint32_t> relay_counter_index(const crypto::Counter& counter);

// Begins with a fresh key; `start` is random, below limits::nonce_space.
void nonces_begin(NonceState& state, std::uint32_t start);

struct NonceReceipt {
  DropReason reason = DropReason::none;  // replayed or nonce_collision
  bool is_newest = false;                // advances the replay window in the likelier byte order
};

// An authenticated packet came under this counter.
NonceReceipt nonces_receive(NonceState& state, const crypto::Counter& counter);

// The counter for the next packet to seal. Nothing when no safe one is left; fresh_key_needed is
// then set.
std::optional<crypto::Counter> nonces_next(NonceState& state);

// A restored session skips what the lost process may have used.
void nonces_skip(NonceState& state, std::uint32_t count);

}  // namespace earshot
