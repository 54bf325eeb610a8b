// What a datagram is taken for: everything that clients, browsers, other relays and strangers send
// to a voice port.
#include <doctest/doctest.h>

#include <algorithm>

#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"
#include "tests/support/hex.h"

using namespace earshot;
using namespace earshot::wire;
using test::from_hex;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes starting(std::string_view hex, std::size_t size) {
  Bytes bytes = from_hex(hex);
  bytes.resize(size);
  return bytes;
}

}  // namespace

TEST_CASE("a datagram is what its size and first bytes say") {
  struct Row {
    std::string_view name;
    Bytes bytes;
    DatagramKind kind;
  };
  const Row rows[] = {
      {"nothing", {}, DatagramKind::unknown},
      {"one byte", {0x80}, DatagramKind::unknown},
      {"two bytes", {0x80, 0x78}, DatagramKind::unknown},
      // One library ends its speech with a bare silence frame.
      {"silence", from_hex("f8fffe"), DatagramKind::leftover},
      {"three other bytes", from_hex("000000"), DatagramKind::leftover},
      {"keep-alive of 4", from_hex("80c80000"), DatagramKind::keep_alive},
      {"4 other bytes", from_hex("80c80001"), DatagramKind::unknown},
      {"4 other bytes", from_hex("80c90000"), DatagramKind::unknown},
      {"4 other bytes", from_hex("00c80000"), DatagramKind::unknown},
      {"4 other bytes", from_hex("80c80100"), DatagramKind::unknown},
      {"5 bytes that start as a keep-alive", from_hex("80c8000000"), DatagramKind::unknown},
      {"keep-alive of 8, counter 1", from_hex("0100000000000000"), DatagramKind::keep_alive},
      {"keep-alive of 8, counter 2^32-1", from_hex("ffffffff00000000"), DatagramKind::keep_alive},
      {"keep-alive of 8, 64 bits", from_hex("ffffffffffffffff"), DatagramKind::keep_alive},
      {"8 bytes as RTCP", from_hex("80c9000101020304"), DatagramKind::keep_alive},
      {"7 bytes", starting("01", 7), DatagramKind::unknown},
      {"9 bytes as RTP", starting("8078", 9), DatagramKind::unknown},
      {"10 bytes as RTP", starting("8078", 10), DatagramKind::unknown},
      {"11 bytes as RTP", starting("8078", 11), DatagramKind::unknown},
      {"11 bytes as RTCP", starting("80c8", 11), DatagramKind::unknown},
      {"11 bytes as a link", starting("c0", 11), DatagramKind::unknown},
      {"12 bytes as RTP", starting("8078", 12), DatagramKind::rtp},
      {"RTP with everything", starting("bf78", 200), DatagramKind::rtp},
      {"RTP with the marker", starting("80f8", 60), DatagramKind::rtp},
      {"RTP of another type", starting("8000", 60), DatagramKind::rtp},
      {"RTP below the RTCP range", starting("80c7", 60), DatagramKind::rtp},
      {"RTCP sender report", starting("80c8", 28), DatagramKind::rtcp},
      {"RTCP receiver report", starting("81c9", 32), DatagramKind::rtcp},
      {"RTCP feedback", starting("8fcd", 16), DatagramKind::rtcp},
      {"RTCP extended report", starting("80cf", 16), DatagramKind::rtcp},
      {"RTP above the RTCP range", starting("80d0", 60), DatagramKind::rtp},
      {"RTP of 74 bytes", starting("80780046", 74), DatagramKind::rtp},
      {"IP discovery", starting("00010046 01020304", 74), DatagramKind::discovery},
      {"IP discovery, one byte less", starting("00010046 01020304", 73), DatagramKind::unknown},
      {"IP discovery, one byte more", starting("00010046 01020304", 75), DatagramKind::unknown},
      {"IP discovery reply", starting("00020046 01020304", 74), DatagramKind::unknown},
      {"IP discovery of another length", starting("00010045 01020304", 74), DatagramKind::unknown},
      {"IP discovery of a much longer one", starting("00010146 01020304", 74),
       DatagramKind::unknown},
      {"IP discovery of an old protocol", starting("01020304", 70), DatagramKind::unknown},
      {"STUN binding request", starting("00010000 2112a442", 20), DatagramKind::unknown},
      {"STUN binding request of 74 bytes", starting("00010036 2112a442", 74),
       DatagramKind::unknown},
      {"STUN success response", starting("01010000 2112a442", 20), DatagramKind::unknown},
      {"DTLS client hello", starting("16fefd", 200), DatagramKind::unknown},
      {"DTLS application data", starting("17fefd", 200), DatagramKind::unknown},
      {"TURN channel data", starting("4000", 60), DatagramKind::unknown},
      {"version 1", starting("7f78", 60), DatagramKind::unknown},
      {"link", starting("c0", 12), DatagramKind::link},
      {"link", starting("ffff", 1'400), DatagramKind::link},
      {"link of 74 bytes", starting("c0010046", 74), DatagramKind::link},
      {"QUIC long header", starting("c3000000 01", 1'200), DatagramKind::link},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CAPTURE(row.bytes.size());
    CHECK(classify(row.bytes) == row.kind);
  }
}

TEST_CASE("by size alone: 3 is a leftover, 8 a keep-alive, 9 to 11 nothing, whatever the bytes") {
  for (unsigned first = 0; first <= 0xFF; ++first) {
    for (unsigned second = 0; second <= 0xFF; ++second) {
      const auto kind = [&](std::size_t size) {
        Bytes bytes(size, 0x46);
        bytes[0] = static_cast<std::uint8_t>(first);
        bytes[1] = static_cast<std::uint8_t>(second);
        return classify(bytes);
      };
      const bool is_right = kind(3) == DatagramKind::leftover &&
                            kind(8) == DatagramKind::keep_alive &&
                            kind(9) == DatagramKind::unknown && kind(10) == DatagramKind::unknown &&
                            kind(11) == DatagramKind::unknown;
      if (!is_right) {
        CAPTURE(first);
        CAPTURE(second);
        REQUIRE(is_right);
      }
      const unsigned version = first >> 6;
      const DatagramKind expected = version == 3                     ? DatagramKind::link
                                    : version != 2                   ? DatagramKind::unknown
                                    : second >= 200 && second <= 207 ? DatagramKind::rtcp
                                                                     : DatagramKind::rtp;
      REQUIRE(kind(12) == expected);
    }
  }
}

TEST_CASE("what we send ourselves is taken for what it is") {
  std::array<std::uint8_t, discovery_size> request;
  write_discovery_request(request, Ssrc{7});
  CHECK(classify(request) == DatagramKind::discovery);
  // A reply that comes back to us is nobody's request.
  write_discovery_reply(request, Ssrc{7}, {make_v4(127, 0, 0, 1), 5});
  CHECK(classify(request) == DatagramKind::unknown);
  std::array<std::uint8_t, rtp_header_size> header;
  write_rtp_header(header, 1, 2, Ssrc{3});
  CHECK(classify(header) == DatagramKind::rtp);
}
