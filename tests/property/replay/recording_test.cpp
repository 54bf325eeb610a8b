// Random traffic through a core with a flight recorder: what the dump says is what the core
// decided, and the policy comes to the same verdicts anew, also when the ring was far too short for
// the call.
#include "tools/replay/recording.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "relay/wire/rtp.h"
#include "tests/support/core_rig.h"
#include "tests/support/recording_bytes.h"

using namespace earshot;
using namespace earshot::test;
using namespace earshot::replay;

namespace {

constexpr std::uint16_t slots = 6;
constexpr std::uint16_t bounds[]{0, 20, 80, 120, 200, 2'000};

std::optional<DropReason> decided(const Counters& before, const Counters& after) {
  if (after[Counter::accepted] != before[Counter::accepted]) return DropReason::none;
  for (std::size_t i = 1; i < drop_reasons_count; ++i) {
    const auto reason = static_cast<DropReason>(i);
    if (after[reason] != before[reason]) return reason;
  }
  return std::nullopt;
}

bool is_recorded(DropReason reason) {
  using R = DropReason;
  for (const R r :
       {R::none, R::stale, R::not_allowed, R::muted, R::rate, R::duplicate, R::speakers, R::late}) {
    if (r == reason) return true;
  }
  return false;
}

// Participants who talk over a network that stalls, and an application that changes its mind.
class Call {
 public:
  Call(std::uint32_t seed, std::size_t ring_bytes)
      : random_(seed),
        recorder_({ring_bytes, seconds(20), slots}),
        rig_(options(&recorder_)),
        channel_(rig_.open_channel(0, 3, 200)) {
    for (std::uint16_t i = 0; i < slots; ++i) people_[i] = rig_.join(i, channel_);
  }

  void step() {
    rig_.now = rig_.now + milliseconds(1);
    if (below(2'000) == 0) rig_.command(SetChannelOptions{channel_, 3, bounds[below(6)], true});
    if (below(3'000) == 0) reuse(below(slots));
    if (below(1'000) == 0) rig_.command(SetMuted{people_.at(below(slots)).slot, below(2) == 0});
    if (below(500) == 0) forge();
    if (below(10'000) == 0) flood(below(slots));
    for (std::uint16_t i = 0; i < slots; ++i) speak(i);
  }

  Bytes dump() const { return recording_bytes({}, rig_.now, {&recorder_}); }
  const std::vector<flight::Packet>& expected() const { return expected_; }
  Time now() const { return rig_.now; }

 private:
  static CoreOptions options(FlightRecorder* recorder) {
    CoreOptions o = CoreRig::small_options();
    o.sessions_max = slots;
    o.stale_max = milliseconds(100);
    o.recorder = recorder;
    return o;
  }

  std::uint16_t below(std::uint32_t bound) { return static_cast<std::uint16_t>(random_() % bound); }

  void reuse(std::uint16_t slot) {
    rig_.command(CloseSlot{people_.at(slot).slot});
    held_[slot].clear();
    Grants grants;
    grants.speak = below(8) != 0;
    if (below(2) == 0) grants.late_ms_max = bounds[below(6)];
    people_[slot] = rig_.join(slot, channel_, grants);
  }

  // Its own rhythm: a frame every 20 ms, in stalls held back and let go at once, 1 ms apart, in
  // another order or twice.
  void speak(std::uint16_t slot) {
    auto& person = people_.at(slot);
    auto& held = held_[slot];
    const std::int64_t ms = rig_.now.ns / 1'000'000;
    if (ms % 20 == slot && ms / 1'000 % 8 != slot) {
      const std::size_t size = below(10) == 0 ? 3 : 80;
      if (below(300) == 0) person.timestamp += 100'000;
      held.push_back(person.client->seal(person.sequence++, person.timestamp += 960,
                                         std::vector<std::uint8_t>(size, 0x55)));
    }
    if (stalled_until_[slot] > rig_.now) return;
    if (below(1'500) == 0) stalled_until_[slot] = rig_.now + milliseconds(50 + below(600));
    if (held.empty()) return;
    const std::size_t which = held.size() > 1 && below(10) == 0 ? 1 : 0;
    const auto datagram = held[which];
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    feed(slot, datagram);
    if (below(50) == 0) feed_twice(slot);
  }

  void flood(std::uint16_t slot) {
    auto& person = people_.at(slot);
    for (int i = 0; i < 500; ++i) {
      feed(slot, person.client->seal(person.sequence++, person.timestamp += 960,
                                     std::vector<std::uint8_t>(80, 0x55)));
    }
  }

  // The same packet under another nonce: a duplicate, not a replay.
  void feed_twice(std::uint16_t slot) {
    auto& person = people_.at(slot);
    feed(slot, person.client->seal(static_cast<std::uint16_t>(person.sequence - 1),
                                   person.timestamp, std::vector<std::uint8_t>(80, 0x55)));
  }

  // Nothing of this may leave a trace.
  void forge() {
    const auto& person = people_.at(below(slots));
    auto bytes = people_.at(below(slots)).client->seal(7, 7, std::vector<std::uint8_t>(80, 1));
    bytes[8] = static_cast<std::uint8_t>(person.slot.ssrc.value >> 24);
    bytes[40] ^= 1;
    rig_.feed({make_v4(203, 0, 113, 7), 4'000}, bytes);
    rig_.feed(person.address, bytes);
  }

  void feed(std::uint16_t slot, std::vector<std::uint8_t> bytes) {
    const auto header = wire::parse_rtp(bytes);
    REQUIRE(header);
    const Time arrival = rig_.now - milliseconds(below(200) == 0 ? 50 + below(100) : below(3));
    const Counters before = rig_.core.counters();
    rig_.core.on_datagram(
        rig_.now, {people_.at(slot).address, make_v4(127, 0, 0, 1), arrival, bytes}, rig_.out);
    rig_.out.clear();
    const auto reason = decided(before, rig_.core.counters());
    REQUIRE(reason);
    if (!is_recorded(*reason)) return;
    flight::Packet p{
        arrival,
        header->ssrc,
        header->timestamp,
        header->sequence,
        0,
        bytes.size() < 12 + 3 + 20 + 1 ? flight::SizeClass::small : flight::SizeClass::ordinary,
        *reason,
        false};
    expected_.push_back(p);
  }

  std::mt19937 random_;
  FlightRecorder recorder_;
  CoreRig rig_;
  ChannelRef channel_;
  std::map<std::uint16_t, CoreRig::Participant> people_;
  std::map<std::uint16_t, std::vector<std::vector<std::uint8_t>>> held_;
  std::map<std::uint16_t, Time> stalled_until_;
  std::vector<flight::Packet> expected_;
};

// In the order in which the worker met them.
std::vector<std::size_t> by_position(const Recording& recording) {
  std::vector<std::size_t> order(recording.packets.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[recording.packets[i].position] = i;
  return order;
}

// Notes the reasons that came up.
void check(const Call& call, std::set<DropReason>& seen) {
  const Bytes bytes = call.dump();
  auto read = read_recording(as_file(bytes).get(), "dump");
  REQUIRE(read.ok());
  const Recording& recording = read.value();
  const auto rejudged = rejudge(recording);
  const auto& expected = call.expected();
  REQUIRE(recording.packets.size() <= expected.size());
  const std::size_t skipped = expected.size() - recording.packets.size();
  const auto order = by_position(recording);
  for (std::size_t i = 0; i < order.size(); ++i) {
    flight::Packet p = recording.packets[order[i]].packet;
    seen.insert(p.reason);
    const bool reached = p.reached_late_step();
    p.late_ms_max = 0;
    p.was_fresh = false;
    REQUIRE(p == expected[skipped + i]);
    const Rejudged& again = rejudged[order[i]];
    REQUIRE(again.reason == p.reason);
    REQUIRE(again.basis == (reached ? Rejudged::Basis::judged : Rejudged::Basis::recorded));
  }
  // Whatever arrived since covered_from is there.
  for (std::size_t i = 0; i < skipped; ++i) REQUIRE(expected[i].arrival <= recording.covered_from);
  CHECK(covers(recording, recording.covered_from, call.now()));
}

}  // namespace

TEST_CASE("a dump of any length gives the verdicts of the relay again") {
  std::set<DropReason> seen;
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    // From a few hundred packets of all of them to the whole call.
    Call call(seed, FlightRecorder::bytes_min << (seed % 4 * 3));
    for (int part = 0; part < 8; ++part) {
      for (int i = 0; i < 5'000; ++i) call.step();
      check(call, seen);
    }
  }
  using R = DropReason;
  CHECK(seen == std::set{R::none, R::stale, R::not_allowed, R::muted, R::rate, R::duplicate,
                         R::speakers, R::late});
}
