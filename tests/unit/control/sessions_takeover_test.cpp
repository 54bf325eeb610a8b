// One session of one user in one server; and for how long a token identifies again.
#include <doctest/doctest.h>

#include "tests/support/media_party.h"

using namespace earshot;
using namespace earshot::test;
using Json = nlohmann::json;

namespace {

// The token's time has long passed.
void expire_tokens(ControlRig& rig) {
  rig.unix_now += 100'000;
}

bool may_identify(ControlRig& rig, const Person& who) {
  GatewayClient& client = rig.connect(who);
  client.identify();
  rig.settle();
  const bool is_in = client.count(2) == 1;
  CHECK((is_in || client.close_code == 4004));
  return is_in;
}

}  // namespace

TEST_CASE("a second Identify takes over: 4014, op 13 before op 5, another SSRC and key") {
  for (const int version : {4, 8}) {
    CAPTURE(version);
    ControlRig rig;
    GatewayClient& witness = rig.join(rig.person("w"), version);
    GatewayClient& old = rig.join(rig.person("a"));
    witness.take();
    GatewayClient& next = rig.join(old.person);
    CHECK(old.close_code == 4014);
    CHECK(old.is_over());
    CHECK(next.is_open());
    CHECK(next.ssrc() != old.ssrc());
    CHECK(next.key() != old.key());
    CHECK(witness.take_opcodes() == std::vector{13, version == 8 ? 11 : 12, 5});
    CHECK(witness.last(5)["d"]["ssrc"] == next.ssrc());
    CHECK(rig.sessions.sessions_count() == 2);
    CHECK(rig.membership.participants_count() == 2);
    CHECK(rig.sessions.counters().taken_over == 1);
  }
}

TEST_CASE(
    "a take-over in another channel of the server leaves the first; another server does not") {
  ControlRig rig;
  GatewayClient& witness = rig.join(rig.person("w", "100"));
  GatewayClient& first = rig.join(rig.person("a", "100"));
  GatewayClient& elsewhere = rig.join(rig.person("a", "100", "2"));
  GatewayClient& second = rig.join(rig.person("a", "200"));
  CHECK(first.close_code == 4014);
  CHECK(elsewhere.is_open());
  CHECK(second.is_open());
  CHECK(witness.last(13)["d"]["user_id"] == "a");
  CHECK(rig.membership.channels_count() == 3);
}

TEST_CASE("a take-over reaches a session in every phase, and one that waits to be resumed") {
  struct Row {
    const char* what;
    std::function<void(ControlRig&, GatewayClient&)> reach;
    bool is_connected = true;
  };
  const Row rows[] = {
      {"the slot is being opened", [](ControlRig&, GatewayClient& c) { c.identify(); }},
      {"ready",
       [](ControlRig& rig, GatewayClient& c) {
         c.identify();
         rig.settle();
       }},
      {"the key is on its way",
       [](ControlRig& rig, GatewayClient& c) {
         c.identify();
         rig.settle();
         c.select();
       }},
      {"op 4 is sent, not delivered",
       [](ControlRig& rig, GatewayClient& c) {
         c.set_acknowledging(false);
         c.identify();
         rig.settle();
         c.select();
         rig.settle();
       }},
      {"waits to be resumed",
       [](ControlRig& rig, GatewayClient& c) {
         c.identify();
         rig.settle();
         c.select();
         rig.settle();
         rig.deliver_description();
         c.cut();
       },
       false},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    ControlRig rig;
    GatewayClient& old = rig.connect(rig.person("a"));
    row.reach(rig, old);
    GatewayClient& next = rig.join(old.person);
    CHECK(next.is_open());
    CHECK(next.take_opcodes() == std::vector{8, 2, 4});
    CHECK(old.close_code == (row.is_connected ? std::optional<std::uint16_t>(4014) : std::nullopt));
    CHECK(rig.sessions.sessions_count() == 1);
    CHECK(rig.membership.participants_count() == 1);
  }
}

TEST_CASE("many take-overs at once: the last one stays, and nothing is left of the others") {
  ControlRig rig;
  GatewayClient& witness = rig.join(rig.person("w"));
  const Person person = rig.person("a");
  rig.join(person);
  std::vector<GatewayClient*> rivals;
  for (int i = 0; i < 20; ++i) {
    rivals.push_back(&rig.connect(person));
    rivals.back()->identify();
    if (i % 7 == 6) rivals.back()->cut();
  }
  rig.settle();
  for (std::size_t i = 0; i + 1 < rivals.size(); ++i) {
    CHECK_FALSE(rivals[i]->is_open());
    CHECK(rivals[i]->count(2) == 0);
  }
  CHECK(rivals.back()->count(2) == 1);
  CHECK(rig.membership.participants_count() == 2);
  CHECK(witness.count(13) == 1);
}

TEST_CASE("on a full node the last of many take-overs still gets the place of the first") {
  ControlRigOptions options;
  options.sessions_per_worker_max = 2;  // one place: slot 0 is nobody's
  ControlRig rig(options);
  const Person person = rig.person("a");
  GatewayClient& first = rig.join(person);
  GatewayClient& second = rig.connect(person);
  second.identify();
  GatewayClient& third = rig.connect(person);
  third.identify();
  rig.settle();
  CHECK(first.close_code == 4014);
  CHECK(second.close_code == 4014);
  CHECK(third.is_open());
  CHECK(third.count(2) == 1);
  // Left, and back before the workers have let go of the slot.
  third.leave();
  GatewayClient& fourth = rig.connect(person);
  fourth.identify();
  rig.settle();
  CHECK(fourth.count(2) == 1);
}

