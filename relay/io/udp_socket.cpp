#include "relay/io/udp_socket.h"

#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "relay/base/check.h"
#include "relay/io/clock.h"

namespace earshot::io {
namespace {

socklen_t write_name(const Endpoint& endpoint, bool is_v4, sockaddr_storage& out) {
  if (is_v4 && endpoint.ip.is_v4()) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::memcpy(&address.sin_addr, endpoint.ip.bytes.data() + 12, sizeof address.sin_addr);
    std::memcpy(&out, &address, sizeof address);
    return sizeof address;
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.ip.bytes.data(), endpoint.ip.bytes.size());
  std::memcpy(&out, &address, sizeof address);
  return sizeof address;
}

IpAddress from_in_addr(const in_addr& address) {
  std::uint8_t b[4];
  std::memcpy(b, &address, sizeof b);
  return make_v4(b[0], b[1], b[2], b[3]);
}

IpAddress from_in6_addr(const in6_addr& address) {
  IpAddress ip;
  std::memcpy(ip.bytes.data(), &address, ip.bytes.size());
  return ip;
}

Endpoint read_name(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in address;
    std::memcpy(&address, &storage, sizeof address);
    return {from_in_addr(address.sin_addr), ntohs(address.sin_port)};
  }
  sockaddr_in6 address;
  std::memcpy(&address, &storage, sizeof address);
  return {from_in6_addr(address.sin6_addr), ntohs(address.sin6_port)};
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

int make_socket(bool is_v4) {
  return socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

bool bind_to(int fd, bool is_v4, const Endpoint& listen) {
  // [::] takes IPv4 too.
  if (!is_v4) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  sockaddr_storage name{};
  const socklen_t size = write_name(listen, is_v4, name);
  return bind(fd, reinterpret_cast<const sockaddr*>(&name), size) == 0;
}

void set_options(int fd, bool is_v4) {
  set_buffers(fd);
  set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
  if (is_v4) {
    set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
  } else {
    set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
  }
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
      result.local = from_in6_addr(info.ipi6_addr);
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      result.local = from_in_addr(info.ipi_addr);
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
    // A packet that ran out of hops met a loop in the network, which passes.
    const bool is_unreachable =
        (error.ee_origin == SO_EE_ORIGIN_ICMP && error.ee_type == ICMP_DEST_UNREACH) ||
        (error.ee_origin == SO_EE_ORIGIN_ICMP6 && error.ee_type == ICMPV6_DEST_UNREACH);
    if (!is_unreachable) return false;
    return error.ee_errno == ECONNREFUSED || error.ee_errno == EHOSTUNREACH ||
           error.ee_errno == ENETUNREACH;
  }
  return false;
}

// So many refusals for want of room in one batch, and the rest is not tried.
constexpr int full_queues_max = 16;

// Errors that an earlier datagram left on the socket (RFC 1122 s4.1.3.3): the next call may well
// succeed.
bool is_pending_error(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
         error == EPROTO || error == EMSGSIZE || error == EACCES || error == ENOPROTOOPT ||
         error == EHOSTDOWN;
}

}  // namespace

Result<std::vector<UdpSocket>> UdpSocket::open_group(const Endpoint& listen, std::size_t count) {
  std::vector<UdpSocket> group;
  Endpoint at = listen;
  bool is_v4 = listen.ip.is_v4();
  for (std::size_t i = 0; i < count; ++i) {
    int fd = make_socket(is_v4);
    if (fd < 0 && errno == EAFNOSUPPORT && !is_v4 && listen.ip.is_unspecified()) {
      is_v4 = true;
      at.ip = make_v4(0, 0, 0, 0);
      fd = make_socket(is_v4);
    }
    if (fd < 0) return bind_error(at);
    group.push_back(UdpSocket(fd, is_v4));
    // The first one binds for itself alone, which nobody else can have done, nor can do from then
    // on without our consent; only then does it share with the others.
    if (i > 0) set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!bind_to(fd, is_v4, at)) return bind_error(at);
    if (i == 0 && count > 1) set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    set_options(fd, is_v4);
    at.port = group.back().bound().port;
  }
  return group;
}

UdpSocket::UdpSocket(UdpSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), is_v4_(other.is_v4_) {}

UdpSocket& UdpSocket::operator=(UdpSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(is_v4_, other.is_v4_);
  return *this;
}

UdpSocket::~UdpSocket() {
  if (fd_ >= 0) close(fd_);
}

Endpoint UdpSocket::bound() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
  return read_name(address);
}

