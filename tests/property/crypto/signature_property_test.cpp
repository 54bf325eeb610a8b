// Signatures and base64url against OpenSSL, and against themselves backwards.
#include <doctest/doctest.h>

#include <random>

#include "crypto/keys.h"
#include "crypto/signature.h"
#include "tests/support/reference_crypto.h"

using namespace earshot;
using namespace earshot::crypto;
using test::Bytes;

namespace {

Bytes random_bytes_of(std::mt19937_64& random, std::size_t size) {
  Bytes out(size);
  for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
  return out;
}

template <typename Range>
Bytes as_bytes(const Range& range) {
  return {range.begin(), range.end()};
}

}  // namespace

TEST_CASE("HMAC-SHA-256 and SHA-256 are OpenSSL's") {
  const std::uint64_t seed = 31;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2'000; ++i) {
    const Bytes key = random_bytes_of(random, 1 + random() % 150);
    const Bytes message = random_bytes_of(random, random() % 400);
    REQUIRE(as_bytes(hmac_sha256(key, message)) == test::reference_hmac_sha256(key, message));
    REQUIRE(verify_hmac_sha256(test::reference_hmac_sha256(key, message), key, message));
    REQUIRE(as_bytes(sha256(message)) == test::reference_sha256(message));
  }
}

TEST_CASE("Ed25519 signs and verifies as OpenSSL does") {
  REQUIRE(initialize());
  const std::uint64_t seed = 32;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 150; ++i) {
    const Bytes secret = random_bytes_of(random, ed25519_seed_size);
    const std::span<const std::uint8_t, ed25519_seed_size> secret_view(secret.data(),
                                                                       ed25519_seed_size);
    const Bytes message = random_bytes_of(random, random() % 400);
    const auto public_key = ed25519_public_key(secret_view);
    REQUIRE(as_bytes(public_key) == test::reference_ed25519_public_key(secret));
    auto signature = ed25519_sign(secret_view, message);
    REQUIRE(as_bytes(signature) == test::reference_ed25519_sign(secret, message));
    REQUIRE(ed25519_verify(signature, public_key, message));
    signature[random() % signature.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
    REQUIRE_FALSE(ed25519_verify(signature, public_key, message));
    REQUIRE_FALSE(test::reference_ed25519_verify(signature, public_key, message));
  }
}

TEST_CASE("base64url: all bytes come back, and one value has one text") {
  const std::uint64_t seed = 33;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const Bytes bytes = random_bytes_of(random, random() % 60);
    const std::string text = base64url_encode(bytes);
    REQUIRE(text.size() == (bytes.size() * 4 + 2) / 3);
    REQUIRE(base64url_decode(text) == bytes);
  }
  constexpr std::string_view characters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_-_-_+/= ";
  int accepted = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    for (std::size_t size = random() % 7; size > 0; --size)
      text += characters[random() % characters.size()];
    const auto bytes = base64url_decode(text);
    if (!bytes) continue;
    ++accepted;
    REQUIRE(base64url_encode(*bytes) == text);
  }
  CHECK(accepted > 5'000);
}
