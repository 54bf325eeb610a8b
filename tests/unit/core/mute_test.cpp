#include <doctest/doctest.h>

#include "relay/core/core.h"
#include "tests/support/core_rig.h"

using namespace earshot;
using namespace earshot::test;

namespace {

constexpr std::uint8_t silence[] = {0xF8, 0xFF, 0xFE};

struct Pair {
  CoreRig rig;
  ChannelRef channel = rig.open_channel(0);
  CoreRig::Participant speaker = rig.join(1, channel);
  CoreRig::Participant listener = rig.join(2, channel);

  // The sequence number that the listener got, if it got a packet.
  std::optional<std::uint16_t> speak() {
    rig.now = rig.now + milliseconds(20);
    const auto sent = rig.speak(speaker);
    if (sent.empty()) return std::nullopt;
    REQUIRE(sent.size() == 1);
    return listener.client->open(sent[0].bytes)->sequence;
  }
  std::vector<std::uint16_t> mute(bool is_muted) {
    std::vector<std::uint16_t> injected;
    for (const auto& d : rig.command(SetMuted{speaker.slot, is_muted})) {
      const auto packet = listener.client->open(d.bytes);
      REQUIRE(packet.has_value());
      CHECK(packet->frame == std::vector<std::uint8_t>(std::begin(silence), std::end(silence)));
      injected.push_back(packet->sequence);
    }
    return injected;
  }
};

}  // namespace

TEST_CASE("the silence of a mute crosses the wrap of the sequence number") {
  Pair p;
  p.speaker.sequence = 65'533;
  CHECK(p.speak() == 65'533);
  CHECK(p.mute(true) == std::vector<std::uint16_t>{65'534, 65'535, 0, 1, 2});
  CHECK(p.mute(false).empty());
  for (int i = 0; i < 5; ++i) CHECK_FALSE(p.speak().has_value());
  CHECK(p.speak() == 3);
}

TEST_CASE("who never spoke, or is silent already, is muted without a sound") {
  Pair p;
  CHECK(p.mute(true).empty());
  CHECK_FALSE(p.speak().has_value());
  CHECK(p.mute(false).empty());
  CHECK(p.speak() == 101);
  CHECK(p.mute(true).size() == 5);
  CHECK(p.mute(true).empty());
  CHECK(p.mute(false).empty());
  // Nothing was heard since the silence.
  CHECK(p.mute(true).empty());
}

TEST_CASE("whoever talks on while muted is heard at once after it, however long it was") {
  Pair p;
  CHECK(p.speak() == 100);
  CHECK(p.mute(true).size() == 5);
  // More than half of the sequence space: 11 minutes.
  for (int i = 0; i < 33'000; ++i) REQUIRE_FALSE(p.speak().has_value());
  CHECK(p.mute(false).empty());
  CHECK(p.speak() == static_cast<std::uint16_t>(100 + 33'001));
  // What was muted has been received all the same.
  CHECK(get(p.rig.slot_stats[1].lost) == 0);
}

TEST_CASE("a sender that begins anew behind a mute is heard") {
  Pair p;
  CHECK(p.speak() == 100);
  CHECK(p.mute(true).size() == 5);
  CHECK(p.mute(false).empty());
  p.speaker.sequence = 60'000;  // as int16, long before the silence
  CHECK(p.speak() == 60'000);
}

TEST_CASE("a reordered packet from before the mute does not come after it") {
  Pair p;
  CHECK(p.speak() == 100);
  const auto held = p.speaker.client->seal(101, 5'960, silence);
  CHECK(p.mute(true).size() == 5);
  p.speaker.sequence = 105;
  CHECK_FALSE(p.speak().has_value());
  CHECK_FALSE(p.speak().has_value());
  CHECK(p.mute(false).empty());
  CHECK(p.rig.feed(p.speaker.address, held).empty());
  CHECK(p.speak() == 107);
  CHECK(p.rig.feed(p.speaker.address, p.speaker.client->seal(103, 7'880, silence)).empty());
}
