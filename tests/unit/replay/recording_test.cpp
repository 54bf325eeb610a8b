// Reading a recording back: order, coverage, what is told about streams without a beginning, and
// files that no relay has written.
#include "tools/replay/recording.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/recording_bytes.h"
#include "tests/support/temporary_folder.h"

using namespace earshot;
using namespace earshot::test;
using namespace earshot::replay;

namespace {

constexpr NodeId node{5};

flight::Packet packet(std::uint8_t worker, std::int64_t arrival_ms, std::uint16_t sequence) {
  flight::Packet p;
  p.arrival = Time{} + milliseconds(arrival_ms);
  p.ssrc = make_ssrc(node, {worker}, {1});
  p.sequence = sequence;
  p.timestamp = sequence * 960U;
  p.late_ms_max = 200;
  p.size = flight::SizeClass::ordinary;
  return p;
}

Bytes header(std::uint16_t workers = 1) {
  Bytes out;
  append(out, flight::dump_header({node, workers, seconds(1'700'000'000), Time{9'000'000'000}}));
  return out;
}

template <std::size_t N>
void append_words(FlightSnapshot& to, const std::array<std::uint64_t, N>& words) {
  to.words.insert(to.words.end(), words.begin(), words.end());
}

FlightSnapshot section(Time covered_from, const std::vector<flight::Packet>& packets) {
  FlightSnapshot out{covered_from, {}};
  for (const auto& p : packets) append_words(out, flight::packet_record(p));
  return out;
}

std::string error_of(const Bytes& bytes) {
  const auto read = read_recording(as_file(bytes).get(), "x.rec");
  return read.ok() ? "" : read.error().text;
}

Recording read(const Bytes& bytes) {
  auto out = read_recording(as_file(bytes).get(), "x.rec");
  REQUIRE(out.ok());
  return std::move(out.value());
}

// The state of a stream that has had steady speech up to this packet.
LatenessState state_before(std::uint8_t worker, std::int64_t arrival_ms, std::uint16_t sequence) {
  LatenessState s;
  for (int back = 100; back > 0; --back) {
    const auto p =
        packet(worker, arrival_ms - 20 * back, static_cast<std::uint16_t>(sequence - back));
    lateness(s, {rtp_ticks(p.arrival), p.sequence, p.timestamp, false}, 200);
  }
  return s;
}

}  // namespace

