#include "relay/control/membership.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/support/command_rig.h"

using namespace earshot;
using namespace earshot::control;

namespace {

struct Rig {
  explicit Rig(std::size_t workers_count = 1, MembershipOptions o = {})
      : workers(workers_count, with_defaults(o).sessions_per_worker_max, o.node),
        options(with_defaults(o)),
        membership(workers.commands, options) {}

  static MembershipOptions with_defaults(MembershipOptions o) {
    if (o.sessions_per_worker_max == limits::sessions_per_worker_max)
      o.sessions_per_worker_max = 16;
    return o;
  }

  std::optional<MemberId> begin_join(const std::string& channel) {
    Membership::Join join;
    join.channel = {"server", channel};
    join.signalling_peer = make_v4(127, 0, 0, 1);
    return membership.join(join, [this] { ++opened; });
  }
  MemberId join(const std::string& channel = "channel") {
    const auto id = begin_join(channel);
    REQUIRE(id.has_value());
    workers.settle();
    return *id;
  }
  void leave(MemberId id) {
    membership.leave(id, [this] { ++left; });
    workers.settle();
  }
  Ssrc ssrc(MemberId id) { return membership.slot(id).ssrc; }
  int worker(MemberId id) { return ssrc(id).worker().value; }

  test::CommandRig workers;
  MembershipOptions options;
  Membership membership;
  int opened = 0;
  int left = 0;
};

MembershipOptions options(std::size_t sessions_per_worker_max,
                          std::size_t channel_participants_per_worker_max = 1'024) {
  MembershipOptions o;
  o.sessions_per_worker_max = sessions_per_worker_max;
  o.channel_participants_per_worker_max = channel_participants_per_worker_max;
  return o;
}

}  // namespace

TEST_CASE("a participant joins, is found by its slot, and leaves nothing behind") {
  for (const std::size_t workers : {1, 2}) {
    Rig rig(workers);
    const auto id = rig.begin_join("channel");
    REQUIRE(id.has_value());
    CHECK(rig.opened == 0);
    rig.workers.settle();
    CHECK(rig.opened == 1);
    const SlotRef slot = rig.membership.slot(*id);
    CHECK(slot.ssrc.is_assignable());
    CHECK(slot.ssrc.node() == NodeId{0});
    CHECK(rig.membership.find(slot) == *id);
    CHECK_FALSE(rig.membership.find({slot.ssrc, {slot.generation.value + 1}}).has_value());

    rig.membership.leave(*id, [&] { ++rig.left; });
    // From here on it is not the sender of anything, though its slot is not free yet.
    CHECK_FALSE(rig.membership.find(slot).has_value());
    CHECK(rig.membership.participants_count() == 1);
    CHECK(rig.left == 0);
    rig.workers.settle();
    CHECK(rig.left == 1);
    CHECK(rig.membership.participants_count() == 0);
    CHECK(rig.membership.channels_count() == 0);
  }
}

TEST_CASE("a slot is reused as late as possible, and then as another life") {
  Rig rig(1, options(4));  // slots 1, 2, 3: SSRC 0 is never given out
  CHECK(rig.membership.capacity() == 4);
  std::vector<std::uint32_t> given;
  Generation generation;
  for (int i = 0; i < 7; ++i) {
    const MemberId id = rig.join();
    given.push_back(rig.ssrc(id).value);
    if (rig.ssrc(id).value == 1) {
      CHECK(rig.membership.slot(id).generation > generation);
      generation = rig.membership.slot(id).generation;
    }
    rig.leave(id);
  }
  CHECK(given == std::vector<std::uint32_t>{1, 2, 3, 1, 2, 3, 1});
}

