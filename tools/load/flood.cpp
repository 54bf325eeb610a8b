#include "tools/load/flood.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"
#include "tools/load/socket_address.h"

namespace earshot::load {
namespace {

constexpr Duration step = microseconds(500);
// Behind its plan by more than this it gives up what it missed: a flood has an even rate.
constexpr Duration behind_max = milliseconds(20);
constexpr std::size_t forged_size = 152;  // as a frame of 48 kbit/s
constexpr std::size_t hello_part = 100;

}  // namespace

std::optional<FloodKind> parse_flood_kind(std::string_view name) {
  constexpr std::array<std::string_view, 6> names{"half-open", "garbage",   "forged",
                                                  "spoofed",   "scattered", "discovery"};
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<FloodKind>(found - names.begin());
}

// One connection that never gets anywhere; a new one when the relay has had enough of it.
class Flood::HalfOpen final : Watched {
 public:
  explicit HalfOpen(Flood& flood) : flood_(flood) {}
  ~HalfOpen() { drop(); }

  bool is_open() const { return descriptor_ >= 0; }
  void drop() {
    if (descriptor_ < 0) return;
    const linger at_once{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(std::exchange(descriptor_, -1));
  }
  bool connect(bool sends_part) {
    const SocketAddress address(flood_.target_.gateway);
    descriptor_ = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor_ < 0) return false;
    if (::connect(descriptor_, address.get(), address.size()) != 0 && errno != EINPROGRESS) {
      drop();
      return false;
    }
    sends_part_ = sends_part;
    flood_.poller_.watch(descriptor_, EPOLLIN | EPOLLOUT, *this);
    return true;
  }

 private:
  void on_ready(std::uint32_t events) override {
    if (descriptor_ < 0) return;
    if ((events & EPOLLOUT) != 0) {
      flood_.poller_.change(descriptor_, EPOLLIN, *this);
      if (sends_part_) {
        const gateway::TlsStream tls(flood_.tls_, flood_.target_.host);
        ::send(descriptor_, tls.output().data(), hello_part, MSG_NOSIGNAL);
      }
    }
    std::array<char, 256> ignored;
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 &&
        ::recv(descriptor_, ignored.data(), ignored.size(), 0) <= 0) {
      drop();
    }
  }

  Flood& flood_;
  int descriptor_ = -1;
  bool sends_part_ = false;
};

Flood::Flood(Poller& poller, const Target& target, const gateway::TlsContext& tls, Board& board,
             Seat& seat, const FloodOptions& options)
    : poller_(poller),
      target_(target),
      tls_(tls),
      board_(board),
      seat_(seat),
      options_(options),
      state_(static_cast<std::uint64_t>(monotonic_now().ns) | 1) {}

Flood::~Flood() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::unique_ptr<Flood>> Flood::create(Poller& poller, const Target& target,
                                             const gateway::TlsContext& tls, Board& board,
                                             Seat& seat, const FloodOptions& options) {
  if (!target.gateway.ip.is_loopback()) return Error{"attacks go to loopback addresses only"};
  std::unique_ptr<Flood> flood(new Flood(poller, target, tls, board, seat, options));
  if (auto opened = flood->open(); !opened) return opened.error();
  return flood;
}

Result<void> Flood::open() {
  if (options_.kind == FloodKind::half_open) return {};
  is_raw_ = options_.kind != FloodKind::garbage && options_.kind != FloodKind::forged;
  descriptor_ = is_raw_ ? ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)
                        : ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) {
    return Error{std::string(is_raw_ ? "spoofed sources need CAP_NET_RAW: " : "no UDP socket: ") +
                 strerror(errno)};
  }
  const int size = 4 << 20;
  ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return {};
}

void Flood::start() {
  is_running_ = true;
  started_at_ = monotonic_now();
  planned_ = 0;
  if (options_.kind == FloodKind::half_open && half_open_.empty()) {
    for (std::size_t i = 0; i < options_.connections; ++i) {
      half_open_.push_back(std::make_unique<HalfOpen>(*this));
    }
  }
  poller_.call_at(started_at_, *this, 0);
}

void Flood::stop() {
  is_running_ = false;
  for (const auto& connection : half_open_) connection->drop();
}

// xorshift64*.
std::uint64_t Flood::random() {
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  return state_ * 0x2545F4914F6CDD1DULL;
}

void Flood::on_time(std::uint64_t) {
  if (!is_running_) return;
  const Duration since = monotonic_now() - started_at_;
  auto due = static_cast<std::uint64_t>(static_cast<double>(since.ns) * 1e-9 *
                                        static_cast<double>(options_.rate));
  const auto behind = static_cast<std::uint64_t>(static_cast<double>(behind_max.ns) * 1e-9 *
                                                 static_cast<double>(options_.rate));
  planned_ = std::max(planned_, due > behind ? due - behind : 0);
  PhaseResults& results = seat_.phases[board_.phase.load(std::memory_order_relaxed)];
  while (planned_ < due) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(due - planned_, batch));
    results.flood_sent += send_some(count);
    planned_ += count;
  }
  poller_.call_at(monotonic_now() + step, *this, 0);
}

