#include "relay/core/unproven.h"

#include <algorithm>

#include "relay/base/check.h"

namespace earshot {
namespace {

constexpr std::int64_t interval_ns = 1'000'000'000 / limits::unproven_packets_per_second;
constexpr std::int64_t depth_ns = interval_ns * limits::unproven_packets_depth;
// Another worker came first so often: as good as no token.
constexpr int attempts_max = 8;

}  // namespace

bool UnprovenAddresses::enter(const IpAddress& ip) {
  Cell& c = cell(ip);
  if (c.sessions.fetch_add(1, std::memory_order_relaxed) < limits::unproven_sessions_per_ip)
    return true;
  c.sessions.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void UnprovenAddresses::leave(const IpAddress& ip) {
  RELAY_CHECK(cell(ip).sessions.fetch_sub(1, std::memory_order_relaxed) > 0);
}

// The token bucket of budget.h, in one atomic.
bool UnprovenAddresses::take(Time now, const IpAddress& ip) {
  std::atomic<std::int64_t>& full_at = cell(ip).full_at_ns;
  std::int64_t seen = full_at.load(std::memory_order_relaxed);
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    const std::int64_t next = std::max(seen, now.ns) + interval_ns;
    if (next - now.ns > depth_ns) return false;
    if (full_at.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return true;
  }
  return false;
}

}  // namespace earshot
