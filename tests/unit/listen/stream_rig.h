// One speaker with a steady clock and one jitter buffer in virtual time: packets are announced with
// their arrival times, and then everything happens in order. For tests only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/listen/buffer.h"

namespace earshot::test {

constexpr Time stream_start{1'000'000'000};

// Packet n of a steady stream is sent at this time.
inline Time sent_at(int n) {
  return stream_start + milliseconds(20) * n;
}

struct Heard {
  Time at;
  listen::Segment segment;
};

class StreamRig {
 public:
  explicit StreamRig(const listen::BufferOptions& options = {})
      : buffer(listen::make_jitter_buffer(options)) {}

  // Packet n of 60 bytes, `delay` after it was sent.
  void send(int n, Duration delay = {}) { send_at(sent_at(n) + delay, n, n); }
  // A packet that is the caller's n-th, with any counters; sizes up to 3 are silence.
  void send_at(Time arrival, int n, int sequence, std::size_t size = 60) {
    send_with(arrival, n, sequence, static_cast<std::uint32_t>(n) * 960, size);
  }
  void send_with(Time arrival, int id, int sequence, std::uint32_t timestamp,
                 std::size_t size = 60) {
    listen::Packet packet;
    packet.arrival = arrival;
    packet.sequence = static_cast<std::uint16_t>(first_sequence + sequence);
    packet.timestamp = first_timestamp + timestamp;
    packet.size = size;
    packet.id = static_cast<std::uint64_t>(id);
    waiting.push_back(packet);
  }

  // Plays until `until`, slot by slot; what arrives at the very start of a slot is in time for it.
  void run(Time until) {
    std::stable_sort(waiting.begin(), waiting.end(),
                     [](const auto& a, const auto& b) { return a.arrival < b.arrival; });
    std::size_t next = 0;
    for (; now < until; now = now + listen::slot_time) {
      for (; next < waiting.size() && waiting[next].arrival <= now; ++next) {
        verdicts.push_back(buffer->insert(waiting[next]).verdict);
      }
      listen::Playout playout;
      buffer->play(now, playout);
      for (const listen::Segment& segment : playout.list()) {
        const auto offset = static_cast<std::int64_t>(segment.offset) * 62'500 / 3;
        heard.push_back({now + Duration{offset}, segment});
      }
    }
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(next));
  }
  void run_until(int n) { run(sent_at(n)); }

  // "5" for packet 5, "5f" for its FEC, "x" concealed, "!" interrupted, "-" idle; runs of one mark
  // are one.
  std::vector<std::string> played() const {
    std::vector<std::string> marks;
    for (const Heard& one : heard) {
      const std::string mark = mark_of(one.segment);
      const bool is_made_up = one.segment.kind != listen::Segment::Kind::frame;
      if (!is_made_up || marks.empty() || marks.back() != mark) marks.push_back(mark);
    }
    return marks;
  }
  // Of all packets that were played: how long after being sent.
  std::vector<Duration> delays() const {
    std::vector<Duration> delays;
    for (const Heard& one : heard) {
      if (one.segment.kind != listen::Segment::Kind::frame) continue;
      delays.push_back(one.at - sent_at(static_cast<int>(one.segment.packet)));
    }
    return delays;
  }
  // Time in which frames are heard more than `limit` after they were sent.
  Duration late_time(Duration limit) const {
    std::int64_t samples = 0;
    for (const Heard& one : heard) {
      if (one.segment.kind != listen::Segment::Kind::frame) continue;
      const Duration delay = one.at - sent_at(static_cast<int>(one.segment.packet));
      if (delay > limit) samples += one.segment.samples;
    }
    return Duration{samples * 62'500 / 3};
  }

  std::unique_ptr<listen::JitterBuffer> buffer;
  std::uint16_t first_sequence = 65'500;
  std::uint32_t first_timestamp = 0xFFFF'FF00;
  std::vector<listen::Packet> waiting;
  std::vector<listen::Verdict> verdicts;
  std::vector<Heard> heard;
  Time now = stream_start;

 private:
  static std::string mark_of(const listen::Segment& segment) {
    using Kind = listen::Segment::Kind;
    if (segment.kind == Kind::frame) return std::to_string(segment.packet);
    if (segment.kind == Kind::fec) return std::to_string(segment.packet) + "f";
    if (segment.kind == Kind::concealed) return "x";
    return segment.is_interruption ? "!" : "-";
  }
};

}  // namespace earshot::test