std::size_t Flood::send_some(std::size_t count) {
  if (options_.kind == FloodKind::half_open) return connect_some(count);
  if (board_.media_port == 0) return 0;
  if (options_.kind == FloodKind::garbage) return send_garbage(count);
  return is_raw_ ? send_raw(count) : send_segments(count);
}

std::size_t Flood::connect_some(std::size_t count) {
  std::size_t made = 0;
  for (std::size_t looked = 0; looked < half_open_.size() && made < count; ++looked) {
    const std::size_t index = next_half_open_++ % half_open_.size();
    HalfOpen& connection = *half_open_[index];
    if (connection.is_open()) continue;
    if (!connection.connect(index % 2 == 1)) break;
    ++made;
  }
  return made;
}

std::size_t Flood::write_payload(std::uint8_t* to) {
  if (options_.kind == FloodKind::discovery) {
    // Half of them use up what the victim's slot may be asked.
    const std::uint32_t ssrc = board_.victim_ssrc;
    const auto other = static_cast<std::uint32_t>(random() % 64);
    wire::write_discovery_request(std::span<std::uint8_t, wire::discovery_size>(to, 74),
                                  {random() % 2 == 0 ? ssrc : (ssrc & 0xFFFF0000) + other});
    return wire::discovery_size;
  }
  for (std::size_t i = 0; i < forged_size; i += 8) {
    const std::uint64_t bits = random();
    std::memcpy(to + i, &bits, 8);
  }
  wire::write_rtp_header(std::span<std::uint8_t, wire::rtp_header_size>(to, 12),
                         static_cast<std::uint16_t>(planned_),
                         static_cast<std::uint32_t>(planned_ * 960), {board_.victim_ssrc});
  return forged_size;
}

// All of one size to one destination: the kernel cuts one large send into datagrams.
std::size_t Flood::send_segments(std::size_t count) {
  static std::array<std::uint8_t, batch * forged_size> bytes;
  for (std::size_t i = 0; i < count; ++i) write_payload(bytes.data() + i * forged_size);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = board_.media_ip;
  to.sin_port = htons(static_cast<std::uint16_t>(board_.media_port));
  iovec vector{bytes.data(), count * forged_size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = sizeof to;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  const std::uint16_t segment = forged_size;
  std::memcpy(CMSG_DATA(header), &segment, sizeof segment);
  return ::sendmsg(descriptor_, &message, MSG_DONTWAIT) > 0 ? count : 0;
}

std::size_t Flood::send_garbage(std::size_t count) {
  std::array<mmsghdr, batch> messages;
  std::array<iovec, batch> vectors;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = board_.media_ip;
  to.sin_port = htons(static_cast<std::uint16_t>(board_.media_port));
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t size = 1 + random() % (datagram_room - 8);
    for (std::size_t at = 0; at < std::min<std::size_t>(size, 64); at += 8) {
      const std::uint64_t bits = random();
      std::memcpy(buffers_[i].data() + at, &bits, 8);
    }
    vectors[i] = {buffers_[i].data(), size};
    messages[i] = {};
    messages[i].msg_hdr.msg_name = &to;
    messages[i].msg_hdr.msg_namelen = sizeof to;
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int sent =
      ::sendmmsg(descriptor_, messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

// With headers of our own: any source in 127.0.0.0/8.
std::size_t Flood::send_raw(std::size_t count) {
  std::array<mmsghdr, batch> messages;
  std::array<iovec, batch> vectors;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = board_.media_ip;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint8_t* const bytes = buffers_[i].data();
    const std::size_t size = write_payload(bytes + sizeof(iphdr) + sizeof(udphdr));
    iphdr ip{};
    ip.version = 4;
    ip.ihl = 5;
    ip.ttl = 64;
    ip.protocol = IPPROTO_UDP;
    ip.daddr = board_.media_ip;
    const bool is_victims = options_.kind == FloodKind::spoofed;
    // 127.1.0.0 to 127.254.255.255: nobody else's.
    const auto any = static_cast<std::uint32_t>(0x7F010000 + random() % 0xFD0000);
    ip.saddr = is_victims ? board_.victim_ip.load() : htonl(any);
    ip.tot_len = htons(static_cast<std::uint16_t>(sizeof(iphdr) + sizeof(udphdr) + size));
    udphdr udp{};
    udp.source = htons(is_victims ? static_cast<std::uint16_t>(board_.victim_port)
                                  : static_cast<std::uint16_t>(1'024 + random() % 60'000));
    udp.dest = htons(static_cast<std::uint16_t>(board_.media_port));
    udp.len = htons(static_cast<std::uint16_t>(sizeof(udphdr) + size));
    std::memcpy(bytes, &ip, sizeof ip);
    std::memcpy(bytes + sizeof ip, &udp, sizeof udp);
    vectors[i] = {bytes, sizeof(iphdr) + sizeof(udphdr) + size};
    messages[i] = {};
    messages[i].msg_hdr.msg_name = &to;
    messages[i].msg_hdr.msg_namelen = sizeof to;
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int sent =
      ::sendmmsg(descriptor_, messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

}  // namespace earshot::load
