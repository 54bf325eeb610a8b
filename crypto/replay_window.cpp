#include "crypto/replay_window.h"

#include <algorithm>

namespace earshot::crypto {

template <std::size_t Bits>
typename ReplayWindow<Bits>::Verdict ReplayWindow<Bits>::check(std::uint64_t counter) const {
  if (!has_any_ || counter > highest_) return Verdict::fresh;
  if (highest_ - counter >= size) return Verdict::too_old;
  const std::uint64_t block = blocks_[counter / 64 % blocks_.size()];
  return (block >> (counter % 64) & 1) != 0 ? Verdict::duplicate : Verdict::fresh;
}

template <std::size_t Bits>
typename ReplayWindow<Bits>::Verdict ReplayWindow<Bits>::accept(std::uint64_t counter) {
  const Verdict verdict = check(counter);
  if (verdict != Verdict::fresh) return verdict;
  if (!has_any_) {
    blocks_ = {};
    highest_ = counter;
    has_any_ = true;
  } else if (counter > highest_) {
    // RFC 6479 s2: clear the blocks between the old and the new highest one instead of shifting.
    const std::uint64_t steps =
        std::min<std::uint64_t>(counter / 64 - highest_ / 64, blocks_.size());
    for (std::uint64_t i = 1; i <= steps; ++i) blocks_[(highest_ / 64 + i) % blocks_.size()] = 0;
    highest_ = counter;
  }
  blocks_[counter / 64 % blocks_.size()] |= std::uint64_t{1} << (counter % 64);
  return Verdict::fresh;
}

std::uint64_t unwrap_counter(std::uint64_t highest, bool is_first, std::uint32_t counter) {
  constexpr std::uint64_t span = std::uint64_t{1} << 32;
  if (is_first) return span + counter;
  const auto step = static_cast<std::int32_t>(counter - static_cast<std::uint32_t>(highest));
  if (step < 0 && highest < static_cast<std::uint64_t>(-static_cast<std::int64_t>(step)))
    return counter;
  return highest + static_cast<std::uint64_t>(static_cast<std::int64_t>(step));
}

template class ReplayWindow<1024>;
template class ReplayWindow<128>;

}  // namespace earshot::crypto
