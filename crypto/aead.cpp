#include "crypto/aead.h"

#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>

namespace earshot::crypto {
namespace {

constexpr std::size_t expansion_stack_size = 1'024;
constexpr std::string_view gcm_name = "aead_aes256_gcm_rtpsize";
constexpr std::string_view xchacha_name = "aead_xchacha20_poly1305_rtpsize";

template <std::size_t Size>
std::array<std::uint8_t, Size> make_nonce(const Counter& counter) {
  std::array<std::uint8_t, Size> nonce{};
  std::copy(counter.begin(), counter.end(), nonce.begin());
  return nonce;
}

const crypto_aead_aes256gcm_state* schedule_of(const std::uint8_t* bytes) {
  return reinterpret_cast<const crypto_aead_aes256gcm_state*>(bytes);
}

}  // namespace

static_assert(sizeof(crypto_aead_aes256gcm_state) <= 512);
static_assert(crypto_aead_aes256gcm_ABYTES == tag_size &&
              crypto_aead_xchacha20poly1305_ietf_ABYTES == tag_size);
static_assert(crypto_aead_aes256gcm_KEYBYTES == key_size &&
              crypto_aead_xchacha20poly1305_ietf_KEYBYTES == key_size);
static_assert(std::is_trivially_destructible_v<AeadKey> && std::is_trivially_copyable_v<AeadKey>);

std::string_view name(AeadMode mode) {
  return mode == AeadMode::aes256_gcm_rtpsize ? gcm_name : xchacha_name;
}

std::optional<AeadMode> parse_aead_mode(std::string_view text) {
  if (text == gcm_name) return AeadMode::aes256_gcm_rtpsize;
  if (text == xchacha_name) return AeadMode::xchacha20_poly1305_rtpsize;
  return std::nullopt;
}

bool is_available(AeadMode mode) {
  return mode == AeadMode::xchacha20_poly1305_rtpsize || crypto_aead_aes256gcm_is_available() == 1;
}

void AeadKey::set(AeadMode mode, std::span<const std::uint8_t, key_size> key) {
  if (!is_available(mode)) std::abort();
  clear();
  mode_ = mode;
  if (mode == AeadMode::aes256_gcm_rtpsize) {
    crypto_aead_aes256gcm_beforenm(reinterpret_cast<crypto_aead_aes256gcm_state*>(schedule_.data()),
                                   key.data());
    // What the expansion left on the stack.
    sodium_stackzero(expansion_stack_size);
  } else {
    std::copy(key.begin(), key.end(), schedule_.begin());
  }
  is_set_ = true;
}

void AeadKey::clear() {
  zero(schedule_);
  mode_ = AeadMode::aes256_gcm_rtpsize;
  is_set_ = false;
}

void AeadKey::seal(std::span<std::uint8_t> data, std::size_t plaintext_size,
                   std::span<const std::uint8_t> aad, const Counter& counter) const {
  if (!is_set_ || data.size() < tag_size || data.size() - tag_size < plaintext_size) std::abort();
  if (mode_ == AeadMode::aes256_gcm_rtpsize) {
    const auto nonce = make_nonce<crypto_aead_aes256gcm_NPUBBYTES>(counter);
    crypto_aead_aes256gcm_encrypt_afternm(data.data(), nullptr, data.data(), plaintext_size,
                                          aad.data(), aad.size(), nullptr, nonce.data(),
                                          schedule_of(schedule_.data()));
  } else {
    const auto nonce = make_nonce<crypto_aead_xchacha20poly1305_ietf_NPUBBYTES>(counter);
    crypto_aead_xchacha20poly1305_ietf_encrypt(data.data(), nullptr, data.data(), plaintext_size,
                                               aad.data(), aad.size(), nullptr, nonce.data(),
                                               schedule_.data());
  }
}

bool AeadKey::open(std::span<std::uint8_t> data, std::span<const std::uint8_t> aad,
                   const Counter& counter) const {
  if (!is_set_) std::abort();
  if (data.size() < tag_size) return false;
  if (mode_ == AeadMode::aes256_gcm_rtpsize) {
    const auto nonce = make_nonce<crypto_aead_aes256gcm_NPUBBYTES>(counter);
    return crypto_aead_aes256gcm_decrypt_afternm(data.data(), nullptr, nullptr, data.data(),
                                                 data.size(), aad.data(), aad.size(), nonce.data(),
                                                 schedule_of(schedule_.data())) == 0;
  }
  const auto nonce = make_nonce<crypto_aead_xchacha20poly1305_ietf_NPUBBYTES>(counter);
  return crypto_aead_xchacha20poly1305_ietf_decrypt(data.data(), nullptr, nullptr, data.data(),
                                                    data.size(), aad.data(), aad.size(),
                                                    nonce.data(), schedule_.data()) == 0;
}

}  // namespace earshot::crypto
