#include "relay/wire/rtp.h"

#include <doctest/doctest.h>

#include <numeric>

#include "crypto/aead.h"
#include "crypto/keys.h"
#include "tests/support/hex.h"

using namespace earshot;
using namespace earshot::wire;
using test::from_hex;
using test::to_hex;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes counting(std::size_t size, std::uint8_t first = 0) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

struct Variant {
  std::string_view name;
  std::uint8_t first;       // V, P, X, CC
  std::uint16_t words = 0;  // of the extension
  std::size_t clear_size = 12;
  std::size_t extension_size = 0;
};

// Every shape of a header: with and without padding, extension, and 0, 1, 15 contributing sources.
constexpr Variant variants[] = {
    {"plain", 0x80},
    {"padding", 0xA0},
    {"one CSRC", 0x81, 0, 16},
    {"fifteen CSRCs", 0x8F, 0, 72},
    {"empty extension", 0x90, 0, 16, 0},
    {"extension of one word", 0x90, 1, 16, 4},
    {"extension of 300 words", 0x90, 300, 16, 1'200},
    {"extension and padding", 0xB0, 2, 16, 8},
    {"extension and one CSRC", 0x91, 3, 20, 12},
    {"all of it", 0xBF, 5, 76, 20},
};

// The clear part of that shape; the fields are 0x78, 0x0102, 0x03040506, 0x0708090A.
Bytes clear_part(const Variant& variant) {
  Bytes bytes = from_hex("00 78 01 02 03 04 05 06 07 08 09 0a");
  bytes[0] = variant.first;
  for (std::uint8_t i = 0; i < (variant.first & 0x0F); ++i) {
    const Bytes source{0xC0, 0x5C, 0xC0, i};
    bytes.insert(bytes.end(), source.begin(), source.end());
  }
  if ((variant.first & 0x10) != 0) {
    const Bytes preamble{0xBE, 0xDE, static_cast<std::uint8_t>(variant.words >> 8),
                         static_cast<std::uint8_t>(variant.words)};
    bytes.insert(bytes.end(), preamble.begin(), preamble.end());
  }
  REQUIRE(bytes.size() == variant.clear_size);
  return bytes;
}

}  // namespace

TEST_CASE("every shape of a header") {
  for (const Variant& variant : variants) {
    CAPTURE(variant.name);
    Bytes datagram = clear_part(variant);
    datagram.resize(datagram.size() + variant.extension_size + 60);
    const auto header = parse_rtp(datagram);
    REQUIRE(header.has_value());
    CHECK(header->sequence == 0x0102);
    CHECK(header->timestamp == 0x03040506);
    CHECK(header->ssrc == Ssrc{0x0708090A});
    CHECK(header->payload_type == opus_payload_type);
    CHECK_FALSE(header->marker);
    CHECK(header->has_padding == ((variant.first & 0x20) != 0));
    CHECK(header->clear_size == variant.clear_size);
    CHECK(header->extension_size == variant.extension_size);
  }
}

TEST_CASE("a header that is cut anywhere is no header") {
  for (const Variant& variant : variants) {
    CAPTURE(variant.name);
    Bytes whole = clear_part(variant);
    whole.resize(whole.size() + variant.extension_size);
    CHECK(parse_rtp(whole).has_value());
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      // A heap block of exactly this size: reading on would be seen.
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK_FALSE(parse_rtp(cut).has_value());
    }
  }
  CHECK_FALSE(parse_rtp({}).has_value());
}

