// Rates without queues: a token bucket in one time stamp, and a bounded table of them by source.
// One owner thread. What is refused is the caller's to count.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/ids.h"
#include "relay/base/limits.h"
#include "relay/base/time.h"

namespace earshot {

// `per_second` tokens a second, `depth` of them at most.
struct Rate {
  std::int64_t per_second = 1;
  std::int64_t depth = 1;
};

// Generic cell rate algorithm (ITU-T I.371): the time at which the bucket is full again.
// Zero-filled is a full bucket.
class TokenBucket {
 public:
  // Takes one token if there is one.
  bool take(Time now, Rate rate) {
    const Duration interval = seconds(1) / rate.per_second;
    const Time start = std::max(full_at_, now);
    if ((start - now) + interval > interval * rate.depth) return false;
    full_at_ = start + interval;
    return true;
  }
  Time full_at() const { return full_at_; }

 private:
  Time full_at_{};
};

// Buckets by source: four-way associative, so that a flood of sources costs the oldest entries, not
// memory.
class SourceBudgets {
 public:
  explicit SourceBudgets(std::uint64_t seed)
      : sets_(limits::source_budgets_max / ways), seed_(seed) {}

  // One source of one slot.
  bool take(Time now, SlotIndex slot, const Endpoint& source, Rate rate) {
    return bucket(hash(source, seed_ ^ (std::uint64_t{slot.value} << 32)) | 1).take(now, rate);
  }
  // One address for all slots, IPv6 by its /64: who has one of those has all.
  bool take(Time now, IpAddress ip, Rate rate) {
    if (!ip.is_v4()) std::fill(ip.bytes.begin() + 8, ip.bytes.end(), std::uint8_t{0});
    return bucket(hash(ip, seed_) | 1).take(now, rate);
  }

 private:
  static constexpr std::size_t ways = 4;
  struct Entry {
    std::uint64_t key = 0;
    TokenBucket bucket;
  };
  using Set = std::array<Entry, ways>;

  TokenBucket& bucket(std::uint64_t key) {
    Set& set = sets_[(key >> 1) % sets_.size()];
    auto found =
        std::find_if(set.begin(), set.end(), [key](const Entry& e) { return e.key == key; });
    if (found == set.end()) {
      found = std::min_element(set.begin(), set.end(), [](const Entry& a, const Entry& b) {
        return a.bucket.full_at() < b.bucket.full_at();
      });
      *found = {key, {}};
    }
    return found->bucket;
  }

  std::vector<Set> sets_;
  std::uint64_t seed_;
};

}  // namespace earshot
