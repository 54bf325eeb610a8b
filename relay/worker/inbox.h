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
#include <new>
#include <utility>
#include <vector>

namespace earshot {

template <typename T>
class Inbox {
 public:
  Inbox(std::size_t producers_count, std::size_t credit)
      : queue_((credit + 2 * Traits::BLOCK_SIZE) * producers_count, producers_count, 0),
        credit_(credit) {
    for (std::size_t i = 0; i < producers_count; ++i)
      producers_.push_back(std::make_unique<Producer>(queue_));
  }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Thread of `producer` only. False without credit; `item` is then untouched.
  bool try_push(std::size_t producer, T&& item) {
    Producer& p = *producers_[producer];
    // Pairs with the release in try_pop_from: a credit seen as given back means that the cell is
    // free again.
    if (p.used.load(std::memory_order_acquire) >= credit_) return false;
    p.used.fetch_add(1, std::memory_order_relaxed);
    if (queue_.try_enqueue(p.token, std::move(item))) return true;
    p.used.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }

  // Consumer thread only. One item of the producer whose turn it is; false when nothing waits.
  bool try_pop(T& item) {
    for (std::size_t i = 0; i < producers_.size(); ++i) {
      const std::size_t turn = turn_;
      turn_ = turn_ + 1 == producers_.size() ? 0 : turn_ + 1;
      if (try_pop_from(turn, item)) return true;
    }
    return false;
  }

  // Consumer thread only.
  bool try_pop_from(std::size_t producer, T& item) {
    Producer& p = *producers_[producer];
    if (p.used.load(std::memory_order_relaxed) == 0) return false;
    if (!queue_.try_dequeue_from_producer(p.token, item)) return false;
    // Pairs with the acquire in try_push.
    p.used.fetch_sub(1, std::memory_order_release);
    return true;
  }

  // Consumer thread only. Every item that was pushed before the call, and nothing that comes
  // meanwhile: so it ends, whoever floods.
  template <typename F>
  void take_waiting(F&& take) {
    T item;
    for (std::size_t p = 0; p < producers_.size(); ++p) {
      std::size_t left = producers_[p]->used.load(std::memory_order_relaxed);
      for (; left > 0 && try_pop_from(p, item); --left) take(item);
    }
  }

 private:
  struct Traits : moodycamel::ConcurrentQueueDefaultTraits {
    static constexpr std::size_t BLOCK_SIZE = 64;
    // Room for a whole credit of blocks, so that try_enqueue never needs a larger index.
    static constexpr std::size_t EXPLICIT_INITIAL_INDEX_SIZE = 64;
    // Where tests count.
    static void* malloc(std::size_t size) { return ::operator new(size, std::nothrow); }
    static void free(void* memory) { ::operator delete(memory); }
  };
  using Queue = moodycamel::ConcurrentQueue<T, Traits>;

  // One cache line for each producer: `used` is written by it and by the consumer.
  struct alignas(64) Producer {
    explicit Producer(Queue& queue) : token(queue) {}
    moodycamel::ProducerToken token;
    std::atomic<std::size_t> used{0};
  };

  Queue queue_;
  std::vector<std::unique_ptr<Producer>> producers_;
  std::size_t credit_;
  std::size_t turn_ = 0;
};

}  // namespace earshot
