// One RTP datagram as it comes. What is understood lies inside it, is what RFC 3550 s5.1 says byte
// by byte, needs exactly the bytes it claims, and can be written down again.
#include <algorithm>
#include <array>
#include <vector>

#include "relay/base/check.h"
#include "relay/wire/rtp.h"

using namespace earshot;
using namespace earshot::wire;

namespace {

using View = std::span<const std::uint8_t>;

std::size_t word(View d, std::size_t at) {
  return std::size_t{d[at]} << 8 | d[at + 1];
}

// The first 12 bytes from the fields, and what the first byte says besides.
void check_fields(const RtpHeader& header, View d) {
  std::array<std::uint8_t, rtp_header_size> written;
  write_rtp_header(written, header.sequence, header.timestamp, header.ssrc);
  RELAY_CHECK(std::equal(written.begin() + 2, written.end(), d.begin() + 2));
  RELAY_CHECK((d[0] & 0xC0) == 0x80 && header.has_padding == ((d[0] & 0x20) != 0));
  RELAY_CHECK(d[1] == ((header.marker ? 0x80 : 0) | header.payload_type));
  const bool has_extension = (d[0] & 0x10) != 0;
  const std::size_t sources = 4u * (d[0] & 0x0Fu);
  RELAY_CHECK(header.clear_size == rtp_header_size + sources + (has_extension ? 4 : 0));
  RELAY_CHECK(header.extension_size == (has_extension ? 4 * word(d, header.clear_size - 2) : 0));
  RELAY_CHECK(header.clear_size + header.extension_size <= d.size());
}

void check_equal(const RtpHeader& a, const RtpHeader& b) {
  RELAY_CHECK(a.sequence == b.sequence && a.timestamp == b.timestamp && a.ssrc == b.ssrc &&
              a.payload_type == b.payload_type && a.marker == b.marker &&
              a.has_padding == b.has_padding && a.clear_size == b.clear_size &&
              a.extension_size == b.extension_size);
}

// The header alone, in a block of memory of its own size, is the same; one byte less is none.
void check_exact(const RtpHeader& header, View d) {
  const std::size_t size = header.clear_size + header.extension_size;
  const std::vector<std::uint8_t> alone(d.begin(), d.begin() + static_cast<std::ptrdiff_t>(size));
  const auto again = parse_rtp(alone);
  RELAY_CHECK(again.has_value());
  check_equal(*again, header);
  RELAY_CHECK(!parse_rtp(View(alone).first(size - 1)));
}

// As if the rest were the plaintext.
void check_frame(const RtpHeader& header, View plaintext) {
  const auto frame = rtp_frame(header, plaintext);
  if (!frame) {
    // Only padding can be wrong once the header has parsed.
    RELAY_CHECK(header.has_padding);
    const std::size_t rest = plaintext.size() - header.extension_size;
    RELAY_CHECK(rest == 0 || plaintext.back() == 0 || plaintext.back() > rest);
    return;
  }
  const std::size_t padding = header.has_padding ? plaintext.back() : 0;
  RELAY_CHECK(frame->data() == plaintext.data() + header.extension_size);
  RELAY_CHECK(header.extension_size + frame->size() + padding == plaintext.size());
  RELAY_CHECK(!header.has_padding || padding > 0);
  // A plaintext too short for the extension has no frame.
  if (header.extension_size > 0)
    RELAY_CHECK(!rtp_frame(header, plaintext.first(header.extension_size - 1)));
}

// What goes out to clients is understood as it was meant.
void check_rewritten(const RtpHeader& header) {
  std::array<std::uint8_t, rtp_header_size> written;
  write_rtp_header(written, header.sequence, header.timestamp, header.ssrc);
  RELAY_CHECK(written[0] == 0x80 && written[1] == 0x78);
  RELAY_CHECK(classify(written) == DatagramKind::rtp);
  const auto again = parse_rtp(written);
  RELAY_CHECK(again.has_value());
  RtpHeader plain;
  plain.sequence = header.sequence;
  plain.timestamp = header.timestamp;
  plain.ssrc = header.ssrc;
  plain.payload_type = opus_payload_type;
  check_equal(*again, plain);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const View d(data, size);
  const auto header = parse_rtp(d);
  if (!header) {
    // Refused is only what is too short for its own header, or no version 2.
    const bool is_version_2 = size >= rtp_header_size && (d[0] & 0xC0) == 0x80;
    if (!is_version_2) return 0;
    std::size_t needed = rtp_header_size + 4u * (d[0] & 0x0Fu) + ((d[0] & 0x10) != 0 ? 4 : 0);
    if ((d[0] & 0x10) != 0 && size >= needed) needed += 4 * word(d, needed - 2);
    RELAY_CHECK(size < needed);
    return 0;
  }
  check_fields(*header, d);
  check_exact(*header, d);
  check_frame(*header, d.subspan(header->clear_size));
  check_rewritten(*header);
  return 0;
}