TEST_CASE("node bits are in every SSRC; only node 0 must do without slot 0") {
  MembershipOptions o = options(2);
  o.node = {1'023};
  Rig rig(1, o);
  CHECK(rig.ssrc(rig.join()) == make_ssrc(o.node, {0}, {0}));
  CHECK(rig.ssrc(rig.join()) == make_ssrc(o.node, {0}, {1}));
}

TEST_CASE("a full node refuses, and takes the next when somebody has left") {
  Rig rig(2, options(3));
  std::vector<MemberId> members;
  for (int i = 0; i < 5; ++i) members.push_back(rig.join("c" + std::to_string(i)));
  CHECK_FALSE(rig.begin_join("c9").has_value());
  CHECK_FALSE(rig.begin_join("c0").has_value());
  CHECK(rig.membership.channels_count() == 5);
  rig.membership.leave(members[2], [] {});
  CHECK_FALSE(rig.begin_join("c9").has_value());  // not free before the workers say so
  rig.workers.settle();
  CHECK(rig.begin_join("c9").has_value());
  rig.workers.settle();
  CHECK(rig.opened == 6);
}

TEST_CASE("channels spread over workers, and a channel stays together") {
  Rig rig(2, options(16, 3));
  std::multiset<int> homes;
  for (int c = 0; c < 6; ++c) {
    const std::string channel = "c" + std::to_string(c);
    const MemberId first = rig.join(channel);
    homes.insert(rig.worker(first));
    for (int i = 0; i < 2; ++i) CHECK(rig.worker(rig.join(channel)) == rig.worker(first));
  }
  CHECK(homes.count(0) >= 2);
  CHECK(homes.count(1) >= 2);
}

TEST_CASE("a channel that outgrows a worker goes on on the next, and fills up holes") {
  Rig rig(2, options(16, 2));
  const MemberId a = rig.join();
  const MemberId b = rig.join();
  CHECK(rig.worker(a) == rig.worker(b));
  const MemberId c = rig.join();
  CHECK(rig.worker(c) != rig.worker(a));
  rig.leave(b);
  const MemberId d = rig.join();
  const MemberId e = rig.join();
  CHECK(rig.worker(d) != rig.worker(e));
  CHECK_FALSE(rig.begin_join("channel").has_value());
  CHECK(rig.begin_join("another").has_value());
  rig.workers.settle();
}

TEST_CASE("everybody of a spread channel leaves, first those who were first or last") {
  for (const bool is_in_order : {true, false}) {
    Rig rig(2, options(16, 3));
    std::vector<MemberId> members;
    for (int i = 0; i < 6; ++i) members.push_back(rig.join());
    if (!is_in_order) std::reverse(members.begin(), members.end());
    for (const MemberId id : members) rig.leave(id);
    CHECK(rig.left == 6);
    CHECK(rig.membership.channels_count() == 0);
    // The channel's name, its index and the remote slots are free again.
    for (int i = 0; i < 6; ++i) rig.join();
    CHECK(rig.opened == 12);
  }
}

TEST_CASE("leaving while the join is still under way") {
  for (const std::size_t workers : {1, 2}) {
    Rig rig(workers, options(16, 4));
    const int residents = workers == 2 ? 4 : 1;
    for (int i = 0; i < residents; ++i) rig.join();
    for (int i = 0; i < 21; ++i) {
      const auto id = rig.begin_join("channel");
      REQUIRE(id.has_value());
      rig.membership.leave(*id, [&] { ++rig.left; });
      if (i % 3 == 2) rig.workers.settle();
    }
    CHECK(rig.left == 21);
    CHECK(rig.opened == 21 + residents);
    CHECK(rig.membership.participants_count() == static_cast<std::size_t>(residents));
  }
}

TEST_CASE("a channel's name can be used again while its last life ends") {
  Rig rig(2);
  MemberId id = rig.join();
  for (int i = 0; i < 50; ++i) {
    std::optional<MemberId> next;
    // Called before CloseChannel has been acknowledged.
    rig.membership.leave(id, [&] { next = rig.begin_join("channel"); });
    rig.workers.wait_until([&] { return next.has_value(); });
    id = *next;
  }
  rig.workers.settle();
  CHECK(rig.opened == 51);
  CHECK(rig.membership.channels_count() == 1);
}

TEST_CASE("many joins and leaves at once, in one channel over two workers") {
  Rig rig(2, options(16, 5));
  std::vector<MemberId> members;
  for (int round = 0; round < 30; ++round) {
    while (members.size() < 10) {
      const auto id = rig.begin_join("channel");
      if (!id) break;
      members.push_back(*id);
    }
    for (std::size_t i = 0; i < members.size(); i += 2) {
      rig.membership.leave(members[i], [&] { ++rig.left; });
      members[i] = 0;
    }
    std::erase(members, MemberId{0});
    if (round % 3 == 0) rig.workers.settle();
  }
  for (const MemberId id : members) rig.membership.leave(id, [&] { ++rig.left; });
  rig.workers.settle();
  CHECK(rig.opened == rig.left);
  CHECK(rig.opened >= 50);
  CHECK(rig.membership.participants_count() == 0);
  CHECK(rig.membership.channels_count() == 0);
}

TEST_CASE("a command to a participant is settled when all workers have done what came before") {
  Rig rig(2, options(16, 1));
  const MemberId a = rig.join();
  rig.join();
  bool is_done = false;
  rig.membership.send_and_settle(a, SetMuted{rig.membership.slot(a), true},
                                 [&] { is_done = true; });
  CHECK_FALSE(is_done);
  rig.workers.settle();
  CHECK(is_done);
}

TEST_CASE("a channel has as many participants as the application lets it have") {
  Rig rig;
  const auto set = [&](std::optional<std::size_t> participants_max) {
    bool is_done = false;
    ChannelSettings settings;
    settings.participants_max = participants_max;
    REQUIRE(rig.membership.set_settings({"server", "channel"}, settings, [&] { is_done = true; }));
    rig.workers.settle();
    CHECK(is_done);
  };
  set(2);
  const MemberId first = rig.join();
  rig.join();
  CHECK_FALSE(rig.begin_join("channel").has_value());
  CHECK(rig.begin_join("another").has_value());
  rig.leave(first);
  rig.join();
  CHECK_FALSE(rig.begin_join("channel").has_value());
  set(std::nullopt);
  rig.join();
}

TEST_CASE("channels are listed in order, with participants or with settings of their own") {
  Rig rig;
  const auto settings = ChannelSettings{0, std::nullopt, std::nullopt};
  for (const char* channel : {"b", "e"})
    REQUIRE(rig.membership.set_settings({"server", channel}, settings, [] {}));
  REQUIRE(rig.membership.set_settings({"a server", "x"}, settings, [] {}));
  rig.join("d");
  rig.join("b");
  const MemberId leaver = rig.join("c");
  const auto list = [&](std::optional<ChannelKey> after, std::optional<std::string> server,
                        std::size_t count_max = 100) {
    std::string text;
    for (const auto& listed : rig.membership.list(after, server, count_max))
      text += listed.key.channel_id + std::to_string(listed.participants_count) + " ";
    return text;
  };
  CHECK(list({}, {}) == "x0 b1 c1 d1 e0 ");
  CHECK(list({}, "server") == "b1 c1 d1 e0 ");
  CHECK(list({}, "a server") == "x0 ");
  CHECK(list({}, "nowhere").empty());
  CHECK(list(ChannelKey{"server", "c"}, {}) == "d1 e0 ");
  CHECK(list(ChannelKey{"a server", "x"}, "a server").empty());
  CHECK(list({}, {}, 2) == "x0 b1 ");
  rig.leave(leaver);
  CHECK(list({}, "server") == "b1 d1 e0 ");
  REQUIRE(rig.membership.set_settings({"server", "b"}, {}, [] {}));
  REQUIRE(rig.membership.set_settings({"server", "e"}, {}, [] {}));
  CHECK(list({}, "server") == "b1 d1 ");
  CHECK(rig.membership.find_channel({"server", "e"}) == std::nullopt);
  CHECK(rig.membership.find_channel({"server", "b"})->participants_count == 1);
}
