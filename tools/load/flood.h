// What an attacker sends: half-open TLS connections, garbage, forged packets, IP discoveries. For
// nodes on loopback only: it refuses every other address. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"
#include "tools/load/board.h"
#include "tools/load/gateway_socket.h"
#include "tools/load/poller.h"

namespace earshot::load {

enum class FloodKind : std::uint8_t {
  half_open,  // connections that send nothing, or half a ClientHello
  garbage,    // datagrams of any bytes and size
  forged,     // RTP of a live SSRC under a wrong key, from one source
  spoofed,    // the same from the speaker's own address (needs CAP_NET_RAW)
  scattered,  // the same from a new address each time (needs CAP_NET_RAW)
  discovery,  // IP discoveries for a live SSRC and others, from a new address each time (the same)
};
std::optional<FloodKind> parse_flood_kind(std::string_view name);

struct FloodOptions {
  FloodKind kind = FloodKind::garbage;
  std::int64_t rate = 50'000;       // datagrams a second; half-open: new connections a second
  std::size_t connections = 2'000;  // half-open: at a time
};

class Flood final : Timed {
 public:
  static Result<std::unique_ptr<Flood>> create(Poller& poller, const Target& target,
                                               const gateway::TlsContext& tls, Board& board,
                                               Seat& seat, const FloodOptions& options);
  ~Flood();
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;

  void start();
  void stop();

 private:
  class HalfOpen;
  static constexpr std::size_t batch = 64;
  static constexpr std::size_t datagram_room = 1'500;

  Flood(Poller& poller, const Target& target, const gateway::TlsContext& tls, Board& board,
        Seat& seat, const FloodOptions& options);
  Result<void> open();
  void on_time(std::uint64_t token) override;
  std::size_t send_some(std::size_t count);
  std::size_t send_raw(std::size_t count);
  std::size_t send_segments(std::size_t count);
  std::size_t send_garbage(std::size_t count);
  std::size_t connect_some(std::size_t count);
  std::size_t write_payload(std::uint8_t* to);
  std::uint64_t random();

  Poller& poller_;
  const Target& target_;
  const gateway::TlsContext& tls_;
  Board& board_;
  Seat& seat_;
  FloodOptions options_;
  int descriptor_ = -1;
  bool is_raw_ = false;
  bool is_running_ = false;
  Time started_at_;
  std::uint64_t planned_ = 0;
  std::uint64_t state_;
  std::vector<std::unique_ptr<HalfOpen>> half_open_;
  std::size_t next_half_open_ = 0;
  std::array<std::array<std::uint8_t, datagram_room>, batch> buffers_{};
};

}  // namespace earshot::load
