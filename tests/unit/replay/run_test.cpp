#include "tools/replay/run.h"

#include <doctest/doctest.h>

using namespace earshot;
using namespace earshot::replay;

namespace {

std::uint64_t count(const RunResult& result, Verdict verdict) {
  std::uint64_t sum = 0;
  for (const StreamResult& s : result.streams) {
    sum += s.verdicts[static_cast<std::size_t>(verdict)];
  }
  return sum;
}

// One speaker of steady speech, with stalls of 300 ms whose frames come 1 ms apart.
Trace stalls(int seconds_count, int every_seconds) {
  Trace trace;
  Time stalled_until{};
  const Time begin{1'790'000'000'000'000'000};
  Time before = begin;
  for (int i = 0; i < 50 * seconds_count; ++i) {
    const Time sent = begin + milliseconds(20) * i;
    if (i > 0 && i % (50 * every_seconds) == 0) stalled_until = sent + milliseconds(300);
    Time at = sent;
    if (sent < stalled_until) at = std::max(stalled_until, before + milliseconds(1));
    before = at;
    TracePacket p;
    p.arrival = at;
    p.ssrc = {7};
    p.sequence = static_cast<std::uint16_t>(65'000 + i);
    p.timestamp = 4'294'000'000u + 960u * static_cast<std::uint32_t>(i);
    p.size = 100;
    trace.packets.push_back(p);
  }
  return trace;
}

RunOptions options_for(const char* policy, const char* listeners = "adaptive,fixed,never-skips") {
  RunOptions options;
  options.policy = parse_policy(policy).value();
  options.listeners = parse_listeners(listeners).value();
  options.downlink.delay = milliseconds(20);
  options.keeps_verdicts = true;
  return options;
}

}  // namespace

TEST_CASE("a stall is dropped as far as the policy says, and listeners catch up at once") {
  const Trace trace = stalls(30, 12);
  const struct {
    const char* policy;
    std::uint64_t late;
  } rows[]{{"off", 0}, {"late=200", 12}, {"late=120", 20}, {"late=80", 24}, {"deadline=80", 24}};
  for (const auto& row : rows) {
    CAPTURE(row.policy);
    const RunResult result = run(trace, options_for(row.policy)).value();
    CHECK(count(result, Verdict::late) == row.late);
    CHECK(count(result, Verdict::keep) == trace.packets.size() - row.late);
    REQUIRE(result.listeners.size() == 3);
    for (const ListenerResult& l : result.listeners) {
      CAPTURE(l.name);
      CHECK(l.total.packets == trace.packets.size());
      CHECK(l.total.dropped == row.late);
      CHECK(l.total.lost == row.late);
    }
  }
}

TEST_CASE("lateness is what the policy saw, in ticks of the packet's own time") {
  Trace trace = stalls(20, 12);
  const RunResult result = run(trace, options_for("late=120")).value();
  REQUIRE(result.verdicts.size() == trace.packets.size());
  CHECK(result.verdicts[0].lateness_ticks == 0);
  CHECK(result.verdicts[599].lateness_ticks == 0);
  CHECK(result.verdicts[600].lateness_ticks == 300 * 48);
  CHECK(result.verdicts[600].verdict == Verdict::late);
  CHECK(result.verdicts[601].lateness_ticks == 281 * 48);
}

TEST_CASE("duplicates are no packets of their own, and other numbers are") {
  Trace trace = stalls(5, 100);
  TracePacket copy = trace.packets[100];
  trace.packets.insert(trace.packets.begin() + 103, copy);
  trace.packets[103].arrival = trace.packets[102].arrival;
  const RunResult result = run(trace, options_for("late=200")).value();
  CHECK(result.verdicts[103].verdict == Verdict::duplicate);
  CHECK_FALSE(result.verdicts[103].has_lateness);
  CHECK(count(result, Verdict::duplicate) == 1);
  CHECK(result.listeners[0].total.packets == trace.packets.size() - 1);
}

TEST_CASE("the plain run tells what a dropped frame would have been used for") {
  const Trace trace = stalls(30, 12);
  const RunResult plain = run(trace, options_for("off")).value();
  RunOptions options = options_for("late=120");
  options.shadow = &plain;
  const RunResult result = run(trace, options).value();
  CHECK(result.listeners[2].total.dropped_but_usable == result.listeners[2].total.dropped);
  CHECK(result.listeners[1].total.dropped_but_usable < result.listeners[1].total.dropped);
}

TEST_CASE("losses of the uplink are lost, and a copy that the network makes is no verdict") {
  Trace trace = stalls(60, 1'000);
  trace.is_sending_time = true;
  RunOptions options = options_for("late=200");
  options.uplink.delay = milliseconds(30);
  options.uplink.loss.to_bad = 0.05;
  options.uplink.loss.to_good = 0.9;
  options.uplink.duplication = 0.1;
  const RunResult result = run(trace, options).value();
  const std::uint64_t lost = count(result, Verdict::lost);
  CHECK(lost > 50);
  CHECK(lost + count(result, Verdict::keep) == trace.packets.size());
  CHECK(result.listeners[0].total.lost == lost);
  // 30 up, 20 down, and what the buffer waits for.
  CHECK(result.listeners[1].total.delay_p50 > milliseconds(110));
}

TEST_CASE("the same seed is the same run") {
  const Trace trace = stalls(60, 7);
  RunOptions options = options_for("late=120", "adaptive*3");
  options.downlink.jitter.kind = JitterKind::gamma;
  options.downlink.jitter.shape = 2;
  options.downlink.jitter.size = milliseconds(15);
  const RunResult a = run(trace, options).value();
  const RunResult b = run(trace, options).value();
  options.seed = 2;
  const RunResult c = run(trace, options).value();
  CHECK(a.listeners[2].total.mos == b.listeners[2].total.mos);
  CHECK(a.listeners[2].streams[0].played == b.listeners[2].streams[0].played);
  CHECK(a.listeners[0].total.delay_mean != a.listeners[1].total.delay_mean);
  CHECK(a.listeners[2].total.delay_mean != c.listeners[2].total.delay_mean);
}

TEST_CASE("what cannot be run is one sentence") {
  CHECK(run({}, options_for("off")).error().text == "there is no packet to replay");
  RunOptions options = options_for("off");
  options.listeners.clear();
  CHECK(run(stalls(1, 5), options).error().text == "nobody listens");
  Trace crowd;
  for (std::uint32_t i = 0; i < 2'000; ++i) crowd.packets.push_back({{}, {i + 1}, 0});
  CHECK(run(crowd, options_for("off")).error().text.find("more than one channel has room for") !=
        std::string::npos);
}

TEST_CASE("policies and listeners by name") {
  CHECK(name(parse_policy("late=120").value()) == "late=120");
  CHECK(name(parse_policy("late=0").value()) == "off");
  CHECK(parse_policies("late=200,off").value().size() == 2);
  for (const char* bad : {"", "late", "late=", "late=19", "late=2001", "late=1x", "deadline=0",
                          "never", "late=-1", "late=70000"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_policy(bad).ok());
  }
  CHECK(parse_policies("off,late=0").error().text == "off is named twice");
  const auto listeners = parse_listeners("adaptive*2,fixed:100ms,adaptive").value();
  REQUIRE(listeners.size() == 4);
  CHECK(listeners[1].name == "adaptive #2");
  CHECK(listeners[2].buffer.delay == milliseconds(100));
  CHECK(listeners[3].name == "adaptive #3");
  for (const char* bad : {"", "adaptive*0", "adaptive*101", "fixed:5ms", "fixed:ms", "fixed:60",
                          "adaptive,", "human"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_listeners(bad).ok());
  }
}
