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

// The AES code leaves round keys in the vector registers, where they stay, and stand in a core
// dump, until somebody else needs them. A few nanoseconds.
class RegistersAreZeroed {
 public:
  RegistersAreZeroed() = default;
  ~RegistersAreZeroed() {
#ifdef __x86_64__
    asm volatile(
        "pxor %%xmm0, %%xmm0\n pxor %%xmm1, %%xmm1\n pxor %%xmm2, %%xmm2\n pxor %%xmm3, %%xmm3\n"
        "pxor %%xmm4, %%xmm4\n pxor %%xmm5, %%xmm5\n pxor %%xmm6, %%xmm6\n pxor %%xmm7, %%xmm7\n"
        "pxor %%xmm8, %%xmm8\n pxor %%xmm9, %%xmm9\n pxor %%xmm10, %%xmm10\n"
        "pxor %%xmm11, %%xmm11\n pxor %%xmm12, %%xmm12\n pxor %%xmm13, %%xmm13\n"
        "pxor %%xmm14, %%xmm14\n pxor %%xmm15, %%xmm15\n"
        :
        :
        : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#endif
  }
  RegistersAreZeroed(const RegistersAreZeroed&) = delete;
  RegistersAreZeroed& operator=(const RegistersAreZeroed&) = delete;
};

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
  const RegistersAreZeroed at_the_end;
  clear();
  mode_ = mode;
  if (mode == AeadMode::aes256_gcm_rtpsize) {
    crypto_aead_aes256gcm_beforenm(reinterpret_cast<crypto_aead_aes256gcm_state*>(schedule_.data()),
                                   key.data());
    // What the expansion left on the stack.
    sodium_stackzero(expansion_stack_size);
  } else {
    // Byte by byte: memcpy goes through registers that nothing here can zero (AVX-512).
    for (std::size_t i = 0; i < key.size(); ++i) {
      static_cast<volatile std::uint8_t&>(schedule_[i]) = key[i];
    }
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
  const RegistersAreZeroed at_the_end;
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
  const RegistersAreZeroed at_the_end;
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
