#include "relay/io/udp_socket.h"

#include <linux/errqueue.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "relay/base/check.h"
#include "relay/io/clock.h"

namespace earshot::io {
namespace {

// All sockets are IPv6 ones: an IPv4 address is spoken to as v4-mapped, so that there is one code
// path.
sockaddr_in6 to_sockaddr(const Endpoint& endpoint) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.ip.bytes.data(), endpoint.ip.bytes.size());
  return address;
}

Endpoint from_sockaddr(const sockaddr_storage& storage) {
  sockaddr_in6 address;
  std::memcpy(&address, &storage, sizeof address);
  Endpoint endpoint;
  std::memcpy(endpoint.ip.bytes.data(), &address.sin6_addr, endpoint.ip.bytes.size());
  endpoint.port = ntohs(address.sin6_port);
  return endpoint;
}

void set_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

// More than net.core.{r,w}mem_max needs a privilege; without it the plain option takes what is
// allowed.
void set_buffers(int fd) {
  constexpr int size = limits::socket_buffer_bytes;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
    set_option(fd, SOL_SOCKET, SO_RCVBUF, size);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
    set_option(fd, SOL_SOCKET, SO_SNDBUF, size);
}

Error bind_error(const Endpoint& listen) {
  const std::string reason = errno == EADDRINUSE ? "is in use" : std::strerror(errno);
  return Error{"UDP address " + listen.to_string() + ": " + reason};
}

// A bound socket, or -1 with errno.
int bind_socket(const Endpoint& listen, bool is_shared) {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  // [::] takes IPv4 too, and an IPv4 address is bound as v4-mapped.
  set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (is_shared) set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  const sockaddr_in6 address = to_sockaddr(listen);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

struct Ancillary {
  std::int64_t stamp_ns = 0;
  IpAddress local;
  bool has_overflow = false;
  std::uint32_t overflow = 0;
};

Ancillary read_ancillary(msghdr& message) {
  Ancillary result;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      timespec t;
      std::memcpy(&t, CMSG_DATA(c), sizeof t);
      result.stamp_ns = std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      std::memcpy(result.local.bytes.data(), &info.ipi6_addr, result.local.bytes.size());
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
      result.has_overflow = true;
      std::memcpy(&result.overflow, CMSG_DATA(c), sizeof result.overflow);
    }
  }
  return result;
}

bool says_unreachable(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const bool is_error = (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR) ||
                          (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR);
    if (!is_error) continue;
    sock_extended_err error;
    std::memcpy(&error, CMSG_DATA(c), sizeof error);
    return error.ee_errno == ECONNREFUSED || error.ee_errno == EHOSTUNREACH ||
           error.ee_errno == ENETUNREACH;
  }
  return false;
}

// Errors that an earlier datagram left on the socket (RFC 1122 s4.1.3.3): the next call may well
// succeed.
bool is_pending_error(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
         error == EPROTO || error == EMSGSIZE || error == EACCES || error == ENOPROTOOPT ||
         error == EHOSTDOWN;
}

}  // namespace

Result<void> UdpSocket::probe(const Endpoint& listen) {
  if (listen.port == 0) return {};
  const int fd = bind_socket(listen, false);
  if (fd < 0) return bind_error(listen);
  close(fd);
  return {};
}

Result<UdpSocket> UdpSocket::open(const Endpoint& listen) {
  const int fd = bind_socket(listen, true);
  if (fd < 0) return bind_error(listen);
  set_buffers(fd);
  set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
  set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
  return UdpSocket(fd);
}

