#include "tools/load/media_port.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "tools/load/socket_address.h"

namespace earshot::load {
namespace {

// Some thousand datagrams: what arrives while this process does something else.
constexpr int socket_buffer_bytes = 4 << 20;
constexpr int batches_per_turn = 4;

Endpoint local_endpoint(int descriptor, bool is_v4) {
  Endpoint endpoint;
  if (is_v4) {
    sockaddr_in v4{};
    socklen_t size = sizeof v4;
    ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&v4), &size);
    endpoint.ip = make_v4(0, 0, 0, 0);
    std::memcpy(endpoint.ip.bytes.data() + 12, &v4.sin_addr, 4);
    endpoint.port = ntohs(v4.sin_port);
  } else {
    sockaddr_in6 v6{};
    socklen_t size = sizeof v6;
    ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&v6), &size);
    std::memcpy(endpoint.ip.bytes.data(), &v6.sin6_addr, 16);
    endpoint.port = ntohs(v6.sin6_port);
  }
  return endpoint;
}

Time arrival_of(msghdr& message) {
  for (cmsghdr* it = CMSG_FIRSTHDR(&message); it != nullptr; it = CMSG_NXTHDR(&message, it)) {
    if (it->cmsg_level != SOL_SOCKET || it->cmsg_type != SO_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(it), sizeof stamp);
    return {stamp.tv_sec * 1'000'000'000LL + stamp.tv_nsec};
  }
  return realtime_now();
}

}  // namespace

Time realtime_now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec * 1'000'000'000LL + now.tv_nsec};
}

Result<std::unique_ptr<MediaPort>> MediaPort::open(Poller& poller, const Endpoint& remote,
                                                   const IpAddress& local_ip, std::size_t index,
                                                   OnDatagram on_datagram) {
  const SocketAddress to(remote);
  const int descriptor = ::socket(to.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return Error{std::string("cannot open a UDP socket: ") + strerror(errno)};
  std::unique_ptr<MediaPort> port(new MediaPort(descriptor, index, std::move(on_datagram)));
  const int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &socket_buffer_bytes, sizeof socket_buffer_bytes);
  if (!local_ip.is_unspecified()) {
    const SocketAddress from(Endpoint{local_ip, 0});
    if (::bind(descriptor, from.get(), from.size()) != 0) {
      return Error{"cannot use " + local_ip.to_string() + ": " + strerror(errno)};
    }
  }
  if (::connect(descriptor, to.get(), to.size()) != 0) {
    return Error{"no way to " + remote.to_string() + ": " + strerror(errno)};
  }
  port->local_ = local_endpoint(descriptor, remote.ip.is_v4());
  poller.watch(descriptor, EPOLLIN, *port);
  return port;
}

MediaPort::~MediaPort() {
  ::close(descriptor_);
}

std::span<std::uint8_t> MediaPort::queue(std::size_t size) {
  queued_.emplace_back();
  queued_.back().size = size;
  return std::span(queued_.back().bytes).first(size);
}

void MediaPort::flush() {
  std::array<mmsghdr, batch> messages;
  std::array<iovec, batch> vectors;
  for (std::size_t done = 0; done < queued_.size();) {
    const std::size_t count = std::min(batch, queued_.size() - done);
    for (std::size_t i = 0; i < count; ++i) {
      Queued& datagram = queued_[done + i];
      vectors[i] = {datagram.bytes.data(), datagram.size};
      messages[i] = {};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent = ::sendmmsg(descriptor_, messages.data(), static_cast<unsigned>(count), 0);
    // An error of an earlier datagram (ICMP) is told once; what the kernel has no room for is lost.
    done += sent > 0 ? static_cast<std::size_t>(sent) : 1;
  }
  queued_.clear();
}

void MediaPort::on_ready(std::uint32_t) {
  static std::array<Buffer, batch> buffers;
  struct Control {
    alignas(cmsghdr) std::array<char, 64> bytes;
  };
  static std::array<Control, batch> controls;
  std::array<mmsghdr, batch> messages;
  std::array<iovec, batch> vectors;
  for (int round = 0; round < batches_per_turn; ++round) {
    for (std::size_t i = 0; i < batch; ++i) {
      vectors[i] = {buffers[i].data(), buffers[i].size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = controls[i].bytes.data();
      messages[i].msg_hdr.msg_controllen = controls[i].bytes.size();
    }
    const int count = ::recvmmsg(descriptor_, messages.data(), batch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) {
      const auto n = static_cast<std::size_t>(i);
      on_datagram_(*this, std::span(buffers[n]).first(messages[n].msg_len),
                   arrival_of(messages[n].msg_hdr));
    }
    if (count < static_cast<int>(batch)) return;
  }
}

}  // namespace earshot::load
