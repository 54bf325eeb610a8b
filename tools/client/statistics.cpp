#include "tools/client/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace earshot::client {
namespace {

// RFC 3550 A.1.
constexpr std::int64_t dropout_max = 3'000;
constexpr std::int64_t misorder_max = 100;
constexpr std::size_t book_entries = 1'024;

}  // namespace

bool StreamStatistics::is_seen(std::int64_t sequence) const {
  return seen_[static_cast<std::size_t>(sequence & (window - 1))];
}

void StreamStatistics::count(std::int64_t sequence) {
  for (std::int64_t skipped = newest_ + 1; skipped <= sequence; ++skipped) {
    seen_[static_cast<std::size_t>(skipped & (window - 1))] = false;
  }
  seen_[static_cast<std::size_t>(sequence & (window - 1))] = true;
  if (sequence < newest_) ++reordered_;
  newest_ = std::max(newest_, sequence);
  first_ = std::min(first_, sequence);
  ++received_;
  ++received_here_;
}

void StreamStatistics::restart(std::uint16_t sequence) {
  lost_before_ = lost();
  received_here_ = 0;
  seen_.fill(false);
  // Room below, for packets that the first one overtook.
  first_ = newest_ = sequence + 65'536;
  has_sequence_ = true;
  has_transit_ = false;
}

StreamStatistics::Verdict StreamStatistics::on_packet(Time arrival, std::uint16_t sequence,
                                                      std::uint32_t timestamp) {
  Verdict verdict = Verdict::fresh;
  if (!has_sequence_) restart(sequence);
  const auto step_to = [this](std::uint16_t to) {
    return static_cast<std::int16_t>(to - static_cast<std::uint16_t>(newest_ & 0xFFFF));
  };
  if (step_to(sequence) > dropout_max || step_to(sequence) < -misorder_max) {
    // One far packet is an accident; two in a row are a new beginning.
    const bool is_second = has_stray_ && sequence == static_cast<std::uint16_t>(stray_ + 1);
    if (!is_second) {
      has_stray_ = true;
      stray_ = sequence;
      return Verdict::stray;
    }
    restart(stray_);
    count(newest_);
    verdict = Verdict::restarted;
  }
  has_stray_ = false;
  const std::int64_t extended = newest_ + step_to(sequence);
  if (extended <= newest_ && is_seen(extended)) {
    ++duplicates_;
    return Verdict::duplicate;
  }
  count(extended);
  observe_jitter(arrival, timestamp);
  return verdict;
}

void StreamStatistics::observe_jitter(Time arrival, std::uint32_t timestamp) {
  const auto ticks = static_cast<std::uint32_t>(rtp_ticks(arrival));
  const auto difference =
      static_cast<std::int32_t>((ticks - arrival_ticks_) - (timestamp - timestamp_));
  // More than half a second is a pause whose RTP time stood still, not jitter.
  if (has_transit_ && std::abs(static_cast<double>(difference)) < 24'000) {
    jitter_ticks_ += (std::abs(static_cast<double>(difference)) - jitter_ticks_) / 16;
  }
  has_transit_ = true;
  arrival_ticks_ = ticks;
  timestamp_ = timestamp;
}

std::uint64_t StreamStatistics::lost() const {
  if (!has_sequence_) return 0;
  const auto expected = static_cast<std::uint64_t>(newest_ - first_ + 1);
  return lost_before_ + (expected > received_here_ ? expected - received_here_ : 0);
}

Duration StreamStatistics::jitter() const {
  return nanoseconds(static_cast<std::int64_t>(jitter_ticks_ * 1e9 / 48'000));
}

void LatencyHistogram::add(Duration value) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(value.ns, 0));
  // Below 64 every value has its own bucket; above, the six bits behind the leading one choose.
  const int shift = std::max(0, static_cast<int>(std::bit_width(ns)) - 7);
  const auto bucket = static_cast<std::size_t>(shift) * 64 + static_cast<std::size_t>(ns >> shift);
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  ++buckets_[bucket];
  ++count_;
  max_ = std::max(max_, value);
}

Duration LatencyHistogram::percentile(double share) const {
  if (count_ == 0) return {};
  const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  std::uint64_t below = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    below += buckets_[bucket];
    if (below < std::max<std::uint64_t>(rank, 1)) continue;
    if (bucket < 128) return nanoseconds(static_cast<std::int64_t>(bucket));
    const std::size_t shift = bucket / 64 - 1;
    const std::int64_t low = static_cast<std::int64_t>(bucket - shift * 64) << shift;
    return std::min(max_, nanoseconds(low + (std::int64_t{1} << shift) / 2));
  }
  return max_;
}

void LatencyBook::on_sent(Ssrc ssrc, std::uint16_t sequence, Time sent) {
  auto& entries = streams_[ssrc.value];
  if (entries.empty()) entries.resize(book_entries);
  entries[sequence % book_entries] = {sequence, true, sent};
}

std::optional<Time> LatencyBook::sent_at(Ssrc ssrc, std::uint16_t sequence) const {
  const auto stream = streams_.find(ssrc.value);
  if (stream == streams_.end()) return std::nullopt;
  const Entry& entry = stream->second[sequence % book_entries];
  if (!entry.is_used || entry.sequence != sequence) return std::nullopt;
  return entry.sent;
}

}  // namespace earshot::client