UdpSocket::UdpSocket(UdpSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

UdpSocket& UdpSocket::operator=(UdpSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

UdpSocket::~UdpSocket() {
  if (fd_ >= 0) close(fd_);
}

Endpoint UdpSocket::bound() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
  return from_sockaddr(address);
}

BatchReceiver::BatchReceiver()
    : buffers_(limits::receive_batch_max * buffer_size),
      controls_(limits::receive_batch_max * control_size) {
  for (std::size_t i = 0; i < limits::receive_batch_max; ++i) {
    vectors_[i] = {buffers_.data() + i * buffer_size, buffer_size};
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = &names_[i];
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
    header.msg_control = controls_.data() + i * control_size;
  }
}

std::span<const ReceivedDatagram> BatchReceiver::receive(const UdpSocket& socket, Time last_cycle,
                                                         Time now) {
  for (mmsghdr& message : messages_) {
    message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    message.msg_hdr.msg_controllen = control_size;
    message.msg_hdr.msg_flags = 0;
  }
  int count =
      recvmmsg(socket.fd(), messages_.data(), limits::receive_batch_max, MSG_DONTWAIT, nullptr);
  // A pending ICMP error is reported once in place of data.
  if (count < 0 && is_pending_error(errno)) {
    count =
        recvmmsg(socket.fd(), messages_.data(), limits::receive_batch_max, MSG_DONTWAIT, nullptr);
  }
  if (count <= 0) return {};
  const ClockOffset offset = sample_clock_offset();
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const Ancillary ancillary = read_ancillary(messages_[i].msg_hdr);
    if (ancillary.has_overflow) {
      kernel_drops_ += ancillary.overflow - last_overflow_;
      last_overflow_ = ancillary.overflow;
    }
    datagrams_[i] = {from_sockaddr(names_[i]),
                     ancillary.local,
                     arrival_time(ancillary.stamp_ns, offset, last_cycle, now),
                     {buffers_.data() + i * buffer_size, messages_[i].msg_len}};
  }
  return {datagrams_.data(), static_cast<std::size_t>(count)};
}

std::size_t BatchReceiver::take_unreachable(const UdpSocket& socket, std::span<Endpoint> out) {
  std::size_t found = 0;
  // The queue is bounded by the socket buffer; a few more reads than results skip errors of other
  // kinds.
  for (std::size_t reads = 0; found < out.size() && reads < 4 * out.size(); ++reads) {
    sockaddr_storage name{};
    std::array<std::uint8_t, 64> data;
    alignas(cmsghdr) std::array<std::uint8_t, 512> control;
    iovec vector{data.data(), data.size()};
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (recvmsg(socket.fd(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
    if (says_unreachable(message)) out[found++] = from_sockaddr(name);
  }
  return found;
}

BatchSender::BatchSender()
    : names_(limits::send_batch_max),
      controls_(limits::send_batch_max),
      vectors_(limits::send_batch_max),
      messages_(limits::send_batch_max) {
  for (std::size_t i = 0; i < limits::send_batch_max; ++i) {
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = &names_[i];
    header.msg_namelen = sizeof(sockaddr_in6);
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
    auto* control = reinterpret_cast<cmsghdr*>(controls_[i].bytes.data());
    control->cmsg_level = IPPROTO_IPV6;
    control->cmsg_type = IPV6_PKTINFO;
    control->cmsg_len = CMSG_LEN(sizeof(in6_pktinfo));
  }
}

void BatchSender::add(const Endpoint& remote, const IpAddress& local,
                      std::span<const std::uint8_t> bytes) {
  RELAY_CHECK(!is_full());
  const std::size_t i = count_++;
  names_[i] = to_sockaddr(remote);
  vectors_[i] = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  msghdr& header = messages_[i].msg_hdr;
  header.msg_control = nullptr;
  header.msg_controllen = 0;
  if (local.is_unspecified() || local == IpAddress{}) return;
  in6_pktinfo info{};
  std::memcpy(&info.ipi6_addr, local.bytes.data(), local.bytes.size());
  header.msg_control = controls_[i].bytes.data();
  header.msg_controllen = controls_[i].bytes.size();
  std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), &info, sizeof info);
}

BatchSender::Outcome BatchSender::flush(const UdpSocket& socket) {
  Outcome outcome;
  std::size_t at = 0;
  bool is_retry = false;
  while (at < count_) {
    const int sent = sendmmsg(socket.fd(), messages_.data() + at,
                              static_cast<unsigned>(count_ - at), MSG_DONTWAIT);
    if (sent > 0) {
      at += static_cast<std::size_t>(sent);
      outcome.sent += static_cast<std::size_t>(sent);
      is_retry = false;
      continue;
    }
    // A queue of voice would only be late voice: what does not fit now is dropped.
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM) break;
    if (!is_retry && (errno == EINTR || is_pending_error(errno))) {
      is_retry = true;
      continue;
    }
    ++at;
    ++outcome.dropped;
    is_retry = false;
  }
  outcome.dropped += count_ - at;
  count_ = 0;
  return outcome;
}

}  // namespace earshot::io
