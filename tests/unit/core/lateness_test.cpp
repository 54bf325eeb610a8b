#include "relay/core/lateness.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

using namespace earshot;

namespace {

constexpr std::int64_t ms = 48;  // ticks
constexpr std::int64_t frame = 20 * ms;

// A sender of 20 ms frames, 500 of them on a steady path before a case begins.
class Sender {
 public:
  explicit Sender(std::uint16_t late_ms_max) : late_ms_max_(late_ms_max) {
    for (int i = 0; i < 500; ++i) CHECK(arrives_after(0));
    verdicts.clear();
  }

  // The next frame, this much later than on the steady path. Whether it is kept.
  bool arrives_after(std::int64_t delay, bool is_small = false) {
    const bool is_kept = arrives_at(sent + delay, is_small);
    sent += frame;
    return is_kept;
  }
  bool arrives_at(std::int64_t at, bool is_small = false) {
    const LatenessInput in{at, sequence, timestamp, is_small};
    ++sequence;
    timestamp += frame_ticks;
    const bool is_kept = judge(in);
    verdicts.push_back(is_kept);
    return is_kept;
  }
  bool judge(const LatenessInput& in) {
    last = lateness(state, in, late_ms_max_);
    return last.verdict == LatenessVerdict::keep;
  }
  void steady(int frames, std::int64_t delay = 0) {
    for (int i = 0; i < frames; ++i) arrives_after(delay);
  }

  // The frames sent during a stall come in groups, `gap` apart; then the path is as before.
  void stall(std::int64_t length, int group, std::int64_t gap) {
    const std::int64_t began = sent;
    std::int64_t at = began + length;
    for (int i = 0; sent < at; ++i) {
      if (i > 0 && i % group == 0) at += gap;
      arrives_at(at);
      sent += frame;
    }
    sent = began + frame * ((sent - began) / frame);
    steady(200);
  }

  std::vector<bool> verdicts;
  LatenessState state;
  Lateness last;
  std::int64_t sent = 1'000'000;
  std::uint16_t sequence = 65'000;          // wraps in the first second
  std::uint32_t timestamp = 4'294'900'000;  // and so does this
  static constexpr std::uint32_t frame_ticks = 960;

 private:
  std::uint16_t late_ms_max_;
};

// "D12": the first 12 frames dropped, all others kept. "?": dropped, but not at first.
std::string drops(const std::vector<bool>& verdicts) {
  std::size_t first = 0;
  while (first < verdicts.size() && !verdicts[first]) ++first;
  for (std::size_t i = first; i < verdicts.size(); ++i) {
    if (!verdicts[i]) return "?";
  }
  return "D" + std::to_string(first);
}

struct Row {
  const char* name;
  std::function<void(Sender&)> run;
  const char* at_80;
  const char* at_120;
  const char* at_200;
};

}  // namespace

