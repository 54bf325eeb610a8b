#include "tools/replay/voice.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>

#include "codec/ogg_reader.h"
#include "codec/opus.h"
#include "codec/wav.h"
#include "relay/core/stream.h"
#include "tools/listen/buffer.h"
#include "tools/replay/speech_like.h"

namespace earshot::replay {
namespace {

constexpr std::uint32_t no_turn = UINT32_MAX;
// As the relay sees it (core/stream.h): what is further back is a stream that begins anew.
constexpr int misorder_max = 100;
// Packets that the trace lacks in the middle of a stream: spoken, too, and thrown away.
constexpr int lost_max = 50;
constexpr codec::EncoderOptions encoder_options{
    .bitrate = 32'000, .fec = true, .expected_loss_percent = 10};
constexpr std::array<std::uint16_t, 6> frame_lengths{120, 240, 480, 960, 1'920, 2'880};

// The longest frame that is not longer; of nothing 20 ms.
std::uint16_t frame_length(std::uint32_t samples) {
  std::uint16_t length = samples < frame_lengths[0] ? frame_lengths[3] : frame_lengths[0];
  for (const std::uint16_t known : frame_lengths) {
    if (known <= samples) length = known;
  }
  return length;
}

class Repeated : public VoiceSource {
 public:
  Repeated(std::shared_ptr<const VoiceRecording> recording, std::size_t stream)
      : recording_(std::move(recording)) {
    const double turns = 0.6180339887498949 * static_cast<double>(stream);
    const double size = static_cast<double>(recording_->size());
    at_ = static_cast<std::size_t>((turns - std::floor(turns)) * size) % recording_->size();
  }

  void read(std::span<std::int16_t> out) override {
    for (std::int16_t& sample : out) {
      sample = (*recording_)[at_];
      at_ = (at_ + 1) % recording_->size();
    }
  }

 private:
  std::shared_ptr<const VoiceRecording> recording_;
  std::size_t at_;
};

bool starts_with(std::span<const std::uint8_t> bytes, std::string_view text) {
  return bytes.size() >= text.size() &&
         std::equal(text.begin(), text.end(), bytes.begin(),
                    [](char c, std::uint8_t b) { return static_cast<std::uint8_t>(c) == b; });
}

}  // namespace

Result<std::shared_ptr<const VoiceRecording>> read_voice(const std::string& path) {
  std::string error;
  const auto bytes = codec::read_file(path, error);
  if (!bytes) return Error{error};
  const bool is_wav = starts_with(*bytes, "RIFF");
  if (!is_wav && !starts_with(*bytes, "OggS")) {
    return Error{path + " is neither a WAV file nor Ogg Opus"};
  }
  auto samples = is_wav ? codec::parse_wav(*bytes, error) : codec::decode_ogg_opus(*bytes, error);
  if (!samples) return Error{path + ": " + error};
  if (samples->empty()) return Error{path + " holds no audio"};
  return std::make_shared<const VoiceRecording>(std::move(*samples));
}

std::unique_ptr<VoiceSource> make_voice(std::size_t stream,
                                        std::shared_ptr<const VoiceRecording> recording) {
  if (recording == nullptr || recording->empty()) return std::make_unique<SpeechLike>(stream);
  return std::make_unique<Repeated>(std::move(recording), stream);
}

struct StandInVoice::Speaker {
  std::size_t stream = 0;
  Stream seen;                               // finds duplicates
  std::vector<std::uint32_t> order;          // packets, as they were sent
  bool is_readable = true;                   // the trace has all payloads
  std::uint16_t samples = frame_lengths[3];  // of packets that do not tell