TEST_CASE("the workers' packets come in the order of (arrival, worker, position)") {
  Bytes bytes = header(2);
  // A datagram that was handed over arrived before one that was met earlier.
  append_section(bytes, section({}, {packet(0, 40, 2), packet(0, 20, 1), packet(0, 60, 3)}));
  append_section(bytes,
                 section({3'000'000}, {packet(1, 20, 1), packet(1, 60, 2), packet(1, 60, 3)}));
  const Recording out = read(bytes);
  CHECK(out.node == node);
  CHECK(out.workers_count == 2);
  CHECK(out.wall_offset == seconds(1'700'000'000));
  REQUIRE(out.packets.size() == 6);
  const std::tuple<int, std::uint32_t> expected[]{{0, 1}, {1, 0}, {0, 0}, {0, 2}, {1, 1}, {1, 2}};
  for (std::size_t i = 0; i < 6; ++i) {
    CAPTURE(i);
    CHECK(std::tuple<int, std::uint32_t>(out.packets[i].worker.value, out.packets[i].position) ==
          expected[i]);
  }
  CHECK(out.covered_from == Time{3'000'000});
  CHECK(covers(out, Time{3'000'000}, Time{9'000'000'000}));
  CHECK_FALSE(covers(out, Time{2'999'999}, Time{9'000'000'000}));
  CHECK_FALSE(covers(out, Time{3'000'000}, Time{9'000'000'001}));
}

TEST_CASE("a stall is judged from the state that stands before it") {
  FlightSnapshot s{Time{1}, {}};
  append_words(s, flight::state_record({make_ssrc(node, {}, {1}), state_before(0, 5'000, 500)}));
  std::vector<flight::Packet> stalled;
  for (std::uint16_t i = 0; i < 15; ++i) stalled.push_back(packet(0, 5'300 + i, 500 + i));
  for (const auto& p : stalled) append_words(s, flight::packet_record(p));
  Bytes bytes = header();
  append_section(bytes, s);
  const Recording recording = read(bytes);
  const auto out = rejudge(recording);
  REQUIRE(out.size() == 15);
  int late = 0;
  for (const Rejudged& r : out) {
    CHECK(r.basis == Rejudged::Basis::judged);
    late += r.reason == DropReason::late ? 1 : 0;
  }
  CHECK(late == 6);
  CHECK(out[0].lateness_ticks == 300 * 48);
}

TEST_CASE("a stream without a beginning is unknown, and what came before the policy stays") {
  flight::Packet muted = packet(0, 20, 1);
  muted.reason = DropReason::muted;
  flight::Packet fresh = packet(0, 60, 3);
  fresh.was_fresh = true;
  flight::Packet late = packet(0, 40, 2);
  late.reason = DropReason::late;
  Bytes bytes = header();
  append_section(bytes, section({}, {muted, late, fresh, packet(0, 80, 4)}));
  const auto out = rejudge(read(bytes));
  using Basis = Rejudged::Basis;
  REQUIRE(out.size() == 4);
  CHECK((out[0].basis == Basis::recorded && out[0].reason == DropReason::muted));
  CHECK((out[1].basis == Basis::unknown && out[1].reason == DropReason::late));
  CHECK((out[2].basis == Basis::judged && out[2].reason == DropReason::none));
  CHECK((out[3].basis == Basis::judged && out[3].reason == DropReason::none));
}

TEST_CASE("a verdict that the policy does not come to is shown by it") {
  flight::Packet first = packet(0, 20, 1);
  first.was_fresh = true;
  flight::Packet second = packet(0, 40, 2);
  second.reason = DropReason::late;
  Bytes bytes = header();
  append_section(bytes, section({}, {first, second}));
  CHECK(rejudge(read(bytes))[1].reason == DropReason::none);
}

TEST_CASE("what no relay has written is one sentence") {
  Bytes whole = header();
  append_section(whole, section({}, {packet(0, 20, 1), packet(0, 40, 2)}));
  CHECK(error_of(whole) == "");
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes out = whole;
    out[at] = value;
    return out;
  };
  const std::size_t records = flight::dump_header_size + flight::dump_section_size;
  struct Row {
    const char* name;
    Bytes bytes;
    const char* expected;
  };
  const Row rows[]{
      {"empty", {}, "x.rec: is no recording of a relay, or one of another version"},
      {"magic", with(0, 'e'), "x.rec: is no recording of a relay, or one of another version"},
      {"version", with(8, 2), "x.rec: is no recording of a relay, or one of another version"},
      {"no workers", with(12, 0), "x.rec: is no recording of a relay, or one of another version"},
      {"many workers", with(12, 65),
       "x.rec: is no recording of a relay, or one of another version"},
      {"one worker more", with(12, 2), "x.rec: ends before the records of all workers"},
      {"covered from", with(32 + 7, 0x80), "x.rec: begins before time does"},
      {"more words", with(47, 0x7F), "x.rec: ends in the middle of a record"},
      {"fewer words", with(40, 5), "x.rec: ends in the middle of a record"},
      {"kind", with(records + 7, 9), "x.rec: has a record that no relay writes"},
      {"reason", with(records + 5, 5), "x.rec: has a record that no relay writes"},
      {"another worker's", with(records + 10, 7), "x.rec: has a record that no relay writes"},
      {"cut", Bytes(whole.begin(), whole.end() - 1), "x.rec: ends in the middle of a record"},
      {"longer",
       [&] {
         Bytes b = whole;
         b.push_back(0);
         return b;
       }(),
       "x.rec: goes on behind its end"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(error_of(row.bytes) == row.expected);
  }
}

TEST_CASE("a file is found by its name, or it is told why not") {
  const TemporaryFolder folder;
  const auto missing = read_recording(folder.file("none"));
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().text ==
        folder.file("none") + ": cannot be read: No such file or directory");
  CHECK_FALSE(read_recording(folder.path()).ok());
  Bytes bytes = header();
  append_section(bytes, section({}, {packet(0, 20, 1)}));
  CHECK(is_recording(bytes.data(), bytes.size()));
  CHECK_FALSE(is_recording(bytes.data(), 7));
}
