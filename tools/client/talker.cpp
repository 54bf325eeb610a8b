#include "tools/client/talker.h"

#include <iterator>
#include <utility>

namespace earshot::client {
namespace {

constexpr int silence_frames = 5;

}  // namespace

Talker::Packet Talker::make_packet(std::vector<std::uint8_t> frame) {
  return {sequence_++, timestamp_, std::move(frame)};
}

Talker::Step Talker::tick() {
  Step step;
  std::optional<std::vector<std::uint8_t>> frame;
  if (source_) frame = source_->next();
  if (frame) {
    if (!is_speaking_) step.speaking = true;
    is_speaking_ = true;
    silence_left_ = silence_frames;
    step.packet = make_packet(std::move(*frame));
  } else if (is_speaking_) {
    step.packet = make_packet({std::begin(codec::silence_frame), std::end(codec::silence_frame)});
    if (--silence_left_ == 0) {
      is_speaking_ = false;
      step.has_ended = true;
    }
  }
  // RTP time goes on in pauses (RFC 7587 s4.1).
  timestamp_ += codec::frame_samples_20ms;
  return step;
}

void Talker::skip(std::uint32_t ticks) {
  timestamp_ += ticks * codec::frame_samples_20ms;
}

}  // namespace earshot::client
