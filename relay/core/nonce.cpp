#include "relay/core/nonce.h"

#include <algorithm>
#include <bit>

#include "relay/base/check.h"

namespace earshot {
namespace {

using Window = crypto::ReplayWindow<limits::replay_window_bits>;

constexpr std::uint32_t form_bits = 0x80000080;
constexpr std::uint32_t space_mask = limits::nonce_space - 1;
// Looked at again at least this often, so that a client's progress is noticed in time.
constexpr std::uint32_t safe_count_max = 4'096;
// A client's first packets may all be lost, and have used their counters all the same: so many
// below the lowest that arrived are kept clear of. Half as many make a range that was used before
// then a meeting: the lowest may still fall a little.
constexpr std::uint32_t unseen_max = limits::nonce_margin;

std::uint32_t read_big_endian(const crypto::Counter& c) {
  return std::uint32_t{c[0]} << 24 | std::uint32_t{c[1]} << 16 | std::uint32_t{c[2]} << 8 | c[3];
}

std::uint32_t reverse_bytes(std::uint32_t value) {
  return value >> 24 | (value >> 8 & 0xFF00) | (value << 8 & 0xFF0000) | value << 24;
}

// The relay's counter n read as a big-endian number.
std::uint32_t counter_value(std::uint32_t n) {
  return form_bits | (n >> 7) << 8 | (n & 0x7F);
}

NonceRange& current(NonceState& state) {
  return state.ranges[state.ranges_count - 1];
}

std::uint32_t next_index(const NonceRange& range) {
  return (range.start + range.count) & space_mask;
}

bool is_used(const NonceState& state, std::uint32_t n) {
  return std::any_of(state.ranges.begin(), state.ranges.begin() + state.ranges_count,
                     [n](const NonceRange& r) { return ((n - r.start) & space_mask) < r.count; });
}

std::uint64_t used_total(const NonceState& state) {
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < state.ranges_count; ++i) total += state.ranges[i].count;
  return total;
}

// Free counters from n to the start of the next range that was used.
std::uint32_t free_ahead(const NonceState& state, std::uint32_t n) {
  std::uint32_t distance = limits::nonce_space;
  for (std::uint32_t i = 0; i < state.ranges_count; ++i) {
    if (state.ranges[i].count == 0) continue;
    distance = std::min(distance, (state.ranges[i].start - n) & space_mask);
  }
  return is_used(state, n) ? 0 : distance;
}

// Is this reading to be kept clear of? Not once the other one was learnt, nor while it explains
// nothing.
bool counts(const NonceState& state, const CounterReading& reading, CounterOrder order) {
  if (reading.window.is_empty()) return false;
  return state.order == order || (state.order == CounterOrder::unknown && reading.is_tight());
}

// How many counters from n on are clear of what a big-endian client has used or will use soon. k
// counters further on the value has grown by at most 2k + 128, so half of the distance beyond 128
// is safe.
std::uint32_t clear_of_big_endian(const NonceState& state, std::uint32_t n) {
  const CounterReading& reading = state.big_endian;
  if (!counts(state, reading, CounterOrder::big_endian)) return limits::nonce_space;
  const auto lowest = static_cast<std::uint32_t>(reading.lowest) - unseen_max;
  const std::uint64_t span =
      reading.window.highest() - reading.lowest + unseen_max + limits::nonce_near;
  if (counter_value(n) - lowest <= span) return 0;
  const std::uint32_t distance = lowest - counter_value(n);
  return distance > 128 ? (distance - 128) / 2 : 0;
}

// A little-endian client meets single counters of the relay, never a run of them.
bool meets_little_endian(const NonceState& state, std::uint32_t n) {
  const CounterReading& reading = state.little_endian;
  if (!counts(state, reading, CounterOrder::little_endian)) return false;
  const std::uint64_t span =
      reading.window.highest() - reading.lowest + unseen_max + safe_count_max;
  return reverse_bytes(counter_value(n)) -
             (static_cast<std::uint32_t>(reading.lowest) - unseen_max) <=
         span;
}

// How many counters from n on may be taken without looking again: never past the wrap of n, where
// the value falls.
std::uint32_t safe_run(const NonceState& state, std::uint32_t n) {
  return std::min({free_ahead(state, n), clear_of_big_endian(state, n), limits::nonce_space - n,
                   safe_count_max});
}

// Half the space away, or the best fraction of it that is clear. Not worth a search once a fresh
// key was asked for.
void move_away(NonceState& state) {
  if (state.fresh_key_needed) return;
  if (state.ranges_count == limits::nonce_ranges_max) {
    state.fresh_key_needed = true;
    return;
  }
  const std::uint32_t from = next_index(current(state));
  for (std::uint32_t step = limits::nonce_space / 2; step > limits::nonce_near; step /= 2) {
    for (std::uint32_t offset = step; offset < limits::nonce_space; offset += 2 * step) {
      const std::uint32_t to = (from + offset) & space_mask;
      if (free_ahead(state, to) < limits::nonce_near ||
          clear_of_big_endian(state, to) < limits::nonce_near)
        continue;
      state.ranges[state.ranges_count++] = {to, 0};
      state.safe_count = 0;
      ++state.moves;
      return;
    }
  }
  state.fresh_key_needed = true;
}

std::uint64_t distance(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : b - a;
}

// Notes an accepted counter in one reading; true if it is the newest there.
bool note(CounterReading& reading, std::uint64_t counter) {
  const bool is_first = reading.window.is_empty();
  const bool is_newest = is_first || counter > reading.window.highest();
  if (reading.window.accept(counter) != Window::Verdict::fresh) return false;
  reading.lowest = is_first ? counter : std::min(reading.lowest, counter);
  const std::uint64_t step = is_first ? 0 : distance(counter, reading.last);
  reading.steps = reading.steps + step < reading.steps ? UINT64_MAX : reading.steps + step;
  reading.last = counter;
  return is_newest;
}

CounterOrder likelier_order(const NonceState& state) {
  if (state.order != CounterOrder::unknown) return state.order;
  return state.little_endian.steps < state.big_endian.steps ? CounterOrder::little_endian
                                                            : CounterOrder::big_endian;
}

// Do the relay's counters n in [start, start + count), not past the wrap of n, meet a client's zone
// of big-endian values?
bool meets(std::uint32_t start, std::uint32_t count, std::uint32_t zone_start,
           std::uint64_t zone_span) {
  if (count == 0) return false;
  const std::uint32_t first = counter_value(start);
  const std::uint32_t last = counter_value(start + count - 1);
  return first - zone_start <= zone_span || zone_start - first <= last - first;
}

// The client counts on towards counters that the relay used, or towards its own beginning.
bool is_exhausted_for_big_endian(const NonceState& state) {
  const CounterReading& reading = state.big_endian;
  const std::uint64_t span = reading.window.highest() - reading.lowest;
  if (span >= (std::uint64_t{1} << 32) - limits::nonce_margin) return true;
  const std::uint32_t zone_start = static_cast<std::uint32_t>(reading.lowest) - unseen_max / 2;
  const std::uint64_t zone_span = span + unseen_max / 2 + limits::nonce_margin - 1;
  return std::any_of(
      state.ranges.begin(), state.ranges.begin() + state.ranges_count, [=](const NonceRange& r) {
        const std::uint32_t before_wrap = std::min(r.count, limits::nonce_space - r.start);
        return meets(r.start, before_wrap, zone_start, zone_span) ||
               meets(0, r.count - before_wrap, zone_start, zone_span);
      });
}

void look_ahead(NonceState& state, const crypto::Counter& counter) {
  if (state.order == CounterOrder::little_endian) {
    // Its last byte on the wire is the most significant one: from here on it sweeps through every
    // range.
    if ((counter[3] & 0x80) != 0) state.fresh_key_needed = true;
    return;
  }
  if (state.order != CounterOrder::big_endian) return;
  if (clear_of_big_endian(state, next_index(current(state))) == 0) move_away(state);
  if (is_exhausted_for_big_endian(state)) state.fresh_key_needed = true;
}

void learn(NonceState& state) {
  if (state.order != CounterOrder::unknown ||
      ++state.received_count < limits::nonce_learning_packets)
    return;
  state.order = likelier_order(state);
}

}  // namespace

