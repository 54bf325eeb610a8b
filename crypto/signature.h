// Signatures for tokens: HMAC-SHA-256 (RFC 2104, for JWT HS256) and Ed25519 (RFC 8032, for JWT
// EdDSA). Any thread. Only the primitives: the claims live in relay/gateway/token.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace earshot::crypto {

constexpr std::size_t hmac_size = 32;
constexpr std::size_t ed25519_signature_size = 64;
constexpr std::size_t ed25519_public_key_size = 32;
constexpr std::size_t ed25519_seed_size = 32;

std::array<std::uint8_t, hmac_size> hmac_sha256(std::span<const std::uint8_t> key,
                                                std::span<const std::uint8_t> message);
// Constant time.
[[nodiscard]] bool verify_hmac_sha256(std::span<const std::uint8_t> mac,
                                      std::span<const std::uint8_t> key,
                                      std::span<const std::uint8_t> message);

// `seed` is the private key of RFC 8032.
std::array<std::uint8_t, ed25519_public_key_size> ed25519_public_key(
    std::span<const std::uint8_t, ed25519_seed_size> seed);
std::array<std::uint8_t, ed25519_signature_size> ed25519_sign(
    std::span<const std::uint8_t, ed25519_seed_size> seed, std::span<const std::uint8_t> message);
[[nodiscard]] bool ed25519_verify(std::span<const std::uint8_t> signature,
                                  std::span<const std::uint8_t, ed25519_public_key_size> public_key,
                                  std::span<const std::uint8_t> message);

// SHA-256, for hashes of tokens and keys by name.
std::array<std::uint8_t, 32> sha256(std::span<const std::uint8_t> message);

// base64url without padding (RFC 4648 s5), strict: other characters, padding or non-zero spare bits
// are refused.
std::string base64url_encode(std::span<const std::uint8_t> bytes);
std::optional<std::vector<std::uint8_t>> base64url_decode(std::string_view text);

}  // namespace earshot::crypto
