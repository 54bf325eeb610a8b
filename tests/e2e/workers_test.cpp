// Several workers: channels next to each other, and one channel over all of them; and IPv6.
#include <doctest/doctest.h>

#include <map>

#include "tests/e2e/world.h"

using namespace earshot;
using namespace earshot::test;

namespace {

// All hear all, each packet exactly once.
void check_all_hear_all(const std::vector<Participant*>& all) {
  for (const Participant* speaker : all) {
    for (const Participant* listener : all) {
      CAPTURE(listener->user);
      CAPTURE(speaker->user);
      if (listener == speaker) {
        CHECK(listener->received_from(*speaker) == 0);
        continue;
      }
      const auto log = listener->packets.find(speaker->ssrc());
      REQUIRE(log != listener->packets.end());
      CHECK(log->second.repeated == 0);
      CHECK(log->second.count * 100 >= speaker->client->frames_sent() * 98);
      CHECK(log->second.count <= speaker->client->frames_sent());
    }
    CHECK(speaker->client->media_counters().unauthenticated == 0);
  }
}

}  // namespace

TEST_CASE("one channel over three workers: all hear all, once; and the channel is full at six") {
  World world({"media.workers=3", "media.channel_participants_per_worker_max=2"});
  std::vector<Participant*> all;
  std::map<int, int> per_worker;
  for (int i = 0; i < 6; ++i) {
    all.push_back(&world.join("u" + std::to_string(i), "channel", counting()));
    ++per_worker[all.back()->ssrc().worker().value];
  }
  CHECK(per_worker == std::map<int, int>{{0, 2}, {1, 2}, {2, 2}});
  world.talk(all, seconds(1));
  check_all_hear_all(all);
  Participant& seventh = world.start("seventh");
  REQUIRE(world.run_until([&] { return seventh.end.has_value(); }));
  CHECK(seventh.end->code == 4'021);
  // A place that becomes free is given again, on whatever worker it is.
  all[3]->client->leave();
  REQUIRE(world.run_until([&] { return all[0]->left.size() == 1; }));
  all[3] = &world.join("eighth", "channel", counting());
  for (Participant* p : all) p->forget_packets();
  world.settle();
  const auto before = all[0]->client->frames_sent();
  world.talk({all[0], all[3]}, milliseconds(600));
  const auto sent = all[0]->client->frames_sent() - before;
  for (std::size_t i = 1; i < all.size(); ++i) {
    CAPTURE(i);
    CHECK(all[i]->received_from(*all[0]) * 100 >= sent * 98);
    CHECK(all[i]->packets[all[0]->ssrc()].repeated == 0);
  }
  CHECK(all[4]->received_from(*all[3]) > 10);
}

TEST_CASE("channels share two workers without a word between them") {
  World world({"media.workers=2"});
  std::vector<std::vector<Participant*>> channels(4);
  std::map<int, int> per_worker;
  for (std::size_t c = 0; c < channels.size(); ++c) {
    for (int i = 0; i < 3; ++i) {
      const std::string user = "c" + std::to_string(c) + "u" + std::to_string(i);
      channels[c].push_back(&world.join(user, "channel" + std::to_string(c), counting()));
      ++per_worker[channels[c].back()->ssrc().worker().value];
    }
    // A channel that fits lives on one worker.
    CHECK(channels[c][0]->ssrc().worker() == channels[c][1]->ssrc().worker());
    CHECK(channels[c][0]->ssrc().worker() == channels[c][2]->ssrc().worker());
  }
  CHECK(per_worker.size() == 2);
  std::vector<Participant*> all;
  for (const auto& channel : channels) all.insert(all.end(), channel.begin(), channel.end());
  world.talk(all, seconds(1));
  for (const auto& channel : channels) {
    check_all_hear_all(channel);
    for (const Participant* p : channel) CHECK(p->packets.size() == 2);
  }
}

TEST_CASE("over three workers a port may change, a session be resumed and taken over") {
  World world({"media.workers=3", "media.channel_participants_per_worker_max=2"});
  std::vector<Participant*> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(&world.join("u" + std::to_string(i), "channel", counting()));
  }
  world.settle();
  for (Participant* p : all) world.speak(*p);
  world.run_for(milliseconds(300));
  REQUIRE(all[2]->client->media()->rebind());
  all[3]->client->cut();
  Participant& again = world.join("u4", "channel", counting());
  REQUIRE(world.run_until([&] { return all[3]->resumes == 1 && all[4]->end; }));
  CHECK(all[4]->end->code == 4'014);
  all[4] = &again;
  world.settle();
  world.speak(again);
  for (Participant* p : all) p->forget_packets();
  world.run_for(seconds(1));
  for (const Participant* listener : all) {
    CAPTURE(listener->user);
    CHECK(listener->packets.size() == 4);
    for (const auto& [ssrc, log] : listener->packets) {
      CHECK(log.count > 35);
      CHECK(log.repeated == 0);
      CHECK(log.gap_max < milliseconds(500));
    }
  }
}

TEST_CASE("gateway and media over IPv6, next to participants on IPv4") {
  if (!has_ipv6()) return;
  World world({"media.workers=2"});
  const IpAddress six = *IpAddress::parse("::1");
  const auto over_v6 = [&](client::VoiceClientOptions& options) {
    options.signalling.target = {"::1", world.relay.gateway().port, "/"};
    options.media_remote = Endpoint{six, world.relay.media().port};
  };
  Participant& alice = world.join("alice", "channel", over_v6);
  Participant& bob = world.join("bob");
  Participant& carol = world.join("carol", "channel", over_v6);
  CHECK(alice.client->public_endpoint().ip == six);
  world.talk({&alice, &bob, &carol}, seconds(1));
  check_hears(bob, alice, 440);
  check_hears(carol, alice, 440);
  check_hears(alice, bob, 590);
  check_hears(bob, carol, 740);
}

TEST_CASE("a node that has only IPv6 tells its clients so") {
  if (!has_ipv6()) return;
  World world({R"(media.listen="[::1]:0")", R"(gateway.listen="[::1]:0")"});
  CHECK(world.relay.media().ip == *IpAddress::parse("::1"));
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  CHECK(alice.client->media_remote() == world.relay.media());
  world.talk({&alice}, milliseconds(600));
  check_hears(bob, alice, 440);
}

TEST_CASE("a name as the gateway's address") {
  World world;
  const auto by_name = [](client::VoiceClientOptions& options) {
    options.signalling.target.host = "localhost";
  };
  Participant& alice = world.join("alice", "channel", by_name);
  Participant& bob = world.join("bob");
  world.talk({&alice}, milliseconds(600));
  check_hears(bob, alice, 440);
}
