// One stream as it sounds: carries out what a jitter buffer decided, 20 ms at a time. Decodes,
// conceals, uses in-band FEC and stretches time; decides nothing. Any one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/opus.h"
#include "tools/listen/buffer.h"

namespace earshot::listen {

// A packet as the decoder gave it, before its time was stretched.
struct DecodedPacket {
  Segment segment;
  std::vector<std::int16_t> pcm;
};

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
  // What the last render() decoded.
  std::span<const DecodedPacket> decoded() const { return decoded_; }
  // Packets that were no Opus.
  std::uint64_t undecodable() const { return undecodable_; }

 private:
  void render_segment(const Segment& segment);
  void render_frame(const Segment& segment);
  void append(std::span<const std::int16_t> pcm, int samples);
  void append_idle(int samples);

  codec::Decoder decoder_;
  std::vector<std::vector<std::uint8_t>> payloads_;
  std::vector<std::int16_t> pending_;
  std::vector<DecodedPacket> decoded_;
  std::int16_t last_sample_ = 0;
  std::uint64_t undecodable_ = 0;
};

}  // namespace earshot::listen
