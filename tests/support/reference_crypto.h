// Independent implementations to compare crypto/ with: OpenSSL's AES-256-GCM, ChaCha20-Poly1305,
// HMAC and Ed25519, and an HChaCha20 written down from its specification. Tests only; any thread;
// slow and without regard to secrets.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace earshot::test {

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

// The ciphertext with its tag behind it.
Bytes reference_aes256_gcm(View key, View nonce, View aad, View plaintext);
Bytes reference_xchacha20_poly1305(View key, View nonce, View aad, View plaintext);
// draft-irtf-cfrg-xchacha s2.2; `nonce` has 16 bytes.
std::array<std::uint8_t, 32> reference_hchacha20(View key, View nonce);

Bytes reference_hmac_sha256(View key, View message);
Bytes reference_sha256(View message);
Bytes reference_ed25519_public_key(View seed);
Bytes reference_ed25519_sign(View seed, View message);
bool reference_ed25519_verify(View signature, View public_key, View message);

}  // namespace earshot::test
