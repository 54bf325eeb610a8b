// One datagram from anybody. What it is taken for must agree with the parser that will read it, and
// with the table of docs/protocol.md, written down here a second time.
#include <algorithm>
#include <array>
#include <vector>

#include "relay/base/check.h"
#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"

using namespace earshot;
using namespace earshot::wire;

namespace {

using View = std::span<const std::uint8_t>;

bool starts_with(View d, std::initializer_list<std::uint8_t> front) {
  return d.size() >= front.size() && std::equal(front.begin(), front.end(), d.begin());
}

DatagramKind expected(View d) {
  switch (d.size()) {
    case 3:
      return DatagramKind::leftover;
    case 4:
      return starts_with(d, {0x80, 0xC8, 0, 0}) ? DatagramKind::keep_alive : DatagramKind::unknown;
    case 8:
      return DatagramKind::keep_alive;
    case 74:
      if (starts_with(d, {0, 1, 0, 0x46})) return DatagramKind::discovery;
      break;
    default:
      break;
  }
  if (d.size() < 12 || d[0] < 0x80) return DatagramKind::unknown;
  if (d[0] >= 0xC0) return DatagramKind::link;
  return d[1] >= 0xC8 && d[1] <= 0xCF ? DatagramKind::rtcp : DatagramKind::rtp;
}

void check_parsers(View d, DatagramKind kind) {
  const auto request = parse_discovery_request(d);
  RELAY_CHECK(request.has_value() == (kind == DatagramKind::discovery));
  if (request) {
    std::array<std::uint8_t, discovery_size> written;
    write_discovery_request(written, *request);
    RELAY_CHECK(classify(written) == DatagramKind::discovery);
    RELAY_CHECK(std::equal(written.begin(), written.begin() + 8, d.begin()));
  }
  // A reply is never answered: it is no request, and nothing else of ours but an unknown datagram.
  if (parse_discovery_reply(d)) RELAY_CHECK(kind == DatagramKind::unknown);
  const auto header = parse_rtp(d);
  if (header) RELAY_CHECK(kind == DatagramKind::rtp || kind == DatagramKind::rtcp);
  const auto sender = rtcp_sender(d);
  RELAY_CHECK(sender.has_value() == (d.size() >= 8));
  if (kind != DatagramKind::rtcp) return;
  // RTCP read as RTP would have its sender where the time stamp stands.
  RELAY_CHECK(sender.has_value());
  if (header) RELAY_CHECK(header->timestamp == sender->value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const View d(data, size);
  const DatagramKind kind = classify(d);
  RELAY_CHECK(kind == expected(d));
  check_parsers(d, kind);
  // Nothing behind the first four bytes counts, only how much there is.
  std::vector<std::uint8_t> blank(size);
  std::copy_n(d.begin(), std::min<std::size_t>(size, 4), blank.begin());
  RELAY_CHECK(classify(blank) == kind);
  return 0;
}
