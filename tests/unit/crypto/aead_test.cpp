// The two AEAD modes against published vectors. The interface fixes all of the nonce but its
// counter, so the vectors with other nonces judge the reference implementation of
// tests/property/crypto, which judges the code under every counter.
#include "crypto/aead.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "tests/support/aborts.h"
#include "tests/support/hex.h"
#include "tests/support/reference_crypto.h"

using namespace earshot;
using namespace earshot::crypto;
using test::Bytes;
using test::from_hex;
using test::to_hex;

namespace {

constexpr AeadMode modes[] = {AeadMode::aes256_gcm_rtpsize, AeadMode::xchacha20_poly1305_rtpsize};

std::span<const std::uint8_t, key_size> as_key(const Bytes& bytes) {
  return std::span<const std::uint8_t, key_size>(bytes.data(), key_size);
}

AeadKey make_key(AeadMode mode, const Bytes& bytes) {
  AeadKey key{};
  key.set(mode, as_key(bytes));
  return key;
}

Bytes counting(std::size_t size, std::uint8_t first = 0) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

Bytes seal(const AeadKey& key, const Bytes& plaintext, const Bytes& aad, const Counter& counter) {
  Bytes data = plaintext;
  data.resize(plaintext.size() + tag_size);
  key.seal(data, plaintext.size(), aad, counter);
  return data;
}

}  // namespace

TEST_CASE("AES-256-GCM: the published vectors with an all-zero nonce (GCM specification, 13, 14)") {
  REQUIRE(initialize());
  if (!is_available(AeadMode::aes256_gcm_rtpsize)) return;
  const AeadKey key = make_key(AeadMode::aes256_gcm_rtpsize, Bytes(32));
  CHECK(to_hex(seal(key, {}, {}, {})) == "530f8afbc74536b9a963b4f1c4cb738b");
  CHECK(to_hex(seal(key, Bytes(16), {}, {})) ==
        "cea7403d4d606b6e074ec5d3baf39d18"
        "d0d1c8a799996bf0265b98b5d48ab919");
}

