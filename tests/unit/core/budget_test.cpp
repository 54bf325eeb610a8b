#include "relay/core/budget.h"

#include <doctest/doctest.h>

#include "relay/core/core.h"
#include "tests/support/core_rig.h"

using namespace earshot;
using namespace earshot::test;

namespace {

constexpr std::uint16_t slots = 64;

// The i-th address of one attacker: another port, and in IPv6 another address of the same network.
Endpoint attacker(bool is_v4, std::uint32_t i) {
  const auto port = static_cast<std::uint16_t>(1'024 + i % 60'000);
  if (is_v4) return {make_v4(203, 0, 113, 66), port};
  IpAddress ip = *IpAddress::parse("2001:db8:0:1::");
  for (std::size_t k = 0; k < 4; ++k) ip.bytes[12 + k] = static_cast<std::uint8_t>(i >> (8 * k));
  return {ip, port};
}

}  // namespace

TEST_CASE("a bucket gives its depth at once and its rate afterwards") {
  TokenBucket bucket;
  const Rate rate{10, 30};
  Time now{5'000'000'000};
  int taken = 0;
  for (int i = 0; i < 100; ++i) taken += bucket.take(now, rate) ? 1 : 0;
  CHECK(taken == 30);
  for (int i = 0; i < 100; ++i) {
    now = now + milliseconds(50);
    taken += bucket.take(now, rate) ? 1 : 0;
  }
  CHECK(taken == 80);
}

TEST_CASE("one source that forges for every slot keeps nobody who has moved from being heard") {
  for (const bool is_v4 : {true, false}) {
    CoreRig rig;
    const auto channel = rig.open_channel(0);
    std::vector<CoreRig::Participant> participants;
    for (std::uint16_t i = 0; i < slots; ++i) participants.push_back(rig.join(i, channel));
    std::uint32_t sent = 0;
    for (int frame = 0; frame < 50; ++frame) {
      rig.now = rig.now + milliseconds(20);
      for (int i = 0; i < 1'000; ++i, ++sent) {
        MediaClient stranger(participants[sent % slots].slot.ssrc,
                             crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(9'999));
        const std::uint8_t frame_bytes[] = {1, 2, 3};
        REQUIRE(rig.feed(attacker(is_v4, sent), stranger.seal(1, 1, frame_bytes)).empty());
      }
      auto& moved = participants[static_cast<std::size_t>(frame)];
      moved.address.port = static_cast<std::uint16_t>(moved.address.port + 1);
      REQUIRE(rig.speak(moved).size() == slots - 1);
    }
    CHECK(rig.drops(DropReason::foreign_budget) > 40'000);
  }
}

TEST_CASE("one source that asks for every slot keeps nobody from an answer") {
  for (const bool is_v4 : {true, false}) {
    CoreRig rig;
    const auto channel = rig.open_channel(0);
    std::vector<CoreRig::Participant> participants;
    for (std::uint16_t i = 0; i < slots; ++i) participants.push_back(rig.join(i, channel));
    std::uint32_t sent = 0;
    std::size_t answered = 0;
    for (int frame = 0; frame < 50; ++frame) {
      rig.now = rig.now + milliseconds(20);
      for (int i = 0; i < 1'000; ++i, ++sent)
        answered +=
            rig.discover(attacker(is_v4, sent), participants[sent % slots].slot.ssrc).size();
      // Its media does not come from where its signalling comes from.
      const Endpoint elsewhere{make_v4(198, 51, 100, static_cast<std::uint8_t>(frame)), 7};
      REQUIRE(
          rig.discover(elsewhere, participants[static_cast<std::size_t>(frame)].slot.ssrc).size() ==
          1);
    }
    CHECK(answered < slots * 3 + 200);
  }
}
