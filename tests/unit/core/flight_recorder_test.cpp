// The flight recorder's ring: what it keeps, what it gives up, what stands before a verdict, and a
// reader beside the writer.
#include "relay/core/flight_recorder.h"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/support/allocation_count.h"

using namespace earshot;
using flight::Packet;
using flight::SizeClass;

namespace {

constexpr std::size_t chunk_words = FlightRecorder::bytes_min / FlightRecorder::chunks_count / 8;

Packet packet(std::uint32_t n, std::uint16_t slot = 0) {
  Packet p;
  p.arrival = Time{1'000'000'000} + milliseconds(20) * n;
  p.ssrc = make_ssrc({}, {}, {slot});
  p.timestamp = n * 960;
  p.sequence = static_cast<std::uint16_t>(n);
  p.late_ms_max = 200;
  p.size = SizeClass::ordinary;
  return p;
}

LatenessState state(std::uint32_t n) {
  LatenessState s;
  s.has_begun = true;
  s.media = n;
  s.sequence = static_cast<std::uint16_t>(n);
  return s;
}

FlightRecorderOptions small(Duration span = seconds(3'000)) {
  return {FlightRecorder::bytes_min, span, 16};
}

struct Read {
  std::vector<Packet> packets;
  std::vector<std::pair<std::size_t, flight::State>> states;  // before which packet
};

Read read(const FlightSnapshot& snapshot) {
  Read out;
  for (std::size_t at = 0; at < snapshot.words.size();) {
    const auto rest = std::span(snapshot.words).subspan(at);
    if (flight::kind(rest[0]) == flight::Kind::packet) {
      out.packets.emplace_back();
      REQUIRE(flight::read_packet(rest.first<flight::packet_words>(), out.packets.back()));
      at += flight::packet_words;
    } else {
      out.states.emplace_back(out.packets.size(), flight::State{});
      REQUIRE(flight::read_state(rest.first<flight::state_words>(), out.states.back().second));
      at += flight::state_words;
    }
  }
  return out;
}

void judge(FlightRecorder& recorder, std::uint32_t n, std::uint16_t slot = 0) {
  recorder.before_verdict({slot}, make_ssrc({}, {}, {slot}), state(n));
  recorder.on_packet(packet(n).arrival, packet(n, slot));
}

}  // namespace

TEST_CASE("a record comes back as it was") {
  struct Row {
    const char* name;
    std::size_t frame_size;
    SizeClass size;
    DropReason reason;
    bool was_fresh;
    bool reached;
  };
  const Row rows[]{
      {"kept", 80, SizeClass::ordinary, DropReason::none, false, true},
      {"fresh", 3, SizeClass::small, DropReason::none, true, true},
      {"empty", 0, SizeClass::small, DropReason::none, false, true},
      {"one byte more", 4, SizeClass::ordinary, DropReason::late, false, true},
      {"music", 256, SizeClass::large, DropReason::late, true, true},
      {"large", 1'400, SizeClass::large, DropReason::duplicate, false, false},
      {"stale", 255, SizeClass::ordinary, DropReason::stale, false, false},
      {"muted", 80, SizeClass::ordinary, DropReason::muted, false, false},
      {"speakers", 80, SizeClass::ordinary, DropReason::speakers, false, false},
      {"rate", 80, SizeClass::ordinary, DropReason::rate, false, false},
      {"not allowed", 80, SizeClass::ordinary, DropReason::not_allowed, false, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(flight::size_class(row.frame_size) == row.size);
    const Packet in{{1'234'567'890'123},
                    make_ssrc({1'023}, {63}, {65'535}),
                    0xFFFFFFFF,
                    0xFFFE,
                    2'000,
                    row.size,
                    row.reason,
                    row.was_fresh};
    CHECK(in.reached_late_step() == row.reached);
    Packet out;
    CHECK(flight::read_packet(flight::packet_record(in), out));
    CHECK(out == in);
  }
}

TEST_CASE("a state comes back as it was") {
  LatenessState s{-5,      1LL << 44,  -(1LL << 44), 7,    -9,   64 * 480'000, -1,
                  1 << 29, 0xFFFFFFFF, 0xFFFF,       true, true, true};
  flight::State out;
  CHECK(flight::read_state(flight::state_record({{7}, s}), out));
  CHECK(out == flight::State{{7}, s});
  s.is_in_backlog = s.is_paused = false;
  CHECK(flight::read_state(flight::state_record({{7}, s}), out));
  CHECK(out.lateness == s);
}

TEST_CASE("what no recorder writes is refused") {
  const auto whole = flight::packet_record(packet(1));
  Packet p;
  CHECK(flight::read_packet(whole, p));
  struct Row {
    const char* name;
    std::size_t word;
    std::uint64_t flipped;
  };
  const Row rows[]{{"kind", 0, 3ULL << 56},
                   {"flag", 0, 4ULL << 48},
                   {"reason unknown", 0, 77ULL << 40},
                   {"reason malformed", 0, 5ULL << 40},
                   {"size class", 0, 7ULL << 32},
                   {"reached without", 0, 2ULL << 48},
                   {"arrival", 2, 1ULL << 63}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    auto words = whole;
    words[row.word] ^= row.flipped;
    CHECK_FALSE(flight::read_packet(words, p));
  }
  flight::State s;
  const auto known = flight::state_record({{7}, state(1)});
  for (const auto& [word, flipped] :
       std::vector<std::pair<std::size_t, std::uint64_t>>{{0, 3ULL << 56},
                                                          {0, 1ULL << 40},
                                                          {2, 1ULL << 50},
                                                          {6, 1ULL << 63},
                                                          {7, 1ULL << 31},
                                                          {8, 1ULL << 40},
                                                          {9, 1ULL << 30}}) {
    CAPTURE(word);
    auto words = known;
    words[word] ^= flipped;
    CHECK_FALSE(flight::read_state(words, s));
  }
}

TEST_CASE("everything is there until the ring is full") {
  FlightRecorder recorder(small());
  for (std::uint32_t n = 0; n < 20; ++n) recorder.on_packet(packet(n).arrival, packet(n));
  const FlightSnapshot snapshot = recorder.snapshot();
  CHECK(snapshot.covered_from == Time{});
  const Read out = read(snapshot);
  REQUIRE(out.packets.size() == 20);
  for (std::uint32_t n = 0; n < 20; ++n) CHECK(out.packets[n] == packet(n));
}

TEST_CASE("a full ring gives up its oldest chunk as a whole, and says since when it has all") {
  FlightRecorder recorder(small());
  constexpr std::uint32_t total = 5'000;
  for (std::uint32_t n = 0; n < total; ++n) recorder.on_packet(packet(n).arrival, packet(n));
  const FlightSnapshot snapshot = recorder.snapshot();
  const Read out = read(snapshot);
  REQUIRE(out.packets.size() > 0);
  const std::uint32_t first = total - static_cast<std::uint32_t>(out.packets.size());
  for (std::uint32_t i = 0; i < out.packets.size(); ++i) CHECK(out.packets[i] == packet(first + i));
  // The one in front of it is where the chunk began.
  CHECK(snapshot.covered_from == packet(first - 1).arrival);
  const std::size_t per_chunk = (chunk_words - flight::state_words) / flight::packet_words;
  CHECK(out.packets.size() >= (FlightRecorder::chunks_count - 1) * per_chunk);
  CHECK(out.packets.size() <= FlightRecorder::chunks_count * chunk_words / flight::packet_words);
}

TEST_CASE("old chunks go by time too, but never so many that less than the span is left") {
  FlightRecorder recorder({1U << 20, seconds(7), 16});
  // 20 ms apart: 50 a chunk of one second.
  for (std::uint32_t n = 0; n < 2'000; ++n) recorder.on_packet(packet(n).arrival, packet(n));
  const FlightSnapshot snapshot = recorder.snapshot();
  const Duration kept = packet(1'999).arrival - snapshot.covered_from;
  CHECK(kept >= seconds(7));
  CHECK(kept <= seconds(9));
  // What nobody spoke after stays.
  CHECK(read(recorder.snapshot()).packets.back() == packet(1'999));
}

TEST_CASE("a stream's state stands before its first verdict in each chunk, and only there") {
  FlightRecorder recorder(small());
  for (std::uint32_t n = 0; n < 2'000; ++n) judge(recorder, n, n % 3 == 0 ? 1 : 2);
  const Read out = read(recorder.snapshot());
  const std::uint32_t first = 2'000 - static_cast<std::uint32_t>(out.packets.size());
  REQUIRE(first > 0);
  // The first of either stream, and it is the state which that packet met.
  REQUIRE(out.states.size() >= 2);
  CHECK(out.states[0].first == 0);
  for (const auto& [at, stated] : out.states) {
    CHECK(stated.ssrc == out.packets[at].ssrc);
    CHECK(stated.lateness == state(first + static_cast<std::uint32_t>(at)));
  }
  CHECK(out.states.size() <= 2 * FlightRecorder::chunks_count);
  CHECK(out.states.size() >= 2 * (FlightRecorder::chunks_count - 1));
}

TEST_CASE("a fresh state is a flag of the packet, and what never comes to the policy has none") {
  FlightRecorder recorder(small());
  recorder.before_verdict({1}, make_ssrc({}, {}, {1}), {});
  Packet fresh = packet(0, 1);
  fresh.was_fresh = true;
  recorder.on_packet(fresh.arrival, fresh);
  Packet muted = packet(1, 2);
  muted.reason = DropReason::muted;
  recorder.on_packet(muted.arrival, muted);
  const Read out = read(recorder.snapshot());
  CHECK(out.states.empty());
  CHECK(out.packets == std::vector<Packet>{fresh, muted});
}

TEST_CASE("recording allocates nothing") {
  FlightRecorder recorder(small());
  test::begin_counting_allocations();
  std::thread([&] {
    for (std::uint32_t n = 0; n < 2'000; ++n) judge(recorder, n);
  }).join();
  CHECK(test::end_counting_allocations() == 0);
}

TEST_CASE("a reader beside the writer sees whole records without a gap") {
  FlightRecorder recorder({256U << 10, seconds(10), 16});
  // Two chunks for each reading, which begins when half of them are written: some are overwritten
  // under the reader, but never all.
  std::atomic<std::uint32_t> readings{0};
  std::atomic<std::uint32_t> written{0};
  std::atomic<bool> is_over{false};
  std::thread writer([&] {
    for (std::uint32_t n = 0; !is_over; ++n) {
      while (n > readings * 2'500 && !is_over) std::this_thread::yield();
      judge(recorder, n);
      written = n;
    }
  });
  std::size_t seen = 0;
  for (int i = 0; i < 300; ++i) {
    ++readings;
    while (written < readings * 2'500 - 1'250) std::this_thread::yield();
    const FlightSnapshot snapshot = recorder.snapshot();
    const Read out = read(snapshot);
    if (out.packets.empty()) continue;
    seen += out.packets.size();
    const std::uint32_t first = out.packets[0].timestamp / 960;
    bool is_whole = true;
    for (std::uint32_t k = 0; k < out.packets.size(); ++k)
      is_whole = is_whole && out.packets[k] == packet(first + k);
    CHECK(is_whole);
    CHECK((first == 0 || out.states.at(0).first == 0));
    CHECK((first == 0 || snapshot.covered_from == packet(first - 1).arrival));
  }
  is_over = true;
  writer.join();
  CHECK(seen > 0);
}
