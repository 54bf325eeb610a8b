// Addresses that nobody has proven to be theirs: each has a rate and a number of sessions, over all
// workers of a node. The one thing that workers share beside the live statistics: relaxed atomics,
// each a bound in itself. An address is a cell by its hash; two that meet in one share its bounds.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/limits.h"
#include "relay/base/time.h"

namespace earshot {

class UnprovenAddresses {
 public:
  explicit UnprovenAddresses(std::uint64_t seed)
      : cells_(limits::unproven_addresses_max), seed_(seed) {}

  // Any worker thread. One session more; false when the address has as many as it may.
  [[nodiscard]] bool enter(const IpAddress& ip);
  void leave(const IpAddress& ip);
  // One packet more.
  [[nodiscard]] bool take(Time now, const IpAddress& ip);

 private:
  struct alignas(16) Cell {
    std::atomic<std::int64_t> full_at_ns{0};
    std::atomic<std::uint32_t> sessions{0};
  };
  Cell& cell(const IpAddress& ip) { return cells_[hash(ip, seed_) % cells_.size()]; }

  std::vector<Cell> cells_;
  std::uint64_t seed_;
};

}  // namespace earshot
