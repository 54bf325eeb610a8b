// A hash map with a capacity fixed at construction: open addressing, linear probing, backward-shift
// deletion, so that it neither allocates nor degrades afterwards. One owner thread. Keys and values
// are small trivially copyable types.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "relay/base/check.h"

namespace earshot {

// `Hash` is a callable (key, seed) -> std::uint64_t of good quality; the seed keeps strangers from
// choosing collisions.
template <typename Key, typename Value, typename Hash>
class FixedMap {
 public:
  FixedMap(std::size_t capacity, std::uint64_t seed)
      : cells_(std::bit_ceil(capacity * 2 + 2)),
        mask_(cells_.size() - 1),
        capacity_(capacity),
        seed_(seed) {}

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }

  Value* find(const Key& key) {
    const std::size_t at = position(key);
    return cells_[at].is_used ? &cells_[at].value : nullptr;
  }

  // Inserts or overwrites; nullptr when it is full.
  Value* insert(const Key& key, const Value& value) {
    Cell& cell = cells_[position(key)];
    if (!cell.is_used) {
      if (size_ == capacity_) return nullptr;
      ++size_;
    }
    cell = {key, value, true};
    return &cell.value;
  }

  // False if the key was not there.
  bool erase(const Key& key) {
    std::size_t hole = position(key);
    if (!cells_[hole].is_used) return false;
    for (std::size_t next = (hole + 1) & mask_; cells_[next].is_used; next = (next + 1) & mask_) {
      const std::size_t home = home_of(cells_[next].key);
      // Move the cell back unless its home lies between the hole and itself.
      if (((next - home) & mask_) >= ((next - hole) & mask_)) {
        cells_[hole] = cells_[next];
        hole = next;
      }
    }
    cells_[hole] = {};
    --size_;
    return true;
  }

 private:
  struct Cell {
    Key key{};
    Value value{};
    bool is_used = false;
  };

  std::size_t home_of(const Key& key) const { return Hash{}(key, seed_) & mask_; }
  // Where the key stands, or the free cell where it would.
  std::size_t position(const Key& key) const {
    std::size_t at = home_of(key);
    while (cells_[at].is_used && !(cells_[at].key == key)) at = (at + 1) & mask_;
    return at;
  }

  std::vector<Cell> cells_;
  std::size_t mask_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  std::uint64_t seed_;
};

}  // namespace earshot
