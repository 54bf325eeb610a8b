#include "tests/sim/client_key.h"

#include <algorithm>

#include "relay/wire/rtp.h"

namespace earshot::sim {
namespace {

constexpr std::size_t trailer_size = crypto::tag_size + crypto::counter_size;

}  // namespace

std::uint32_t to_nonce(const crypto::Counter& c) {
  return std::uint32_t{c[0]} << 24 | std::uint32_t{c[1]} << 16 | std::uint32_t{c[2]} << 8 | c[3];
}

crypto::Counter to_counter(std::uint32_t nonce) {
  return {static_cast<std::uint8_t>(nonce >> 24), static_cast<std::uint8_t>(nonce >> 16),
          static_cast<std::uint8_t>(nonce >> 8), static_cast<std::uint8_t>(nonce)};
}

ClientKey::ClientKey(crypto::AeadMode mode, const std::array<std::uint8_t, crypto::key_size>& bytes,
                     const CounterHabit& habit)
    : mode_(mode), bytes_(bytes), habit_(habit) {
  key_.set(mode, bytes);
}

std::uint32_t ClientKey::nonce_of(std::uint32_t datagram) const {
  const std::uint32_t value = habit_.start + datagram;
  return habit_.order == CounterOrder::little_endian ? __builtin_bswap32(value) : value;
}

void ClientKey::seal(std::span<const std::uint8_t> header, std::span<const std::uint8_t> plaintext,
                     std::vector<std::uint8_t>& out) {
  const std::uint32_t nonce = nonce_of(sealed_++);
  by_client.insert(nonce);
  seal_under(nonce, header, plaintext, out);
}

void ClientKey::seal_under(std::uint32_t nonce, std::span<const std::uint8_t> header,
                           std::span<const std::uint8_t> plaintext,
                           std::vector<std::uint8_t>& out) const {
  out.resize(header.size() + plaintext.size() + trailer_size);
  std::copy(header.begin(), header.end(), out.begin());
  const std::span<std::uint8_t> body{out.data() + header.size(),
                                     plaintext.size() + crypto::tag_size};
  std::copy(plaintext.begin(), plaintext.end(), body.begin());
  const crypto::Counter counter = to_counter(nonce);
  key_.seal(body, plaintext.size(), header, counter);
  std::copy(counter.begin(), counter.end(), out.end() - crypto::counter_size);
}

std::optional<OpenedFrame> ClientKey::open(std::span<const std::uint8_t> datagram) {
  // Clients accept exactly this (docs/protocol.md): version 2, no padding, CSRC or extension;
  // payload type 120, no marker.
  if (datagram.size() <= wire::rtp_header_size + trailer_size || datagram[0] != 0x80 ||
      datagram[1] != wire::opus_payload_type)
    return std::nullopt;
  const auto header = wire::parse_rtp(datagram);
  if (!header) return std::nullopt;
  crypto::Counter counter;
  std::copy(datagram.end() - crypto::counter_size, datagram.end(), counter.begin());
  opened_.assign(datagram.begin() + wire::rtp_header_size, datagram.end() - crypto::counter_size);
  if (opened_[0] == 0xBE && opened_[1] == 0xDE) return std::nullopt;
  if (!key_.open(opened_, datagram.first(wire::rtp_header_size), counter)) return std::nullopt;
  return OpenedFrame{header->ssrc,
                     header->sequence,
                     header->timestamp,
                     to_nonce(counter),
                     {opened_.data(), opened_.size() - crypto::tag_size}};
}

void ClientKey::note_taken(std::uint32_t datagram) {
  if (!newest_taken_ || datagram > *newest_taken_) {
    const std::uint32_t next = newest_taken_ ? *newest_taken_ + 1 : 0;
    const bool is_far = datagram - next >= taken_window;
    for (std::uint32_t n = is_far ? datagram - taken_window + 1 : next; n <= datagram; ++n)
      taken_[n % taken_window] = false;
    newest_taken_ = datagram;
  }
  taken_[datagram % taken_window] = true;
}

}  // namespace earshot::sim
