#include "relay/wire/discovery.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "tests/support/hex.h"

using namespace earshot;
using namespace earshot::wire;
using test::to_hex;

namespace {

using Datagram = std::array<std::uint8_t, discovery_size>;

Datagram reply(Ssrc ssrc, const Endpoint& seen) {
  Datagram datagram;
  datagram.fill(0xEE);
  write_discovery_reply(datagram, ssrc, seen);
  return datagram;
}

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}

// "00 02 00 46 ssrc", the text, zeros up to 64 bytes, the port: docs/protocol.md.
std::string documented(std::string_view ssrc, std::string_view text, std::string_view port) {
  std::string field = to_hex({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  field.resize(128, '0');
  return "00020046" + std::string(ssrc) + field + std::string(port);
}

}  // namespace

TEST_CASE("a reply is, byte by byte, what the documentation says") {
  struct Row {
    std::uint32_t ssrc;
    IpAddress address;
    std::uint16_t port;
    std::string_view ssrc_hex, text, port_hex;
  };
  const Row rows[] = {
      {1, make_v4(127, 0, 0, 1), 50'004, "00000001", "127.0.0.1", "c354"},
      {0x01020304, make_v4(255, 255, 255, 255), 65'535, "01020304", "255.255.255.255", "ffff"},
      {0xFFFFFFFF, make_v4(1, 2, 3, 4), 1, "ffffffff", "1.2.3.4", "0001"},
      {7, ip("::1"), 8'444, "00000007", "::1", "20fc"},
      {7, ip("2001:db8::1"), 256, "00000007", "2001:db8::1", "0100"},
      {7, ip("2001:db8:1111:2222:3333:4444:5555:6666"), 9, "00000007",
       "2001:db8:1111:2222:3333:4444:5555:6666", "0009"},
      // What a dual-stack socket sees of an IPv4 client is told as IPv4.
      {7, ip("::ffff:192.0.2.33"), 9, "00000007", "192.0.2.33", "0009"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Datagram datagram = reply(Ssrc{row.ssrc}, {row.address, row.port});
    CHECK(to_hex(datagram) == documented(row.ssrc_hex, row.text, row.port_hex));
    // What clients do: text from byte 8 to the NUL, port from the last two bytes.
    CHECK(std::strlen(reinterpret_cast<const char*>(datagram.data()) + 8) == row.text.size());
    CHECK((datagram[72] << 8 | datagram[73]) == row.port);

    const auto parsed = parse_discovery_reply(datagram);
    REQUIRE(parsed.has_value());
    CHECK(parsed->ssrc == Ssrc{row.ssrc});
    CHECK(parsed->seen == Endpoint{row.address, row.port});
  }
}

TEST_CASE("a request is type 1, length 70, an SSRC and zeros") {
  Datagram datagram;
  datagram.fill(0xEE);
  write_discovery_request(datagram, Ssrc{0x01020304});
  CHECK(to_hex(datagram) == "0001004601020304" + std::string(2 * 66, '0'));
  CHECK(parse_discovery_request(datagram) == Ssrc{0x01020304});
  CHECK_FALSE(parse_discovery_reply(datagram).has_value());
  // Whatever stands behind the SSRC: the documentation asks for nothing there.
  std::fill(datagram.begin() + 8, datagram.end(), std::uint8_t{0xFF});
  CHECK(parse_discovery_request(datagram) == Ssrc{0x01020304});
}

TEST_CASE("a request of another size, type or length is none") {
  Datagram datagram;
  write_discovery_request(datagram, Ssrc{5});
  for (std::size_t size = 0; size < discovery_size; ++size)
    CHECK_FALSE(parse_discovery_request(std::span(datagram).first(size)).has_value());
  std::vector<std::uint8_t> longer(datagram.begin(), datagram.end());
  longer.push_back(0);
  CHECK_FALSE(parse_discovery_request(longer).has_value());
  for (std::size_t i = 0; i < 4 * 8; ++i) {
    Datagram changed = datagram;
    changed[i / 8] = static_cast<std::uint8_t>(changed[i / 8] ^ (1 << i % 8));
    CAPTURE(i);
    CHECK_FALSE(parse_discovery_request(changed).has_value());
  }
}

TEST_CASE("a reply that says nothing useful is none") {
  const auto with_text = [](std::string_view text) {
    Datagram datagram = reply(Ssrc{5}, {make_v4(1, 2, 3, 4), 6});
    std::fill(datagram.begin() + 8, datagram.begin() + 72, std::uint8_t{0});
    std::copy(text.begin(), text.end(), datagram.begin() + 8);
    return parse_discovery_reply(datagram);
  };
  CHECK(with_text("1.2.3.4").has_value());
  for (const std::string& text :
       {std::string(), std::string("1.2.3"), std::string("localhost"), std::string("1.2.3.4 "),
        std::string("[::1]"), std::string(63, '1'), std::string(64, '1'),
        "1.2.3.4" + std::string(57, ' ')}) {
    CAPTURE(text);
    CHECK_FALSE(with_text(text).has_value());
  }
  const Datagram datagram = reply(Ssrc{5}, {make_v4(1, 2, 3, 4), 6});
  for (std::size_t size = 0; size < discovery_size; ++size)
    CHECK_FALSE(parse_discovery_reply(std::span(datagram).first(size)).has_value());
}
