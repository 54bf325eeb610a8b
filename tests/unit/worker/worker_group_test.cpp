#include "relay/worker/worker_group.h"

#include <doctest/doctest.h>
#include <sched.h>

#include "relay/wire/discovery.h"
#include "tests/support/allocation_count.h"
#include "tests/unit/worker/worker_rig.h"

using namespace earshot;
using namespace earshot::test;

TEST_CASE("packets cross one worker between real sockets, IPv4 and IPv6") {
  WorkerRig rig(1);
  const ChannelRef channel{{0}, {1}};
  rig.send(0, OpenChannel{channel});
  Party a = rig.join(0, 1, channel, rig.relay_v4);
  Party b = rig.join(0, 2, channel, rig.relay_v6);
  for (std::uint16_t i = 0; i < 50; ++i) {
    a.socket->send(a.media->seal(i, 960u * i, silence));
    const auto heard = b.media->open(b.socket->receive());
    REQUIRE(heard.has_value());
    CHECK(heard->ssrc == a.slot.ssrc);
    CHECK(heard->sequence == i);
    b.socket->send(b.media->seal(i, 960u * i, silence));
    CHECK(a.media->open(a.socket->receive()).has_value());
  }
  std::array<std::uint8_t, wire::discovery_size> request;
  wire::write_discovery_request(request, a.slot.ssrc);
  a.socket->send({request.begin(), request.end()});
  const auto reply = wire::parse_discovery_reply(a.socket->receive());
  REQUIRE(reply.has_value());
  CHECK(reply->seen == a.socket->address());
  const Counters c = rig.settled();
  check_conservation(c);
  CHECK(c[Counter::accepted] == 100);
  CHECK(rig.wakes > 0);
  CHECK(get(rig.group->stats(a.slot.ssrc).packets_received) == 50);
}

TEST_CASE("a channel that spans two workers is one channel") {
  WorkerRig rig(2);
  const ChannelRef channel{{0}, {1}};
  rig.send_all(OpenChannel{channel});
  rig.send_all(SetChannelWorkers{channel, 0b11});
  std::vector<Party> parties;
  for (std::uint16_t i = 0; i < 6; ++i) {
    parties.push_back(rig.join(static_cast<std::uint8_t>(i % 2), i, channel,
                               i < 3 ? rig.relay_v4 : rig.relay_v6));
  }
  for (std::uint16_t round = 0; round < 20; ++round) {
    for (Party& speaker : parties) {
      speaker.socket->send(speaker.media->seal(round, 960u * round, silence));
      for (Party& listener : parties) {
        if (&listener == &speaker) continue;
        const auto heard = listener.media->open(listener.socket->receive());
        REQUIRE(heard.has_value());
        CHECK(heard->ssrc == speaker.slot.ssrc);
        CHECK(heard->sequence == round);
      }
    }
  }
  const Counters c = rig.settled();
  check_conservation(c);
  CHECK(c[Counter::accepted] == 120);
  CHECK(c[Counter::forwards_taken] == 120);
  // The kernel steers by SSRC: nothing needed to be handed over.
  CHECK(c[Counter::handed_over] == 0);
  for (Party& p : parties) CHECK(p.socket->receive(0).empty());

  // A leave on the home worker, then on the other, leaves no straggler.
  rig.send(0, CloseSlot{parties[0].slot});
  rig.send(1, CloseSlot{parties[0].slot});
  parties[0].socket->send(parties[0].media->seal(99, 0, silence));
  CHECK(parties[1].socket->receive(100).empty());
}

