#include "relay/io/udp_socket.h"

#include <doctest/doctest.h>
#include <sys/syscall.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "relay/io/clock.h"
#include "tests/unit/io/socket_rig.h"

using namespace earshot;
using namespace earshot::io;
using namespace earshot::test;

namespace earshot::test {
std::vector<int> sendmmsg_script;
}

// Takes the place of the C library's.
extern "C" int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  if (!sendmmsg_script.empty()) {
    const int next = sendmmsg_script.front();
    sendmmsg_script.erase(sendmmsg_script.begin());
    if (next > 0) {
      errno = next;
      return -1;
    }
    if (next < 0) count = std::min(count, static_cast<unsigned>(-next));
  }
  return static_cast<int>(syscall(SYS_sendmmsg, fd, messages, count, flags));
}

// The same, for a kernel without IPv6.
static bool has_ipv6 = true;
extern "C" int socket(int domain, int type, int protocol) noexcept {
  if (domain == AF_INET6 && !has_ipv6) {
    errno = EAFNOSUPPORT;
    return -1;
  }
  return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
}

namespace {

const Endpoint any_v6{IpAddress{}, 0};
const Endpoint any_v4{make_v4(0, 0, 0, 0), 0};

UdpSocket open_one(const Endpoint& listen) {
  auto group = UdpSocket::open_group(listen, 1);
  REQUIRE(group.ok());
  return std::move(group.value()[0]);
}

// Everything that comes within a second, until `count` datagrams have.
std::vector<ReceivedDatagram> receive_all(const UdpSocket& socket, BatchReceiver& receiver,
                                          std::size_t count) {
  std::vector<ReceivedDatagram> all;
  for (int i = 0; i < 1'000 && all.size() < count; ++i) {
    const auto batch = receiver.receive(socket);
    all.insert(all.end(), batch.datagrams.begin(), batch.datagrams.end());
    if (batch.datagrams.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return all;
}

}  // namespace

TEST_CASE("datagrams come with where they came from and whom they spoke to, and replies go back") {
  for (const Endpoint& listen : {any_v6, any_v4}) {
    const UdpSocket socket = open_one(listen);
    CHECK(socket.is_v4() == listen.ip.is_v4());
    BatchReceiver receiver;
    BatchSender sender(socket);
    for (const bool is_v4 : {true, false}) {
      if (!is_v4 && socket.is_v4()) continue;
      const Peer peer(is_v4);
      const IpAddress spoken_to = is_v4 ? make_v4(127, 0, 0, 7) : *IpAddress::parse("::1");
      peer.send(socket.bound().port, {1, 2, 3}, 7);
      const auto got = receive_all(socket, receiver, 1);
      REQUIRE(got.size() == 1);
      CHECK(got[0].remote == peer.address());
      CHECK(got[0].local == spoken_to);
      CHECK(got[0].bytes.size() == 3);
      const std::vector<std::uint8_t> reply{9, 8};
      sender.add(got[0].remote, got[0].local, reply);
      sender.add(got[0].remote, IpAddress{}, reply);
      const auto outcome = sender.flush(socket);
      CHECK(outcome.sent == 2);
      CHECK(outcome.dropped == 0);
      CHECK(peer.receive().from == Endpoint{spoken_to, socket.bound().port});
      CHECK(peer.receive().bytes == reply);
    }
  }
}

TEST_CASE("what is too long is seen to be") {
  const UdpSocket socket = open_one(any_v6);
  BatchReceiver receiver;
  const Peer peer(true);
  peer.send(socket.bound().port, std::vector<std::uint8_t>(limits::datagram_size_max, 1));
  peer.send(socket.bound().port, std::vector<std::uint8_t>(limits::datagram_size_max + 1, 1));
  peer.send(socket.bound().port, std::vector<std::uint8_t>(9'000, 1));
  peer.send(socket.bound().port, {});
  const auto got = receive_all(socket, receiver, 4);
  REQUIRE(got.size() == 4);
  CHECK(got[0].bytes.size() == limits::datagram_size_max);
  CHECK(got[1].bytes.size() > limits::datagram_size_max);
  CHECK(got[2].bytes.size() > limits::datagram_size_max);
  CHECK(got[3].bytes.empty());
}

TEST_CASE("an arrival is when the kernel had it, however long it waited behind others") {
  const UdpSocket socket = open_one(any_v6);
  BatchReceiver receiver;
  const Peer peer(true);
  const Time before = monotonic_now();
  constexpr std::size_t count = 3 * limits::receive_batch_max;
  for (std::size_t i = 0; i < count; ++i) peer.send(socket.bound().port, {1});
  const Time sent = monotonic_now();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  for (std::size_t batch = 0; batch < 3; ++batch) {
    const auto got = receiver.receive(socket);
    REQUIRE(got.datagrams.size() == limits::receive_batch_max);
    CHECK(got.now - sent >= milliseconds(30));
    // The wall clock may be slewed meanwhile: a tenth of the wait is far more than that.
    for (const ReceivedDatagram& d : got.datagrams) {
      CHECK(d.arrival >= before - milliseconds(3));
      CHECK(d.arrival <= sent + milliseconds(3));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST_CASE("a stepped wall clock moves no arrival past what is possible") {
  const Time now{1'000'000'000};
  const ClockSample drained{Time{900'000'000}, 5'000'000'000};
  const ClockSample sample{now, 5'000'000'000};
  CHECK(arrival_time(5'950'000'000, sample, drained) == Time{950'000'000});
  CHECK(arrival_time(5'100'000'000, sample, drained) == drained.now);
  CHECK(arrival_time(0, sample, drained) == drained.now);
  CHECK(arrival_time(99'000'000'000, sample, drained) == now);
  CHECK(arrival_time(5'950'000'000, sample, {now + seconds(1), 5'000'000'000}) == now);
}

TEST_CASE("a wall clock stepped by an hour either way moves no arrival") {
  constexpr std::int64_t ahead = 1'700'000'000'000'000'000;
  for (const std::int64_t step :
       {seconds(3'600).ns, -seconds(3'600).ns, milliseconds(400).ns, -milliseconds(400).ns}) {
    CAPTURE(step);
    const ClockSample drained{Time{} + seconds(10), ahead};
    const ClockSample sample{Time{} + milliseconds(10'150), ahead + step};
    for (int ms = 0; ms <= 150; ms += 10) {
      const Time came = drained.now + milliseconds(ms);
      CHECK(arrival_time(came.ns + ahead, sample, drained) == came);
      CHECK(arrival_time(came.ns + ahead + step, sample, drained) == came);
    }
  }
}

TEST_CASE("a wall clock that was slewed for long is read at its present distance") {
  const ClockSample drained{Time{} + seconds(10), 1'000'000'000'000};
  for (const std::int64_t drift : {seconds(2).ns, -seconds(2).ns}) {
    const ClockSample sample{Time{} + seconds(4'000), drained.realtime_ahead_ns + drift};
    const Time came = sample.now - milliseconds(30);
    CHECK(arrival_time(came.ns + sample.realtime_ahead_ns, sample, drained) == came);
  }
}

TEST_CASE("a port is this process's or nobody's") {
  auto first = UdpSocket::open_group(any_v6, 3);
  REQUIRE(first.ok());
  CHECK(first.value()[2].bound().port == first.value()[0].bound().port);
  const std::uint16_t port = first.value()[0].bound().port;
  for (const Endpoint& at : {Endpoint{IpAddress{}, port}, Endpoint{make_v4(127, 0, 0, 1), port}}) {
    const auto second = UdpSocket::open_group(at, 2);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().text == "UDP address " + at.to_string() + ": is in use");
  }
  // Somebody who is willing to share.
  const int foreign = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  REQUIRE(setsockopt(foreign, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) == 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  REQUIRE(bind(foreign, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  getsockname(foreign, reinterpret_cast<sockaddr*>(&address), &size);
  for (const IpAddress& ip : {IpAddress{}, make_v4(0, 0, 0, 0)}) {
    CHECK_FALSE(UdpSocket::open_group({ip, ntohs(address.sin_port)}, 2).ok());
  }
  close(foreign);
}

TEST_CASE("a kernel without IPv6 serves IPv4") {
  has_ipv6 = false;
  auto group = UdpSocket::open_group(any_v6, 2);
  const auto v6_only = UdpSocket::open_group({*IpAddress::parse("::1"), 0}, 1);
  has_ipv6 = true;
  REQUIRE(group.ok());
  CHECK(group.value()[1].is_v4());
  CHECK(group.value()[1].bound().port == group.value()[0].bound().port);
  BatchReceiver receivers[2];
  const Peer peer(true);
  peer.send(group.value()[0].bound().port, {1});
  std::size_t received = 0;
  for (std::size_t i = 0; i < 2; ++i)
    received += receivers[i].receive(group.value()[i]).datagrams.size();
  CHECK(received == 1);
  // An IPv6 address of its own cannot be had, and there is nobody to send to at one.
  CHECK_FALSE(v6_only.ok());
  BatchSender sender(group.value()[0]);
  const std::vector<std::uint8_t> bytes{1};
  sender.add({*IpAddress::parse("::1"), 9}, IpAddress{}, bytes);
  CHECK(sender.flush(group.value()[0]).dropped == 1);
}

TEST_CASE("one datagram that cannot be sent costs that one") {
  const UdpSocket socket = open_one(any_v6);
  const Peer peer(true);
  const std::vector<std::uint8_t> bytes{1};
  const Endpoint nowhere{peer.address().ip, 0};
  BatchSender sender(socket);
  for (const bool is_first_bad : {true, false}) {
    for (int i = 0; i < 5; ++i) {
      const bool is_bad = i == (is_first_bad ? 0 : 2);
      sender.add(is_bad ? nowhere : peer.address(), IpAddress{}, bytes);
    }
    const auto outcome = sender.flush(socket);
    CHECK(outcome.sent == 4);
    CHECK(outcome.dropped == 1);
    for (int i = 0; i < 4; ++i) CHECK(peer.receive().bytes == bytes);
  }
  // All of them, without end in sight.
  for (std::size_t i = 0; i < limits::send_batch_max; ++i) sender.add(nowhere, IpAddress{}, bytes);
  CHECK(sender.is_full());
  CHECK(sender.flush(socket).dropped == limits::send_batch_max);
}

TEST_CASE("what the kernel answers to a batch is counted to the last datagram") {
  const UdpSocket socket = open_one(any_v6);
  const Peer peer(true);
  const std::vector<std::uint8_t> bytes{1};
  BatchSender sender(socket);
  struct Case {
    std::vector<int> script;
    std::size_t sent;
  };
  const std::vector<Case> cases{
      {{}, 10},
      {{-3, -3, -3}, 10},  // in parts
      {{EAGAIN}, 0},       // full: late voice helps nobody
      {{-4, EAGAIN}, 4},
      {{EPERM}, 9},  // a firewall's
      {{EPERM, EPERM, -2, EPERM}, 7},
      {{ECONNREFUSED}, 10},  // an earlier one's: none is lost
      {{-2, ECONNREFUSED, EHOSTUNREACH}, 9},
      {{ENOBUFS}, 9},  // one flow's queue is full; the others are not asked yet
      {{-2, ENOBUFS, -3, ENOBUFS}, 8},
      {{EINTR}, 10},
  };
  for (const Case& c : cases) {
    sendmmsg_script = c.script;
    for (int i = 0; i < 10; ++i) sender.add(peer.address(), IpAddress{}, bytes);
    const auto outcome = sender.flush(socket);
    CAPTURE(c.script.size());
    CHECK(outcome.sent == c.sent);
    CHECK(outcome.sent + outcome.dropped == 10);
    CHECK(sendmmsg_script.empty());
    for (std::size_t i = 0; i < outcome.sent; ++i) CHECK(peer.receive().bytes == bytes);
  }
  // No queue takes anything: it is given up soon.
  sendmmsg_script.assign(1'000, ENOBUFS);
  for (std::size_t i = 0; i < limits::send_batch_max; ++i)
    sender.add(peer.address(), IpAddress{}, bytes);
  CHECK(sender.flush(socket).dropped == limits::send_batch_max);
  CHECK(sendmmsg_script.size() > 900);
  sendmmsg_script.clear();
}

TEST_CASE("what ICMP says of an address is told once, and the socket goes on") {
  for (const Endpoint& listen : {any_v6, any_v4}) {
    const UdpSocket socket = open_one(listen);
    BatchReceiver receiver;
    BatchSender sender(socket);
    const std::vector<std::uint8_t> bytes{1};
    for (const bool is_v4 : {true, false}) {
      if (!is_v4 && socket.is_v4()) continue;
      Endpoint gone;
      {
        const Peer peer(is_v4);
        gone = peer.address();
      }
      sender.add(gone, IpAddress{}, bytes);
      CHECK(sender.flush(socket).sent == 1);
      std::array<Endpoint, 4> remotes;
      REQUIRE(BatchReceiver::take_unreachable(socket, remotes) == 1);
      CHECK(remotes[0] == gone);
      CHECK(BatchReceiver::take_unreachable(socket, remotes) == 0);
      const Peer peer(is_v4);
      sender.add(peer.address(), IpAddress{}, bytes);
      CHECK(sender.flush(socket).sent == 1);
      CHECK(peer.receive().bytes == bytes);
      peer.send(socket.bound().port, bytes);
      CHECK(receive_all(socket, receiver, 1).size() == 1);
    }
  }
}
