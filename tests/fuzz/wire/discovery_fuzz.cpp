// IP discovery in both directions. The first byte says what the rest is: 'd' a datagram as it
// comes, 't' the text of a reply's address, behind its port, 'a' an address and a port to tell.
// What is understood comes back from what is written, byte by byte.
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "relay/base/check.h"
#include "relay/wire/discovery.h"

using namespace earshot;
using namespace earshot::wire;

namespace {

using View = std::span<const std::uint8_t>;
using Datagram = std::array<std::uint8_t, discovery_size>;

constexpr std::size_t text_at = 8;
constexpr std::size_t port_at = 72;

// A reply of ours: type, length, SSRC, text, zeros to the end of the field, port.
void check_reply(Ssrc ssrc, const Endpoint& seen) {
  Datagram written;
  written.fill(0xEE);
  write_discovery_reply(written, ssrc, seen);
  RELAY_CHECK(written[0] == 0 && written[1] == 2 && written[2] == 0 && written[3] == 70);
  const std::string text = seen.ip.to_string();
  RELAY_CHECK(!text.empty() && text.size() < port_at - text_at);
  RELAY_CHECK(std::memcmp(written.data() + text_at, text.data(), text.size()) == 0);
  RELAY_CHECK(std::all_of(written.begin() + text_at + static_cast<std::ptrdiff_t>(text.size()),
                          written.begin() + port_at, [](std::uint8_t b) { return b == 0; }));
  RELAY_CHECK((written[port_at] << 8 | written[port_at + 1]) == seen.port);
  const auto parsed = parse_discovery_reply(written);
  RELAY_CHECK(parsed.has_value() && parsed->ssrc == ssrc && parsed->seen == seen);
  RELAY_CHECK(!parse_discovery_request(written).has_value());
}

void run_datagram(View d) {
  if (const auto ssrc = parse_discovery_request(d)) {
    RELAY_CHECK(d.size() == discovery_size && d[1] == 1);
    Datagram written;
    write_discovery_request(written, *ssrc);
    RELAY_CHECK(std::equal(written.begin(), written.begin() + text_at, d.begin()));
    RELAY_CHECK(parse_discovery_request(written) == ssrc);
  }
  if (const auto reply = parse_discovery_reply(d)) {
    RELAY_CHECK(d.size() == discovery_size && d[1] == 2);
    RELAY_CHECK(reply->seen.port == (d[port_at] << 8 | d[port_at + 1]));
    check_reply(reply->ssrc, reply->seen);
  }
}

void run_text(View rest) {
  if (rest.size() < 2) return;
  const std::string_view text(reinterpret_cast<const char*>(rest.data()) + 2,
                              std::min<std::size_t>(rest.size() - 2, port_at - text_at));
  Datagram datagram{0, 2, 0, 70, 1, 2, 3, 4};
  std::copy(text.begin(), text.end(), datagram.begin() + text_at);
  datagram[port_at] = rest[0];
  datagram[port_at + 1] = rest[1];
  const std::string_view read = text.substr(0, text.find('\0'));
  const auto ip = IpAddress::parse(read);
  const auto reply = parse_discovery_reply(datagram);
  // Text without its NUL fills the field and names nothing.
  RELAY_CHECK(reply.has_value() == (ip.has_value() && read.size() < port_at - text_at));
  if (!reply) return;
  RELAY_CHECK(reply->seen.ip == *ip && reply->ssrc.value == 0x01020304);
  RELAY_CHECK(IpAddress::parse(ip->to_string()) == ip);
  RELAY_CHECK(Endpoint::parse(reply->seen.to_string()) == reply->seen);
  check_reply(reply->ssrc, reply->seen);
}

void run_address(View rest) {
  std::array<std::uint8_t, 22> bytes{};
  std::copy_n(rest.begin(), std::min(rest.size(), bytes.size()), bytes.begin());
  Endpoint seen;
  std::copy_n(bytes.begin(), 16, seen.ip.bytes.begin());
  seen.port = static_cast<std::uint16_t>(bytes[16] << 8 | bytes[17]);
  std::uint32_t ssrc = 0;
  for (std::size_t i = 18; i < 22; ++i) ssrc = ssrc << 8 | bytes[i];
  check_reply(Ssrc{ssrc}, seen);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const View rest(data + 1, size - 1);
  switch (data[0]) {
    case 'd':
      run_datagram(rest);
      break;
    case 't':
      run_text(rest);
      break;
    case 'a':
      run_address(rest);
      break;
    default:
      break;
  }
  return 0;
}
