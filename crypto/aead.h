// AEAD for media: seal and open in place, in the two modes of the voice protocol (docs/protocol.md,
// "Media encryption"). One owner thread per AeadKey. No allocation. The 4-byte counter that travels
// at the end of a datagram is the front of the nonce; the rest of the nonce is zero.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "crypto/keys.h"

namespace earshot::crypto {

enum class AeadMode : std::uint8_t { aes256_gcm_rtpsize, xchacha20_poly1305_rtpsize };

constexpr std::size_t tag_size = 16;
constexpr std::size_t counter_size = 4;
using Counter = std::array<std::uint8_t, counter_size>;  // as it stands on the wire

// "aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize".
std::string_view name(AeadMode mode);
std::optional<AeadMode> parse_aead_mode(std::string_view name);
// GCM only where the CPU has AES-NI and PCLMUL; XChaCha20 always. After initialize().
[[nodiscard]] bool is_available(AeadMode mode);

// A key made ready for one mode: for GCM the expanded AES schedule (512 bytes), for XChaCha20 the
// key. Trivially destructible and valid when zero-filled (no key), so that arrays of it can live in
// SecretMemory; call clear() to zero it.
class alignas(16) AeadKey {
 public:
  // `mode` must be available.
  void set(AeadMode mode, std::span<const std::uint8_t, key_size> key);
  void clear();
  bool is_set() const { return is_set_; }
  AeadMode mode() const { return mode_; }

  // Encrypts data[0, plaintext_size) in place and writes the tag behind it: `data` must hold
  // plaintext_size + tag_size bytes. `aad` is authenticated only. Requires is_set().
  void seal(std::span<std::uint8_t> data, std::size_t plaintext_size,
            std::span<const std::uint8_t> aad, const Counter& counter) const;

  // Decrypts ciphertext-with-tag in place. On success the plaintext stands in the first data.size()
  // - tag_size bytes. False if it does not authenticate (then the content of `data` is unspecified,
  // but never plaintext) or is shorter than a tag.
  [[nodiscard]] bool open(std::span<std::uint8_t> data, std::span<const std::uint8_t> aad,
                          const Counter& counter) const;

 private:
  alignas(16) std::array<std::uint8_t, 512> schedule_;
  AeadMode mode_;
  bool is_set_;
};

}  // namespace earshot::crypto
