// What a worker's packets were and what was decided about each, for the last seconds: a ring in
// memory that is taken at start. Written by the worker, which never waits and never allocates; read
// by any thread meanwhile. It keeps what relay/core/flight_record.h has a place for, and knows
// nothing of files.
//
// The ring is a few chunks. The oldest is given up as a whole, and before a stream's first verdict
// in a chunk its policy state stands in it: what remains begins with everything that is needed to
// come to the same verdicts again.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "relay/base/limits.h"
#include "relay/core/flight_record.h"

namespace earshot {

struct FlightRecorderOptions {
  std::size_t bytes = 32U << 20;  // of the ring; touched only as it fills
  Duration span = seconds(30);    // kept for at least as long, if the ring is large enough
  std::size_t slots_count = limits::sessions_per_worker_max;
};

// Whole chunks, oldest first, without a gap.
struct FlightSnapshot {
  // Every packet that arrived after this is here; 0: since the worker began.
  Time covered_from = Time::never();
  std::vector<std::uint64_t> words;
};

class FlightRecorder {
 public:
  static constexpr std::uint32_t chunks_count = 8;
  static constexpr std::size_t bytes_min = chunks_count * std::size_t{1'024};

  explicit FlightRecorder(const FlightRecorderOptions& options);

  // --- Worker thread only ---

  // Before a packet's late step, with the state that it will meet. on_packet() for it comes next.
  void before_verdict(SlotIndex slot, Ssrc ssrc, const LatenessState& state) {
    if (stated_in_[slot.value] != number_) note_state(slot, {ssrc, state});
  }
  // `now`: when it was decided; never runs backwards.
  void on_packet(Time now, const flight::Packet& packet) {
    append(flight::packet_record(packet));
    if (used_ > used_max_ || now >= ends_at_) begin_chunk(now);
  }

  // --- Any thread ---

  // Copies what is there. Chunks that are overwritten meanwhile are left out.
  FlightSnapshot snapshot() const;

 private:
  // number: which chunk stands here, counted from 1; 0 while it is replaced. Stored with release
  // when the chunk begins, and read with acquire: who sees it sees the chunk's own `used` or a
  // later one. used: words that are complete, stored with release behind them and read with
  // acquire: who sees it sees the words. A reader that copied words of the next chunk finds another
  // number afterwards: the writer's release fence behind number = 0 pairs with the reader's acquire
  // fence behind its copy.
  struct alignas(64) Chunk {
    std::atomic<std::uint32_t> number{0};
    std::atomic<std::uint64_t> used{0};
    std::atomic<std::int64_t> began_ns{0};
  };
  struct Free {
    void operator()(std::uint64_t* words) const { std::free(words); }
  };

  template <std::size_t N>
  void append(const std::array<std::uint64_t, N>& record) {
    const std::uint64_t before = used_;
    std::uint64_t* const to = chunk_words_ + before;
    [&]<std::size_t... i>(std::index_sequence<i...>) {
      (std::atomic_ref(to[i]).store(record[i], std::memory_order_relaxed), ...);
    }
    (std::make_index_sequence<N>());
    used_ = before + N;
    chunk_->used.store(before + N, std::memory_order_release);
  }
  void note_state(SlotIndex slot, const flight::State& state);
  void begin_chunk(Time now);
  std::uint64_t* words_of(std::size_t chunk) const { return words_.get() + chunk * chunk_size_; }
  // False: it is being replaced, or was meanwhile.
  bool copy(std::size_t chunk, std::uint32_t number, FlightSnapshot& out) const;

  const std::size_t chunk_size_;  // words
  const std::uint64_t used_max_;  // behind this there is no room for a state and a packet
  const Duration chunk_span_;
  std::unique_ptr<std::uint64_t[], Free> words_;
  std::array<Chunk, chunks_count> chunks_;

  // Of the worker alone.
  std::vector<std::uint32_t> stated_in_;  // by slot: the chunk that has its state
  alignas(64) std::uint32_t number_ = 0;
  std::uint64_t used_ = 0;
  Time ends_at_;
  Chunk* chunk_ = nullptr;
  std::uint64_t* chunk_words_ = nullptr;
};

}  // namespace earshot
