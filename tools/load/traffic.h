// Media of a process's sessions: speakers at an even pace, and a count of what every listener gets,
// how long it took, and that it opens with the listener's key. One thread. A packet is recognised
// by the SSRC and the sequence number in its clear header.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "crypto/aead.h"
#include "tools/load/board.h"
#include "tools/load/load_session.h"
#include "tools/load/media_port.h"
#include "tools/load/poller.h"

namespace earshot::load {

struct TrafficOptions {
  std::size_t participants = 2;  // of a channel
  std::size_t speakers = 1;      // of each channel
  std::size_t frame_size = 120;
  // How often the first speaker changes its source port; zero: never.
  Duration move_interval{};
};

class Traffic final : Timed {
 public:
  using OpenPort = std::function<MediaPort*(std::size_t index)>;

  // `sessions`: channel after channel; the first ones of each channel speak.
  Traffic(Poller& poller, Board& board, Seat& seat, const TrafficOptions& options,
          const std::vector<std::unique_ptr<LoadSession>>& sessions, OpenPort open_port);

  // All sessions must be live.
  void start();
  void stop() { is_running_ = false; }
  void on_packet(const MediaPort& port, std::span<std::uint8_t> datagram, Time arrival);

 private:
  static constexpr std::size_t remembered = 1'024;
  struct Sent {
    Time at;  // real time
    std::uint32_t number = 0;
    std::uint8_t phase = 0;
  };
  // The last 64 numbers of one speaker that one listener has got.
  struct Heard {
    std::uint32_t newest = 0;
    std::uint64_t window = 0;
    bool insert(std::uint32_t number);
  };
  struct Speaker {
    LoadSession* session = nullptr;
    std::size_t channel = 0;
    crypto::AeadKey key;
    std::uint32_t number = 1;  // of the next packet; its low half is the RTP sequence
    std::array<Sent, remembered> sent;
    std::vector<Heard> heard;  // by participant
    Time moved_at;             // zero: heard since the last move
    std::uint32_t moved_number = 0;
  };

  void on_time(std::uint64_t token) override;
  void send_due();
  void send(Speaker& speaker);
  void move(Speaker& speaker);
  bool opens(std::size_t listener, std::span<const std::uint8_t> datagram);
  void publish_victim();

  Poller& poller_;
  Board& board_;
  Seat& seat_;
  TrafficOptions options_;
  const std::vector<std::unique_ptr<LoadSession>>& sessions_;
  OpenPort open_port_;
  std::vector<std::unique_ptr<Speaker>> speakers_;
  std::unordered_map<std::uint32_t, Speaker*> by_ssrc_;
  std::vector<crypto::AeadKey> keys_;  // of the listeners
  std::vector<MediaPort*> touched_;
  bool is_running_ = false;
  Time started_at_;
  std::uint64_t next_ = 0;  // over all speakers
};

}  // namespace earshot::load