TEST_CASE("commands beyond the credit wait in order and are all executed") {
  WorkerRig rig(1);
  const ChannelRef channel{{0}, {1}};
  std::uint64_t last = rig.group->send({0}, OpenChannel{channel});
  for (int i = 0; i < 5'000; ++i) last = rig.group->send({0}, SetChannelWorkers{channel, 1});
  last = rig.group->send({0}, CloseChannel{channel});
  CHECK(last == 5'002);
  WorkerRig::wait([&] {
    rig.group->flush();
    return rig.group->completed({0}) == last;
  });
}

TEST_CASE("an address that ICMP calls unreachable gets nothing until it is heard of") {
  for (const std::size_t workers : {1, 2}) {
    WorkerRig rig(workers);
    const ChannelRef channel{{0}, {1}};
    rig.send_all(OpenChannel{channel});
    rig.send_all(SetChannelWorkers{channel, workers == 2 ? 3u : 1u});
    Party a = rig.join(0, 1, channel, rig.relay_v4);
    const auto last = static_cast<std::uint8_t>(workers - 1);
    Party b = rig.join(last, 2, channel, rig.relay_v4);
    Party c = rig.join(last, 3, channel, rig.relay_v4);
    rig.send(0, TrackAddress{b.slot, b.socket->address()});
    b.socket.reset();
    std::uint16_t sequence = 0;
    const auto speak = [&] {
      a.socket->send(a.media->seal(sequence, 960u * sequence, silence));
      ++sequence;
    };
    WorkerRig::wait([&] {
      speak();
      return get(rig.group->stats(b.slot.ssrc).unreachable_ns) != 0;
    });
    rig.settled();
    const std::uint64_t before = get(rig.group->stats(b.slot.ssrc).packets_sent);
    while (!c.socket->receive(0).empty()) continue;
    // Everyone else goes on hearing and being heard.
    for (int i = 0; i < 20; ++i) {
      speak();
      CHECK(c.media->open(c.socket->receive()).has_value());
      c.socket->send(c.media->seal(static_cast<std::uint16_t>(i),
                                   960u * static_cast<std::uint32_t>(i), silence));
      CHECK(a.media->open(a.socket->receive()).has_value());
    }
    check_conservation(rig.settled());
    CHECK(get(rig.group->stats(b.slot.ssrc).packets_sent) == before);
  }
}

TEST_CASE("after a settled mute, deafen or leave nothing comes, whatever is under way") {
  WorkerRig rig(2);
  const ChannelRef channel{{0}, {1}};
  rig.send_all(OpenChannel{channel});
  rig.send_all(SetChannelWorkers{channel, 0b11});
  for (std::uint16_t round = 0; round < 12; ++round) {
    Party speaker = rig.join(0, round, channel, rig.relay_v4);
    Party near = rig.join(0, static_cast<std::uint16_t>(20 + round), channel, rig.relay_v4);
    Party far = rig.join(1, round, channel, rig.relay_v4);
    std::atomic<bool> is_speaking{true};
    std::thread talk([&] {
      for (std::uint16_t i = 0; is_speaking; ++i) {
        speaker.socket->send(speaker.media->seal(i, 960u * i, silence));
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    for (Party* listener : {&near, &far}) CHECK_FALSE(listener->socket->receive().empty());
    switch (round % 3) {
      case 0:
        rig.send(0, SetMuted{speaker.slot, true});
        rig.send(1, Fence{});
        break;
      case 1:
        rig.send(0, SetDeafened{near.slot, true});
        rig.send(1, SetDeafened{far.slot, true});
        break;
      case 2:
        rig.send(0, CloseSlot{speaker.slot});
        rig.send(1, CloseSlot{speaker.slot});
        break;
    }
    // What the kernel had taken before.
    for (Party* listener : {&near, &far}) {
      while (!listener->socket->receive(0).empty()) continue;
    }
    for (Party* listener : {&near, &far}) CHECK(listener->socket->receive(20).empty());
    is_speaking = false;
    talk.join();
    if (round % 3 != 2) {
      rig.send(0, CloseSlot{speaker.slot});
      rig.send(1, CloseSlot{speaker.slot});
    }
    for (const Party* listener : {&near, &far}) {
      rig.send(0, CloseSlot{listener->slot});
      rig.send(1, CloseSlot{listener->slot});
    }
  }
  check_conservation(rig.settled());
}

TEST_CASE("events reach the controller") {
  WorkerRig rig(1);
  const ChannelRef channel{{0}, {1}};
  rig.send(0, OpenChannel{channel});
  Party a = rig.join(0, 1, channel, rig.relay_v4);
  Event event;
  WorkerRig::wait([&] { return rig.group->poll_event(event); });
  CHECK(event.kind == EventKind::address_changed);
  CHECK(event.slot == a.slot);
  CHECK(event.remote == a.socket->address());
}

TEST_CASE("no event is lost when the controller is slow") {
  constexpr std::uint16_t slots = 1'300;
  static_assert(slots > limits::event_inbox_credit);
  WorkerRig rig(1, slots);
  // Half of them in each channel: no channel holds more than it may.
  const ChannelRef channels[] = {{{0}, {1}}, {{1}, {1}}};
  for (const ChannelRef& channel : channels) rig.group->send({0}, OpenChannel{channel});
  const auto mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  std::uint64_t last = 0;
  for (std::uint16_t i = 0; i < slots; ++i) {
    const SlotRef slot{make_ssrc({0}, {0}, {i}), {1}};
    const Endpoint declared = client_address(i);
    rig.group->send({0}, OpenSlot{slot, channels[i % 2], {}, false, false, declared.ip});
    last = rig.group->send({0}, InstallKey{slot, mode, test_key(i), declared, 5});
  }
  WorkerRig::wait([&] {
    rig.group->flush();
    return rig.group->completed({0}) == last;
  });
  std::vector<bool> has_come(slots);
  std::size_t count = 0;
  WorkerRig::wait([&] {
    Event event;
    while (rig.group->poll_event(event)) {
      CHECK(event.remote == client_address(event.slot.ssrc.slot().value));
      CHECK_FALSE(has_come[event.slot.ssrc.slot().value]);
      has_come[event.slot.ssrc.slot().value] = true;
      ++count;
    }
    return count == slots;
  });
}

TEST_CASE("a group stops while traffic flows and commands wait") {
  for (int round = 0; round < 3; ++round) {
    WorkerRig rig(3);
    const ChannelRef channel{{0}, {1}};
    rig.send_all(OpenChannel{channel});
    rig.send_all(SetChannelWorkers{channel, 0b111});
    std::vector<Party> parties;
    for (std::uint16_t i = 0; i < 6; ++i)
      parties.push_back(rig.join(static_cast<std::uint8_t>(i % 3), i, channel, rig.relay_v4));
    std::atomic<bool> is_speaking{true};
    std::thread talk([&] {
      for (std::uint16_t i = 0; is_speaking; ++i) {
        for (Party& p : parties) p.socket->send(p.media->seal(i, 960u * i, silence));
      }
    });
    CHECK_FALSE(parties[0].socket->receive().empty());
    for (int i = 0; i < 5'000; ++i)
      rig.group->send({static_cast<std::uint8_t>(i % 3)}, SetMuted{parties[0].slot, i % 2 == 0});
    rig.group->stop();
    rig.group->stop();
    is_speaking = false;
    talk.join();
  }
}

TEST_CASE("more workers than cores are not pinned, and work") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (std::size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i) {
    if (CPU_ISSET(i, &before)) CPU_SET(i, &one);
  }
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  {
    WorkerRig rig(3);
    const ChannelRef channel{{0}, {1}};
    rig.send_all(OpenChannel{channel});
    rig.send_all(SetChannelWorkers{channel, 0b111});
    Party a = rig.join(0, 1, channel, rig.relay_v4);
    Party b = rig.join(2, 2, channel, rig.relay_v4);
    a.socket->send(a.media->seal(1, 1, silence));
    CHECK(b.media->open(b.socket->receive()).has_value());
  }
  REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
}

TEST_CASE("a port in use is one sentence") {
  WorkerRig rig(2);
  WorkerGroupOptions o;
  o.listen = {IpAddress{}, rig.group->bound().port};
  o.wake_controller = [] {};
  const auto second = WorkerGroup::create(o);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().text == "UDP address [::]:" + std::to_string(o.listen.port) + ": is in use");
}

TEST_CASE("the packet path allocates nothing after start") {
  WorkerRig rig(2);
  const ChannelRef channel{{0}, {1}};
  rig.send_all(OpenChannel{channel});
  rig.send_all(SetChannelWorkers{channel, 0b11});
  Party a = rig.join(0, 1, channel, rig.relay_v4);
  Party b = rig.join(1, 2, channel, rig.relay_v4);
  std::vector<std::vector<std::uint8_t>> datagrams;
  for (std::uint16_t i = 0; i < 300; ++i) datagrams.push_back(a.media->seal(i, 960u * i, silence));
  begin_counting_allocations();
  std::size_t heard = 0;
  for (const auto& d : datagrams) {
    a.socket->send(d);
    heard += b.socket->receive().empty() ? 0u : 1u;
  }
  CHECK(end_counting_allocations() == 0);
  CHECK(heard == 300);
}