TEST_CASE("a live session's token identifies again after its time, a stranger's does not") {
  ControlRig rig;
  const Person a = rig.person("a");
  Person renewed = a;
  rig.renew(renewed);
  GatewayClient& client = rig.join(a);
  expire_tokens(rig);
  CHECK_FALSE(may_identify(rig, renewed));
  Person stranger = rig.person("b");
  expire_tokens(rig);
  CHECK_FALSE(may_identify(rig, stranger));
  CHECK(client.is_open());
  CHECK(may_identify(rig, a));
  CHECK(client.close_code == 4014);
}

TEST_CASE("a resumable session's token identifies again after its time, until the session ends") {
  ControlRig rig;
  GatewayClient& client = rig.join(rig.person("a"));
  expire_tokens(rig);
  client.cut();
  rig.advance(milliseconds(59'750));
  SUBCASE("before") {
    CHECK(may_identify(rig, client.person));
  }
  SUBCASE("after") {
    rig.advance(milliseconds(250));
    CHECK(rig.sessions.sessions_count() == 0);
    CHECK_FALSE(may_identify(rig, client.person));
  }
}

TEST_CASE("a connection lost during the join: the token identifies again for 60 s") {
  constexpr std::uint16_t codes[] = {1001, 1005, 1006};
  for (const std::uint16_t code : codes) {
    for (const bool is_selected : {false, true}) {
      for (const bool is_in_time : {false, true}) {
        ControlRig rig;
        GatewayClient& client = rig.identify(rig.person("a"));
        if (is_selected) client.select();
        expire_tokens(rig);
        client.leave(code);
        CHECK(rig.sessions.sessions_count() == 0);
        rig.advance(is_in_time ? milliseconds(59'999) : seconds(60));
        CHECK(may_identify(rig, client.person) == is_in_time);
      }
    }
  }
}

TEST_CASE("after 4009 the token identifies again for 60 s") {
  for (const bool is_in_time : {false, true}) {
    ControlRig rig;
    GatewayClient& client = rig.join(rig.person("a"));
    expire_tokens(rig);
    rig.sessions.on_event({EventKind::fresh_key_needed, {Ssrc{client.ssrc()}, {1}}, {}});
    REQUIRE(client.close_code == 4009);
    rig.advance(is_in_time ? milliseconds(59'999) : seconds(60));
    CHECK(may_identify(rig, client.person) == is_in_time);
  }
}

TEST_CASE("who left, or was refused, has no claim to come back on an expired token") {
  ControlRig rig;
  SUBCASE("left") {
    rig.join(rig.person("a")).leave();
  }
  SUBCASE("left during the join") {
    rig.identify(rig.person("a")).leave();
  }
  SUBCASE("broke the rules") {
    rig.join(rig.person("a")).send_text("{");
  }
  rig.settle();
  expire_tokens(rig);
  CHECK_FALSE(may_identify(rig, rig.clients[0]->person));
}

TEST_CASE("4009 for a fresh key: the same token identifies again, and hears and speaks again") {
  ControlRig rig;
  MediaParty a(rig, rig.person("a"));
  MediaParty b(rig, rig.person("b"));
  rig.deliver_description();
  b.speak();
  const auto heard = a.hear();
  REQUIRE(heard.has_value());
  expire_tokens(rig);
  // A client that uses a counter of the relay's: (key, nonce) has met.
  std::uint32_t used = 0;
  for (const std::uint8_t byte : heard->counter) used = used << 8 | byte;
  a.media->set_next_counter(used);
  a.speak();
  rig.workers.wait_until([&] { return a.gateway->close_code.has_value(); });
  CHECK(a.gateway->close_code == 4009);
  CHECK(rig.sessions.counters().fresh_keys == 1);
  rig.settle();
  CHECK(b.gateway->last(13)["d"]["user_id"] == "a");
  // There is nothing to resume any more.
  GatewayClient& resumed = rig.connect(a.gateway->person);
  resumed.resume(a.gateway->last_seq());
  CHECK(resumed.close_code == 4006);

  MediaParty again(rig, a.gateway->person);
  rig.deliver_description();
  REQUIRE(again.gateway->is_open());
  CHECK(again.gateway->key() != a.gateway->key());
  again.speak();
  CHECK(b.hear()->ssrc == again.media->ssrc());
  b.speak();
  CHECK(again.hear().has_value());
}

TEST_CASE("a fresh key can be needed while nobody is connected") {
  ControlRig rig;
  GatewayClient& a = rig.join(rig.person("a"));
  a.cut();
  const SlotRef slot{Ssrc{a.ssrc()}, {1}};
  REQUIRE(rig.membership.find(slot).has_value());
  rig.sessions.on_event({EventKind::fresh_key_needed, slot, {}});
  rig.settle();
  CHECK(rig.sessions.sessions_count() == 0);
  // Another life's event concerns nobody.
  rig.join(rig.person("b"));
  rig.sessions.on_event({EventKind::fresh_key_needed, slot, {}});
  CHECK(rig.sessions.sessions_count() == 1);
  expire_tokens(rig);
  CHECK(may_identify(rig, a.person));
}
