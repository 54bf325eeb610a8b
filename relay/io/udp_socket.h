// The one public UDP port as one worker sees it: a non-blocking socket of the SO_REUSEPORT group,
// batch in and batch out. One owner thread after open(). All buffers are allocated once. It knows
// nothing of what the datagrams mean.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/limits.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/io/clock.h"

namespace earshot::io {

struct ReceivedDatagram {
  Endpoint remote;
  IpAddress local;  // the address that was spoken to
  Time arrival;     // the kernel's stamp on the monotonic clock
  // Into a buffer that is valid until the next receive. Longer than limits::datagram_size_max: it
  // was cut, drop it.
  std::span<std::uint8_t> bytes;
};

// Owner of a bound socket. IPv6 sockets are dual-stack and see IPv4 addresses as v4-mapped; an IPv4
// address to listen on, or a kernel without IPv6, makes an IPv4 socket with the same face.
class UdpSocket {
 public:
  // The sockets of the group at `listen`, in order; port 0 takes any free one for all of them.
  // Fails with one sentence that names the address, also if anybody else is bound there: a second
  // process would silently share the port.
  static Result<std::vector<UdpSocket>> open_group(const Endpoint& listen, std::size_t count);

  UdpSocket(UdpSocket&& other) noexcept;
  UdpSocket& operator=(UdpSocket&& other) noexcept;
  ~UdpSocket();

  int fd() const { return fd_; }
  bool is_v4() const { return is_v4_; }
  Endpoint bound() const;

 private:
  UdpSocket(int fd, bool is_v4) : fd_(fd), is_v4_(is_v4) {}
  int fd_ = -1;
  bool is_v4_ = false;
};

// What one system call brought.
struct ReceivedBatch {
  Time now;  // after the call
  std::span<ReceivedDatagram> datagrams;
};

// Takes up to limits::receive_batch_max datagrams with one system call.
class BatchReceiver {
 public:
  BatchReceiver();
  // No datagrams when nothing waits.
  ReceivedBatch receive(const UdpSocket& socket);
  // Datagrams that the kernel dropped because the socket buffer was full, since the start
  // (SO_RXQ_OVFL).
  std::uint64_t kernel_drops() const { return kernel_drops_; }
  // Drains the error queue: remotes of which ICMP said that nobody is there. At most `out.size()`
  // of them.
  static std::size_t take_unreachable(const UdpSocket& socket, std::span<Endpoint> out);

 private:
  static constexpr std::size_t buffer_size = limits::datagram_size_max + 1;
  static constexpr std::size_t control_size = 256;

  std::vector<std::uint8_t> buffers_;
  std::vector<std::uint8_t> controls_;
  std::array<sockaddr_storage, limits::receive_batch_max> names_{};
  std::array<iovec, limits::receive_batch_max> vectors_{};
  std::array<mmsghdr, limits::receive_batch_max> messages_{};
  std::array<ReceivedDatagram, limits::receive_batch_max> datagrams_{};
  ClockSample drained_;  // the socket was empty then: what comes later cannot have come before
  std::uint64_t kernel_drops_ = 0;
  std::uint32_t last_overflow_ = 0;
};

// Sends what was added with as few system calls as the kernel allows. The narrow seam behind which
// another way out of the machine could stand.
class BatchSender {
 public:
  struct Outcome {
    std::size_t sent = 0;
    std::size_t dropped = 0;  // the socket would block, or refused
  };

  explicit BatchSender(const UdpSocket& socket);
  bool is_full() const { return count_ == limits::send_batch_max; }
  // `bytes` must stay until flush(). Requires !is_full().
  void add(const Endpoint& remote, const IpAddress& local, std::span<const std::uint8_t> bytes);
  Outcome flush(const UdpSocket& socket);

 private:
  // Room for the larger of the two.
  struct Control {
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(in6_pktinfo))> bytes;
  };
  bool is_v4_;
  std::vector<sockaddr_storage> names_;
  std::vector<Control> controls_;
  std::vector<iovec> vectors_;
  std::vector<mmsghdr> messages_;
  std::size_t count_ = 0;
};

}  // namespace earshot::io
