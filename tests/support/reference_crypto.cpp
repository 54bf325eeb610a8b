#include "tests/support/reference_crypto.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <bit>
#include <memory>

#include "relay/base/check.h"

namespace earshot::test {
namespace {

struct Deleter {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, Deleter>;
using DigestHandle = std::unique_ptr<EVP_MD_CTX, Deleter>;

constexpr std::size_t tag_size = 16;

Bytes seal(const EVP_CIPHER* cipher, View key, View nonce, View aad, View plaintext) {
  const std::unique_ptr<EVP_CIPHER_CTX, Deleter> context(EVP_CIPHER_CTX_new());
  RELAY_CHECK(EVP_EncryptInit_ex(context.get(), cipher, nullptr, nullptr, nullptr) == 1);
  RELAY_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN,
                                  static_cast<int>(nonce.size()), nullptr) == 1);
  RELAY_CHECK(EVP_EncryptInit_ex(context.get(), nullptr, nullptr, key.data(), nonce.data()) == 1);
  Bytes out(plaintext.size() + tag_size);
  int size = 0;
  if (!aad.empty()) {
    RELAY_CHECK(EVP_EncryptUpdate(context.get(), nullptr, &size, aad.data(),
                                  static_cast<int>(aad.size())) == 1);
  }
  if (!plaintext.empty()) {
    RELAY_CHECK(EVP_EncryptUpdate(context.get(), out.data(), &size, plaintext.data(),
                                  static_cast<int>(plaintext.size())) == 1);
    RELAY_CHECK(static_cast<std::size_t>(size) == plaintext.size());
  }
  std::uint8_t nothing[16];
  RELAY_CHECK(EVP_EncryptFinal_ex(context.get(), nothing, &size) == 1 && size == 0);
  RELAY_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_size,
                                  out.data() + plaintext.size()) == 1);
  return out;
}

KeyHandle private_key(View seed) {
  KeyHandle key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  RELAY_CHECK(key != nullptr);
  return key;
}

std::uint32_t read_u32(View bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} | std::uint32_t{bytes[at + 1]} << 8 |
         std::uint32_t{bytes[at + 2]} << 16 | std::uint32_t{bytes[at + 3]} << 24;
}

// RFC 8439 s2.1.
void quarter_round(std::array<std::uint32_t, 16>& s, std::size_t a, std::size_t b, std::size_t c,
                   std::size_t d) {
  s[a] += s[b];
  s[d] = std::rotl(s[d] ^ s[a], 16);
  s[c] += s[d];
  s[b] = std::rotl(s[b] ^ s[c], 12);
  s[a] += s[b];
  s[d] = std::rotl(s[d] ^ s[a], 8);
  s[c] += s[d];
  s[b] = std::rotl(s[b] ^ s[c], 7);
}

}  // namespace

Bytes reference_aes256_gcm(View key, View nonce, View aad, View plaintext) {
  RELAY_CHECK(key.size() == 32);
  return seal(EVP_aes_256_gcm(), key, nonce, aad, plaintext);
}

std::array<std::uint8_t, 32> reference_hchacha20(View key, View nonce) {
  RELAY_CHECK(key.size() == 32 && nonce.size() == 16);
  std::array<std::uint32_t, 16> state{0x61707865, 0x3320646E, 0x79622D32, 0x6B206574};
  for (std::size_t i = 0; i < 8; ++i) state[4 + i] = read_u32(key, 4 * i);
  for (std::size_t i = 0; i < 4; ++i) state[12 + i] = read_u32(nonce, 4 * i);
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < 4; ++i) quarter_round(state, i, 4 + i, 8 + i, 12 + i);
    for (std::size_t i = 0; i < 4; ++i)
      quarter_round(state, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
  }
  std::array<std::uint8_t, 32> out;
  for (std::size_t i = 0; i < 32; ++i) {
    const std::uint32_t word = i < 16 ? state[i / 4] : state[12 + (i - 16) / 4];
    out[i] = static_cast<std::uint8_t>(word >> (8 * (i % 4)));
  }
  return out;
}

Bytes reference_xchacha20_poly1305(View key, View nonce, View aad, View plaintext) {
  RELAY_CHECK(nonce.size() == 24);
  const auto subkey = reference_hchacha20(key, nonce.first(16));
  Bytes short_nonce(4);
  short_nonce.insert(short_nonce.end(), nonce.begin() + 16, nonce.end());
  return seal(EVP_chacha20_poly1305(), subkey, short_nonce, aad, plaintext);
}

Bytes reference_hmac_sha256(View key, View message) {
  Bytes mac(32);
  unsigned size = 0;
  RELAY_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(),
                   message.size(), mac.data(), &size) != nullptr &&
              size == mac.size());
  return mac;
}

Bytes reference_sha256(View message) {
  Bytes digest(32);
  unsigned size = 0;
  RELAY_CHECK(
      EVP_Digest(message.data(), message.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  return digest;
}

Bytes reference_ed25519_public_key(View seed) {
  Bytes out(32);
  std::size_t size = out.size();
  RELAY_CHECK(EVP_PKEY_get_raw_public_key(private_key(seed).get(), out.data(), &size) == 1);
  return out;
}

Bytes reference_ed25519_sign(View seed, View message) {
  const KeyHandle key = private_key(seed);
  const DigestHandle context(EVP_MD_CTX_new());
  Bytes signature(64);
  std::size_t size = signature.size();
  RELAY_CHECK(
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) == 1);
  return signature;
}

bool reference_ed25519_verify(View signature, View public_key, View message) {
  const KeyHandle key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  if (!key) return false;
  const DigestHandle context(EVP_MD_CTX_new());
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

}  // namespace earshot::test