  std::unique_ptr<codec::Encoder> encoder;
  std::unique_ptr<VoiceSource> source;
  std::size_t encoded = 0;                         // of `order`
  std::deque<std::vector<std::uint8_t>> payloads;  // the last ones
  std::vector<std::int16_t> pcm;
};

StandInVoice::StandInVoice(const Trace& trace, std::shared_ptr<const VoiceRecording> recording)
    : trace_(trace), recording_(std::move(recording)), turn_(trace.packets.size(), no_turn) {
  list_packets();
  for (auto& [ssrc, speaker] : speakers_) {
    is_used_ = is_used_ || !speaker->is_readable;
    for (std::size_t i = 0; i < speaker->order.size(); ++i) {
      turn_[speaker->order[i]] = static_cast<std::uint32_t>(i);
    }
    speaker->samples = usual_length(*speaker);
  }
}

StandInVoice::~StandInVoice() = default;

void StandInVoice::list_packets() {
  for (std::uint32_t index = 0; index < trace_.packets.size(); ++index) {
    const TracePacket& packet = trace_.packets[index];
    std::unique_ptr<Speaker>& speaker = speakers_[packet.ssrc];
    if (speaker == nullptr) {
      speaker = std::make_unique<Speaker>();
      speaker->stream = speakers_.size() - 1;
    }
    if (speaker->seen.is_duplicate(packet.sequence, packet.timestamp)) continue;
    speaker->seen.on_packet(packet.arrival, packet.sequence, packet.timestamp);
    const bool is_readable = packet.size == 0 || !trace_.payload(packet).empty();
    speaker->is_readable = speaker->is_readable && is_readable;
    // A capture has them as they arrived.
    std::vector<std::uint32_t>& order = speaker->order;
    order.push_back(index);
    for (std::size_t at = order.size() - 1; at > 0; --at) {
      const std::uint16_t before = trace_.packets[order[at - 1]].sequence;
      const int step = static_cast<std::int16_t>(packet.sequence - before);
      if (step >= 0 || step < -misorder_max) break;
      std::swap(order[at - 1], order[at]);
    }
  }
}

// The most frequent step of RTP time from a packet to its neighbour.
std::uint16_t StandInVoice::usual_length(const Speaker& speaker) const {
  std::array<std::size_t, frame_lengths.size()> counts{};
  for (std::size_t i = 1; i < speaker.order.size(); ++i) {
    const TracePacket& packet = trace_.packets[speaker.order[i]];
    const TracePacket& before = trace_.packets[speaker.order[i - 1]];
    if (static_cast<std::uint16_t>(packet.sequence - before.sequence) != 1) continue;
    const std::uint32_t step = packet.timestamp - before.timestamp;
    const auto found = std::find(frame_lengths.begin(), frame_lengths.end(), step);
    if (found != frame_lengths.end()) {
      ++counts[static_cast<std::size_t>(found - frame_lengths.begin())];
    }
  }
  const auto most = std::max_element(counts.begin(), counts.end());
  if (*most == 0) return frame_lengths[3];
  return frame_lengths[static_cast<std::size_t>(most - counts.begin())];
}

void StandInVoice::encode_next(Speaker& speaker) {
  const std::size_t turn = speaker.encoded++;
  const TracePacket& packet = trace_.packets[speaker.order[turn]];
  std::vector<std::uint8_t> payload;
  if (packet.size <= listen::silence_size_max) {
    payload.assign(std::begin(codec::silence_frame), std::end(codec::silence_frame));
  } else {
    if (speaker.encoder == nullptr) {
      speaker.encoder = std::make_unique<codec::Encoder>(encoder_options);
      speaker.source = make_voice(speaker.stream, recording_);
    }
    int frames = 1;
    if (turn > 0) {
      const std::uint16_t before = trace_.packets[speaker.order[turn - 1]].sequence;
      const int step = static_cast<std::int16_t>(packet.sequence - before);
      if (step > 1 && step <= lost_max + 1) frames = step;
    }
    const std::uint16_t samples =
        packet.samples == 0 ? speaker.samples : frame_length(packet.samples);
    speaker.pcm.resize(samples);
    for (int i = 0; i < frames; ++i) {
      speaker.source->read(speaker.pcm);
      payload = speaker.encoder->encode(speaker.pcm);
    }
  }
  speaker.payloads.push_back(std::move(payload));
  if (speaker.payloads.size() > packets_kept) speaker.payloads.pop_front();
}

std::span<const std::uint8_t> StandInVoice::payload(std::size_t packet) {
  if (packet >= turn_.size() || turn_[packet] == no_turn) return {};
  Speaker& speaker = *speakers_.at(trace_.packets[packet].ssrc);
  if (speaker.is_readable) return trace_.payload(trace_.packets[packet]);
  const std::size_t turn = turn_[packet];
  while (speaker.encoded <= turn) encode_next(speaker);
  const std::size_t first_kept = speaker.encoded - speaker.payloads.size();
  if (turn < first_kept) return {};
  return speaker.payloads[turn - first_kept];
}

}  // namespace earshot::replay
