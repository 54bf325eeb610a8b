#include "tools/client/media_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "tools/client/event_loop.h"

namespace earshot::client {
namespace {

constexpr int receive_buffer_bytes = 1 << 20;
// A client that is far behind still looks at its other sockets and timers.
constexpr int datagrams_per_turn_max = 256;

sockaddr_storage make_address(const Endpoint& endpoint, socklen_t& size) {
  sockaddr_storage storage{};
  if (endpoint.ip.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.ip.bytes.data() + 12, 4);
    size = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&v6.sin6_addr, endpoint.ip.bytes.data(), 16);
    size = sizeof v6;
  }
  return storage;
}

Endpoint read_address(const sockaddr_storage& storage) {
  Endpoint endpoint;
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    endpoint.ip = make_v4(0, 0, 0, 0);
    std::memcpy(endpoint.ip.bytes.data() + 12, &v4.sin_addr, 4);
    endpoint.port = ntohs(v4.sin_port);
  } else {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    std::memcpy(endpoint.ip.bytes.data(), &v6.sin6_addr, 16);
    endpoint.port = ntohs(v6.sin6_port);
  }
  return endpoint;
}

std::int64_t realtime_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// The kernel stamps with the real-time clock; everything here counts on the monotonic one. Never
// later than now.
Time arrival_of(msghdr& message) {
  const Time now = monotonic_now();
  for (cmsghdr* it = CMSG_FIRSTHDR(&message); it != nullptr; it = CMSG_NXTHDR(&message, it)) {
    if (it->cmsg_level != SOL_SOCKET || it->cmsg_type != SO_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(it), sizeof stamp);
    const std::int64_t age = realtime_ns() - (stamp.tv_sec * 1'000'000'000LL + stamp.tv_nsec);
    // A clock that was set meanwhile makes the stamp worthless.
    if (age >= 0 && age < 1'000'000'000) return now - nanoseconds(age);
  }
  return now;
}

}  // namespace

struct MediaSocket::State {
  uv_poll_t poll{};
  int descriptor = -1;
  Endpoint remote;
  sockaddr_storage remote_address{};
  socklen_t remote_size = 0;
  OnDatagram on_datagram;
  bool is_closed = false;
  std::array<std::uint8_t, 2'048> buffer{};

  // Answers false when there is nothing more.
  bool receive_one() {
    alignas(cmsghdr) std::array<char, 128> control;
    iovec vector{buffer.data(), buffer.size()};
    sockaddr_storage from{};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(descriptor, &message, MSG_DONTWAIT);
    if (size < 0) return false;
    // The relay answers from the address that was spoken to; anybody else may shout at this port.
    if ((message.msg_flags & MSG_TRUNC) == 0 && read_address(from) == remote) {
      on_datagram(std::span(buffer).first(static_cast<std::size_t>(size)), arrival_of(message));
    }
    return true;
  }
};

Result<std::unique_ptr<MediaSocket>> MediaSocket::open(uv_loop_s* loop, const Endpoint& remote,
                                                       OnDatagram on_datagram) {
  auto state = std::make_shared<State>();
  state->on_datagram = std::move(on_datagram);
  state->remote = remote;
  state->remote_address = make_address(remote, state->remote_size);
  state->descriptor =
      socket(state->remote_address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const auto fail = [&] {
    const Error error{"cannot open a UDP socket to " + remote.to_string() + ": " +
                      std::strerror(errno)};
    if (state->descriptor >= 0) ::close(state->descriptor);
    return error;
  };
  if (state->descriptor < 0) return fail();
  const int on = 1;
  setsockopt(state->descriptor, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(state->descriptor, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
             sizeof receive_buffer_bytes);
  socklen_t size = 0;
  IpAddress any = remote.ip.is_v4() ? make_v4(0, 0, 0, 0) : IpAddress{};
  const sockaddr_storage local = make_address({any, 0}, size);
  if (bind(state->descriptor, reinterpret_cast<const sockaddr*>(&local), size) != 0) return fail();
  if (uv_poll_init(loop, &state->poll, state->descriptor) != 0) return fail();
  // The handle keeps its state alive until libuv has let go of it.
  state->poll.data = new std::shared_ptr<State>(state);
  uv_poll_start(&state->poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
    const std::shared_ptr<State> self = *static_cast<std::shared_ptr<State>*>(handle->data);
    for (int i = 0; i < datagrams_per_turn_max && !self->is_closed; ++i) {
      if (!self->receive_one()) return;
    }
  });
  return std::unique_ptr<MediaSocket>(new MediaSocket(std::move(state)));
}

MediaSocket::~MediaSocket() {
  state_->is_closed = true;
  uv_poll_stop(&state_->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->poll), [](uv_handle_t* handle) {
    const auto* state = static_cast<std::shared_ptr<State>*>(handle->data);
    ::close((*state)->descriptor);
    delete state;
  });
}

bool MediaSocket::send(std::span<const std::uint8_t> datagram) {
  const ssize_t sent =
      sendto(state_->descriptor, datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&state_->remote_address), state_->remote_size);
  return sent == static_cast<ssize_t>(datagram.size());
}

Endpoint MediaSocket::local() const {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(state_->descriptor, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return read_address(storage);
}

}  // namespace earshot::client
