#include "tools/listen/loss_bursts.h"

namespace earshot::listen {
namespace {

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

Duration mean(std::uint64_t packets, std::uint64_t count, Duration packet_time) {
  if (count == 0) return {};
  return packet_time * static_cast<std::int64_t>(packets) / static_cast<std::int64_t>(count);
}

}  // namespace

void LossBursts::add(Fate fate) {
  ++packets_;
  if (fate == Fate::heard) {
    ++heard_since_;
    is_in_run_ = false;
    return;
  }
  ++(fate == Fate::lost ? lost_ : discarded_);
  if (!is_in_run_) ++runs_;
  is_in_run_ = true;
  add_missing();
}

void LossBursts::add_missing() {
  if (open_missing_ > 0 && heard_since_ < gap_packets_min_) {
    open_packets_ += heard_since_ + 1;
    ++open_missing_;
  } else {
    closed_ = with_open();
    open_packets_ = open_missing_ = 1;
  }
  heard_since_ = 0;
}

LossBursts::Bursts LossBursts::with_open() const {
  if (open_missing_ < 2) return closed_;
  return {closed_.count + 1, closed_.packets + open_packets_, closed_.missing + open_missing_};
}

BurstMetrics LossBursts::metrics(Duration packet_time) const {
  const Bursts bursts = with_open();
  const std::uint64_t missing = lost_ + discarded_;
  const std::uint64_t gap_packets = packets_ - bursts.packets;
  BurstMetrics metrics;
  metrics.loss_rate = ratio(lost_, packets_);
  metrics.discard_rate = ratio(discarded_, packets_);
  metrics.bursts = bursts.count;
  metrics.burst_density = ratio(bursts.missing, bursts.packets);
  metrics.gap_density = ratio(missing - bursts.missing, gap_packets);
  metrics.burst_duration = mean(bursts.packets, bursts.count, packet_time);
  // Between and around the bursts.
  metrics.gap_duration = mean(gap_packets, bursts.count + 1, packet_time);
  if (runs_ > 0) metrics.burst_ratio = ratio(missing, runs_) * (1 - ratio(missing, packets_));
  return metrics;
}

}  // namespace earshot::listen
