#include "tools/listen/timeline.h"

namespace earshot::listen {
namespace {

// RFC 3550 A.1: what is further away is another stream, if the next packet agrees.
constexpr int dropout_max = 3'000;
constexpr int misorder_max = 100;
// The second packet of a new stream may have lost its neighbour.
constexpr int stray_step_max = 10;

constexpr std::int64_t ticks_per_ms = 48;
// A packet cannot become that much faster than the fastest: the clock jumped.
constexpr std::int64_t jump_min = 500 * ticks_per_ms;
// Behind silence, the same is said by less: RTP time stood still in the pause.
constexpr std::int64_t frozen_min = 60 * ticks_per_ms;
// RFC 6716 s2.1.4: no packet is longer.
constexpr std::int64_t packet_samples_max = 5'760;

}  // namespace

Timeline::Place Timeline::place(std::int64_t arrival, std::uint16_t sequence,
                                std::uint32_t timestamp, bool is_silence,
                                std::int64_t transit_min) {
  if (!has_packet_) return begin(arrival, sequence, timestamp, is_silence);
  const int sequence_step = static_cast<std::int16_t>(sequence - sequence_);
  const auto time_step = static_cast<std::int32_t>(timestamp - timestamp_);
  if (is_far(sequence_step, time_step)) {
    return restart(arrival, sequence, timestamp, is_silence, transit_min);
  }
  has_stray_ = false;
  if (sequence_step <= 0) return look_back(arrival, sequence_step, time_step);
  sequence_ = sequence;
  timestamp_ = timestamp;
  return advance(arrival, sequence_step, time_step, is_silence, transit_min);
}

Timeline::Place Timeline::begin(std::int64_t arrival, std::uint16_t sequence,
                                std::uint32_t timestamp, bool is_silence) {
  has_packet_ = true;
  sequence_ = sequence;
  timestamp_ = timestamp;
  extended_ = sequence;
  media_ = timestamp;
  transit_ = arrival - media_;
  is_silence_ = is_silence;
  return {Kind::next, extended_, media_, transit_, true, 0};
}

// Not part of this stream as we know it: also a known number with a time that it cannot have.
bool Timeline::is_far(int sequence_step, std::int32_t time_step) {
  if (sequence_step > 0) return sequence_step > dropout_max;
  const bool is_plausible = sequence_step == 0 ? time_step == 0 : time_step <= 0;
  return sequence_step < -misorder_max || !is_plausible;
}

Timeline::Place Timeline::restart(std::int64_t arrival, std::uint16_t sequence,
                                  std::uint32_t timestamp, bool is_silence,
                                  std::int64_t transit_min) {
  const auto step = static_cast<std::uint16_t>(sequence - stray_);
  const bool is_second = has_stray_ && step >= 1 && step <= stray_step_max;
  has_stray_ = !is_second;
  stray_ = sequence;
  if (!is_second) return {Kind::stray, 0, 0, 0, false, 0};
  sequence_ = sequence;
  timestamp_ = timestamp;
  // On time, whatever its own clock says.
  ++extended_;
  media_ = arrival - transit_min;
  transit_ = transit_min;
  is_silence_ = is_silence;
  jump_sequence_ = extended_;
  // Nothing of the old stream is to be understood any more: older ones are far.
  jump_ = 0;
  return {Kind::restarted, extended_, media_, transit_, true, 0};
}

Timeline::Place Timeline::advance(std::int64_t arrival, int sequence_step, std::int32_t time_step,
                                  bool is_silence, std::int64_t transit_min) {
  extended_ += sequence_step;
  std::int64_t media = media_ + time_step;
  const std::int64_t transit = arrival - media;
  const bool is_after_silence = is_silence_;
  const bool is_frozen = is_after_silence && transit - transit_ > frozen_min;
  const bool is_back = time_step <= 0 && transit - transit_ > jump_min;
  const bool is_jump =
      is_back || transit - transit_ > late_max_ || transit < transit_min - jump_min;
  if (is_frozen || is_jump) {
    jump_sequence_ = extended_;
    jump_ = transit - transit_min;
    media += jump_;
  }
  const bool is_neighbour = sequence_step == 1 && time_step > 0 && !is_frozen && !is_jump;
  const bool is_pause = sequence_step == 1 && media - media_ > packet_samples_max;
  media_ = media;
  transit_ = arrival - media;
  is_silence_ = is_silence;
  return {Kind::next,
          extended_,
          media_,
          transit_,
          is_after_silence || is_pause,
          is_neighbour && !is_pause ? time_step : 0};
}

Timeline::Place Timeline::look_back(std::int64_t arrival, int sequence_step,
                                    std::int32_t time_step) const {
  const std::int64_t extended = extended_ + sequence_step;
  std::int64_t media = media_ + time_step;
  if (extended < jump_sequence_) media -= jump_;
  return {Kind::older, extended, media, arrival - media, false, 0};
}

}  // namespace earshot::listen
