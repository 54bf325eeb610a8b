#include "tools/listen/packet_facts.h"

#include <algorithm>

#include "codec/toc.h"

namespace earshot::listen {
namespace {

constexpr int samples_min = 120;
constexpr int samples_max = 5'760;

// Only what the table of contents says (RFC 6716 s3.1): enough for the duration, and cheap. 0:
// it is no Opus.
int samples_of(std::span<const std::uint8_t> payload) {
  const int config = payload[0] >> 3;
  int frame = 120 << (config % 4);
  if (config < 12) frame = config % 4 == 3 ? 2'880 : 480 << (config % 4);
  if (config >= 12 && config < 16) frame = config % 2 == 0 ? 480 : 960;
  int count = 1;
  if ((payload[0] & 0x03) != 0) count = 2;
  if ((payload[0] & 0x03) == 3) count = payload.size() > 1 ? payload[1] & 0x3F : 1;
  const int samples = frame * count;
  return samples >= samples_min && samples <= samples_max ? samples : 0;
}

}  // namespace

PacketFacts facts_of(const Packet& packet) {
  PacketFacts facts;
  if (packet.payload.empty()) {
    // Whole steps of 2.5 ms, as Opus has them.
    const int whole = packet.samples / samples_min * samples_min;
    facts.samples = packet.samples <= 0 ? 0 : std::clamp(whole, samples_min, samples_max);
    facts.is_silence = packet.size <= silence_size_max;
    return facts;
  }
  facts.samples = samples_of(packet.payload);
  facts.is_silence = packet.payload.size() <= silence_size_max;
  facts.has_fec = !facts.is_silence && has_inband_fec(packet.payload);
  return facts;
}

void LearntDuration::add(std::int64_t step) {
  // RFC 6716 s2.1.4: one frame, and whole 20 ms frames up to 120 ms.
  const bool is_frame = step == 120 || step == 240 || step == 480 || step == 960;
  const bool is_usual = is_frame || (step > 0 && step <= samples_max && step % 960 == 0);
  if (is_usual && (last_ == 0 || step == last_)) samples_ = static_cast<int>(step);
  last_ = step;
}

bool has_inband_fec(std::span<const std::uint8_t> payload) {
  const auto packet = codec::describe_packet(payload);
  if (!packet || packet->mode == codec::OpusMode::celt || packet->frame_sizes[0] == 0) return false;
  // The frame begins with one voice activity bit per 20 ms and audio channel, each channel's
  // followed by its LBRR flag; the range coder stores such even bits at the top of its first byte.
  const int silk_frames = std::max(packet->frame_samples / 960, 1);
  std::size_t frames_size = packet->padding_size;
  for (std::size_t i = 0; i < packet->frame_count; ++i) frames_size += packet->frame_sizes[i];
  const std::uint8_t first = payload[payload.size() - frames_size];
  const bool mid = ((first >> (7 - silk_frames)) & 1) != 0;
  const bool side = packet->is_stereo && ((first >> (6 - 2 * silk_frames)) & 1) != 0;
  return mid || side;
}

}  // namespace earshot::listen