TEST_CASE("the reference's AES-256-GCM: vectors 15 and 16 of the GCM specification") {
  const Bytes key = from_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const Bytes nonce = from_hex("cafebabefacedbaddecaf888");
  const Bytes plaintext = from_hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255");
  const Bytes aad = from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  CHECK(to_hex(test::reference_aes256_gcm(key, nonce, {}, plaintext)) ==
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
        "b094dac5d93471bdec1a502270e3cc6c");
  CHECK(to_hex(test::reference_aes256_gcm(key, nonce, aad, test::View(plaintext).first(60))) ==
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b");
}

TEST_CASE("the reference's XChaCha20-Poly1305: draft-irtf-cfrg-xchacha s2.2.1 and A.3.1") {
  CHECK(to_hex(test::reference_hchacha20(counting(32),
                                         from_hex("000000090000004a0000000031415927"))) ==
        "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
  const std::string_view text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  const Bytes plaintext(text.begin(), text.end());
  CHECK(
      to_hex(test::reference_xchacha20_poly1305(counting(32, 0x80), counting(24, 0x40),
                                                from_hex("50515253c0c1c2c3c4c5c6c7"), plaintext)) ==
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
      "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
      "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
      "21f9664c97637da9768812f615c68b13b52e"
      "c0875924c1c7987947deafd8780acf49");
}

TEST_CASE("the counter stands at the front of the nonce, and the rest is zero") {
  REQUIRE(initialize());
  const Bytes key = counting(32, 7);
  const Bytes aad = counting(12, 100);
  const Bytes plaintext = counting(61, 200);
  const Counter counter{0x81, 0x02, 0x03, 0x84};
  Bytes nonce(24);
  std::copy(counter.begin(), counter.end(), nonce.begin());
  CHECK(seal(make_key(AeadMode::xchacha20_poly1305_rtpsize, key), plaintext, aad, counter) ==
        test::reference_xchacha20_poly1305(key, nonce, aad, plaintext));
  if (!is_available(AeadMode::aes256_gcm_rtpsize)) return;
  CHECK(seal(make_key(AeadMode::aes256_gcm_rtpsize, key), plaintext, aad, counter) ==
        test::reference_aes256_gcm(key, test::View(nonce).first(12), aad, plaintext));
}

TEST_CASE("a changed byte anywhere is refused, and no plaintext is left behind") {
  REQUIRE(initialize());
  for (const AeadMode mode : modes) {
    if (!is_available(mode)) continue;
    CAPTURE(name(mode));
    const AeadKey key = make_key(mode, counting(32, 1));
    const Bytes plaintext = counting(40, 0x21);
    const Bytes aad = counting(20, 0xA0);
    const Counter counter{1, 2, 3, 4};
    const Bytes sealed = seal(key, plaintext, aad, counter);

    const auto refuses = [&](Bytes data, const Bytes& with_aad, const Counter& with_counter) {
      const Bytes before = data;
      if (key.open(data, with_aad, with_counter)) return false;
      // Every byte of the place where the plaintext would stand is ciphertext still, or zero.
      for (std::size_t i = 0; i + tag_size < data.size(); ++i) {
        if (data[i] != before[i] && data[i] != 0) return false;
      }
      return true;
    };
    for (const std::uint8_t flip : std::initializer_list<std::uint8_t>{0x01, 0x80, 0xFF}) {
      for (std::size_t i = 0; i < sealed.size(); ++i) {
        CAPTURE(i);
        Bytes data = sealed;
        data[i] ^= flip;
        CHECK(refuses(data, aad, counter));
      }
      for (std::size_t i = 0; i < aad.size(); ++i) {
        CAPTURE(i);
        Bytes changed = aad;
        changed[i] ^= flip;
        CHECK(refuses(sealed, changed, counter));
      }
      for (std::size_t i = 0; i < counter.size(); ++i) {
        CAPTURE(i);
        Counter changed = counter;
        changed[i] ^= flip;
        CHECK(refuses(sealed, aad, changed));
      }
    }
    // Longer, shorter, and a byte moved over the border between header and ciphertext.
    for (std::size_t size = 0; size < sealed.size(); ++size) {
      CAPTURE(size);
      CHECK(refuses({sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(size)}, aad,
                    counter));
    }
    Bytes longer = sealed;
    longer.push_back(0);
    CHECK(refuses(longer, aad, counter));
    CHECK(refuses(sealed, Bytes(aad.begin(), aad.end() - 1), counter));
    Bytes moved = sealed;
    moved.insert(moved.begin(), aad.back());
    CHECK(refuses(moved, Bytes(aad.begin(), aad.end() - 1), counter));

    Bytes data = sealed;
    CHECK(key.open(data, aad, counter));
    data.resize(plaintext.size());
    CHECK(data == plaintext);
  }
}

TEST_CASE("another key or the other mode opens nothing") {
  REQUIRE(initialize());
  const Bytes plaintext = counting(30);
  for (const AeadMode mode : modes) {
    for (const AeadMode other : modes) {
      if (!is_available(mode) || !is_available(other)) continue;
      Bytes data = seal(make_key(mode, counting(32, 1)), plaintext, {}, {});
      CHECK_FALSE(make_key(other, counting(32, 2)).open(data, {}, {}));
      if (mode == other) continue;
      data = seal(make_key(mode, counting(32, 1)), plaintext, {}, {});
      CHECK_FALSE(make_key(other, counting(32, 1)).open(data, {}, {}));
    }
  }
}

TEST_CASE("an empty plaintext is a tag, and less than a tag is nothing") {
  REQUIRE(initialize());
  for (const AeadMode mode : modes) {
    if (!is_available(mode)) continue;
    CAPTURE(name(mode));
    const AeadKey key = make_key(mode, counting(32));
    Bytes data = seal(key, {}, counting(12), {9, 9, 9, 9});
    CHECK(data.size() == tag_size);
    CHECK(key.open(data, counting(12), {9, 9, 9, 9}));
    CHECK_FALSE(key.open({}, {}, {}));
    Bytes short_of_one(tag_size - 1);
    CHECK_FALSE(key.open(short_of_one, {}, {}));
  }
}

TEST_CASE("seal writes the tag behind the plaintext and leaves the rest alone") {
  REQUIRE(initialize());
  for (const AeadMode mode : modes) {
    if (!is_available(mode)) continue;
    Bytes data(10 + tag_size + 4, 0xEE);
    make_key(mode, counting(32)).seal(data, 10, {}, {});
    CHECK(Bytes(data.end() - 4, data.end()) == Bytes(4, 0xEE));
    data.resize(10 + tag_size);
    CHECK(make_key(mode, counting(32)).open(data, {}, {}));
    CHECK(Bytes(data.begin(), data.begin() + 10) == Bytes(10, 0xEE));
  }
}

TEST_CASE("a key in zero-filled memory is no key, set and cleared as often as one likes") {
  REQUIRE(initialize());
  alignas(AeadKey) std::uint8_t memory[sizeof(AeadKey)] = {};
  auto& key = *reinterpret_cast<AeadKey*>(memory);
  CHECK_FALSE(key.is_set());
  for (const AeadMode mode : modes) {
    if (!is_available(mode)) continue;
    key.set(mode, as_key(counting(32, 3)));
    CHECK(key.is_set());
    CHECK(key.mode() == mode);
    Bytes data = seal(key, counting(5), {}, {});
    CHECK(key.open(data, {}, {}));
  }
  key.clear();
  CHECK_FALSE(key.is_set());
  CHECK(std::all_of(std::begin(memory), std::end(memory), [](auto b) { return b == 0; }));
}

TEST_CASE("using a key that is not set, or too little room, stops the process") {
  REQUIRE(initialize());
  Bytes data(tag_size + 3);
  AeadKey key{};
  CHECK(test::aborts([&] { key.seal(data, 3, {}, {}); }));
  CHECK(test::aborts([&] { (void)key.open(data, {}, {}); }));
  key.set(AeadMode::xchacha20_poly1305_rtpsize, as_key(counting(32)));
  CHECK(test::aborts([&] { key.seal(data, 4, {}, {}); }));
  CHECK(test::aborts([&] { key.seal(data, SIZE_MAX - 3, {}, {}); }));
  CHECK_FALSE(test::aborts([&] { key.seal(data, 3, {}, {}); }));
}

TEST_CASE("modes have the protocol's names, and no others") {
  for (const AeadMode mode : modes) CHECK(parse_aead_mode(name(mode)) == mode);
  CHECK(name(AeadMode::aes256_gcm_rtpsize) == "aead_aes256_gcm_rtpsize");
  CHECK(name(AeadMode::xchacha20_poly1305_rtpsize) == "aead_xchacha20_poly1305_rtpsize");
  for (const std::string_view other :
       {"", "aead_aes256_gcm", "AEAD_AES256_GCM_RTPSIZE", "aead_aes256_gcm_rtpsize ",
        "xsalsa20_poly1305", "aead_xchacha20_poly1305_rtpsizex"}) {
    CAPTURE(other);
    CHECK_FALSE(parse_aead_mode(other).has_value());
  }
}
