// Captures: link layers, IP, which packets are voice, which direction, and how large they are.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/replay/capture_builder.h"

using namespace earshot;
using namespace earshot::replay;
using namespace earshot::test;

namespace {

constexpr std::int64_t start = 1'700'000'000'123'456'000;
constexpr std::int64_t frame_ns = 20'000'000;
constexpr std::size_t aead = 20;

RtpFields numbered(int i, std::uint32_t ssrc = 17) {
  return {.sequence = static_cast<std::uint16_t>(i),
          .timestamp = static_cast<std::uint32_t>(960 * i),
          .ssrc = ssrc};
}

Bytes voice(int i, std::uint32_t ssrc = 17) {
  return rtp(numbered(i, ssrc), sealed(100 + aead, static_cast<std::uint32_t>(i) + ssrc));
}

Trace must_read(const Bytes& bytes, const TraceOptions& options = {}) {
  auto trace = read(bytes, options);
  if (!trace) FAIL(trace.error().text);
  return std::move(trace.value());
}

std::string complaint(const Bytes& bytes, const TraceOptions& options = {}) {
  const auto trace = read(bytes, options);
  REQUIRE_FALSE(trace.ok());
  CHECK(trace.error().text.find('\n') == std::string::npos);
  return trace.error().text;
}

bool has_remark(const Trace& trace, std::string_view text) {
  return std::any_of(
      trace.notes.remarks.begin(), trace.notes.remarks.end(),
      [&](const std::string& remark) { return remark.find(text) != std::string::npos; });
}

// Ten packets of one stream, wrapped by `wrap`.
template <typename Wrap>
Bytes capture(const PcapOptions& options, Wrap wrap) {
  PcapFile file(options);
  for (int i = 0; i < 10; ++i) file.add(start + frame_ns * i, wrap(udp({}, voice(i))));
  return file.bytes();
}

void check_ten(const Trace& trace) {
  REQUIRE(trace.packets.size() == 10);
  CHECK_FALSE(trace.is_sending_time);
  CHECK(trace.notes.clamped == 0);
  for (int i = 0; i < 10; ++i) {
    const TracePacket& packet = trace.packets[static_cast<std::size_t>(i)];
    CHECK(packet.arrival == Time{start + frame_ns * i});
    CHECK(packet.ssrc == Ssrc{17});
    CHECK(packet.sequence == i);
    CHECK(packet.timestamp == static_cast<std::uint32_t>(960 * i));
    CHECK(packet.size == 100);
    CHECK(packet.payload == no_payload);
  }
}

}  // namespace

