// One key of one session as both sides of it know it: the client's sealing and opening, and every
// nonce that either side has used under it. One thread.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crypto/aead.h"
#include "relay/base/ids.h"
#include "relay/core/nonce.h"
#include "tests/sim/nonce_set.h"

namespace earshot::sim {

// How a client's nonce counter counts.
struct CounterHabit {
  std::uint32_t start = 0;
  CounterOrder order = CounterOrder::big_endian;
  bool is_near_relay = false;  // on purpose where the relay's own counters are
};

struct OpenedFrame {
  Ssrc ssrc;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t nonce = 0;
  std::span<const std::uint8_t> frame;  // until the next call
};

class ClientKey {
 public:
  ClientKey(crypto::AeadMode mode, const std::array<std::uint8_t, crypto::key_size>& bytes,
            const CounterHabit& habit);

  crypto::AeadMode mode() const { return mode_; }
  const std::array<std::uint8_t, crypto::key_size>& bytes() const { return bytes_; }
  const CounterHabit& habit() const { return habit_; }
  std::uint32_t sealed_count() const { return sealed_; }

  // Writes header, sealed plaintext, tag and the next counter to `out`.
  void seal(std::span<const std::uint8_t> header, std::span<const std::uint8_t> plaintext,
            std::vector<std::uint8_t>& out);
  // The same under a given counter, noted nowhere: for what a broken relay would send.
  void seal_under(std::uint32_t nonce, std::span<const std::uint8_t> header,
                  std::span<const std::uint8_t> plaintext, std::vector<std::uint8_t>& out) const;
  // Nothing unless it is RTP as clients accept it and authenticates.
  std::optional<OpenedFrame> open(std::span<const std::uint8_t> datagram);

  // Of all that either side has used.
  NonceSet by_relay;
  NonceSet by_client;

  // Which of the client's datagrams (counted from 0) the relay has taken, among the last ones.
  static constexpr std::uint32_t taken_window = 4'096;
  bool is_taken(std::uint32_t datagram) const { return taken_[datagram % taken_window]; }
  void note_taken(std::uint32_t datagram);
  // The newest that the relay has taken; nothing: none yet.
  std::optional<std::uint32_t> newest_taken() const { return newest_taken_; }

  bool is_fresh_key_asked = false;  // the relay has seen that the counters meet

 private:
  std::uint32_t nonce_of(std::uint32_t datagram) const;

  crypto::AeadMode mode_;
  std::array<std::uint8_t, crypto::key_size> bytes_;
  CounterHabit habit_;
  crypto::AeadKey key_{};
  std::uint32_t sealed_ = 0;
  std::bitset<taken_window> taken_;
  std::optional<std::uint32_t> newest_taken_;
  std::vector<std::uint8_t> opened_;
};

// The bytes of a counter read as one number, the first byte highest.
std::uint32_t to_nonce(const crypto::Counter& counter);
crypto::Counter to_counter(std::uint32_t nonce);

}  // namespace earshot::sim