BatchReceiver::BatchReceiver()
    : buffers_(limits::receive_batch_max * buffer_size),
      controls_(limits::receive_batch_max * control_size),
      drained_(sample_clocks()) {
  for (std::size_t i = 0; i < limits::receive_batch_max; ++i) {
    vectors_[i] = {buffers_.data() + i * buffer_size, buffer_size};
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = &names_[i];
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
    header.msg_control = controls_.data() + i * control_size;
  }
}

ReceivedBatch BatchReceiver::receive(const UdpSocket& socket) {
  for (mmsghdr& message : messages_) {
    message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    message.msg_hdr.msg_controllen = control_size;
    message.msg_hdr.msg_flags = 0;
  }
  int received =
      recvmmsg(socket.fd(), messages_.data(), limits::receive_batch_max, MSG_DONTWAIT, nullptr);
  // A pending ICMP error is reported once in place of data.
  if (received < 0 && is_pending_error(errno)) {
    received =
        recvmmsg(socket.fd(), messages_.data(), limits::receive_batch_max, MSG_DONTWAIT, nullptr);
  }
  const bool would_block = received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  const std::size_t count = received < 0 ? 0 : static_cast<std::size_t>(received);
  const ClockSample clocks = sample_clocks();
  for (std::size_t i = 0; i < count; ++i) {
    const Ancillary ancillary = read_ancillary(messages_[i].msg_hdr);
    if (ancillary.has_overflow) {
      kernel_drops_ += ancillary.overflow - last_overflow_;
      last_overflow_ = ancillary.overflow;
    }
    datagrams_[i] = {read_name(names_[i]),
                     ancillary.local,
                     arrival_time(ancillary.stamp_ns, clocks, drained_),
                     {buffers_.data() + i * buffer_size, messages_[i].msg_len}};
  }
  if (would_block || (received >= 0 && count < limits::receive_batch_max)) drained_ = clocks;
  return {clocks.now, {datagrams_.data(), count}};
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
    if (says_unreachable(message)) out[found++] = read_name(name);
  }
  return found;
}

BatchSender::BatchSender(const UdpSocket& socket)
    : is_v4_(socket.is_v4()),
      names_(limits::send_batch_max),
      controls_(limits::send_batch_max),
      vectors_(limits::send_batch_max),
      messages_(limits::send_batch_max) {
  for (std::size_t i = 0; i < limits::send_batch_max; ++i) {
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = &names_[i];
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
    auto* control = reinterpret_cast<cmsghdr*>(controls_[i].bytes.data());
    control->cmsg_level = is_v4_ ? IPPROTO_IP : IPPROTO_IPV6;
    control->cmsg_type = is_v4_ ? IP_PKTINFO : IPV6_PKTINFO;
    control->cmsg_len = CMSG_LEN(is_v4_ ? sizeof(in_pktinfo) : sizeof(in6_pktinfo));
  }
}

void BatchSender::add(const Endpoint& remote, const IpAddress& local,
                      std::span<const std::uint8_t> bytes) {
  RELAY_CHECK(!is_full());
  const std::size_t i = count_++;
  vectors_[i] = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  msghdr& header = messages_[i].msg_hdr;
  header.msg_namelen = write_name(remote, is_v4_, names_[i]);
  header.msg_control = nullptr;
  header.msg_controllen = 0;
  if (local.is_unspecified()) return;
  header.msg_control = controls_[i].bytes.data();
  header.msg_controllen = CMSG_SPACE(is_v4_ ? sizeof(in_pktinfo) : sizeof(in6_pktinfo));
  std::uint8_t* data = CMSG_DATA(CMSG_FIRSTHDR(&header));
  if (is_v4_) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, local.bytes.data() + 12, sizeof info.ipi_spec_dst);
    std::memcpy(data, &info, sizeof info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, local.bytes.data(), local.bytes.size());
    std::memcpy(data, &info, sizeof info);
  }
}

BatchSender::Outcome BatchSender::flush(const UdpSocket& socket) {
  Outcome outcome;
  std::size_t at = 0;
  bool is_retry = false;
  int full_queues = 0;
  while (at < count_) {
    const int sent = sendmmsg(socket.fd(), messages_.data() + at,
                              static_cast<unsigned>(count_ - at), MSG_DONTWAIT);
    if (sent > 0) {
      at += static_cast<std::size_t>(sent);
      outcome.sent += static_cast<std::size_t>(sent);
      is_retry = false;
      continue;
    }
    // A queue of voice would only be late voice: what does not fit now is dropped. The socket's
    // buffer is everybody's; a queue behind it may be one interface's or one flow's.
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOMEM) break;
    if (errno == ENOBUFS && ++full_queues == full_queues_max) break;
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
