// The fixed buffer, and the queue that never skips.
#include <doctest/doctest.h>

#include "tests/unit/listen/stream_rig.h"

using namespace earshot;
using namespace earshot::listen;
using earshot::test::sent_at;
using earshot::test::StreamRig;
using Played = std::vector<std::string>;

namespace {

BufferOptions of_kind(BufferKind kind) {
  BufferOptions options;
  options.kind = kind;
  return options;
}

// 15 frames are held for 300 ms, then come 1 ms apart.
void stall(StreamRig& rig, int count) {
  for (int n = 0; n < count; ++n) {
    const bool is_held = n >= 100 && n < 115;
    if (is_held) rig.send_at(sent_at(100) + milliseconds(200 + n), n, n);
    if (!is_held) rig.send(n);
  }
}

}  // namespace

TEST_CASE("fixed: every packet is played at its own time and a constant") {
  StreamRig rig(of_kind(BufferKind::fixed));
  for (int n = 0; n < 500; ++n) rig.send(n, milliseconds(n * 7 % 50));
  rig.run_until(500);
  CHECK(rig.delays().size() == 497);
  for (const Duration delay : rig.delays()) REQUIRE(delay == milliseconds(60));
  CHECK(rig.buffer->counters().samples_concealed == 0);
}

TEST_CASE("fixed: what comes later than its time is not played, and the delay stays") {
  StreamRig rig(of_kind(BufferKind::fixed));
  stall(rig, 300);
  rig.run_until(300);
  // The first held frame that is in time: at most 60 ms late.
  CHECK(rig.buffer->counters().late == 13);
  CHECK(rig.buffer->counters().samples_concealed == 4'800);
  CHECK(rig.buffer->counters().samples_interrupted == 8 * 960);
  for (const Duration delay : rig.delays()) REQUIRE(delay == milliseconds(60));
}

TEST_CASE("fixed: a new talk spurt has the delay of its own first packet") {
  StreamRig rig(of_kind(BufferKind::fixed));
  for (int n = 0; n < 50; ++n) rig.send_at(sent_at(n), n, n, n < 45 ? 60 : 3);
  for (int n = 50; n < 100; ++n)
    rig.send_with(sent_at(n + 50) + milliseconds(40), n + 50, n,
                  static_cast<std::uint32_t>(n + 50) * 960);
  rig.run_until(155);
  REQUIRE(rig.delays().size() == 100);
  CHECK(rig.delays()[0] == milliseconds(60));
  CHECK(rig.delays()[49] == milliseconds(60));
  CHECK(rig.delays()[50] == milliseconds(100));
  CHECK(rig.delays()[99] == milliseconds(100));
}

TEST_CASE("fixed: a path that became longer than the delay is given in to after a second") {
  StreamRig rig(of_kind(BufferKind::fixed));
  for (int n = 0; n < 300; ++n) rig.send(n, milliseconds(n < 100 ? 0 : 150));
  rig.run_until(300);
  CHECK(rig.buffer->counters().late >= 40);
  CHECK(rig.buffer->counters().late <= 50);
  CHECK(rig.delays().back() >= milliseconds(200));
  CHECK(rig.delays().back() <= milliseconds(240));
}

TEST_CASE("fixed: lost packets are concealed for their own time") {
  StreamRig rig(of_kind(BufferKind::fixed));
  for (int n = 0; n < 20; ++n) {
    if (n < 5 || n > 6) rig.send(n);
  }
  rig.run_until(12);
  CHECK(rig.played() == Played{"-", "0", "1", "2", "3", "4", "x", "7", "8"});
  CHECK(rig.buffer->counters().samples_concealed == 1'920);
}

TEST_CASE("never skips: what was late once stays late, until a pause drains the queue") {
  StreamRig rig(of_kind(BufferKind::never_skips));
  stall(rig, 500);
  for (int n = 550; n < 600; ++n) rig.send_at(sent_at(n), n, n - 50);
  rig.run_until(620);
  const auto delays = rig.delays();
  REQUIRE(delays.size() == 550);
  CHECK(delays[99] == milliseconds(20));
  CHECK(delays[100] == milliseconds(320));
  CHECK(delays[499] == milliseconds(320));
  CHECK(delays[500] == milliseconds(20));
  CHECK(rig.buffer->counters().samples_concealed == 0);
  CHECK(rig.buffer->counters().samples_taken_out == 0);
}

TEST_CASE("never skips: packets are played as they came, and a loss only makes it wait") {
  StreamRig rig(of_kind(BufferKind::never_skips));
  for (const int n : {0, 1, 4}) rig.send(n);
  rig.send(2, milliseconds(50));
  rig.run_until(8);
  CHECK(rig.played() == Played{"-", "0", "1", "!", "4", "2", "!"});
}

TEST_CASE("never skips: a queue that is full refuses, and says so") {
  StreamRig rig(of_kind(BufferKind::never_skips));
  for (int n = 0; n < 5'000; ++n) rig.send_at(sent_at(0), n, n);
  rig.run_until(1);
  CHECK(rig.buffer->packets() == 4'096);
  CHECK(rig.buffer->counters().overflowed == 904);
  CHECK(rig.verdicts.back() == Verdict::overflow);
}
