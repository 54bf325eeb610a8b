// A bounded queue into one thread. Each producer has its own token, so that its items keep their
// order, and a credit that the consumer gives back: the credit is the bound, not the queue's
// constructor argument. Nobody ever blocks. Allocates in its constructor only. One consumer thread;
// one thread per producer index.
#pragma once

#include <concurrentqueue/concurrentqueue.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace earshot {

template <typename T>
class Inbox {
 public:
  Inbox(std::size_t producers_count, std::size_t credit)
      : queue_((credit + 2 * Traits::BLOCK_SIZE) * producers_count, producers_count, 0),
        consumer_(queue_),
        credit_(credit) {
    for (std::size_t i = 0; i < producers_count; ++i)
      producers_.push_back(std::make_unique<Producer>(queue_));
  }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  std::size_t credit() const { return credit_; }
  std::size_t credit_total() const { return credit_ * producers_.size(); }

  // Thread of `producer` only. False without credit; `item` is then untouched.
  bool try_push(std::size_t producer, T&& item) {
    Producer& p = *producers_[producer];
    // Pairs with the release in try_pop: a credit seen as given back means that the cell is free
    // again.
    if (p.used.load(std::memory_order_acquire) >= credit_) return false;
    p.used.fetch_add(1, std::memory_order_relaxed);
    if (queue_.try_enqueue(p.token, Cell{std::move(item), static_cast<std::uint32_t>(producer)}))
      return true;
    p.used.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }

  // Consumer thread only. False when nothing waits.
  bool try_pop(T& item) {
    Cell cell;
    if (!queue_.try_dequeue(consumer_, cell)) return false;
    item = std::move(cell.item);
    // Pairs with the acquire in try_push.
    producers_[cell.producer]->used.fetch_sub(1, std::memory_order_release);
    return true;
  }

  bool is_empty() const { return queue_.size_approx() == 0; }

 private:
  struct Traits : moodycamel::ConcurrentQueueDefaultTraits {
    static constexpr std::size_t BLOCK_SIZE = 64;
    // Room for a whole credit of blocks, so that try_enqueue never needs a larger index.
    static constexpr std::size_t EXPLICIT_INITIAL_INDEX_SIZE = 64;
  };
  struct Cell {
    T item{};
    std::uint32_t producer = 0;
  };
  using Queue = moodycamel::ConcurrentQueue<Cell, Traits>;

  // One cache line for each producer: `used` is written by it and by the consumer.
  struct alignas(64) Producer {
    explicit Producer(Queue& queue) : token(queue) {}
    moodycamel::ProducerToken token;
    std::atomic<std::size_t> used{0};
  };

  Queue queue_;
  moodycamel::ConsumerToken consumer_;
  std::vector<std::unique_ptr<Producer>> producers_;
  std::size_t credit_;
};

}  // namespace earshot
