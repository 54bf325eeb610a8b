#include "crypto/signature.h"

#include <doctest/doctest.h>

#include "crypto/keys.h"
#include "tests/support/hex.h"

using namespace earshot::crypto;
using earshot::test::from_hex;
using earshot::test::to_hex;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

Bytes counting(int first, int last) {
  Bytes bytes;
  for (int i = first; i <= last; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
  return bytes;
}

template <std::size_t Size>
std::span<const std::uint8_t, Size> fixed(const Bytes& bytes) {
  REQUIRE(bytes.size() == Size);
  return std::span<const std::uint8_t, Size>(bytes.data(), Size);
}

struct Ed25519Vector {
  std::string_view seed, public_key, message, signature;
};

// RFC 8032 s7.1: TEST 1, 2, 3 and SHA(abc).
constexpr Ed25519Vector ed25519_vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
     "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"},
};

}  // namespace

TEST_CASE("HMAC-SHA-256: RFC 4231") {
  struct Row {
    Bytes key;
    Bytes message;
    std::string_view mac;
  };
  const Row rows[] = {
      {Bytes(20, 0x0B), bytes_of("Hi There"),
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {bytes_of("Jefe"), bytes_of("what do ya want for nothing?"),
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {Bytes(20, 0xAA), Bytes(50, 0xDD),
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {counting(1, 25), Bytes(50, 0xCD),
       "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
      // Its MAC is truncated to 128 bits there; these are the first bytes of ours.
      {Bytes(20, 0x0C), bytes_of("Test With Truncation"), "a3b6167473100ee06e0c796c2955552b"},
      {Bytes(131, 0xAA), bytes_of("Test Using Larger Than Block-Size Key - Hash Key First"),
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {Bytes(131, 0xAA),
       bytes_of("This is a test using a larger than block-size key and a larger than block-size "
                "data. The key needs to be hashed before being used by the HMAC algorithm."),
       "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.mac);
    const auto mac = hmac_sha256(row.key, row.message);
    CHECK(to_hex(mac).substr(0, row.mac.size()) == row.mac);
    CHECK(verify_hmac_sha256(mac, row.key, row.message));
  }
}

TEST_CASE("an empty key or message has a MAC and a hash too, however the span is empty") {
  constexpr std::string_view of_nothing =
      "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
  const Bytes empty;
  CHECK(to_hex(hmac_sha256({}, {})) == of_nothing);
  CHECK(to_hex(hmac_sha256(empty, empty)) == of_nothing);
  CHECK(verify_hmac_sha256(from_hex(of_nothing), {}, {}));
  CHECK(hmac_sha256({}, bytes_of("x")) == hmac_sha256(Bytes(64), bytes_of("x")));
  CHECK(to_hex(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(sha256(bytes_of("abc"))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a MAC of another size, or with any bit changed, is refused") {
  const Bytes key(32, 0x42);
  const Bytes message = bytes_of("eyJhbGciOiJIUzI1NiJ9.e30");
  const auto mac = hmac_sha256(key, message);
  for (std::size_t size = 0; size < mac.size(); ++size)
    CHECK_FALSE(verify_hmac_sha256(std::span(mac).first(size), key, message));
  Bytes longer(mac.begin(), mac.end());
  longer.push_back(0);
  CHECK_FALSE(verify_hmac_sha256(longer, key, message));
  for (std::size_t i = 0; i < 8 * mac.size(); ++i) {
    auto changed = mac;
    changed[i / 8] = static_cast<std::uint8_t>(changed[i / 8] ^ (1 << i % 8));
    CHECK_FALSE(verify_hmac_sha256(changed, key, message));
  }
  CHECK_FALSE(verify_hmac_sha256(mac, Bytes(32, 0x43), message));
  CHECK_FALSE(verify_hmac_sha256(mac, key, bytes_of("eyJhbGciOiJIUzI1NiJ9.e31")));
}

TEST_CASE("Ed25519: RFC 8032") {
  REQUIRE(initialize());
  for (const Ed25519Vector& row : ed25519_vectors) {
    CAPTURE(row.seed);
    const Bytes seed = from_hex(row.seed);
    const Bytes message = from_hex(row.message);
    const auto public_key = ed25519_public_key(fixed<32>(seed));
    CHECK(to_hex(public_key) == row.public_key);
    const auto signature = ed25519_sign(fixed<32>(seed), message);
    CHECK(to_hex(signature) == row.signature);
    CHECK(ed25519_verify(signature, public_key, message));
  }
}

TEST_CASE("an Ed25519 signature of another size, or with any bit changed, is refused") {
  REQUIRE(initialize());
  const Ed25519Vector& vector = ed25519_vectors[2];
  const Bytes public_key = from_hex(vector.public_key);
  const Bytes message = from_hex(vector.message);
  const Bytes signature = from_hex(vector.signature);
  const auto verifies = [&](const Bytes& with) {
    return ed25519_verify(with, fixed<32>(public_key), message);
  };
  CHECK(verifies(signature));
  for (std::size_t size = 0; size < signature.size(); ++size)
    CHECK_FALSE(
        verifies({signature.begin(), signature.begin() + static_cast<std::ptrdiff_t>(size)}));
  Bytes longer = signature;
  longer.push_back(0);
  CHECK_FALSE(verifies(longer));
  CHECK_FALSE(verifies({}));
  for (std::size_t i = 0; i < 8 * signature.size(); ++i) {
    Bytes changed = signature;
    changed[i / 8] = static_cast<std::uint8_t>(changed[i / 8] ^ (1 << i % 8));
    CHECK_FALSE(verifies(changed));
  }
  for (std::size_t i = 0; i < 8 * public_key.size(); ++i) {
    Bytes changed = public_key;
    changed[i / 8] = static_cast<std::uint8_t>(changed[i / 8] ^ (1 << i % 8));
    CHECK_FALSE(ed25519_verify(signature, fixed<32>(changed), message));
  }
  CHECK_FALSE(ed25519_verify(signature, fixed<32>(public_key), {}));
}

TEST_CASE("Ed25519: one signature has one text, and weak keys sign nothing") {
  REQUIRE(initialize());
  const Bytes public_key = from_hex(ed25519_vectors[1].public_key);
  const Bytes message = from_hex(ed25519_vectors[1].message);
  // S + L instead of S satisfies the equation, and RFC 8032 s5.1.7 refuses it.
  Bytes signature = from_hex(ed25519_vectors[1].signature);
  const Bytes order = from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  int carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += signature[32 + i] + order[i];
    signature[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  REQUIRE(carry == 0);
  CHECK_FALSE(ed25519_verify(signature, fixed<32>(public_key), message));
  // With the neutral element as the key and R, S = 0 fits every message; the other keys have order
  // 2, 4 and 8.
  for (const std::string_view weak :
       {"0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"}) {
    CAPTURE(weak);
    Bytes forged(64);
    forged[0] = 1;
    CHECK_FALSE(ed25519_verify(forged, fixed<32>(from_hex(weak)), message));
  }
}

TEST_CASE("base64url: RFC 4648 s10 without padding, and its own two characters") {
  struct Row {
    std::string_view bytes, text;
  };
  constexpr Row rows[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(base64url_encode(bytes_of(row.bytes)) == row.text);
    CHECK(base64url_decode(row.text) == bytes_of(row.bytes));
  }
  CHECK(base64url_encode(from_hex("fbff")) == "-_8");
  CHECK(base64url_decode("-_8") == from_hex("fbff"));
}

TEST_CASE("base64url: everything else is refused") {
  constexpr std::string_view rows[] = {
      "Z",     "Zm9vY",             // no byte has six bits
      "Zg==",  "Zm8=",    "=",      // padding
      "Zh",    "Zm9",               // spare bits that are not zero: another text for the same bytes
      "+_8",   "-/8",               // the other alphabet
      "Zm 9v", "Zm9v\n",  " Zm9v",  // blanks
      "Zm9.",  "Zm\x80v", "Zm9\xFF", std::string_view("Zm9\0", 4),
  };
  for (const std::string_view row : rows) {
    CAPTURE(row);
    CHECK_FALSE(base64url_decode(row).has_value());
  }
}
