// What signalling does to media: mute, deafen, addresses, silent listeners.
#include <doctest/doctest.h>

#include "tests/support/media_party.h"

using namespace earshot;
using namespace earshot::test;
using Json = nlohmann::json;

namespace {

const control::ChannelKey channel{"1", "100"};

void set_muted(ControlRig& rig, const std::string& user, bool is_muted) {
  bool is_done = false;
  REQUIRE(rig.sessions.restrain(channel, user, {is_muted, {}}, [&] { is_done = true; }));
  rig.workers.wait_until([&] { return is_done; });
}

void set_deafened(ControlRig& rig, const std::string& user, bool is_deafened) {
  bool is_done = false;
  REQUIRE(rig.sessions.restrain(channel, user, {{}, is_deafened}, [&] { is_done = true; }));
  rig.workers.wait_until([&] { return is_done; });
}

// Which of `count` packets are Opus silence.
std::vector<bool> silences(MediaParty& listener, int count) {
  std::vector<bool> list;
  for (int i = 0; i < count; ++i) {
    const auto packet = listener.hear();
    REQUIRE(packet.has_value());
    list.push_back(packet->frame == std::vector<std::uint8_t>{0xF8, 0xFF, 0xFE});
  }
  return list;
}

}  // namespace

TEST_CASE("after the answer to a mute nothing comes; five silence frames come before it") {
  for (const std::size_t workers : {1, 2}) {
    CAPTURE(workers);
    ControlRigOptions options;
    options.workers = workers;
    options.channel_participants_per_worker_max = workers == 2 ? 1 : 64;
    ControlRig rig(options);
    MediaParty a(rig, rig.person("a"));
    MediaParty b(rig, rig.person("b"));
    rig.deliver_description();
    REQUIRE((a.media->ssrc().worker() != b.media->ssrc().worker()) == (workers == 2));
    a.speak();
    CHECK(silences(b, 1) == std::vector{false});
    set_muted(rig, "a", true);
    // All of it is in the socket when the answer comes.
    for (int i = 0; i < 5; ++i) {
      const auto packet = b.hear(0);
      REQUIRE(packet.has_value());
      CHECK(packet->sequence == 101 + i);
      CHECK(packet->frame == std::vector<std::uint8_t>{0xF8, 0xFF, 0xFE});
    }
    for (int i = 0; i < 10; ++i) a.speak();
    b.speak();
    CHECK(a.hear().has_value());
    CHECK(b.is_silent());
    set_muted(rig, "a", false);
    a.speak();
    CHECK(silences(b, 1) == std::vector{false});
  }
}

TEST_CASE("after the answer to a deafen nothing reaches it, and it is still heard") {
  ControlRig rig;
  MediaParty a(rig, rig.person("a"));
  MediaParty b(rig, rig.person("b"));
  MediaParty c(rig, rig.person("c"));
  rig.deliver_description();
  set_deafened(rig, "b", true);
  a.speak();
  CHECK(c.hear().has_value());
  CHECK(b.is_silent());
  b.speak();
  CHECK(a.hear().has_value());
  CHECK(c.hear().has_value());
  set_deafened(rig, "b", false);
  a.speak();
  CHECK(b.hear().has_value());
}

TEST_CASE("mute and deafen stick across resume and a new Identify, until they are lifted") {
  ControlRig rig;
  MediaParty a(rig, rig.person("a"));
  MediaParty b(rig, rig.person("b"));
  rig.deliver_description();
  set_muted(rig, "a", true);
  set_deafened(rig, "a", true);
  const auto is_restrained = [&](MediaParty& party) {
    party.speak();
    b.speak();
    MediaParty witness(rig, rig.person("w"));
    rig.deliver_description();
    party.speak();
    b.speak();
    const bool is_heard = b.hear(0).has_value();
    REQUIRE(witness.hear().has_value());
    witness.gateway->leave();
    rig.settle();
    return !is_heard && party.is_silent();
  };
  SUBCASE("a resume") {
    a.gateway->cut();
    a.use(rig.resume(*a.gateway));
    CHECK(is_restrained(a));
  }
  SUBCASE("a take-over") {
    MediaParty again(rig, a.gateway->person);
    rig.deliver_description();
    CHECK(is_restrained(again));
    set_muted(rig, "a", false);
    again.speak();
    CHECK(b.hear().has_value());
    set_deafened(rig, "a", false);
    b.speak();
    CHECK(again.hear().has_value());
  }
  SUBCASE("gone, and back") {
    a.gateway->leave();
    rig.settle();
    MediaParty again(rig, rig.person("a"));
    rig.deliver_description();
    CHECK(is_restrained(again));
  }
  SUBCASE("another channel is another matter") {
    MediaParty elsewhere(rig, rig.person("a", "200"));
    MediaParty there(rig, rig.person("x", "200"));
    rig.deliver_description();
    elsewhere.speak();
    CHECK(there.hear().has_value());
    there.speak();
    CHECK(elsewhere.hear().has_value());
  }
}

TEST_CASE("a mute before the session, or during its join, is there from the first packet on") {
  ControlRig rig;
  MediaParty b(rig, rig.person("b"));
  int done = 0;
  const auto mute = [&] {
    CHECK(rig.sessions.restrain(channel, "a", {true, {}}, [&] { ++done; }));
  };
  SUBCASE("before") {
    mute();
    CHECK(done == 1);  // nobody to wait for
  }
  SUBCASE("while the slot is being opened") {
    rig.connect(rig.person("a")).identify();
    mute();
  }
  SUBCASE("while a take-over waits for the old slot") {
    rig.join(rig.person("a"));
    rig.connect(rig.person("a")).identify();
    mute();
  }
  rig.settle();
  CHECK(done == 1);
  MediaParty a(rig, rig.person("a"));
  rig.deliver_description();
  a.speak();
  b.speak();
  CHECK(a.hear().has_value());
  CHECK(b.is_silent());
}

