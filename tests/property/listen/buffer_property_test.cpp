#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "codec/opus.h"
#include "tests/support/allocation_count.h"
#include "tools/listen/buffer.h"
#include "tools/listen/quality.h"
#include "tools/listen/renderer.h"

using namespace earshot;
using namespace earshot::listen;
using Kind = Segment::Kind;

namespace {

constexpr Time start{5'000'000'000};
constexpr BufferKind kinds[] = {BufferKind::adaptive, BufferKind::fixed, BufferKind::never_skips};

std::unique_ptr<JitterBuffer> make(BufferKind kind) {
  BufferOptions options;
  options.kind = kind;
  return make_jitter_buffer(options);
}

// A network with a mood: jitter, loss, duplicates, reordering, stalls, pauses of both sorts, other
// packet lengths; every arrival in order of time.
std::vector<Packet> network(std::uint32_t seed, int count) {
  std::mt19937 random(seed);
  const auto below = [&random](std::uint32_t n) { return static_cast<int>(random() % n); };
  const int jitter_ms = below(60) + 1;
  const int loss_percent = below(10);
  const bool stands_still = below(2) == 0;
  const int samples = below(3) == 0 ? 480 : 960;
  std::vector<Packet> packets;
  std::int64_t sent_ns = start.ns;
  std::int64_t stalled_until = 0;
  auto timestamp = static_cast<std::uint32_t>(random());
  auto sequence = static_cast<std::uint16_t>(random());
  for (int n = 0; n < count; ++n) {
    sent_ns += std::int64_t{samples} * 62'500 / 3;
    timestamp += static_cast<std::uint32_t>(samples);
    const bool is_silence = n % 200 >= 195;
    if (n % 200 == 199) {
      const int pause = below(100);
      sent_ns += milliseconds(20).ns * pause;
      if (!stands_still) timestamp += static_cast<std::uint32_t>(pause) * 960;
    }
    if (below(500) == 0) stalled_until = sent_ns + milliseconds(below(600)).ns;
    const std::int64_t arrival = std::max(
        sent_ns + milliseconds(below(static_cast<std::uint32_t>(jitter_ms))).ns, stalled_until);
    const bool is_lost = below(100) < loss_percent;
    for (int copy = 0; !is_lost && copy < (below(50) == 0 ? 2 : 1); ++copy) {
      Packet packet;
      packet.arrival = Time{arrival + milliseconds(copy).ns};
      packet.sequence = static_cast<std::uint16_t>(sequence + n);
      packet.timestamp = timestamp;
      packet.size = is_silence ? 3 : 80;
      packet.samples = samples;
      packet.id = static_cast<std::uint64_t>(n);
      packets.push_back(packet);
    }
  }
  std::stable_sort(packets.begin(), packets.end(),
                   [](const auto& a, const auto& b) { return a.arrival < b.arrival; });
  return packets;
}

// Plays all of it, and three seconds more.
template <typename OnSlot>
void run(JitterBuffer& buffer, const std::vector<Packet>& packets, Duration phase, OnSlot on_slot) {
  std::size_t next = 0;
  const Time end = packets.back().arrival + seconds(3);
  for (Time now = start + phase; now < end; now = now + slot_time) {
    for (; next < packets.size() && packets[next].arrival <= now; ++next) {
      buffer.insert(packets[next]);
    }
    Playout playout;
    buffer.play(now, playout);
    on_slot(now, playout);
  }
}

bool is_same(const Segment& a, const Segment& b) {
  return a.kind == b.kind && a.offset == b.offset && a.samples == b.samples &&
         a.stretched == b.stretched && a.packet == b.packet &&
         a.is_interruption == b.is_interruption;
}

}  // namespace

TEST_CASE("answers fit together, every packet is played at most once and accounted for") {
  for (const BufferKind kind : kinds) {
    for (std::uint32_t seed = 1; seed <= 60; ++seed) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(seed);
      const auto buffer = make(kind);
      const auto packets = network(seed, 3'000);
      std::multiset<std::uint64_t> played;
      std::int64_t last = -1;
      int position = 0;
      run(*buffer, packets, milliseconds(seed % 20), [&](Time, const Playout& playout) {
        for (const Segment& segment : playout.list()) {
          REQUIRE(segment.offset == position);
          REQUIRE(segment.samples >= 120);
          REQUIRE(segment.samples % 120 == 0);
          position += segment.samples;
          if (segment.kind != Kind::frame) continue;
          played.insert(segment.packet);
          if (kind == BufferKind::never_skips) continue;
          REQUIRE(static_cast<std::int64_t>(segment.packet) > last);
          last = static_cast<std::int64_t>(segment.packet);
        }
        REQUIRE(position >= slot_samples);
        position -= slot_samples;
      });
      const BufferCounters& counters = buffer->counters();
      REQUIRE(buffer->packets() == 0);
      REQUIRE(buffer->is_idle());
      REQUIRE(counters.played == played.size());
      const std::uint64_t refused = counters.late + counters.duplicates + counters.strays +
                                    counters.overflowed + counters.silence_skipped;
      REQUIRE(counters.played + refused == packets.size());
      if (kind == BufferKind::never_skips) REQUIRE(counters.played == packets.size());
    }
  }
}

TEST_CASE("what the counters start with, and when, changes nothing") {
  for (const BufferKind kind : kinds) {
    for (std::uint32_t seed = 100; seed < 120; ++seed) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(seed);
      auto packets = network(seed, 2'000);
      std::vector<Segment> first;
      const auto one = make(kind);
      run(*one, packets, {}, [&](Time, const Playout& playout) {
        first.insert(first.end(), playout.list().begin(), playout.list().end());
      });
      for (Packet& packet : packets) {
        packet.sequence = static_cast<std::uint16_t>(packet.sequence + 40'000);
        packet.timestamp += 0x9000'0000;
      }
      std::size_t position = 0;
      const auto other = make(kind);
      run(*other, packets, {}, [&](Time, const Playout& playout) {
        for (const Segment& segment : playout.list()) {
          REQUIRE(is_same(segment, first[position++]));
        }
      });
      REQUIRE(position == first.size());
    }
  }
}

TEST_CASE("a trace without audio plays the same schedule as one with it") {
  codec::EncoderOptions options;
  options.bitrate = 24'000;
  codec::Encoder encoder(options);
  std::vector<std::vector<std::uint8_t>> payloads;
  for (int n = 0; n < 50; ++n) {
    std::vector<std::int16_t> pcm(960);
    for (std::size_t i = 0; i < pcm.size(); ++i) {
      pcm[i] = static_cast<std::int16_t>((i % 200) * 50 + static_cast<std::size_t>(n) * 7);
    }
    payloads.push_back(encoder.encode(pcm));
  }
  for (const BufferKind kind : kinds) {
    for (std::uint32_t seed = 200; seed < 206; ++seed) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(seed);
      auto packets = network(seed, 1'000);
      for (Packet& packet : packets) packet.samples = 960;
      std::vector<Segment> without;
      const auto one = make(kind);
      run(*one, packets, {}, [&](Time, const Playout& playout) {
        without.insert(without.end(), playout.list().begin(), playout.list().end());
      });
      const auto other = make(kind);
      Renderer renderer;
      std::size_t next = 0;
      std::size_t position = 0;
      std::vector<std::int16_t> slot(slot_samples);
      for (Time now = start; position < without.size(); now = now + slot_time) {
        for (; next < packets.size() && packets[next].arrival <= now; ++next) {
          Packet packet = packets[next];
          packet.payload = packet.size == 3 ? std::span<const std::uint8_t>(codec::silence_frame)
                                            : payloads[packet.id % payloads.size()];
          renderer.store(other->insert(packet), packet.payload);
        }
        Playout playout;
        other->play(now, playout);
        for (const Segment& segment : playout.list()) {
          REQUIRE(is_same(segment, without[position++]));
        }
        renderer.render(playout, slot);
        const auto& last = playout.list().empty() ? without[position - 1] : playout.list().back();
        REQUIRE(static_cast<int>(renderer.pending()) ==
                (playout.list().empty() ? static_cast<int>(renderer.pending())
                                        : last.offset + last.samples - slot_samples));
      }
      REQUIRE(renderer.undecodable() == 0);
    }
  }
}

TEST_CASE("bytes and counters of any kind do no harm") {
  for (const BufferKind kind : kinds) {
    for (std::uint32_t seed = 300; seed < 340; ++seed) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(seed);
      std::mt19937 random(seed);
      const auto buffer = make(kind);
      Renderer renderer;
      QualityMeter meter;
      std::vector<std::int16_t> slot(slot_samples);
      Time now = start;
      std::uint16_t sequence = 0;
      for (int n = 0; n < 1'500; ++n) {
        std::vector<std::uint8_t> payload(random() % 8);
        for (auto& byte : payload) byte = static_cast<std::uint8_t>(random());
        Packet packet;
        packet.arrival = Time{now.ns - static_cast<std::int64_t>(random() % 1'000'000'000)};
        if (random() % 100 == 0) packet.arrival = Time{static_cast<std::int64_t>(random())};
        sequence =
            static_cast<std::uint16_t>(random() % 3 == 0 ? random() : sequence + random() % 3);
        packet.sequence = sequence;
        packet.timestamp = static_cast<std::uint32_t>(
            random() % 2 == 0 ? random() : static_cast<unsigned>(n) * 960);
        packet.payload = payload;
        packet.size = random() % 100;
        packet.samples = static_cast<int>(random());
        packet.id = random() % 2 == 0 ? meter.on_sent(now) : std::uint64_t{random()} << 32;
        renderer.store(buffer->insert(packet), payload);
        meter.on_arrived(packet.id);
        for (int i = 0; i < static_cast<int>(random() % 3); ++i) {
          Playout playout;
          buffer->play(now, playout);
          renderer.render(playout, slot);
          meter.on_played(now, playout);
          meter.on_shadow_played(playout);
          now = now + slot_time;
        }
        if (random() % 200 == 0) now = now + seconds(static_cast<std::int64_t>(random() % 100));
        REQUIRE(renderer.pending() < 48'000);
      }
      const Quality quality = meter.result();
      REQUIRE(quality.mos >= 0);
      REQUIRE(quality.mos <= 4.5);
    }
  }
}

TEST_CASE("jitter buffers do not allocate once they are warm") {
  for (const BufferKind kind : kinds) {
    CAPTURE(static_cast<int>(kind));
    const auto buffer = make(kind);
    const auto packets = network(400, 2'000);
    run(*buffer, packets, {}, [](Time, const Playout&) {});
    // Counted are the allocations of other threads than this one.
    test::begin_counting_allocations();
    std::thread([&] {
      Time now = packets.back().arrival + seconds(4);
      Packet packet;
      Playout playout;
      for (int n = 0; n < 20'000; ++n) {
        packet.arrival = now;
        packet.sequence = static_cast<std::uint16_t>(n * (n % 7 == 0 ? 3 : 1));
        packet.timestamp = static_cast<std::uint32_t>(n) * 960;
        packet.size = 60;
        buffer->insert(packet);
        if (n % 11 != 0) buffer->play(now, playout);
        now = now + slot_time;
      }
    }).join();
    CHECK(test::end_counting_allocations() == 0);
  }
}
