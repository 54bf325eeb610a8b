#include "relay/core/flight_recorder.h"

#include <algorithm>

#include "relay/base/check.h"

namespace earshot {
namespace {

constexpr std::size_t room = flight::state_words + flight::packet_words;

// A ring that is left is whole chunks: all but the one that is being written.
constexpr std::int64_t chunks_kept = FlightRecorder::chunks_count - 1;

}  // namespace

FlightRecorder::FlightRecorder(const FlightRecorderOptions& o)
    : chunk_size_(o.bytes / chunks_count / sizeof(std::uint64_t)),
      used_max_(chunk_size_ - room),
      chunk_span_(o.span / chunks_kept),
      // Of untouched pages there is none yet.
      words_(static_cast<std::uint64_t*>(
          std::calloc(chunk_size_ * chunks_count, sizeof(std::uint64_t)))),
      stated_in_(o.slots_count) {
  RELAY_CHECK(o.bytes >= bytes_min && o.span.ns > 0 && words_ != nullptr);
  begin_chunk(Time{});
}

// A fresh stream needs none: its first packet says that it is.
void FlightRecorder::note_state(SlotIndex slot, const flight::State& state) {
  stated_in_[slot.value] = number_;
  if (state.lateness.has_begun) append(flight::state_record(state));
}

void FlightRecorder::begin_chunk(Time now) {
  const std::size_t index = number_++ % chunks_count;
  Chunk& chunk = chunks_[index];
  chunk.number.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  chunk.used.store(0, std::memory_order_relaxed);
  chunk.began_ns.store(now.ns, std::memory_order_relaxed);
  chunk.number.store(number_, std::memory_order_release);
  chunk_ = &chunk;
  chunk_words_ = words_of(index);
  used_ = 0;
  ends_at_ = now + chunk_span_;
}

bool FlightRecorder::copy(std::size_t index, std::uint32_t number, FlightSnapshot& out) const {
  const Chunk& chunk = chunks_[index];
  if (chunk.number.load(std::memory_order_acquire) != number) return false;
  const Time began{chunk.began_ns.load(std::memory_order_relaxed)};
  const std::uint64_t used = chunk.used.load(std::memory_order_acquire);
  const std::size_t before = out.words.size();
  out.words.resize(before + used);
  std::uint64_t* const from = words_of(index);
  for (std::size_t i = 0; i < used; ++i)
    out.words[before + i] = std::atomic_ref(from[i]).load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (chunk.number.load(std::memory_order_relaxed) != number) return false;
  out.covered_from = std::min(out.covered_from, began);
  return true;
}

FlightSnapshot FlightRecorder::snapshot() const {
  std::uint32_t newest = 0;
  for (const Chunk& chunk : chunks_)
    newest = std::max(newest, chunk.number.load(std::memory_order_acquire));
  FlightSnapshot out;
  const std::uint32_t oldest = newest > chunks_count ? newest - chunks_count + 1 : 1;
  for (std::uint32_t number = oldest; number <= newest; ++number) {
    // What stood before a gap is of no use.
    if (!copy((number - 1) % chunks_count, number, out)) out = {};
  }
  return out;
}

}  // namespace earshot
