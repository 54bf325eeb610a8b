// The media side of one session: IP discovery, then sealed RTP out and authenticated RTP in. Loop
// thread only. Knows nothing of audio, pacing or signalling; a packet that does not authenticate is
// counted and gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "crypto/aead.h"
#include "crypto/keys.h"
#include "relay/base/address.h"
#include "relay/base/ids.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "tools/client/event_loop.h"
#include "tools/client/media_socket.h"

namespace earshot::client {

enum class CounterOrder : std::uint8_t { big_endian, little_endian };

struct MediaOptions {
  // Where the nonce counter starts, and how it stands in the datagram.
  std::uint32_t counter_start = 1;
  CounterOrder counter_order = CounterOrder::big_endian;
  Duration keep_alive_interval = seconds(5);  // zero: none are sent
  Duration discovery_retry = milliseconds(500);
  int discovery_attempts_max = 10;
};

struct ReceivedPacket {
  Ssrc ssrc;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::span<const std::uint8_t> frame;
  Time arrival;
};

struct MediaCounters {
  std::uint64_t sent = 0;
  std::uint64_t send_failures = 0;
  std::uint64_t received = 0;         // authenticated RTP packets
  std::uint64_t unauthenticated = 0;  // RTP that our key does not open
  std::uint64_t unexpected = 0;       // everything else but the discovery reply
};

struct MediaEvents {
  // The address that the relay sees us at, or why there is none. Once per discover().
  std::function<void(const Result<Endpoint>&)> on_discovered;
  std::function<void(const ReceivedPacket&)> on_packet;
};

class MediaTransport {
 public:
  MediaTransport(uv_loop_s* loop, const MediaOptions& options, MediaEvents events);
  ~MediaTransport();
  MediaTransport(const MediaTransport&) = delete;
  MediaTransport& operator=(const MediaTransport&) = delete;

  Result<void> open(const Endpoint& remote, Ssrc ssrc);
  // Asks again until the reply comes or the attempts are used up.
  void discover();
  // From now on send() works and packets are delivered; keep-alives start.
  void set_key(crypto::AeadMode mode, std::span<const std::uint8_t, crypto::key_size> key);
  bool has_key() const { return key_.is_set(); }

  // When the datagram was handed to the kernel; nothing if there is no key, the frame is too large,
  // or the kernel refused it.
  std::optional<Time> send(std::uint16_t sequence, std::uint32_t timestamp,
                           std::span<const std::uint8_t> frame);

  Ssrc ssrc() const { return ssrc_; }
  const Endpoint& remote() const { return remote_; }
  Endpoint local() const { return socket_ ? socket_->local() : Endpoint{}; }
  const MediaCounters& counters() const { return counters_; }

  // Test hooks: a new source port as after a NAT rebinding; any bytes; a key that differs from the
  // relay's.
  Result<void> rebind();
  bool send_raw(std::span<const std::uint8_t> datagram);
  void corrupt_key();

 private:
  Result<void> open_socket();
  void ask();
  void send_keep_alive();
  void on_datagram(std::span<std::uint8_t> datagram, Time arrival);
  void on_rtp(std::span<std::uint8_t> datagram, Time arrival);
  crypto::Counter next_counter();

  uv_loop_s* loop_;
  MediaOptions options_;
  MediaEvents events_;
  Endpoint remote_;
  Ssrc ssrc_;
  std::unique_ptr<MediaSocket> socket_;
  crypto::AeadKey key_{};
  crypto::Key key_bytes_;
  std::uint32_t counter_;
  std::uint64_t keep_alives_ = 0;
  int attempts_ = 0;
  bool is_discovering_ = false;
  Timer retry_;
  Timer keep_alive_;
  MediaCounters counters_;
};

}  // namespace earshot::client
