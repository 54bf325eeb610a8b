// Samples from one thread to another, between a sound card's callback and the loop. One producer,
// one consumer; neither locks, waits nor allocates. What does not fit, or is not there, is told by
// the count that comes back: what to do about it is for the caller to decide.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace earshot::client {

class SampleRing {
 public:
  // Room for at least that many samples.
  explicit SampleRing(std::size_t capacity) : samples_(std::bit_ceil(capacity)) {}
  SampleRing(const SampleRing&) = delete;
  SampleRing& operator=(const SampleRing&) = delete;

  // Producer only. How many were taken, from the front.
  std::size_t write(std::span<const std::int16_t> samples) {
    const std::size_t written = written_.load(std::memory_order_relaxed);
    // Pairs with the release in read(): the consumer is done with what is written over.
    const std::size_t used = written - read_.load(std::memory_order_acquire);
    const std::size_t count = std::min(samples.size(), samples_.size() - used);
    const std::size_t first = std::min(count, samples_.size() - index(written));
    std::copy_n(samples.data(), first, samples_.data() + index(written));
    std::copy_n(samples.data() + first, count - first, samples_.data());
    // Pairs with the acquire in read() and size().
    written_.store(written + count, std::memory_order_release);
    return count;
  }

  // Consumer only. How many were there, at the front of `out`.
  std::size_t read(std::span<std::int16_t> out) {
    const std::size_t read = read_.load(std::memory_order_relaxed);
    // Pairs with the release in write(): the samples are there.
    const std::size_t waiting = written_.load(std::memory_order_acquire) - read;
    const std::size_t count = std::min(out.size(), waiting);
    const std::size_t first = std::min(count, samples_.size() - index(read));
    std::copy_n(samples_.data() + index(read), first, out.data());
    std::copy_n(samples_.data(), count - first, out.data() + first);
    // Pairs with the acquire in write() and size().
    read_.store(read + count, std::memory_order_release);
    return count;
  }

  // Any thread: exact for the two ends, as far as the other one stands still.
  std::size_t size() const {
    // In this order the difference is never negative: what was read was written before.
    const std::size_t read = read_.load(std::memory_order_acquire);
    return std::min(written_.load(std::memory_order_acquire) - read, samples_.size());
  }
  std::size_t capacity() const { return samples_.size(); }

 private:
  std::size_t index(std::size_t position) const { return position & (samples_.size() - 1); }

  std::vector<std::int16_t> samples_;
  // Positions only grow; a cache line for each end.
  alignas(64) std::atomic<std::size_t> written_{0};
  alignas(64) std::atomic<std::size_t> read_{0};
};

}  // namespace earshot::client
