// Traces from CSV, rtpdump and Ogg Opus, which format a file is, and CSV as it is written.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "codec/ogg_writer.h"
#include "codec/opus.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tone.h"
#include "tests/unit/replay/capture_builder.h"

using namespace earshot;
using namespace earshot::replay;
using namespace earshot::test;

namespace {

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

std::string csv_of(const Trace& trace) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* const file = open_memstream(&text, &size);
  REQUIRE(write_trace_csv(trace, file).ok());
  std::fclose(file);
  const std::string csv(text, size);
  std::free(text);
  return csv;
}

const std::string header = "arrival_ns,ssrc,seq,timestamp,size\n";

}  // namespace

TEST_CASE("CSV: every field, as written") {
  const std::string csv = header +
                          "0,1,0,0,0\n"
                          "20000000,4294967295,65535,4294967295,65535\n"
                          "20000000,7,3,960,120\n";
  const Trace trace = must_read(bytes_of(csv));
  REQUIRE(trace.packets.size() == 3);
  CHECK_FALSE(trace.is_sending_time);
  const TracePacket& packet = trace.packets[1];
  CHECK(packet.arrival == Time{20'000'000});
  CHECK(packet.ssrc == Ssrc{4'294'967'295});
  CHECK(packet.sequence == 65'535);
  CHECK(packet.timestamp == 4'294'967'295);
  CHECK(packet.size == 65'535);
  CHECK(trace.payload(packet).empty());
  CHECK(csv_of(trace) == csv);
  // Ends of lines as elsewhere, and none at the end.
  std::string other = csv;
  other.pop_back();
  for (std::size_t at = 0; (at = other.find('\n', at)) != std::string::npos; at += 2) {
    other.insert(at, "\r");
  }
  CHECK(csv_of(must_read(bytes_of(other))) == csv);
}

TEST_CASE("CSV: time that runs backwards is raised and counted") {
  const Trace trace =
      must_read(bytes_of(header + "50,1,0,0,9\n40,1,1,960,9\n45,1,2,1920,9\n60,1,3,2880,9\n"));
  CHECK(trace.notes.clamped == 2);
  CHECK(trace.packets[1].arrival == Time{50});
  CHECK(trace.packets[2].arrival == Time{50});
  CHECK(trace.packets[3].arrival == Time{60});
}

TEST_CASE("CSV: what is wrong is said with its line") {
  struct Row {
    std::string text;
    const char* expected;
  };
  const char* const wrong_header = "input:1: must be the header arrival_ns,ssrc,seq,timestamp,size";
  const Row rows[] = {
      {"arrival_ns,ssrc\n1,2\n", wrong_header},
      {"arrival_ns;ssrc;seq;timestamp;size\n", wrong_header},
      {"arrival_ns,ssrc,seq,timestamp,size,verdict\n", wrong_header},
      {header + "1,2,3,4\n", "input:2: timestamp must be"},
      {header + "1,2,3,4,5,6\n", "input:2: size must be"},
      {header + "1,2,3,4,5\n\n", "input:3: arrival_ns must be"},
      {header + "1,2,3,4,5\nx,2,3,4,5\n", "input:3: arrival_ns must be"},
      {header + "-1,2,3,4,5\n", "input:2: arrival_ns must be"},
      {header + "6300000000000000001,2,3,4,5\n", "input:2: arrival_ns must be"},
      {header + "99999999999999999999,2,3,4,5\n", "input:2: arrival_ns must be"},
      {header + "1.5,2,3,4,5\n", "input:2: arrival_ns must be"},
      {header + " 1,2,3,4,5\n", "input:2: arrival_ns must be"},
      {header + "1,-2,3,4,5\n", "input:2: ssrc must be"},
      {header + "1,0x2,3,4,5\n", "input:2: ssrc must be"},
      {header + "1,4294967296,3,4,5\n", "input:2: ssrc must be"},
      {header + "1,2,65536,4,5\n", "input:2: seq must be"},
      {header + "1,2,3,4294967296,5\n", "input:2: timestamp must be"},
      {header + "1,2,3,4,65536\n", "input:2: size must be"},
      {header + "1,2,3,4,5 \n", "input:2: size must be"},
      {header + std::string(200, '1') + "\n", "input:2: the line is too long"},
      {header + "1,2,3,4,5" + std::string(1, '\0') + "\n", "input:2: size must be"},
      {header + "1,2,3,4,5" + std::string(1, '\0'), "input:2: size must be"},
      {header, "input: has no packets of a stream"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(complaint(bytes_of(row.text)).starts_with(row.expected));
  }
  CHECK(complaint(bytes_of(header + "1,2,3,4,5\n1,2,3,4,5\n"), {.packets_max = 1})
            .starts_with("input: has more than 1 packets"));
}

TEST_CASE("what a file is, its content says") {
  CHECK(complaint({}) == "input: is empty");
  CHECK(complaint(bytes_of("hello\n")) ==
        "input:1: must be the header arrival_ns,ssrc,seq,timestamp,size, if it is CSV");
  CHECK(complaint({0x1F, 0x8B, 8, 0, 0, 0}) == "input: is compressed; unpack it first");
  CHECK(complaint(Bytes(40, 0xEE)) == "input: is no pcap, pcapng, rtpdump, Ogg Opus or CSV file");
  const TemporaryFolder folder;
  CHECK(read_trace(folder.file("absent")).error().text ==
        folder.file("absent") + ": cannot be read");
  CHECK(read_trace(folder.path()).error().text == folder.path() + ": cannot be read");
  std::ofstream(folder.file("misnamed.pcap")) << header << "1,2,3,4,5\n";
  CHECK(read_trace(folder.file("misnamed.pcap")).value().packets.size() == 1);
}

TEST_CASE("destinations") {
  CHECK(Destination::parse("8444")->port == 8'444);
  CHECK_FALSE(Destination::parse("8444")->ip.has_value());
  CHECK(Destination::parse("10.0.0.1:5")->ip == make_v4(10, 0, 0, 1));
  CHECK(Destination::parse("[fd00::1]:5")->port == 5);
  for (const char* wrong :
       {"", "0", "65536", "x", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "-1", "5x"}) {
    CAPTURE(std::string(wrong));
    CHECK_FALSE(Destination::parse(wrong).has_value());
  }
}

namespace {

Bytes dump_header() {
  return bytes_of("#!rtpplay1.0 10.0.0.2/8444\n") + big(1'700'000'000, 4) + big(250'000, 4) +
         Bytes{10, 0, 0, 1} + big(5'000, 2) + big(0, 2);
}

// `size`: as the record says, or what there is.
Bytes record(std::uint32_t ms, const Bytes& packet, std::optional<std::size_t> size = {}) {
  return big(8 + packet.size(), 2) + big(size.value_or(packet.size()), 2) + big(ms, 4) + packet;
}

}  // namespace

TEST_CASE("rtpdump: packets with their times, RTCP counted") {
  Bytes file = dump_header();
  for (int i = 0; i < 5; ++i) {
    const RtpFields fields{.sequence = static_cast<std::uint16_t>(i),
                           .timestamp = static_cast<std::uint32_t>(960 * i)};
    file = file + record(static_cast<std::uint32_t>(20 * i), rtp(fields, opus(40)));
  }
  file = file + record(99, Bytes(28), 0);
  // Only its header was kept.
  file = file + record(100, rtp({.sequence = 5, .timestamp = 4'800}, {}), 12 + 40);
  const Trace trace = must_read(file);
  REQUIRE(trace.packets.size() == 6);
  CHECK(trace.notes[Skip::rtcp] == 1);
  CHECK(trace.packets[1].arrival == Time{1'700'000'000'270'000'000});
  CHECK(trace.packets[5].size == 40);
  CHECK(trace.payload(trace.packets[4]).size() == 40);
  CHECK(trace.payload(trace.packets[5]).empty());
  // Ports are none of its business.
  CHECK(must_read(file, {.port = 1, .to = Destination::parse("2")}).packets.size() == 6);
}

TEST_CASE("rtpdump: one packet alone counts, and what breaks off gives what it has") {
  const Bytes one = dump_header() + record(0, rtp({.sequence = 1}, opus(40)));
  CHECK(must_read(one).packets.size() == 1);
  const Bytes two = one + record(20, rtp({.sequence = 2}, opus(40)));
  for (std::size_t size = one.size() + 1; size < two.size(); ++size) {
    CAPTURE(size);
    const Trace trace = must_read({two.begin(), two.begin() + static_cast<std::ptrdiff_t>(size)});
    CHECK(trace.packets.size() == 1);
    REQUIRE_FALSE(trace.notes.remarks.empty());
    CHECK(trace.notes.remarks[0] == "breaks off at record 2");
  }
  const Trace damaged = must_read(one + big(7, 2) + big(1, 2) + big(0, 4));
  CHECK(damaged.notes.remarks[0] == "breaks off at record 2");
  CHECK(complaint(bytes_of("#!rtpplay1.0 10.0.0.2/8444")) ==
        "input: ends before the rtpdump header does");
  CHECK(complaint(dump_header()) == "input: has no packets of a stream");
}

TEST_CASE("Ogg Opus: packets at their own pace, with their payloads") {
  for (const int samples : {480, 960, 2'880}) {
    CAPTURE(samples);
    codec::Encoder encoder({.bitrate = 24'000});
    const auto pcm = tone(440, 20 * static_cast<std::size_t>(samples));
    codec::OggPacketWriter writer;
    Bytes file;
    std::vector<Bytes> packets;
    for (std::size_t at = 0; at < pcm.size(); at += static_cast<std::size_t>(samples)) {
      packets.push_back(
          encoder.encode(std::span(pcm).subspan(at, static_cast<std::size_t>(samples))));
      file = file + writer.write(packets.back());
    }
    file = file + writer.finish();
    TraceOptions options;
    options.ogg_ssrc = {9};
    const Trace trace = must_read(file, options);
    CHECK(trace.is_sending_time);
    REQUIRE(trace.packets.size() == packets.size());
    for (std::size_t i = 0; i < packets.size(); ++i) {
      const TracePacket& packet = trace.packets[i];
      const auto media = static_cast<std::int64_t>(i) * samples;
      CHECK(packet.ssrc == Ssrc{9});
      CHECK(packet.sequence == i);
      CHECK(packet.timestamp == static_cast<std::uint32_t>(media));
      CHECK(packet.samples == samples);
      CHECK(packet.arrival == Time{media * 1'000'000'000 / 48'000});
      const auto payload = trace.payload(packet);
      CHECK(Bytes(payload.begin(), payload.end()) == packets[i]);
    }
  }
  CHECK(complaint(bytes_of("OggS, or not")) == "input: not an Ogg Opus file");
}

TEST_CASE("payloads that do not fit are not kept, their packets are") {
  Bytes file = dump_header();
  for (std::uint16_t i = 0; i < 5; ++i) file = file + record(i, rtp({.sequence = i}, opus(40)));
  TraceOptions options;
  options.payload_bytes_max = 100;
  const Trace trace = must_read(file, options);
  REQUIRE(trace.packets.size() == 5);
  CHECK(trace.payload(trace.packets[1]).size() == 40);
  CHECK(trace.payload(trace.packets[2]).empty());
  CHECK(trace.packets[2].size == 40);
}

TEST_CASE("every reason to skip has a name") {
  for (const std::string_view name : skip_names) CHECK_FALSE(name.empty());
}