TEST_CASE("every link type that can carry IP") {
  const auto with_ip4 = [](const Bytes& front) {
    return [front](const Bytes& datagram) { return front + ipv4({}, datagram); };
  };
  const auto with_ip6 = [](const Bytes& front) {
    return [front](const Bytes& datagram) { return front + ipv6({}, datagram); };
  };
  const Bytes addresses(12, 0x02);
  const Bytes none;
  struct Row {
    const char* name;
    std::uint32_t link;
    Bytes front;
    bool is_ip6;
  };
  const Row rows[] = {
      {"Ethernet", 1, addresses + big(0x0800, 2), false},
      {"Ethernet, IPv6", 1, addresses + big(0x86DD, 2), true},
      {"VLAN", 1, addresses + big(0x8100'0064'0800, 6), false},
      {"QinQ", 1, addresses + big(0x88A8'0064, 4) + big(0x8100'0065'86DD, 6), true},
      {"cooked", 113, big(0, 2) + big(1, 2) + big(6, 2) + Bytes(8) + big(0x0800, 2), false},
      {"cooked, outgoing", 113, big(4, 2) + big(1, 2) + big(6, 2) + Bytes(8) + big(0x86DD, 2),
       true},
      {"cooked 2", 276, big(0x0800, 2) + Bytes(6) + big(1, 2) + Bytes(10), false},
      {"cooked 2, VLAN", 276,
       big(0x8100, 2) + Bytes(6) + big(1, 2) + Bytes(10) + big(0x0064'0800, 4), false},
      {"raw", 101, none, false},
      {"raw, IPv6", 101, none, true},
      {"raw 12", 12, none, false},
      {"raw 14", 14, none, true},
      {"IPv4", 228, none, false},
      {"IPv6", 229, none, true},
      {"BSD loopback", 0, little(2, 4), false},
      {"BSD loopback, IPv6", 0, little(30, 4), true},
      {"OpenBSD loopback", 108, big(24, 4), true},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.name));
    const PcapOptions options{.link = row.link};
    check_ten(must_read(row.is_ip6 ? capture(options, with_ip6(row.front))
                                   : capture(options, with_ip4(row.front))));
  }
}

TEST_CASE("a link that carries no IP is named") {
  CHECK(complaint(PcapFile({.link = 105}).bytes()) ==
        "input: was captured on a link of type IEEE802_11; Ethernet, Linux cooked, raw IP and "
        "loopback can be read");
}

TEST_CASE("micro- and nanoseconds, in both byte orders") {
  for (const bool is_swapped : {false, true}) {
    for (const bool has_nanoseconds : {false, true}) {
      PcapFile file({.is_swapped = is_swapped, .has_nanoseconds = has_nanoseconds});
      for (int i = 0; i < 5; ++i) {
        file.add(start + 789 + frame_ns * i, ethernet(0x0800, ipv4({}, udp({}, voice(i)))));
      }
      const Trace trace = must_read(file.bytes());
      REQUIRE(trace.packets.size() == 5);
      CHECK(trace.packets[1].arrival == Time{start + frame_ns + (has_nanoseconds ? 789 : 0)});
    }
  }
}

TEST_CASE("IPv4 options and IPv6 extension headers are passed over, fragments are counted") {
  const Bytes hop_by_hop = Bytes{60, 0} + Bytes(6);       // then destination options
  const Bytes destination = Bytes{43, 1} + Bytes(14);     // 16 bytes, then routing
  const Bytes routing = Bytes{51, 0} + Bytes(6);          // then authentication
  const Bytes authentication = Bytes{44, 1} + Bytes(10);  // 12 bytes, then fragment
  const Bytes whole = Bytes{17, 0, 0, 0} + big(1, 4);     // a fragment that is all
  const Bytes first_part = Bytes{17, 0, 0, 1} + big(1, 4);
  PcapFile file({.link = 101});
  const auto add = [&](const Bytes& packet) { file.add(start, packet); };
  add(ipv4({}, udp({}, voice(1)), Bytes(8, 1)));
  add(ipv6({}, hop_by_hop + destination + routing + authentication + whole + udp({}, voice(2)), 0));
  add(ipv4({}, udp({}, voice(3)), Bytes(40, 1)));
  add(ipv4({}, udp({}, voice(4))));
  add(ipv6({}, first_part + udp({}, voice(5)), 44));
  add(ipv4({}, udp({}, voice(6)), {}, 0x2000));
  add(ipv4({}, Bytes(50), {}, 0x0010));
  add(ipv6({}, Bytes(50), 59));  // no next header
  add(ipv6({}, Bytes(50), 6));   // TCP
  const Trace trace = must_read(file.bytes());
  CHECK(trace.packets.size() == 3);  // of IPv4; the one of IPv6 is a flow of its own, too short
  CHECK(trace.notes[Skip::fragment] == 3);
  CHECK(trace.notes[Skip::not_udp] == 2);
  CHECK(trace.notes[Skip::not_rtp] == 1);
  const Trace chosen = must_read(file.bytes(), {.ssrcs = {Ssrc{17}}});
  CHECK(chosen.packets.size() == 4);
}

TEST_CASE("headers that are cut off or wrong are counted, not read") {
  PcapFile file;
  for (int i = 0; i < 5; ++i) file.add(start, ethernet(0x0800, ipv4({}, udp({}, voice(i)))));
  const Bytes good = ethernet(0x0800, ipv4({}, udp({}, voice(6))));
  // Every size from nothing to one byte short of the RTP header.
  for (std::size_t size = 0; size < 14 + 20 + 8; ++size) {
    file.add(start, Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
  }
  Bytes short_header = ipv4({}, udp({}, voice(7)));
  short_header[0] = 0x44;
  file.add(start, ethernet(0x0800, short_header));
  Bytes short_udp = udp({}, voice(8));
  short_udp[4] = 0;
  short_udp[5] = 7;
  file.add(start, ethernet(0x0800, ipv4({}, short_udp)));
  file.add(start, ethernet(0x0806, Bytes(28)));
  const Trace trace = must_read(file.bytes());
  CHECK(trace.packets.size() == 5);
  CHECK(trace.notes[Skip::cut] == 42);
  CHECK(trace.notes[Skip::malformed] == 2);
  CHECK(trace.notes[Skip::not_udp] == 1);
}

TEST_CASE("a short snapshot length is enough: sizes are those on the wire") {
  PcapFile file({.snap = 14 + 20 + 8 + 12});
  for (int i = 0; i < 10; ++i) {
    file.add(start + frame_ns * i, ethernet(0x0800, ipv4({}, udp({}, voice(i)))));
  }
  check_ten(must_read(file.bytes()));
  PcapFile shorter({.snap = 14 + 20 + 8 + 11});
  for (int i = 0; i < 10; ++i) shorter.add(start, ethernet(0x0800, ipv4({}, udp({}, voice(i)))));
  CHECK(complaint(shorter.bytes()) == "input: has no packets of a stream; skipped: 10 cut");
}

TEST_CASE("what is no voice is left out by reason") {
  PcapFile file({.link = 101});
  const auto add = [&](const Bytes& payload) { file.add(start, ipv4({}, udp({}, payload))); };
  for (int i = 0; i < 4; ++i) add(voice(i));
  add(Bytes{0, 1, 0, 70} + Bytes(70));  // IP discovery
  add(Bytes{0, 2, 0, 70} + Bytes(70));
  add(Bytes{0x80, 200} + Bytes(26));  // a sender report
  add(Bytes{0x81, 201} + Bytes(30));
  add(Bytes(8));                            // a keep-alive
  add(Bytes(40, 0x16));                     // DTLS
  add(Bytes{0x80, 0} + Bytes(170));         // PCMU
  for (std::uint32_t i = 0; i < 20; ++i) {  // looks like RTP, and no SSRC comes again
    add(rtp({.sequence = 1, .timestamp = 2, .ssrc = 1'000 + i}, sealed(60, i)));
  }
  add(rtp({.sequence = 5, .ssrc = 17, .flags = 0x8F}, Bytes(20)));  // CSRCs that are not there
  const Trace trace = must_read(file.bytes());
  CHECK(trace.packets.size() == 4);
  CHECK(trace.notes[Skip::discovery] == 2);
  CHECK(trace.notes[Skip::rtcp] == 2);
  CHECK(trace.notes[Skip::payload_type] == 1);
  CHECK(trace.notes[Skip::not_rtp] == 2 + 20 + 1);
}

TEST_CASE("an SSRC counts after three packets that belong together") {
  const auto read_sequences = [](std::initializer_list<int> sequences) {
    PcapFile file({.link = 101});
    for (const int i : sequences) file.add(start, ipv4({}, udp({}, voice(i))));
    return read(file.bytes());
  };
  CHECK_FALSE(read_sequences({1, 2}).ok());
  CHECK(read_sequences({1, 2, 3}).ok());
  CHECK(read_sequences({65'535, 0, 1}).ok());
  CHECK(read_sequences({9, 7, 8}).ok());
  CHECK_FALSE(read_sequences({1, 1'000, 40'000, 7'000}).ok());
  CHECK_FALSE(read_sequences({5, 5, 5, 5}).ok());
}

TEST_CASE("ports and SSRCs choose without a trial") {
  PcapFile file({.link = 101});
  file.add(start, ipv4({}, udp({}, voice(1))));
  file.add(start, ipv4({}, udp({.from_port = 1, .to_port = 2}, voice(1, 18))));
  file.add(start, ipv4({}, udp({.from_port = 1, .to_port = 2}, voice(2, 18))));
  CHECK_FALSE(read(file.bytes()).ok());
  const Trace by_port = must_read(file.bytes(), {.port = 8'444});
  CHECK(by_port.packets.size() == 1);
  CHECK(by_port.notes[Skip::other_port] == 2);
  CHECK(must_read(file.bytes(), {.port = 50'000}).packets.size() == 1);
  const Trace by_ssrc = must_read(file.bytes(), {.ssrcs = {Ssrc{18}}});
  CHECK(by_ssrc.packets.size() == 2);
  CHECK(by_ssrc.notes[Skip::other_ssrc] == 1);
  CHECK(must_read(file.bytes(), {.ssrcs = {Ssrc{18}, Ssrc{17}}, .overhead = 20}).packets.size() ==
        3);
  CHECK(complaint(file.bytes(), {.port = 9}) ==
        "input: has no packets of a stream; skipped: 3 other_port");
}

TEST_CASE("at a relay, what it sends on is not taken for duplicates of what it gets") {
  // Three participants at 10.0.0.10 to 12, all of whom speak; the relay is 10.0.0.2:8444.
  PcapFile file({.link = 101});
  for (int i = 0; i < 50; ++i) {
    for (std::uint8_t speaker = 0; speaker < 3; ++speaker) {
      const Route in{.from_port = static_cast<std::uint16_t>(40'000 + speaker),
                     .from_host = static_cast<std::uint8_t>(10 + speaker)};
      file.add(start + frame_ns * i, ipv4(in, udp(in, voice(i, 100u + speaker))));
      for (std::uint8_t listener = 0; listener < 6; ++listener) {
        if (listener == speaker) continue;
        const Route out = Route{.from_port = static_cast<std::uint16_t>(40'000 + listener),
                                .from_host = static_cast<std::uint8_t>(10 + listener)}
                              .back();
        file.add(start + frame_ns * i + 50'000, ipv4(out, udp(out, voice(i, 100u + speaker))));
      }
    }
  }
  const Trace trace = must_read(file.bytes());
  CHECK(trace.packets.size() == 150);
  CHECK(trace.notes[Skip::other_direction] == 750);
  CHECK(
      has_remark(trace, "kept the 3 streams to port 8444 and left out 15 others with 750 packets"));
  for (const TracePacket& packet : trace.packets) {
    CHECK((packet.arrival.ns - start) % frame_ns == 0);
  }
  // What one listener gets, by port or by address.
  const Trace listener = must_read(file.bytes(), {.to = Destination::parse("40005")});
  CHECK(listener.packets.size() == 150);
  CHECK(must_read(file.bytes(), {.to = Destination::parse("10.0.0.15:40005")}).packets.size() ==
        150);
  CHECK(must_read(file.bytes(), {.to = Destination::parse("10.0.0.10:40000")}).packets.size() ==
        100);
  CHECK_FALSE(read(file.bytes(), {.to = Destination::parse("10.0.0.9:8444")}).ok());
  CHECK(must_read(file.bytes(), {.port = 8'444}).packets.size() == 150);
}

TEST_CASE("at a client, what comes from the relay is kept, and a tie keeps all") {
  const auto made = [](int others) {
    PcapFile file({.link = 101});
    const Route out;
    for (int i = 0; i < 10; ++i) {
      file.add(start + i, ipv4(out, udp(out, voice(i, 1))));
      for (int k = 0; k < others; ++k) {
        const Route in = out.back();
        file.add(start + i, ipv4(in, udp(in, voice(i, static_cast<std::uint32_t>(2 + k)))));
      }
    }
    return must_read(file.bytes());
  };
  CHECK(made(0).packets.size() == 10);
  CHECK(made(1).packets.size() == 20);
  CHECK(made(3).packets.size() == 30);
  CHECK(made(3).notes[Skip::other_direction] == 10);
}

TEST_CASE("what the loopback device shows twice is taken once") {
  PcapFile file({.link = 113});
  for (int i = 0; i < 5; ++i) {
    for (const unsigned type : {4u, 0u}) {
      file.add(start, big(type, 2) + big(772, 2) + big(6, 2) + Bytes(8) + big(0x0800, 2) +
                          ipv4({}, udp({}, voice(i))));
    }
  }
  const Trace trace = must_read(file.bytes());
  CHECK(trace.packets.size() == 5);
  CHECK(trace.notes[Skip::loopback_copy] == 5);
}

TEST_CASE("the overhead of AEAD is found, stream by stream, or told") {
  PcapFile file({.link = 101});
  for (int i = 0; i < 40; ++i) {
    file.add(start, ipv4({}, udp({}, rtp(numbered(i, 1), opus(80)))));
    file.add(start,
             ipv4({}, udp({}, rtp(numbered(i, 2), sealed(80, static_cast<std::uint32_t>(i))))));
  }
  const Trace found = must_read(file.bytes());
  REQUIRE(found.packets.size() == 80);
  for (const TracePacket& packet : found.packets) {
    const bool is_plain = packet.ssrc == Ssrc{1};
    CHECK(packet.size == (is_plain ? 80 : 60));
    CHECK(packet.samples == (is_plain ? 960 : 0));
    CHECK(found.payload(packet).size() == (is_plain ? 80 : 0));
    if (is_plain) CHECK(found.payload(packet)[0] == 0x78);
  }
  CHECK(has_remark(found, "1 stream is readable Opus"));
  CHECK(has_remark(found, "1 stream is taken to carry 20 bytes of AEAD"));
  const Trace told = must_read(file.bytes(), {.overhead = 16});
  for (const TracePacket& packet : told.packets) {
    CHECK(packet.size == 64);
    CHECK(told.payload(packet).empty());
  }
  const Trace plain = must_read(file.bytes(), {.overhead = 0});
  for (const TracePacket& packet : plain.packets) {
    CHECK(packet.size == 80);
    CHECK(plain.payload(packet).empty() == (packet.ssrc == Ssrc{2}));
  }
  const Trace all_small = [&] {
    PcapFile small({.link = 101});
    for (int i = 0; i < 6; ++i)
      small.add(start, ipv4({}, udp({}, rtp(numbered(i), sealed(i < 3 ? 20 : 21, 5)))));
    return must_read(small.bytes(), {.overhead = 20});
  }();
  CHECK(all_small.packets.size() == 3);
  CHECK(all_small.notes[Skip::too_small] == 3);
  CHECK(all_small.packets[0].size == 1);
}

TEST_CASE("CSRCs and an extension are no payload, nor is padding where it can be seen") {
  const Bytes extension = Bytes{0xBE, 0xDE} + big(2, 2) + Bytes(8);
  PcapFile file({.link = 101});
  for (int i = 0; i < 5; ++i) {
    RtpFields fields = numbered(i, 1);
    fields.flags = 0x92;  // extension, two CSRCs
    file.add(start, ipv4({}, udp({}, rtp(fields, Bytes(8) + extension +
                                                     sealed(90, static_cast<std::uint32_t>(i))))));
    fields = numbered(i, 2);
    fields.flags = 0xA0;  // padding
    file.add(start, ipv4({}, udp({}, rtp(fields, opus(50) + Bytes{0, 0, 3}))));
  }
  const Trace trace = must_read(file.bytes());
  REQUIRE(trace.packets.size() == 10);
  for (const TracePacket& packet : trace.packets) {
    CHECK(packet.size == (packet.ssrc == Ssrc{1} ? 70 : 50));
    if (packet.ssrc == Ssrc{2}) CHECK(trace.payload(packet).size() == 50);
  }
}

TEST_CASE("time that runs backwards is raised and counted") {
  PcapFile file({.link = 101});
  for (const std::int64_t ms : {100, 120, 90, 110, 140}) {
    file.add(start + ms * 1'000'000, ipv4({}, udp({}, voice(static_cast<int>(ms)))));
  }
  const Trace trace = must_read(file.bytes());
  REQUIRE(trace.packets.size() == 5);
  CHECK(trace.notes.clamped == 2);
  CHECK(trace.packets[2].arrival == Time{start + 120'000'000});
  CHECK(trace.packets[3].arrival == Time{start + 120'000'000});
  CHECK(trace.packets[4].arrival == Time{start + 140'000'000});
}

TEST_CASE("a capture that breaks off gives what it has, and says so") {
  const Bytes whole = capture({.link = 101}, [](const Bytes& d) { return ipv4({}, d); });
  for (const std::size_t missing : {1u, 50u, 160u}) {
    const Trace trace =
        must_read({whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(missing)});
    CHECK(trace.packets.size() == 9);
    CHECK(has_remark(trace, "breaks off behind record 9"));
  }
  for (const std::size_t size : {4u, 20u, 23u}) {
    CHECK(complaint({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)})
              .starts_with("input: truncated dump file"));
  }
  CHECK(complaint({whole.begin(), whole.begin() + 24}) == "input: has no packets of a stream");
}

TEST_CASE("a capture with too many packets is refused in a sentence") {
  const Bytes bytes = capture({.link = 101}, [](const Bytes& d) { return ipv4({}, d); });
  CHECK(complaint(bytes, {.packets_max = 9}) ==
        "input: has more than 9 packets; choose some with --port or --ssrc, or cut the file");
  CHECK(must_read(bytes, {.packets_max = 10}).packets.size() == 10);
}

TEST_CASE("noise makes room for streams") {
  PcapFile file({.link = 101});
  for (std::uint32_t i = 0; i < 30; ++i) {
    file.add(start, ipv4({}, udp({}, rtp({.sequence = 7, .ssrc = 1'000 + i}, sealed(60, i)))));
  }
  for (int i = 0; i < 10; ++i) file.add(start + i, ipv4({}, udp({}, voice(i))));
  const Trace trace = must_read(file.bytes(), {.packets_max = 20});
  CHECK(trace.packets.size() >= 8);
  CHECK(trace.packets.size() + trace.notes[Skip::not_rtp] == 40);
}

namespace {

Bytes block(std::uint32_t type, const Bytes& body) {
  const Bytes padded = body + Bytes((4 - body.size() % 4) % 4);
  return little(type, 4) + little(12 + padded.size(), 4) + padded + little(12 + padded.size(), 4);
}

Bytes section() {
  return block(0x0A0D0D0A, little(0x1A2B3C4D, 4) + little(1, 2) + little(0, 2) + Bytes(8, 0xFF));
}

// `resolution`: of its time stamps, as a negative power of ten.
Bytes interface(std::uint16_t link, std::uint8_t resolution) {
  const Bytes option = little(9, 2) + little(1, 2) + Bytes{resolution, 0, 0, 0} + Bytes(4);
  return block(1, little(link, 2) + little(0, 2) + little(65'535, 4) + option);
}

Bytes enhanced(std::uint32_t index, std::uint64_t stamp, const Bytes& frame) {
  return block(6, little(index, 4) + little(stamp >> 32, 4) + little(stamp & 0xFFFFFFFF, 4) +
                      little(frame.size(), 4) + little(frame.size(), 4) + frame);
}

}  // namespace

TEST_CASE("pcapng: interfaces with resolutions of their own") {
  Bytes file = section() + interface(1, 9) + interface(1, 6);
  for (int i = 0; i < 10; ++i) {
    const auto ns = static_cast<std::uint64_t>(start + frame_ns * i);
    const Bytes frame = ethernet(0x0800, ipv4({}, udp({}, voice(i))));
    file = file + (i % 2 == 0 ? enhanced(0, ns, frame) : enhanced(1, ns / 1'000, frame));
  }
  check_ten(must_read(file));
}

TEST_CASE("pcapng: interfaces of different link types are refused in a sentence") {
  const std::string expected =
      "input: holds interfaces of different link types; capture on one of them, or on \"any\"";
  const Bytes frame = ethernet(0x0800, ipv4({}, udp({}, voice(1))));
  CHECK(complaint(section() + interface(1, 9) + interface(113, 9) + enhanced(0, 1, frame)) ==
        expected);
  CHECK(complaint(section() + interface(1, 9) + enhanced(0, 1, frame) + interface(101, 9)) ==
        expected);
  CHECK(complaint(section() + interface(101, 9) + interface(1, 9)) ==
        "input: holds interfaces of different link types, or several of raw IP; capture on one of "
        "them, or on \"any\"");
}