crypto::Counter relay_counter(std::uint32_t n) {
  const std::uint32_t value = counter_value(n & space_mask);
  return {static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
          static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}

std::optional<std::uint32_t> relay_counter_index(const crypto::Counter& counter) {
  const std::uint32_t value = read_big_endian(counter);
  if ((value & form_bits) != form_bits) return std::nullopt;
  return (value >> 8 & 0x7FFFFF) << 7 | (value & 0x7F);
}

void nonces_begin(NonceState& state, std::uint32_t start) {
  state = {};
  state.ranges[0] = {start & space_mask, 0};
  state.ranges_count = 1;
}

NonceReceipt nonces_receive(NonceState& state, const crypto::Counter& counter) {
  if (const auto n = relay_counter_index(counter); n && is_used(state, *n)) {
    state.fresh_key_needed = true;
    return {DropReason::nonce_collision, false};
  }
  const std::uint32_t value = read_big_endian(counter);
  CounterReading& big = state.big_endian;
  CounterReading& little = state.little_endian;
  const auto big_counter =
      crypto::unwrap_counter(big.window.highest(), big.window.is_empty(), value);
  const auto little_counter = crypto::unwrap_counter(
      little.window.highest(), little.window.is_empty(), reverse_bytes(value));
  // A reading that was ruled out has no say.
  const auto big_verdict = state.order == CounterOrder::little_endian
                               ? Window::Verdict::too_old
                               : big.window.check(big_counter);
  const auto little_verdict = state.order == CounterOrder::big_endian
                                  ? Window::Verdict::too_old
                                  : little.window.check(little_counter);
  const bool is_duplicate =
      big_verdict == Window::Verdict::duplicate || little_verdict == Window::Verdict::duplicate;
  if (is_duplicate ||
      (big_verdict != Window::Verdict::fresh && little_verdict != Window::Verdict::fresh)) {
    return {DropReason::replayed, false};
  }
  const bool is_newest_big = state.order != CounterOrder::little_endian && note(big, big_counter);
  const bool is_newest_little =
      state.order != CounterOrder::big_endian && note(little, little_counter);
  const bool is_newest =
      likelier_order(state) == CounterOrder::big_endian ? is_newest_big : is_newest_little;
  state.safe_count = 0;
  learn(state);
  look_ahead(state, counter);
  return {DropReason::none, is_newest};
}

std::optional<crypto::Counter> nonces_next(NonceState& state) {
  RELAY_CHECK(state.ranges_count > 0);
  // A little-endian reading costs single counters, so a few attempts always suffice where any
  // counter is left.
  for (int attempt = 0; attempt < 8; ++attempt) {
    if (state.safe_count == 0) {
      if (used_total(state) >= limits::nonce_space - limits::nonce_margin)
        state.fresh_key_needed = true;
      state.safe_count = safe_run(state, next_index(current(state)));
      if (state.safe_count == 0) move_away(state);
      if (state.safe_count == 0) state.safe_count = safe_run(state, next_index(current(state)));
      if (state.safe_count == 0) {
        state.fresh_key_needed = true;
        return std::nullopt;
      }
    }
    const std::uint32_t n = next_index(current(state));
    ++current(state).count;
    --state.safe_count;
    if (!meets_little_endian(state, n)) return relay_counter(n);
  }
  return std::nullopt;
}

void nonces_skip(NonceState& state, std::uint32_t count) {
  current(state).count += count;
  state.safe_count = 0;
}

}  // namespace earshot
