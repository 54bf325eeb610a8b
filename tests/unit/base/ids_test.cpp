#include "relay/base/ids.h"

#include <doctest/doctest.h>

#include "relay/base/limits.h"

using namespace earshot;

TEST_CASE("an SSRC is node, worker and slot, and nothing is lost at the edges") {
  struct Row {
    std::uint16_t node;
    std::uint8_t worker;
    std::uint16_t slot;
    std::uint32_t ssrc;
  };
  constexpr Row rows[] = {
      {0, 0, 0, 0},
      {0, 0, 1, 0x00000001},
      {0, 0, 65'535, 0x0000FFFF},
      {0, 1, 0, 0x00010000},
      {0, 63, 0, 0x003F0000},
      {1, 0, 0, 0x00400000},
      {1'023, 0, 0, 0xFFC00000},
      {1'023, 63, 65'535, 0xFFFFFFFF},
      {132, 18, 0xA442, Ssrc::stun_cookie},
      {0x155, 0x2A, 0x1234, 0x556A1234},
  };
  for (const Row& row : rows) {
    CAPTURE(row.ssrc);
    const Ssrc ssrc = make_ssrc({row.node}, {row.worker}, {row.slot});
    CHECK(ssrc.value == row.ssrc);
    CHECK(ssrc.node() == NodeId{row.node});
    CHECK(ssrc.worker() == WorkerIndex{row.worker});
    CHECK(ssrc.slot() == SlotIndex{row.slot});
  }
}

TEST_CASE("a part that is too large does not reach into its neighbours") {
  CHECK(make_ssrc({1'024}, {0}, {0}).value == 0);
  CHECK(make_ssrc({0}, {64}, {0}).value == 0);
  CHECK(make_ssrc({0xFFFF}, {0xFF}, {7}) == make_ssrc({1'023}, {63}, {7}));
}

TEST_CASE("0 and STUN's cookie are never given out, their neighbours may be") {
  CHECK_FALSE(Ssrc{0}.is_assignable());
  CHECK(Ssrc{1}.is_assignable());
  CHECK_FALSE(Ssrc{0x2112A442}.is_assignable());
  CHECK(Ssrc{0x2112A441}.is_assignable());
  CHECK(Ssrc{0x2112A443}.is_assignable());
  CHECK(Ssrc{UINT32_MAX}.is_assignable());
}

TEST_CASE("lives of the same slot or channel differ") {
  const SlotRef slot{make_ssrc({1}, {2}, {3}), {4}};
  CHECK(slot == SlotRef{make_ssrc({1}, {2}, {3}), {4}});
  CHECK(slot != SlotRef{make_ssrc({1}, {2}, {3}), {5}});
  CHECK(slot != SlotRef{make_ssrc({1}, {2}, {4}), {4}});
  CHECK(ChannelRef{{1}, {2}} != ChannelRef{{1}, {3}});
  CHECK(ChannelRef{{1}, {2}} != ChannelRef{{2}, {2}});
  static_assert(limits::workers_max == 64, "what the six bits of WorkerIndex can name");
}
