// Which 32-bit nonces have been used: a set that only grows. One thread.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace earshot::sim {

class NonceSet {
 public:
  // False if it was there already.
  bool insert(std::uint32_t nonce) {
    if (nonce == 0) return !std::exchange(has_zero_, true);
    if ((count_ + 1) * 2 > cells_.size()) grow();
    std::uint32_t& cell = find(nonce);
    if (cell == nonce) return false;
    cell = nonce;
    ++count_;
    return true;
  }
  bool contains(std::uint32_t nonce) const {
    if (nonce == 0) return has_zero_;
    return !cells_.empty() && const_cast<NonceSet*>(this)->find(nonce) == nonce;
  }

 private:
  // Where it stands, or an empty cell where it would.
  std::uint32_t& find(std::uint32_t nonce) {
    const std::size_t mask = cells_.size() - 1;
    std::size_t i = (nonce * 0x9E3779B1u >> 7) & mask;
    while (cells_[i] != 0 && cells_[i] != nonce) i = (i + 1) & mask;
    return cells_[i];
  }
  void grow() {
    std::vector<std::uint32_t> before(cells_.empty() ? 64 : cells_.size() * 2);
    before.swap(cells_);
    for (const std::uint32_t nonce : before) {
      if (nonce != 0) find(nonce) = nonce;
    }
  }

  std::vector<std::uint32_t> cells_;  // a power of two; 0 is empty
  std::size_t count_ = 0;
  bool has_zero_ = false;
};

}  // namespace earshot::sim