TEST_CASE("an extension that claims more than a datagram can hold is refused") {
  Bytes datagram = clear_part({"", 0x90, 0xFFFF, 16, 0});
  datagram.resize(1'500);
  CHECK_FALSE(parse_rtp(datagram).has_value());
  datagram.resize(16 + 4 * 0xFFFF);
  CHECK(parse_rtp(datagram)->extension_size == 4 * 0xFFFF);
}

TEST_CASE("only version 2 is RTP") {
  for (unsigned first = 0; first <= 0xFF; ++first) {
    CAPTURE(first);
    Bytes datagram(200);
    datagram[0] = static_cast<std::uint8_t>(first);
    CHECK(parse_rtp(datagram).has_value() == (first >> 6 == 2));
  }
}

TEST_CASE("marker and payload type share a byte") {
  for (unsigned second = 0; second <= 0xFF; ++second) {
    CAPTURE(second);
    Bytes datagram = clear_part(variants[0]);
    datagram[1] = static_cast<std::uint8_t>(second);
    const auto header = parse_rtp(datagram);
    REQUIRE(header.has_value());
    CHECK(header->marker == (second >= 0x80));
    CHECK(header->payload_type == (second & 0x7F));
  }
}

TEST_CASE("the frame is what extension and padding leave") {
  struct Row {
    std::string_view name;
    std::size_t extension_size;
    bool has_padding;
    std::string_view plaintext;
    std::optional<std::string_view> frame;
  };
  constexpr Row rows[] = {
      {"plain", 0, false, "f8fffe", "f8fffe"},
      {"nothing at all", 0, false, "", ""},
      {"extension", 4, false, "10203040 f8fffe", "f8fffe"},
      {"extension only", 4, false, "10203040", ""},
      {"extension cut", 4, false, "102030", std::nullopt},
      {"extension missing", 8, false, "", std::nullopt},
      {"padding of one", 0, true, "f8fffe 01", "f8fffe"},
      {"padding of four", 0, true, "f8fffe 00000004", "f8fffe"},
      {"nothing but padding", 0, true, "000003", ""},
      {"padding of nothing", 0, true, "f8fffe 00", std::nullopt},
      {"padding larger than all", 0, true, "f8ff04", std::nullopt},
      {"padding of 255", 0, true, "f8ffff", std::nullopt},
      {"padding without a byte", 0, true, "", std::nullopt},
      {"extension and padding", 4, true, "10203040 f8fffe 0002", "f8fffe"},
      {"extension, and padding that is all the rest", 4, true, "10203040 0002", ""},
      // The padding may not reach into the extension.
      {"padding over the border", 4, true, "10203040 0003", std::nullopt},
      {"extension, and no room for padding", 4, true, "10203040", std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    RtpHeader header;
    header.extension_size = row.extension_size;
    header.has_padding = row.has_padding;
    const Bytes plaintext = from_hex(row.plaintext);
    const auto frame = rtp_frame(header, plaintext);
    REQUIRE(frame.has_value() == row.frame.has_value());
    if (!frame) continue;
    CHECK(to_hex(*frame) == *row.frame);
    if (!frame->empty()) {
      CHECK(frame->data() == plaintext.data() + row.extension_size);
    }
  }
}

TEST_CASE("padding of 255 bytes is the largest") {
  RtpHeader header;
  header.has_padding = true;
  Bytes plaintext(256, 0xAB);
  plaintext.back() = 255;
  CHECK(rtp_frame(header, plaintext)->size() == 1);
}

TEST_CASE("the header for clients, byte by byte") {
  struct Row {
    std::uint16_t sequence;
    std::uint32_t timestamp;
    std::uint32_t ssrc;
    std::string_view bytes;
  };
  constexpr Row rows[] = {
      {0, 0, 1, "807800000000000000000001"},
      {0x0102, 0x03040506, 0x0708090A, "80780102030405060708090a"},
      {0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, "8078ffffffffffffffffffff"},
      {0x8000, 0x80000000, 0x80000001, "807880008000000080000001"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    std::array<std::uint8_t, rtp_header_size> out;
    out.fill(0xEE);
    write_rtp_header(out, row.sequence, row.timestamp, Ssrc{row.ssrc});
    CHECK(to_hex(out) == row.bytes);
    const auto header = parse_rtp(out);
    REQUIRE(header.has_value());
    CHECK(header->sequence == row.sequence);
    CHECK(header->timestamp == row.timestamp);
    CHECK(header->ssrc.value == row.ssrc);
    CHECK(header->clear_size == rtp_header_size);
  }
}

// docs/protocol.md: AAD | ciphertext | tag | counter, with the preamble of an extension in the AAD
// and its body at the front of the plaintext.
TEST_CASE("an encrypted packet of every shape comes apart as it was put together") {
  REQUIRE(crypto::initialize());
  const Bytes frame = counting(80, 0x21);
  const crypto::Counter counter{0, 0, 0, 7};
  crypto::AeadKey key{};
  key.set(crypto::AeadMode::xchacha20_poly1305_rtpsize,
          std::span<const std::uint8_t, crypto::key_size>(counting(32).data(), crypto::key_size));
  for (const Variant& variant : variants) {
    CAPTURE(variant.name);
    const Bytes aad = clear_part(variant);
    Bytes plaintext = counting(variant.extension_size, 0xE0);
    plaintext.insert(plaintext.end(), frame.begin(), frame.end());
    if ((variant.first & 0x20) != 0) plaintext.insert(plaintext.end(), {0, 0, 3});

    Bytes datagram = aad;
    datagram.insert(datagram.end(), plaintext.begin(), plaintext.end());
    datagram.resize(datagram.size() + crypto::tag_size);
    key.seal(std::span(datagram).subspan(aad.size()), plaintext.size(), aad, counter);
    datagram.insert(datagram.end(), counter.begin(), counter.end());

    CHECK(classify(datagram) == DatagramKind::rtp);
    const auto header = parse_rtp(datagram);
    REQUIRE(header.has_value());
    const std::span<std::uint8_t> all = datagram;
    const auto body =
        all.subspan(header->clear_size, all.size() - header->clear_size - crypto::counter_size);
    REQUIRE(key.open(body, all.first(header->clear_size), counter));
    const auto opened = rtp_frame(*header, body.first(body.size() - crypto::tag_size));
    REQUIRE(opened.has_value());
    CHECK(Bytes(opened->begin(), opened->end()) == frame);
  }
}

TEST_CASE("RTCP names its sender behind the first word") {
  CHECK(rtcp_sender(from_hex("80c90001 01020304"))->value == 0x01020304);
  CHECK(rtcp_sender(from_hex("81c80006 ffffffff 00000000"))->value == 0xFFFFFFFF);
  for (std::size_t size = 0; size < 8; ++size) CHECK_FALSE(rtcp_sender(Bytes(size)).has_value());
}
