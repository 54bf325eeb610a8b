#include "crypto/signature.h"

#include <sodium.h>

#include "crypto/keys.h"

namespace earshot::crypto {
namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// libsodium declares its pointers as never null, and that of an empty span may be.
const std::uint8_t* data_of(std::span<const std::uint8_t> bytes) {
  static constexpr std::uint8_t nothing = 0;
  return bytes.empty() ? &nothing : bytes.data();
}

std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> expand(
    std::span<const std::uint8_t, ed25519_seed_size> seed, std::uint8_t* public_key) {
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  crypto_sign_seed_keypair(public_key, secret.data(), seed.data());
  return secret;
}

}  // namespace

std::array<std::uint8_t, hmac_size> hmac_sha256(std::span<const std::uint8_t> key,
                                                std::span<const std::uint8_t> message) {
  crypto_auth_hmacsha256_state state;
  std::array<std::uint8_t, hmac_size> mac;
  crypto_auth_hmacsha256_init(&state, data_of(key), key.size());
  crypto_auth_hmacsha256_update(&state, data_of(message), message.size());
  crypto_auth_hmacsha256_final(&state, mac.data());
  sodium_memzero(&state, sizeof state);
  return mac;
}

bool verify_hmac_sha256(std::span<const std::uint8_t> mac, std::span<const std::uint8_t> key,
                        std::span<const std::uint8_t> message) {
  return equal_constant_time(mac, hmac_sha256(key, message));
}

std::array<std::uint8_t, ed25519_public_key_size> ed25519_public_key(
    std::span<const std::uint8_t, ed25519_seed_size> seed) {
  std::array<std::uint8_t, ed25519_public_key_size> public_key;
  auto secret = expand(seed, public_key.data());
  zero(secret);
  return public_key;
}

std::array<std::uint8_t, ed25519_signature_size> ed25519_sign(
    std::span<const std::uint8_t, ed25519_seed_size> seed, std::span<const std::uint8_t> message) {
  std::array<std::uint8_t, ed25519_public_key_size> public_key;
  std::array<std::uint8_t, ed25519_signature_size> signature;
  auto secret = expand(seed, public_key.data());
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), secret.data());
  zero(secret);
  return signature;
}

bool ed25519_verify(std::span<const std::uint8_t> signature,
                    std::span<const std::uint8_t, ed25519_public_key_size> public_key,
                    std::span<const std::uint8_t> message) {
  return signature.size() == ed25519_signature_size &&
         crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     public_key.data()) == 0;
}

std::array<std::uint8_t, 32> sha256(std::span<const std::uint8_t> message) {
  std::array<std::uint8_t, 32> digest;
  crypto_hash_sha256(digest.data(), message.data(), message.size());
  return digest;
}

std::string base64url_encode(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t bits = 0;
  int count = 0;
  for (const std::uint8_t byte : bytes) {
    bits = bits << 8 | byte;
    for (count += 8; count >= 6; count -= 6) text += alphabet[bits >> (count - 6) & 63];
  }
  if (count > 0) text += alphabet[bits << (6 - count) & 63];
  return text;
}

std::optional<std::vector<std::uint8_t>> base64url_decode(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const auto value = alphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<std::uint8_t>(bits >> count));
  }
  // What is left over must be zero, so that one value has one text only.
  if ((bits & ((1u << count) - 1)) != 0) return std::nullopt;
  return bytes;
}

}  // namespace earshot::crypto
