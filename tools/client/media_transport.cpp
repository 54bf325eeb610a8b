#include "tools/client/media_transport.h"

#include <algorithm>
#include <array>
#include <utility>

#include "relay/base/limits.h"
#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"

namespace earshot::client {

MediaTransport::MediaTransport(uv_loop_s* loop, const MediaOptions& options, MediaEvents events)
    : loop_(loop),
      options_(options),
      events_(std::move(events)),
      counter_(options.counter_start),
      retry_(loop, [this] { ask(); }),
      keep_alive_(loop, [this] { send_keep_alive(); }) {}

MediaTransport::~MediaTransport() {
  key_.clear();
}

Result<void> MediaTransport::open(const Endpoint& remote, Ssrc ssrc) {
  remote_ = remote;
  ssrc_ = ssrc;
  return open_socket();
}

Result<void> MediaTransport::open_socket() {
  auto socket = MediaSocket::open(
      loop_, remote_,
      [this](std::span<std::uint8_t> datagram, Time arrival) { on_datagram(datagram, arrival); });
  if (!socket) return socket.error();
  socket_ = std::move(socket.value());
  return {};
}

Result<void> MediaTransport::rebind() {
  return open_socket();
}

void MediaTransport::discover() {
  attempts_ = 0;
  is_discovering_ = true;
  ask();
}

void MediaTransport::ask() {
  if (attempts_++ == options_.discovery_attempts_max) {
    is_discovering_ = false;
    return events_.on_discovered(
        Error{"no answer to IP discovery from " + remote_.to_string() + " (UDP blocked?)"});
  }
  std::array<std::uint8_t, wire::discovery_size> request;
  wire::write_discovery_request(request, ssrc_);
  send_raw(request);
  retry_.start(options_.discovery_retry);
}

void MediaTransport::set_key(crypto::AeadMode mode,
                             std::span<const std::uint8_t, crypto::key_size> key) {
  key_bytes_ = crypto::Key(key);
  key_.set(mode, key_bytes_.bytes());
  if (options_.keep_alive_interval > Duration{}) send_keep_alive();
}

void MediaTransport::corrupt_key() {
  key_bytes_.mutable_bytes()[0] ^= 1;
  if (key_.is_set()) key_.set(key_.mode(), key_bytes_.bytes());
}

crypto::Counter MediaTransport::next_counter() {
  const std::uint32_t value = counter_++;
  crypto::Counter counter;
  for (std::size_t i = 0; i < counter.size(); ++i) {
    const std::size_t shift =
        options_.counter_order == CounterOrder::big_endian ? 24 - 8 * i : 8 * i;
    counter[i] = static_cast<std::uint8_t>(value >> shift);
  }
  return counter;
}

std::optional<Time> MediaTransport::send(std::uint16_t sequence, std::uint32_t timestamp,
                                         std::span<const std::uint8_t> frame) {
  std::array<std::uint8_t, limits::datagram_size_max> datagram;
  if (!key_.is_set() || frame.size() + limits::media_overhead > datagram.size())
    return std::nullopt;
  const auto header = std::span(datagram).first<wire::rtp_header_size>();
  wire::write_rtp_header(header, sequence, timestamp, ssrc_);
  const auto body = std::span(datagram).subspan(header.size(), frame.size() + crypto::tag_size);
  std::copy(frame.begin(), frame.end(), body.begin());
  const crypto::Counter counter = next_counter();
  key_.seal(body, frame.size(), header, counter);
  const std::size_t size = header.size() + body.size();
  std::copy(counter.begin(), counter.end(), datagram.begin() + static_cast<std::ptrdiff_t>(size));
  const Time now = monotonic_now();
  if (!send_raw(std::span(datagram).first(size + counter.size()))) return std::nullopt;
  ++counters_.sent;
  return now;
}

bool MediaTransport::send_raw(std::span<const std::uint8_t> datagram) {
  const bool is_sent = socket_ && socket_->send(datagram);
  if (!is_sent) ++counters_.send_failures;
  return is_sent;
}

// 8 bytes: a little-endian number and four zeros, as the widespread clients send them.
void MediaTransport::send_keep_alive() {
  std::array<std::uint8_t, 8> datagram{};
  for (std::size_t i = 0; i < 4; ++i) {
    datagram[i] = static_cast<std::uint8_t>(keep_alives_ >> (8 * i));
  }
  ++keep_alives_;
  send_raw(datagram);
  keep_alive_.start(options_.keep_alive_interval);
}

void MediaTransport::on_datagram(std::span<std::uint8_t> datagram, Time arrival) {
  const auto reply = wire::parse_discovery_reply(datagram);
  if (reply && reply->ssrc == ssrc_) {
    // A repeated question may be answered twice.
    if (!is_discovering_) return;
    is_discovering_ = false;
    retry_.stop();
    return events_.on_discovered(reply->seen);
  }
  if (wire::classify(datagram) == wire::DatagramKind::rtp && key_.is_set()) {
    on_rtp(datagram, arrival);
  } else {
    ++counters_.unexpected;
  }
}

void MediaTransport::on_rtp(std::span<std::uint8_t> datagram, Time arrival) {
  const auto header = wire::parse_rtp(datagram);
  if (!header || datagram.size() < header->clear_size + crypto::tag_size + crypto::counter_size) {
    ++counters_.unexpected;
    return;
  }
  crypto::Counter counter;
  std::copy(datagram.end() - crypto::counter_size, datagram.end(), counter.begin());
  const auto aad = datagram.first(header->clear_size);
  const auto body = datagram.subspan(header->clear_size,
                                     datagram.size() - header->clear_size - crypto::counter_size);
  if (!key_.open(body, aad, counter)) {
    ++counters_.unauthenticated;
    return;
  }
  const auto frame = wire::rtp_frame(*header, body.first(body.size() - crypto::tag_size));
  if (!frame) {
    ++counters_.unexpected;
    return;
  }
  ++counters_.received;
  events_.on_packet({header->ssrc, header->sequence, header->timestamp, *frame, arrival});
}

}  // namespace earshot::client
