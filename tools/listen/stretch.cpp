#include "tools/listen/stretch.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>

namespace earshot::listen {
namespace {

// 5 ms: a period of most voices, and not yet heard as two voices.
constexpr std::size_t overlap_max = 240;

// Squared difference: energies minus twice the cross-correlation, so that a quiet place wins over
// an equally similar loud one.
std::int64_t difference(std::span<const std::int16_t> pcm, std::size_t a, std::size_t b,
                        std::size_t count) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t d = pcm[a + i] - pcm[b + i];
    sum += d * d;
  }
  return sum;
}

// From where to jump by `shift`, below `end`.
std::size_t find_splice(std::span<const std::int16_t> pcm, std::size_t begin, std::size_t end,
                        std::ptrdiff_t shift, std::size_t overlap) {
  std::size_t best = begin;
  std::int64_t best_difference = INT64_MAX;
  for (std::size_t at = begin; at < end; ++at) {
    const auto to = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(at) + shift);
    const std::int64_t found = difference(pcm, at, to, overlap);
    if (found >= best_difference) continue;
    best_difference = found;
    best = at;
  }
  return best;
}

void cross_fade(std::span<const std::int16_t> pcm, std::size_t from, std::size_t to,
                std::size_t overlap, std::vector<std::int16_t>& out) {
  const auto length = static_cast<int>(overlap);
  for (int i = 0; i < length; ++i) {
    const int old_sample = pcm[from + static_cast<std::size_t>(i)];
    const int new_sample = pcm[to + static_cast<std::size_t>(i)];
    out.push_back(static_cast<std::int16_t>((old_sample * (length - i) + new_sample * i) / length));
  }
}

}  // namespace

void stretch(std::span<const std::int16_t> pcm, int change, std::vector<std::int16_t>& out) {
  const auto size = static_cast<std::size_t>(std::abs(change));
  if (change == 0 || pcm.size() < size * 2) {
    const std::size_t wanted =
        change >= 0 ? pcm.size() + size : pcm.size() - std::min(size, pcm.size());
    for (std::size_t i = 0; i < wanted && !pcm.empty(); ++i) out.push_back(pcm[i % pcm.size()]);
    return;
  }
  // Half of what the jump leaves is for fading, half for choosing.
  const std::size_t overlap = std::clamp<std::size_t>((pcm.size() - size) / 2, 1, overlap_max);
  const std::size_t begin = change < 0 ? 0 : size;
  const std::size_t end = change < 0 ? pcm.size() - size - overlap + 1 : pcm.size() - overlap + 1;
  const std::size_t from = find_splice(pcm, begin, end, -change, overlap);
  const auto to = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(from) - change);
  out.insert(out.end(), pcm.begin(), pcm.begin() + static_cast<std::ptrdiff_t>(from));
  cross_fade(pcm, from, to, overlap, out);
  out.insert(out.end(), pcm.begin() + static_cast<std::ptrdiff_t>(to + overlap), pcm.end());
}

}  // namespace earshot::listen
