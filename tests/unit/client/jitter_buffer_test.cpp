#include "tools/client/jitter_buffer.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace earshot;
using client::JitterBuffer;
using Kind = JitterBuffer::Kind;
using Verdict = JitterBuffer::Verdict;

namespace {

constexpr Duration frame_time = milliseconds(20);
const std::vector<std::uint8_t> silence{0xF8, 0xFF, 0xFE};

// One speaker with a steady clock; frame n carries the byte n, long enough not to count as silence.
struct Rig {
  Verdict arrive(int n, Duration late = {}) { return arrive_as(n, 65'500 + n, late); }
  // With any sequence number.
  Verdict arrive_as(int n, int sequence, Duration late = {}) {
    const std::vector<std::uint8_t> frame(40, static_cast<std::uint8_t>(n));
    return insert(n, sequence, frame, late);
  }
  Verdict insert(int n, int sequence, const std::vector<std::uint8_t>& frame, Duration late = {}) {
    return buffer.insert(sent(n) + late, static_cast<std::uint16_t>(sequence),
                         static_cast<std::uint32_t>(n) * 960, frame);
  }
  static Time sent(int n) { return Time{1'000'000'000} + frame_time * n; }

  // What is played in `count` slots from that of frame n on: "5" for a frame, "x" missing, "w"
  // waiting, "-" idle.
  std::vector<std::string> play(int n, int count = 1, Duration late = {}) {
    std::vector<std::string> played;
    for (int i = 0; i < count; ++i) {
      const auto playout = buffer.pop(sent(n + i) + late);
      if (playout.kind == Kind::frame) played.push_back(std::to_string(playout.frame.front()));
      if (playout.kind == Kind::missing) played.emplace_back("x");
      if (playout.kind == Kind::waiting) played.emplace_back("w");
      if (playout.kind == Kind::idle) played.emplace_back("-");
    }
    return played;
  }

  JitterBuffer buffer;
};

using Played = std::vector<std::string>;

}  // namespace

TEST_CASE("frames in time are played in order, one delay behind, over the wrap of the sequence") {
  Rig rig;
  Played played;
  for (int n = 0; n < 100; ++n) {
    CHECK(rig.arrive(n) == Verdict::accepted);
    const auto now = rig.play(n);
    played.push_back(now.front());
  }
  // Nothing is played before the first frame has waited for the shortest delay.
  CHECK(played[0] == "-");
  for (int n = 1; n < 100; ++n) CHECK(played[static_cast<std::size_t>(n)] == std::to_string(n - 1));
  CHECK(rig.buffer.skipped() == 0);
}

TEST_CASE("what arrives out of order is played in order") {
  Rig rig;
  for (const int n : {1, 0, 3, 2}) CHECK(rig.arrive(n) == Verdict::accepted);
  CHECK(rig.play(4, 5) == Played{"0", "1", "2", "3", "w"});
}

TEST_CASE("a duplicate is one, before and after its turn") {
  Rig rig;
  CHECK(rig.arrive(0) == Verdict::accepted);
  CHECK(rig.arrive(0) == Verdict::duplicate);
  CHECK(rig.play(2) == Played{"0"});
  CHECK(rig.arrive(0) == Verdict::late);
}

TEST_CASE("a lost frame is concealed when the next one is there, and its own comes too late") {
  Rig rig;
  for (const int n : {0, 1, 3, 4}) rig.arrive(n);
  CHECK(rig.play(5, 5) == Played{"0", "1", "x", "3", "4"});
  CHECK(rig.arrive(2, milliseconds(100)) == Verdict::late);
}

TEST_CASE("a gap that is too long to conceal is jumped over") {
  Rig rig;
  rig.arrive(0);
  rig.arrive(30);
  CHECK(rig.play(31, 2) == Played{"0", "30"});
}

TEST_CASE("nothing more to play is waited for briefly, then the speaker counts as silent") {
  Rig rig;
  rig.arrive(0);
  rig.arrive(1);
  CHECK(rig.play(2, 8) == Played{"0", "1", "w", "w", "w", "w", "w", "-"});
  // The next frame waits for the delay again.
  rig.arrive(10);
  CHECK(rig.play(10, 2) == Played{"-", "10"});
}

TEST_CASE("after a silence frame the end of speech is not concealed") {
  Rig rig;
  rig.arrive(0);
  rig.insert(1, 65'501, silence);
  CHECK(rig.play(2, 3) == Played{"0", "248", "-"});
}

TEST_CASE("a frame that is waited for is played late, and the delay goes back within seconds") {
  Rig rig;
  rig.arrive(0);
  rig.arrive(1);
  CHECK(rig.play(1, 4) == Played{"0", "1", "w", "w"});
  // From here on everything comes 40 ms later than it was due.
  std::size_t deepest = 0;
  std::uint64_t played = 0;
  for (int n = 5; n < 1'000; ++n) {
    rig.arrive(n - 3);
    deepest = std::max(deepest, rig.buffer.size());
    const auto now = rig.play(n);
    if (now.front() != "w" && now.front() != "x" && now.front() != "-") ++played;
  }
  CHECK(rig.buffer.size() <= 4);
  CHECK(played + rig.buffer.skipped() + rig.buffer.size() == 995);
}

TEST_CASE("the delay follows jitter up, within its bounds, and calm down again") {
  Rig rig;
  CHECK(rig.buffer.target_delay() == milliseconds(20));
  for (int n = 0; n < 50; ++n) {
    rig.arrive(n, milliseconds(n % 5 == 4 ? 60 : 0));
    rig.play(n);
  }
  CHECK(rig.buffer.target_delay() > milliseconds(70));
  CHECK(rig.buffer.target_delay() <= milliseconds(80));
  rig.arrive(50, milliseconds(400));
  CHECK(rig.buffer.target_delay() == milliseconds(200));
  for (int n = 51; n < 3'000; ++n) {
    rig.arrive(n);
    rig.play(n);
  }
  CHECK(rig.buffer.target_delay() < milliseconds(45));
}

TEST_CASE("a stall's backlog is played, and its delay is given up again") {
  Rig rig;
  for (int n = 0; n < 50; ++n) {
    rig.arrive(n);
    rig.play(n);
  }
  // Half a second of network silence, then all of it at once.
  rig.play(50, 25);
  for (int n = 50; n < 75; ++n) rig.arrive(n, frame_time * (75 - n));
  for (int n = 75; n < 1'500; ++n) {
    rig.arrive(n);
    rig.play(n);
  }
  // The delay that the stall taught is forgotten by then; the queue has followed it down.
  CHECK(rig.buffer.size() < 8);
  CHECK(rig.buffer.skipped() >= 10);
  CHECK(rig.buffer.skipped() <= 30);
}

TEST_CASE("RTP time that stands still over a pause, or jumps, does not count as jitter") {
  for (const int pause : {-40, 40, 3'000}) {
    CAPTURE(pause);
    Rig rig;
    for (int n = 0; n < 20; ++n) rig.arrive(n);
    const std::vector<std::uint8_t> frame(40, 1);
    for (int n = 20; n < 40; ++n) {
      const auto timestamp = static_cast<std::uint32_t>(n + pause) * 960;
      rig.buffer.insert(Rig::sent(n), static_cast<std::uint16_t>(65'500 + n), timestamp, frame);
    }
    CHECK(rig.buffer.target_delay() == milliseconds(20));
  }
}

TEST_CASE("one far packet is an accident, two in a row are a new beginning") {
  Rig rig;
  for (int n = 0; n < 5; ++n) rig.arrive(n);
  CHECK(rig.arrive_as(5, 30'000) == Verdict::late);
  CHECK(rig.arrive_as(5, 65'505) == Verdict::accepted);
  CHECK(rig.arrive_as(6, 30'001) == Verdict::late);
  CHECK(rig.arrive_as(7, 30'002) == Verdict::restarted);
  CHECK(rig.arrive_as(8, 30'003) == Verdict::accepted);
  CHECK(rig.play(9, 2) == Played{"7", "8"});
}

TEST_CASE("a flood never fills memory: the oldest frames go") {
  Rig rig;
  for (int n = 0; n < 1'000; ++n) rig.arrive(n);
  CHECK(rig.buffer.size() == 100);
  CHECK(rig.buffer.skipped() == 900);
  CHECK(rig.arrive(899) == Verdict::late);
}
