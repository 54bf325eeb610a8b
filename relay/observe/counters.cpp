#include "relay/observe/counters.h"

#include <numeric>

namespace earshot {

std::uint64_t Counters::drops_total() const {
  return std::accumulate(drops.begin(), drops.end(), std::uint64_t{0});
}

std::uint64_t Counters::forward_drops_total() const {
  return std::accumulate(forward_drops.begin(), forward_drops.end(), std::uint64_t{0});
}

bool Counters::is_conserved() const {
  const Counters& c = *this;
  return c[Counter::received] + c[Counter::taken_over] ==
             c[Counter::accepted] + c.control() + c[Counter::handed_over] + drops_total() &&
         c[Counter::forwards_taken] == c[Counter::forwards_accepted] + forward_drops_total();
}

}  // namespace earshot
