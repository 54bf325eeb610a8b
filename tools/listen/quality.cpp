#include "tools/listen/quality.h"

#include <algorithm>
#include <cmath>

namespace earshot::listen {
namespace {

// Whoever plays so long after the last packet was sent is not followed there.
constexpr std::size_t windows_ahead_max = 1'000;

Duration to_duration(std::int64_t samples) {
  return Duration{samples * 62'500 / 3};
}

// The least value that at least `share` of all do not exceed. Sorts as far as needed.
Duration percentile(std::vector<std::int32_t>& delays_us, double share) {
  if (delays_us.empty()) return {};
  const double rank = std::ceil(share * static_cast<double>(delays_us.size()));
  const auto index = static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::nth_element(delays_us.begin(), delays_us.begin() + index, delays_us.end());
  return microseconds(delays_us[static_cast<std::size_t>(index)]);
}

double share_of(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::uint64_t QualityMeter::on_sent(Time sent, bool is_silence) {
  // Windows cannot be told apart if time runs backwards.
  if (!records_.empty()) sent = std::max(sent, records_.back().sent);
  records_.push_back({.sent = sent, .is_silence = is_silence});
  return records_.size() - 1;
}

void QualityMeter::on_arrived(std::uint64_t id) {
  if (id >= records_.size()) return;
  PacketRecord& record = records_[id];
  if (record.fate == Fate::lost) record.fate = Fate::discarded;
}

void QualityMeter::on_dropped(std::uint64_t id) {
  if (id < records_.size()) records_[id].is_dropped = true;
}

std::size_t QualityMeter::window_of(Time at) const {
  const std::int64_t since = std::max<std::int64_t>((at - records_.front().sent).ns, 0);
  return static_cast<std::size_t>(since / std::max<std::int64_t>(options_.window.ns, 1'000'000));
}

void QualityMeter::on_played(Time now, const Playout& playout) {
  for (const Segment& segment : playout.list()) {
    const Time heard = now + to_duration(segment.offset);
    count(heard, segment);
    if (segment.packet >= records_.size()) continue;
    if (segment.kind == Segment::Kind::frame) hear(records_[segment.packet], Fate::played, heard);
    if (segment.kind != Segment::Kind::fec || segment.packet == 0) continue;
    PacketRecord& restored = records_[segment.packet - 1];
    if (restored.fate != Fate::played) hear(restored, Fate::restored, heard);
  }
}

void QualityMeter::hear(PacketRecord& record, Fate fate, Time heard) {
  record.fate = fate;
  const std::int64_t delay = std::clamp<std::int64_t>((heard - record.sent).us(), 0, INT32_MAX);
  record.delay_us = static_cast<std::int32_t>(delay);
}

void QualityMeter::count(Time at, const Segment& segment) {
  const bool is_idle = segment.kind == Segment::Kind::idle;
  if (is_idle && !segment.is_interruption) return made_up_.clear();
  if (is_idle || segment.kind == Segment::Kind::concealed) {
    made_up_.push_back({at, segment.samples, is_idle});
    return;
  }
  for (const MadeUp& piece : made_up_) count_made_up(piece);
  made_up_.clear();
  samples_heard_ += segment.samples;
  if (segment.packet >= records_.size()) return;
  Time sent = records_[segment.packet].sent;
  if (segment.kind == Segment::Kind::fec && segment.packet > 0) {
    sent = records_[segment.packet - 1].sent;
  }
  const bool is_late = at - sent > options_.path_delay + options_.late_over;
  if (is_late) samples_late_ += segment.samples;
}

void QualityMeter::count_made_up(const MadeUp& piece) {
  samples_heard_ += piece.samples;
  (piece.is_silent ? samples_interrupted_ : samples_concealed_) += piece.samples;
  if (records_.empty()) return;
  // By the time at which it would have been sent, as all else in a window.
  const std::size_t window = window_of(Time{(piece.at - options_.path_delay).ns});
  if (window > window_of(records_.back().sent) + windows_ahead_max) return;
  if (window >= made_up_per_window_.size()) made_up_per_window_.resize(window + 1);
  made_up_per_window_[window] += piece.samples;
}

void QualityMeter::on_shadow_played(const Playout& playout) {
  for (const Segment& segment : playout.list()) {
    const bool is_frame = segment.kind == Segment::Kind::frame;
    if (is_frame && segment.packet < records_.size()) records_[segment.packet].is_usable = true;
  }
}

void QualityMeter::on_level(Time now, Duration level, Duration target) {
  if (!levels_.empty() && now - levels_.back().at < options_.window / 10) return;
  levels_.push_back({now, level, target});
}

bool QualityMeter::is_missing(const PacketRecord& record) const {
  return record.fate == Fate::lost || record.fate == Fate::discarded;
}

BurstMetrics QualityMeter::bursts() const {
  LossBursts bursts(options_.gap_packets_min);
  for (const PacketRecord& record : records_) {
    if (record.is_silence) continue;
    auto fate = LossBursts::Fate::heard;
    if (record.fate == Fate::lost) fate = LossBursts::Fate::lost;
    if (record.fate == Fate::discarded) fate = LossBursts::Fate::discarded;
    bursts.add(fate);
  }
  return bursts.metrics(options_.packet_time);
}

std::vector<std::uint64_t> QualityMeter::missing_runs() const {
  std::vector<std::uint64_t> runs;
  std::size_t length = 0;
  const auto end_run = [&] {
    if (length == 0) return;
    const std::size_t index = std::min(length, missing_run_max) - 1;
    if (index >= runs.size()) runs.resize(index + 1);
    ++runs[index];
    length = 0;
  };
  for (const PacketRecord& record : records_) {
    if (record.is_silence) continue;
    if (is_missing(record)) {
      ++length;
    } else {
      end_run();
    }
  }
  end_run();
  return runs;
}

std::vector<QualityWindow> QualityMeter::windows() const {
  std::vector<QualityWindow> windows = count_windows();
  // A second is too short to tell bursts from chance: the ratio is that of the whole.
  const double burst_ratio = bursts().burst_ratio;
  Duration delay = options_.terminal_delay + options_.path_delay;
  for (QualityWindow& window : windows) {
    // Where nothing was heard, nothing is known of the delay.
    if (window.delays > 0) delay = window.delay_mean;
    window.delay_mean = delay;
    double loss = share_of(window.lost + window.discarded, window.packets);
    if (options_.counts_waiting) {
      loss = std::max(loss, std::min(share_of(window.made_up.ns, options_.window.ns), 1.0));
    }
    const Rating rating = rate_call(options_.emodel, delay, loss, burst_ratio);
    window.r = rating.r;
    window.mos = rating.mos;
  }
  return windows;
}

std::vector<QualityWindow> QualityMeter::count_windows() const {
  std::vector<QualityWindow> windows;
  std::size_t current = SIZE_MAX;
  for (const PacketRecord& record : records_) {
    if (record.is_silence) continue;
    if (const std::size_t index = window_of(record.sent); index != current) {
      current = index;
      QualityWindow& window = windows.emplace_back();
      window.begin = records_.front().sent + options_.window * static_cast<std::int64_t>(index);
      if (index < made_up_per_window_.size()) {
        window.made_up = to_duration(made_up_per_window_[index]);
      }
    }
    QualityWindow& window = windows.back();
    ++window.packets;
    if (record.fate == Fate::lost) ++window.lost;
    if (record.fate == Fate::discarded) ++window.discarded;
    if (is_missing(record)) continue;
    ++window.delays;
    window.delay_mean = window.delay_mean + microseconds(record.delay_us);  // the sum so far
  }
  for (QualityWindow& window : windows) {
    if (window.delays == 0) continue;
    window.delay_mean = window.delay_mean / window.delays + options_.terminal_delay;
  }
  return windows;
}

void QualityMeter::fill_delays(Quality& quality) const {
  std::vector<std::int32_t> delays;
  std::int64_t sum = 0;
  for (const PacketRecord& record : records_) {
    if (record.is_silence || is_missing(record)) continue;
    delays.push_back(record.delay_us);
    sum += record.delay_us;
  }
  if (delays.empty()) return;
  quality.delay_mean =
      microseconds(sum / static_cast<std::int64_t>(delays.size())) + options_.terminal_delay;
  quality.delay_p50 = percentile(delays, 0.50) + options_.terminal_delay;
  quality.delay_p95 = percentile(delays, 0.95) + options_.terminal_delay;
  quality.delay_p99 = percentile(delays, 0.99) + options_.terminal_delay;
}

void QualityMeter::fill_scores(Quality& quality) const {
  const double loss = quality.bursts.loss_rate + quality.bursts.discard_rate;
  quality.r = rate_call(options_.emodel, quality.delay_mean, loss, quality.bursts.burst_ratio).r;
  double sum = 0;
  double packets = 0;
  double least = 5;
  for (const QualityWindow& window : windows()) {
    sum += window.mos * window.packets;
    packets += window.packets;
    least = std::min(least, window.mos);
  }
  if (packets == 0) return;
  quality.mos = sum / packets;
  quality.mos_min = least;
}

Quality QualityMeter::result() const {
  Quality quality;
  for (const PacketRecord& record : records_) {
    if (record.is_silence) continue;
    ++quality.packets;
    if (record.fate == Fate::played) ++quality.played;
    if (record.fate == Fate::restored) ++quality.restored;
    if (record.fate == Fate::lost) ++quality.lost;
    if (record.fate == Fate::discarded) ++quality.discarded;
    if (record.is_dropped) ++quality.dropped;
    if (record.is_dropped && record.is_usable) ++quality.dropped_but_usable;
  }
  quality.bursts = bursts();
  fill_delays(quality);
  quality.heard_time = to_duration(samples_heard_);
  quality.late_time = to_duration(samples_late_);
  quality.concealed_share = share_of(samples_concealed_, samples_heard_);
  quality.interrupted_share = share_of(samples_interrupted_, samples_heard_);
  fill_scores(quality);
  return quality;
}

}  // namespace earshot::listen
