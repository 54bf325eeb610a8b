// A connection without a socket, with an answer owed: keeps what its owner answers or streams, and
// plays a peer that reads as fast as the test says. Tests only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "relay/base/limits.h"
#include "relay/gateway/connection.h"

namespace earshot::test {

class FakeConnection final : public gateway::Connection {
 public:
  explicit FakeConnection(const IpAddress& peer = make_v4(127, 0, 0, 1)) : peer_{peer, 40'000} {}

  const Endpoint& peer() const override { return peer_; }
  void respond(const gateway::HttpResponse& answer) override;
  bool begin_stream(const gateway::HttpResponse& head) override;
  bool send_stream(std::string_view bytes) override;
  void end_stream() override;
  void send_text(std::string_view) override {}
  void send_binary(std::string_view) override {}
  void close(std::uint16_t, std::string_view) override {}
  void abort() override { is_aborted = true; }
  std::size_t send_queue_bytes() const override { return queue_.size(); }
  std::uint64_t sent_position() const override { return sent_; }
  std::uint64_t acknowledged_position() const override { return sent_ - queue_.size(); }
  std::optional<Duration> round_trip() const override { return measured_round_trip; }

  // The peer reads up to `size` bytes of the stream; then, true: on_drained is due.
  bool read(std::size_t size = std::string::npos);
  // The next request of the connection.
  void owe() { is_owed = true; }

  bool is_owed = true;
  bool is_head = false;    // of the request
  bool is_stream = false;  // is open
  bool has_stream_ended = false;
  bool is_aborted = false;  // by the owner, or because the queue was too long by far
  std::optional<gateway::HttpResponse> response;  // the last one, or the head of a stream
  std::string received;                           // of the stream's body
  std::size_t queue_bytes_max = limits::send_queue_bytes_max;
  std::optional<Duration> measured_round_trip;

 private:
  Endpoint peer_;
  std::string queue_;
  std::uint64_t sent_ = 0;
};

}  // namespace earshot::test