TEST_CASE("what is dropped, and what is not") {
  const std::vector<Row> rows{
      {"300 ms stall, 15 frames 1 ms apart", [](Sender& s) { s.stall(300 * ms, 1, ms); }, "D12",
       "D10", "D6"},
      {"300 ms stall, all in one instant", [](Sender& s) { s.stall(300 * ms, 1, 0); }, "D11", "D9",
       "D5"},
      {"400 ms stall, groups of 4 every 10 ms", [](Sender& s) { s.stall(400 * ms, 4, 10 * ms); },
       "D18", "D16", "D11"},
      {"400 ms stall, drained 10 ms apart", [](Sender& s) { s.stall(400 * ms, 1, 10 * ms); }, "D2",
       "D2", "D2"},
      {"the path becomes 60 ms longer", [](Sender& s) { s.steady(1'000, 60 * ms); }, "D0", "D0",
       "D0"},
      {"150 ms longer", [](Sender& s) { s.steady(1'000, 150 * ms); }, "D1", "D1", "D0"},
      {"300 ms longer", [](Sender& s) { s.steady(1'000, 300 * ms); }, "D1", "D1", "D1"},
      {"1 s longer", [](Sender& s) { s.steady(1'000, 1'000 * ms); }, "D1", "D1", "D1"},
      {"150 ms longer for 100 frames",
       [](Sender& s) {
         s.steady(100, 150 * ms);
         s.steady(1'000);
       },
       "D1", "D1", "D0"},
      {"slowly to 300 ms and back",
       [](Sender& s) {
         std::int64_t delay = 0;
         for (; delay < 300 * ms; delay += 2 * ms) s.arrives_after(delay);
         for (; delay > 0; delay -= 3 * ms) s.arrives_after(delay);
         s.steady(500);
       },
       "D0", "D0", "D0"},
      {"2 s outage, delivered 0.5 ms apart", [](Sender& s) { s.stall(2'000 * ms, 1, ms / 2); },
       "D99", "D97", "D93"},
      {"a pause of 1.5 s with RTP time running",
       [](Sender& s) {
         s.sent += 1'500 * ms;
         s.timestamp += 72'000;
         s.steady(500);
       },
       "D0", "D0", "D0"},
      {"the time stamp jumps ahead",
       [](Sender& s) {
         s.timestamp += 100'000'000;
         s.steady(500);
       },
       "D0", "D0", "D0"},
      {"the time stamp jumps back",
       [](Sender& s) {
         s.timestamp -= 100'000'000;
         s.steady(500);
       },
       "D0", "D0", "D0"},
      {"the sender begins anew",
       [](Sender& s) {
         s.sequence = 7;
         s.timestamp = 99;
         s.sent += 700 * ms;
         s.steady(500);
       },
       "D0", "D0", "D0"},
      {"RTP time stands still for 1 s behind five silence frames",
       [](Sender& s) {
         for (int i = 0; i < 5; ++i) s.arrives_after(0, true);
         s.sent += 1'000 * ms;
         s.steady(500);
       },
       "D0", "D0", "D0"},
      {"the same without silence frames",
       [](Sender& s) {
         s.sent += 1'000 * ms;
         s.steady(500);
       },
       "D1", "D1", "D1"},
      {"RTP time stands still for 61 s",
       [](Sender& s) {
         s.sent += 61'000 * ms;
         s.steady(500);
       },
       "D0", "D0", "D0"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::pair<std::uint16_t, std::string> bounds[]{
        {80, row.at_80}, {120, row.at_120}, {200, row.at_200}, {0, "D0"}};
    for (const auto& [bound, expected] : bounds) {
      CAPTURE(bound);
      Sender sender(bound);
      row.run(sender);
      CHECK(drops(sender.verdicts) == expected);
    }
  }
}

TEST_CASE("one frame 400 ms late that was overtaken is dropped, and its neighbours are not") {
  for (const auto bound : std::initializer_list<std::uint16_t>{80, 120, 200}) {
    Sender s(bound);
    const LatenessInput held{s.sent + 400 * ms, s.sequence, s.timestamp, false};
    ++s.sequence;
    s.timestamp += Sender::frame_ticks;
    s.sent += frame;
    s.steady(20);
    CHECK_FALSE(s.judge(held));
    CHECK(s.last.ticks == 400 * ms);
    s.steady(100);
    CHECK(drops(s.verdicts) == "D0");
  }
}

TEST_CASE("an hour of drift or jitter costs no frame") {
  for (const std::int64_t ppm : {100, -100, 1'000, 20'000, -20'000}) {
    CAPTURE(ppm);
    Sender s(80);
    for (std::int64_t i = 0; i < 180'000; ++i) {
      s.arrives_after(i * frame * ppm / 1'000'000);
    }
    CHECK(drops(s.verdicts) == "D0");
  }
  for (const std::uint64_t jitter_ms : {5u, 30u}) {
    CAPTURE(jitter_ms);
    Sender s(80);
    std::uint64_t x = 7;
    std::int64_t before = 0;
    for (int i = 0; i < 180'000; ++i) {
      x = x * 6'364'136'223'846'793'005u + 1;
      const auto delay = static_cast<std::int64_t>((x >> 33) % (2 * jitter_ms * ms));
      // A path keeps the order: nobody arrives before who was sent earlier.
      const std::int64_t at = std::max(before, s.sent + delay);
      before = at;
      s.arrives_at(at);
      s.sent += frame;
    }
    CHECK(drops(s.verdicts) == "D0");
  }
}

TEST_CASE("lateness is told before anything is forgotten") {
  Sender s(120);
  CHECK(s.arrives_after(50 * ms));
  CHECK(s.last.ticks == 50 * ms);
  CHECK_FALSE(s.arrives_after(1'000 * ms));
  CHECK(s.last.ticks == 1'000 * ms);
  // The path shift is seen by the next frame, and told with its lateness all the same.
  CHECK(s.arrives_after(1'000 * ms));
  CHECK(s.last.ticks == 1'000 * ms);
  CHECK(s.arrives_after(1'000 * ms));
  CHECK(s.last.ticks == 0);
  CHECK_FALSE(s.arrives_after(30'000 * ms));
  CHECK(s.last.ticks == 10'000 * ms);
  // The sender begins anew.
  s.sequence = static_cast<std::uint16_t>(s.sequence + 20'000);
  CHECK(s.arrives_after(31'000 * ms));
  CHECK(s.last.ticks == 0);
}

TEST_CASE("off keeps everything and sees the same lateness as 200") {
  Sender off(0);
  Sender on(200);
  for (Sender* s : {&off, &on}) s->stall(300 * ms, 1, ms);
  CHECK(drops(off.verdicts) == "D0");
  CHECK(drops(on.verdicts) == "D6");
  CHECK(off.state == on.state);
}
