// Anti-replay window over a 64-bit counter, after RFC 6479 (bitmap of blocks, no shifting). One
// owner thread. Say only what was authenticated: a forged counter must never reach the window.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace earshot::crypto {

// Standard layout, valid when zero-filled (nothing seen), so that it can live in a session record.
// `Bits` is a multiple of 64, at least 128. One block is redundant (RFC 6479 s2), so the guaranteed
// window is Bits - 64.
template <std::size_t Bits>
class ReplayWindow {
 public:
  static constexpr std::size_t size = Bits - 64;
  enum class Verdict : std::uint8_t { fresh, duplicate, too_old };

  // Looks only.
  Verdict check(std::uint64_t counter) const;
  // check(), and marks `counter` as seen when it is fresh.
  Verdict accept(std::uint64_t counter);
  // The highest counter seen; 0 when nothing was.
  std::uint64_t highest() const { return highest_; }
  bool is_empty() const { return !has_any_; }

 private:
  std::array<std::uint64_t, Bits / 64> blocks_;
  std::uint64_t highest_;
  bool has_any_;
};

// Reads the 32-bit counter of a datagram into 64 bits around the highest one seen: the nearest
// value congruent to it. The first counter of a session unwraps to 2^32 + itself, so that a packet
// that it overtook has room below.
std::uint64_t unwrap_counter(std::uint64_t highest, bool is_first, std::uint32_t counter);

extern template class ReplayWindow<1024>;
extern template class ReplayWindow<128>;

}  // namespace earshot::crypto
