// The client's half of the media path for tests: seals what a participant sends and opens what it
// receives. No socket, no clock. Counters start anywhere and count in either byte order, as real
// clients do.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crypto/aead.h"
#include "relay/base/ids.h"
#include "relay/core/nonce.h"

namespace earshot::test {

struct ReceivedPacket {
  Ssrc ssrc;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  crypto::Counter counter{};
  std::vector<std::uint8_t> frame;
};

class MediaClient {
 public:
  MediaClient(Ssrc ssrc, crypto::AeadMode mode, std::span<const std::uint8_t, crypto::key_size> key,
              std::uint32_t counter = 0, CounterOrder order = CounterOrder::big_endian);

  // A plain RTP packet under the next counter.
  std::vector<std::uint8_t> seal(std::uint16_t sequence, std::uint32_t timestamp,
                                 std::span<const std::uint8_t> frame);
  // Any clear header (with CSRC or extension preamble) and any plaintext behind it.
  std::vector<std::uint8_t> seal_raw(std::span<const std::uint8_t> header,
                                     std::span<const std::uint8_t> plaintext);
  // Nothing unless it is RTP as clients accept it and authenticates.
  std::optional<ReceivedPacket> open(std::span<const std::uint8_t> datagram) const;

  Ssrc ssrc() const { return ssrc_; }
  std::uint32_t next_counter() const { return counter_; }
  void set_next_counter(std::uint32_t counter) { counter_ = counter; }
  // The bytes of a counter of this client's on the wire.
  crypto::Counter counter_bytes(std::uint32_t counter) const;

 private:
  Ssrc ssrc_;
  crypto::AeadKey key_;
  std::uint32_t counter_;
  CounterOrder order_;
};

}  // namespace earshot::test