TEST_CASE("a mute is answered when the slots that the user has just left are silent too") {
  ControlRig rig;
  rig.join(rig.person("a"));
  bool is_done = false;
  SUBCASE("left") {
    rig.clients[0]->leave();
  }
  SUBCASE("taken over") {
    rig.connect(rig.person("a")).identify();
  }
  SUBCASE("moved to another channel") {
    rig.connect(rig.person("a", "200")).identify();
  }
  REQUIRE(rig.sessions.restrain(channel, "a", {true, {}}, [&] { is_done = true; }));
  CHECK_FALSE(is_done);
  rig.settle();
  CHECK(is_done);
}

TEST_CASE("a mute sends no op 5, and who is muted is not shown as speaking") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  GatewayClient& b = rig.join(rig.person("b"));
  a.speak(1);
  b.take();
  set_muted(rig, "a", true);
  CHECK(b.take().empty());
  a.speak(0);
  CHECK(b.take()[0]["d"]["speaking"] == 0);
  a.speak(1);
  a.speak(5);
  CHECK(b.take().empty());
  GatewayClient& late = rig.join(rig.person("late"));
  CHECK(late.count(5) == 2);
  for (const Json& message : late.received()) {
    if (message["op"] == 5) CHECK(message["d"]["speaking"] == 0);
  }
  b.take();
  set_muted(rig, "a", false);
  a.speak(1);
  CHECK(b.take()[0]["d"]["speaking"] == 1);
}

TEST_CASE("a listener whose keep-alives stop is closed with 4009, at most once a minute") {
  ControlRig rig;
  rig.are_heartbeats_sent = true;
  GatewayClient& first = rig.join(rig.person("a"));
  const auto keep_alive = [&](const GatewayClient& client) {
    set(rig.workers.group->stats(Ssrc{client.ssrc()}).keep_alive_ns,
        static_cast<std::uint64_t>(rig.now.ns));
  };
  keep_alive(first);
  rig.advance(milliseconds(14'750));
  CHECK(first.is_open());
  rig.advance(seconds(20));
  CHECK(first.close_code == 4009);
  CHECK(rig.sessions.counters().mappings_lost == 1);
  CHECK(rig.membership.participants_count() == 0);

  // It comes back, and that goes wrong again.
  rig.unix_now += 100'000;
  GatewayClient& second = rig.join(first.person);
  REQUIRE(second.is_open());
  keep_alive(second);
  rig.advance(seconds(24));
  CHECK(second.is_open());
  rig.advance(seconds(60));
  CHECK(second.close_code == 4009);
  CHECK(rig.sessions.counters().mappings_lost == 2);
}

TEST_CASE("keep-alives of the present address count, whatever worker the slot is on") {
  ControlRigOptions options;
  options.workers = 2;
  options.channel_participants_per_worker_max = 1;
  ControlRig rig(options);
  MediaParty a(rig, rig.person("a"));
  MediaParty b(rig, rig.person("b"));
  rig.deliver_description();
  const auto stamp = [&](const MediaParty& party) {
    return get(rig.workers.group->stats(party.media->ssrc()).keep_alive_ns);
  };
  for (MediaParty* party : {&a, &b}) {
    CHECK(stamp(*party) == 0);
    rig.workers.wait_until([&] {
      party->socket.send({1, 0, 0, 0, 0, 0, 0, 0});
      return stamp(*party) != 0;
    });
  }
  // A session that has ended is not tracked: its keep-alives are nobody's.
  const Ssrc ssrc = a.media->ssrc();
  a.gateway->leave();
  rig.settle();
  const std::uint64_t before = get(rig.workers.group->stats(ssrc).keep_alive_ns);
  const std::uint64_t of_b = stamp(b);
  a.socket.send({2, 0, 0, 0, 0, 0, 0, 0});
  rig.workers.wait_until([&] {
    b.socket.send({3, 0, 0, 0, 0, 0, 0, 0});
    return stamp(b) > of_b;
  });
  CHECK(get(rig.workers.group->stats(ssrc).keep_alive_ns) == before);
}

TEST_CASE("the declared address is believed if it is the signalling peer's, also after a resume") {
  ControlRig rig;
  MediaParty speaker(rig, rig.person("speaker"));
  rig.deliver_description();
  const IpAddress elsewhere = make_v4(192, 0, 2, 7);
  // Signalling comes from elsewhere, so nothing is sent to the address that was declared.
  GatewayClient& client = rig.connect(rig.person("a"), 8, elsewhere);
  client.identify();
  rig.settle();
  ClientSocket socket(rig.workers.group->bound());
  client.select("aead_xchacha20_poly1305_rtpsize", socket.address());
  rig.settle();
  rig.deliver_description();
  speaker.speak();
  const SlotStats& stats = rig.workers.group->stats(Ssrc{client.ssrc()});
  CHECK(get(stats.packets_sent) == 0);
  // Resumed from that very address, and selected again.
  client.cut();
  GatewayClient& again = rig.resume(client);
  again.select("aead_xchacha20_poly1305_rtpsize", socket.address());
  rig.settle();
  speaker.speak();
  CHECK_FALSE(socket.receive().empty());
}
