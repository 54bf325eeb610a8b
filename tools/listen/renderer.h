// One stream as it sounds: carries out what a jitter buffer decided, 20 ms at a time. Decodes,
// conceals, uses in-band FEC and stretches time; decides nothing. Any one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/opus.h"
#include "tools/listen/buffer.h"

namespace earshot::listen {

class Renderer {
 public:
  // After every insert() that accepted.
  void store(const Inserted& inserted, std::span<const std::uint8_t> payload);
  // After every play(), before the next insert(). `out` is slot_samples long. True if anything but
  // silence was to be played.
  bool render(const Playout& playout, std::span<std::int16_t> out);

  // The payload of a segment that is a frame; valid like its place.
  std::span<const std::uint8_t> payload(const Segment& segment) const;
  // Decoded and not played yet.
  std::size_t pending() const { return pending_.size(); }
  // The last packet that render() decoded, and packets that were no Opus.
  std::span<const std::int16_t> last_decoded() const { return decoded_; }
  std::uint64_t undecodable() const { return undecodable_; }

 private:
  void render_segment(const Segment& segment);
  void append(std::span<const std::int16_t> pcm, int samples);
  void append_idle(int samples);

  codec::Decoder decoder_;
  std::vector<std::vector<std::uint8_t>> payloads_;
  std::vector<std::int16_t> pending_;
  std::vector<std::int16_t> decoded_;
  std::int16_t last_sample_ = 0;
  std::uint64_t undecodable_ = 0;
};

}  // namespace earshot::listen
