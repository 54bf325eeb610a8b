// Both AEAD modes against independent implementations, over random keys, sizes, counters and
// changes.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "crypto/aead.h"
#include "tests/support/reference_crypto.h"

using namespace earshot;
using namespace earshot::crypto;
using test::Bytes;

namespace {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t bound) { return engine_() % bound; }
  Bytes bytes(std::size_t size) {
    Bytes out(size);
    for (auto& byte : out) byte = static_cast<std::uint8_t>(engine_());
    return out;
  }
  // Header sizes and payload sizes of voice, and now and then anything up to a datagram.
  std::size_t size() { return below(8) == 0 ? below(1'500) : below(200); }

 private:
  std::mt19937_64 engine_;
};

Bytes reference(AeadMode mode, const Bytes& key, const Bytes& counter, const Bytes& aad,
                const Bytes& plaintext) {
  Bytes nonce = counter;
  nonce.resize(mode == AeadMode::aes256_gcm_rtpsize ? 12 : 24);
  return mode == AeadMode::aes256_gcm_rtpsize
             ? test::reference_aes256_gcm(key, nonce, aad, plaintext)
             : test::reference_xchacha20_poly1305(key, nonce, aad, plaintext);
}

void run(AeadMode mode, std::uint64_t seed, int rounds) {
  CAPTURE(name(mode));
  CAPTURE(seed);
  Random random(seed);
  for (int round = 0; round < rounds; ++round) {
    const Bytes key_bytes = random.bytes(key_size);
    const Bytes counter_bytes = random.bytes(counter_size);
    Counter counter;
    std::copy(counter_bytes.begin(), counter_bytes.end(), counter.begin());
    const Bytes aad = random.bytes(random.size());
    const Bytes plaintext = random.bytes(random.size());
    CAPTURE(aad.size());
    CAPTURE(plaintext.size());
    AeadKey key{};
    key.set(mode, std::span<const std::uint8_t, key_size>(key_bytes.data(), key_size));

    Bytes sealed = plaintext;
    sealed.resize(plaintext.size() + tag_size);
    key.seal(sealed, plaintext.size(), aad, counter);
    REQUIRE(sealed == reference(mode, key_bytes, counter_bytes, aad, plaintext));

    // One change anywhere: in the ciphertext, the tag, the associated data or the counter.
    Bytes data = sealed;
    Bytes changed_aad = aad;
    Counter changed_counter = counter;
    const auto flip = static_cast<std::uint8_t>(1 + random.below(255));
    std::size_t at = random.below(data.size() + aad.size() + counter.size());
    if (at < data.size()) {
      data[at] ^= flip;
    } else if (at - data.size() < aad.size()) {
      changed_aad[at - data.size()] ^= flip;
    } else {
      changed_counter[at - data.size() - aad.size()] ^= flip;
    }
    const Bytes before = data;
    REQUIRE_FALSE(key.open(data, changed_aad, changed_counter));
    for (std::size_t i = 0; i < plaintext.size(); ++i)
      REQUIRE((data[i] == before[i] || data[i] == 0));

    REQUIRE(key.open(sealed, aad, counter));
    sealed.resize(plaintext.size());
    REQUIRE(sealed == plaintext);
  }
}

}  // namespace

TEST_CASE("AES-256-GCM seals as OpenSSL does") {
  REQUIRE(initialize());
  if (!is_available(AeadMode::aes256_gcm_rtpsize)) return;
  run(AeadMode::aes256_gcm_rtpsize, 20'261'124, 3'000);
}

TEST_CASE("XChaCha20-Poly1305 seals as HChaCha20 and OpenSSL's ChaCha20-Poly1305 do") {
  REQUIRE(initialize());
  run(AeadMode::xchacha20_poly1305_rtpsize, 20'261'124, 3'000);
}
