// One UDP socket that many sessions share, each in another channel: the SSRC of what arrives says
// whose it is. Sends and receives in batches. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/limits.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "tools/load/poller.h"

namespace earshot::load {

// The clock that the kernel stamps arrivals with.
Time realtime_now();

class MediaPort final : Watched {
 public:
  // `arrival` on the real-time clock.
  using OnDatagram =
      std::function<void(MediaPort&, std::span<std::uint8_t> datagram, Time arrival)>;

  // `local_ip` unspecified: whatever address leads there.
  static Result<std::unique_ptr<MediaPort>> open(Poller& poller, const Endpoint& remote,
                                                 const IpAddress& local_ip, std::size_t index,
                                                 OnDatagram on_datagram);
  ~MediaPort();
  MediaPort(const MediaPort&) = delete;
  MediaPort& operator=(const MediaPort&) = delete;

  // Room for a datagram of the next flush(); to be filled before the next queue().
  std::span<std::uint8_t> queue(std::size_t size);
  void flush();
  bool has_queued() const { return !queued_.empty(); }

  std::size_t index() const { return index_; }
  const Endpoint& local() const { return local_; }

 private:
  static constexpr std::size_t batch = 64;
  using Buffer = std::array<std::uint8_t, limits::datagram_size_max>;

  MediaPort(int descriptor, std::size_t index, OnDatagram on_datagram)
      : descriptor_(descriptor), index_(index), on_datagram_(std::move(on_datagram)) {}
  void on_ready(std::uint32_t events) override;

  int descriptor_;
  std::size_t index_;
  Endpoint local_;
  OnDatagram on_datagram_;
  struct Queued {
    Buffer bytes;
    std::size_t size = 0;
  };
  std::vector<Queued> queued_;
};

}  // namespace earshot::load
