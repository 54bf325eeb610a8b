#include "relay/control/drop_watch.h"

#include <algorithm>

namespace earshot::control {

void DropWatch::add(Ssrc ssrc, std::uint64_t received, std::uint64_t dropped) {
  Stream& stream = streams_[ssrc.value];
  if (stream.count > 0) {
    const Sample& last = stream.samples[(stream.count - 1) % stream.samples.size()];
    // The slot has another stream now.
    if (received < last.received || dropped < last.dropped) stream = {};
  }
  stream.samples[stream.count++ % stream.samples.size()] = {received, dropped};
  stream.round = round_;
  has_jumped_ = has_jumped_ || has_jumped(stream);
}

bool DropWatch::has_jumped(const Stream& stream) {
  if (stream.count <= recent) return false;
  const auto sample = [&](std::size_t back) {
    return stream.samples[(stream.count - 1 - back) % stream.samples.size()];
  };
  const std::size_t oldest = std::min(stream.count, stream.samples.size()) - 1;
  const Sample now = sample(0);
  const Sample then = sample(recent);
  const Sample start = sample(oldest);
  const std::uint64_t dropped = now.dropped - then.dropped;
  const auto received = static_cast<double>(now.received - then.received);
  const auto calm = static_cast<double>(then.received - start.received);
  return dropped >= dropped_min && static_cast<double>(dropped) >= jump_share * received &&
         static_cast<double>(then.dropped - start.dropped) <= calm_share * calm;
}

bool DropWatch::on_second(Time now) {
  std::erase_if(streams_, [this](const auto& entry) { return entry.second.round != round_; });
  ++round_;
  const bool jumped = has_jumped_;
  has_jumped_ = false;
  if (!jumped || (was_told_ && now - told_at_ < pause)) return false;
  was_told_ = true;
  told_at_ = now;
  return true;
}

}  // namespace earshot::control
