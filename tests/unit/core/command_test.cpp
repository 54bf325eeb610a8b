#include "relay/core/command.h"

#include <doctest/doctest.h>

#include "relay/core/core.h"
#include "tests/support/core_rig.h"

using namespace earshot;
using namespace earshot::test;

TEST_CASE("a command about a slot that has ended does nothing, to nobody") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto listener = rig.join(1, channel);
  auto before = rig.join(2, channel);
  rig.speak(before);
  rig.command(CloseSlot{before.slot});
  const auto all_about = [&](SlotRef slot) {
    CHECK(rig.command(SetMuted{slot, true}).empty());
    CHECK(rig.command(SetDeafened{slot, true}).empty());
    CHECK(rig.command(SetDeclaredAddress{slot, client_address(9)}).empty());
    CHECK(rig.command(SetSignallingPeer{slot, client_address(9).ip}).empty());
    CHECK(rig.command(InstallKey{slot, crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(9),
                                 client_address(9), 1})
              .empty());
    CHECK(rig.command(StartSending{slot}).empty());
  };
  all_about(before.slot);
  // The slot's next life is nobody's business but its own.
  auto after = rig.join(2, channel);
  rig.events();
  all_about(before.slot);
  CHECK(rig.speak(after).size() == 1);
  const auto heard = rig.speak(listener);
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].to == after.address);
  CHECK(after.client->open(heard[0].bytes).has_value());
  CHECK(rig.events().empty());
  CHECK(rig.core.counters()[Counter::commands_outlived] == 12);
}

TEST_CASE("only workers that exist get copies") {
  CoreOptions options = CoreRig::small_options();
  options.workers_count = 2;
  CoreRig rig(options);
  const auto channel = rig.open_channel(0);
  auto speaker = rig.join(1, channel);
  rig.command(SetChannelWorkers{channel, ~WorkerMask{0}});
  rig.speak(speaker);
  CHECK(rig.core.counters()[Counter::forwards_offered] == 1);
}

TEST_CASE("an address is tracked for the slot's present life") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  const auto keep_alive = [&](const Endpoint& from) {
    rig.now = rig.now + seconds(1);
    rig.feed(from, std::vector<std::uint8_t>(8, 0));
  };
  const auto stamp = [&](std::size_t slot) { return get(rig.slot_stats[slot].keep_alive_ns); };
  rig.command(TrackAddress{a.slot, a.address});
  keep_alive(a.address);
  CHECK(stamp(1) == static_cast<std::uint64_t>(rig.now.ns));
  // Forgetting an earlier life comes too late to concern this one.
  SlotRef earlier = a.slot;
  --earlier.generation.value;
  rig.command(TrackAddress{earlier, {}});
  keep_alive(a.address);
  CHECK(stamp(1) == static_cast<std::uint64_t>(rig.now.ns));
  // Two slots at one address: the last one has it, and forgetting the first changes nothing.
  rig.command(TrackAddress{b.slot, a.address});
  rig.command(TrackAddress{a.slot, {}});
  keep_alive(a.address);
  CHECK(stamp(1) < static_cast<std::uint64_t>(rig.now.ns));
  CHECK(stamp(2) == static_cast<std::uint64_t>(rig.now.ns));
  rig.command(TrackAddress{b.slot, b.address});
  keep_alive(a.address);
  CHECK(stamp(2) < static_cast<std::uint64_t>(rig.now.ns));
  keep_alive(b.address);
  CHECK(stamp(2) == static_cast<std::uint64_t>(rig.now.ns));
}

TEST_CASE("a key that is installed already keeps its counters; another one stops sending") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto speaker = rig.join(1, channel);
  auto listener = rig.join(2, channel);
  const auto counter = [&] {
    const auto sent = rig.speak(speaker);
    REQUIRE(sent.size() == 1);
    return listener.client->open(sent[0].bytes).value().counter;
  };
  const auto first = counter();
  const auto old = listener.client->seal(1, 1, std::vector<std::uint8_t>{1, 2, 3});
  CHECK(rig.feed(listener.address, old).size() == 1);
  InstallKey again{listener.slot, crypto::AeadMode::xchacha20_poly1305_rtpsize,
                   test_key(listener.slot.generation.value), listener.address,
                   0x12345678 & (limits::nonce_space - 1)};
  rig.command(again);
  CHECK(counter() != first);
  CHECK(rig.feed(listener.address, old).empty());
  CHECK(rig.drops(DropReason::replayed) == 1);
  again.key = test_key(4'711);
  rig.command(again);
  CHECK(rig.speak(speaker).empty());
  rig.command(StartSending{listener.slot});
  const auto sent = rig.speak(speaker);
  REQUIRE(sent.size() == 1);
  CHECK_FALSE(listener.client->open(sent[0].bytes).has_value());
}
