// A stand-in for speech that a trace does not hold (encrypted captures, CSV, generated traffic):
// from a recording, or speech-like and computed. Opus packets for each stream, one for each of its
// packets, made in the order of sending when they are asked for. Any one thread; the same trace and
// recording give the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/result.h"
#include "tools/replay/trace.h"

namespace earshot::replay {

// 48 kHz mono.
using VoiceRecording = std::vector<std::int16_t>;
// WAV or Ogg Opus, by its content; two hours at most.
Result<std::shared_ptr<const VoiceRecording>> read_voice(const std::string& path);

// What one participant says: as many samples as are asked for, and never the same as others.
class VoiceSource {
 public:
  virtual ~VoiceSource() = default;
  virtual void read(std::span<std::int16_t> out) = 0;
};
// `recording` is repeated, each stream begins at another place. Null: vowels with a melody and a
// rhythm of syllables, each stream at a pitch of its own.
std::unique_ptr<VoiceSource> make_voice(std::size_t stream,
                                        std::shared_ptr<const VoiceRecording> recording);

class StandInVoice {
 public:
  // `trace` must outlive it.
  StandInVoice(const Trace& trace, std::shared_ptr<const VoiceRecording> recording);
  ~StandInVoice();

  // Of the packet with this index in the trace: its own, or that of the stand-in if not all of its
  // stream can be read. Valid until the next call. Empty if it is a duplicate, or if later ones of
  // its stream were asked for long before (more than `packets_kept` of them).
  std::span<const std::uint8_t> payload(std::size_t packet);
  // For at least one stream.
  bool is_used() const { return is_used_; }

  static constexpr std::size_t packets_kept = 8'192;

 private:
  struct Speaker;

  void list_packets();
  std::uint16_t usual_length(const Speaker& speaker) const;
  void encode_next(Speaker& speaker);

  const Trace& trace_;
  std::shared_ptr<const VoiceRecording> recording_;
  std::map<Ssrc, std::unique_ptr<Speaker>> speakers_;
  std::vector<std::uint32_t> turn_;  // of each packet of the trace, within its stream
  bool is_used_ = false;
};

}  // namespace earshot::replay
