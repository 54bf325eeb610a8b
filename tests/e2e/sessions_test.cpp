// One user, one session: take-over, Identify anew, and what the others see of it.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/e2e/raw_client.h"

using namespace earshot;
using namespace earshot::test;

namespace {

// Opcode and user of what a witness was told about one user, in order.
std::vector<std::string> told_about(const Participant& witness, const std::string& user) {
  std::vector<std::string> found;
  for (const std::string& text : witness.messages) {
    const Json message = Json::parse(text);
    const Json& data = message["d"];
    const bool is_about = data.is_object() && data.contains("user_id") && data["user_id"] == user;
    if (is_about) found.push_back(std::to_string(message["op"].get<int>()));
  }
  return found;
}

}  // namespace

TEST_CASE("a second session of the same user takes over, whatever its channel") {
  World world;
  Participant& witness = world.join("witness");
  for (const char* channel : {"channel", "elsewhere"}) {
    CAPTURE(channel);
    const std::string user = std::string("of-") + channel;
    Participant& first =
        world.join_with_token(user, world.relay.sign(user, "channel", "server", "first"));
    Participant& second =
        world.join_with_token(user, world.relay.sign(user, channel, "server", "second"));
    REQUIRE(world.run_until([&] { return first.end.has_value(); }));
    CHECK(first.end->code == 4'014);
    CHECK(first.interruptions.empty());
    CHECK_FALSE(second.end);
    CHECK(second.ssrc() != first.ssrc());
    REQUIRE(world.run_until([&] { return !witness.left.empty(); }));
    CHECK(witness.left.back() == user);
    witness.left.clear();
  }
}

TEST_CASE("the same user id in another server is somebody else") {
  World world;
  Participant& here = world.join_with_token("alice", world.relay.sign("alice", "channel", "one"));
  Participant& there = world.join_with_token("alice", world.relay.sign("alice", "channel", "two"));
  world.talk({&here, &there}, milliseconds(300));
  CHECK_FALSE(here.end);
  CHECK_FALSE(there.end);
  check_hears_nothing(here);
  check_hears_nothing(there);
}

TEST_CASE("Identify anew: another SSRC and key, and op 13 before the new op 5") {
  World world;
  Participant& eight = world.join("eight");
  Participant& four = world.join("four", "channel", [](client::VoiceClientOptions& options) {
    options.signalling.version = 4;
  });
  RawSession first(world, make_claims("alice"));
  RawSession second(world, make_claims("alice"));
  CHECK(first.gateway->close_code() == 4'014);
  CHECK(second.ssrc != first.ssrc);
  CHECK(second.key != first.key);
  second.gateway->send(5, {{"speaking", 1}, {"delay", 0}, {"ssrc", second.ssrc.value}});
  for (const Participant* witness : {&eight, &four}) {
    CAPTURE(witness->user);
    REQUIRE(world.run_until([&] {
      const auto last = witness->last_speaking("alice");
      return last && last->ssrc == second.ssrc && last->is_speaking;
    }));
    auto ops = told_about(*witness, "alice");
    // Below version 8 op 12 tells of her as well.
    std::erase(ops, "12");
    CHECK(ops == std::vector<std::string>{"5", "13", "5", "5"});
  }
  // The old key and SSRC are worth nothing any more.
  for (int i = 0; i < 10; ++i) first.speak();
  second.speak();
  REQUIRE(world.run_until([&] { return eight.received_from(second.ssrc) == 1; }));
  world.settle();
  CHECK(eight.received_from(first.ssrc) == 0);
}

TEST_CASE("two clients that fight over one user do not end in a loop") {
  World world;
  Participant& first =
      world.join_with_token("alice", world.relay.sign("alice", "channel", "server", "first"));
  Participant& second =
      world.join_with_token("alice", world.relay.sign("alice", "channel", "server", "second"));
  REQUIRE(world.run_until([&] { return first.end.has_value(); }));
  world.run_for(seconds(1));
  CHECK_FALSE(second.end);
  CHECK(second.interruptions.empty());
}

TEST_CASE("many come and go at once, and all who stay hear each other") {
  World world;
  std::vector<Participant*> stay;
  for (int round = 0; round < 4; ++round) {
    std::vector<Participant*> guests;
    for (int i = 0; i < 6; ++i) {
      const std::string user = "u" + std::to_string(round) + "-" + std::to_string(i);
      guests.push_back(&world.start(user, "channel", counting()));
    }
    REQUIRE(world.run_until([&] {
      return std::all_of(guests.begin(), guests.end(), [](auto* p) { return p->joins == 1; });
    }));
    for (std::size_t i = 0; i < guests.size(); ++i) {
      if (i == 0) stay.push_back(guests[i]);
      if (i > 0 && i < 4) guests[i]->client->leave();
      if (i >= 4) world.drop(*guests[i]);
    }
  }
  world.settle();
  world.talk(stay, seconds(1));
  for (const Participant* speaker : stay) {
    for (const Participant* listener : stay) {
      if (listener == speaker) continue;
      CHECK(listener->received_from(*speaker) * 100 >= speaker->client->frames_sent() * 98);
    }
  }
}

TEST_CASE("a counter that would meet the relay's own brings a fresh key, and the call goes on") {
  World world;
  Participant& bob = world.join("bob", "channel", counting());
  // Little-endian with the top bit set: it would sweep through whatever the relay has used.
  Participant& alice = world.join("alice", "channel", [](client::VoiceClientOptions& options) {
    options.media.counter_start = 0x80000000;
    options.media.counter_order = client::CounterOrder::little_endian;
    options.hearing.decodes = false;
  });
  const Ssrc first = alice.ssrc();
  world.settle();
  world.speak(alice);
  // The byte order is known after 300 packets.
  REQUIRE(world.run_until([&] { return alice.joins == 2; }, seconds(12)));
  REQUIRE(alice.interruptions.size() == 1);
  CHECK(alice.interruptions[0].first == client::AfterClose::identify);
  CHECK(alice.interruptions[0].second.code == 4'009);
  CHECK(alice.ssrc() != first);
  CHECK(bob.received_from(first) >= 295);
  CHECK(world.run_until([&] { return bob.received_from(alice) > 20; }));
}

TEST_CASE("Select Protocol again: the same key for the same mode, a fresh one for another") {
  World world;
  Participant& bob = world.join("bob", "channel", counting());
  RawSession alice(world, make_claims("alice"));
  const Json key = alice.key;
  const auto heard = [&] {
    const auto before = bob.received_from(alice.ssrc);
    for (int i = 0; i < 5; ++i) alice.speak();
    return world.run_until([&] { return bob.received_from(alice.ssrc) == before + 5; }, seconds(2));
  };
  CHECK(heard());
  alice.gateway->select_protocol(alice.seen, alice.mode);
  CHECK(alice.gateway->next(4)["d"]["secret_key"] == key);
  CHECK(heard());
  if (!crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize)) return;
  alice.gateway->select_protocol(alice.seen, "aead_aes256_gcm_rtpsize");
  const Json fresh = alice.gateway->next(4)["d"];
  CHECK(fresh["mode"] == "aead_aes256_gcm_rtpsize");
  CHECK(fresh["secret_key"] != key);
  // What is sealed under the old one is worth nothing.
  CHECK_FALSE(heard());
  for (std::size_t i = 0; i < alice.key.size(); ++i) alice.key[i] = fresh["secret_key"][i];
  alice.media->set_key(crypto::AeadMode::aes256_gcm_rtpsize, alice.key);
  CHECK(heard());
  CHECK(bob.left.empty());
}
