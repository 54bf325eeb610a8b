// Who must not hear whom.
#include <doctest/doctest.h>

#include "tests/e2e/world.h"

using namespace earshot;
using namespace earshot::test;

TEST_CASE("two channels of one server do not hear each other") {
  World world;
  Participant& a1 = world.join("a1", "one");
  Participant& a2 = world.join("a2", "one");
  Participant& b1 = world.join("b1", "two");
  Participant& b2 = world.join("b2", "two");
  world.talk({&a1, &b1}, seconds(1));
  check_hears(a2, a1, 440);
  check_hears(b2, b1, 590);
  CHECK(a2.packets.size() == 1);
  CHECK(b2.packets.size() == 1);
  check_hears_nothing(a1);
  check_hears_nothing(b1);
  // Nor do they hear of each other.
  CHECK(a2.came == std::vector<std::string>{"a1"});
  CHECK_FALSE(a2.last_speaking("b1"));
  CHECK_FALSE(b2.last_speaking("a1"));
}

TEST_CASE("the same channel id in two servers is two channels") {
  World world;
  const auto token = [&](const std::string& user, const std::string& server) {
    return world.relay.sign(user, "general", server);
  };
  Participant& a1 = world.join_with_token("a1", token("a1", "one"));
  Participant& a2 = world.join_with_token("a2", token("a2", "one"));
  Participant& b1 = world.join_with_token("b1", token("b1", "two"));
  Participant& b2 = world.join_with_token("b2", token("b2", "two"));
  world.talk({&a1, &b1}, seconds(1));
  check_hears(a2, a1, 440);
  check_hears(b2, b1, 590);
  CHECK(a2.packets.size() == 1);
  CHECK(b2.packets.size() == 1);
  check_hears_nothing(a1);
  check_hears_nothing(b1);
}

TEST_CASE("ids that only differ in where they are split are different channels") {
  World world;
  Participant& a = world.join_with_token("a", world.relay.sign("a", "b/c", "a"));
  Participant& b = world.join_with_token("b", world.relay.sign("b", "c", "a/b"));
  world.talk({&a, &b}, milliseconds(400));
  check_hears_nothing(a);
  check_hears_nothing(b);
}

TEST_CASE("who may not speak is not heard, and who may not listen hears nothing") {
  World world;
  const auto token = [&](const std::string& user, bool speak, bool listen) {
    gateway::Claims claims = make_claims(user);
    claims.grants.speak = speak;
    claims.grants.listen = listen;
    return world.relay.sign(claims);
  };
  Participant& normal = world.join("normal");
  Participant& mute = world.join_with_token("mute", token("mute", false, true));
  Participant& deaf = world.join_with_token("deaf", token("deaf", true, false));
  Participant& neither = world.join_with_token("neither", token("neither", false, false));
  world.talk({&normal, &mute, &deaf, &neither}, seconds(1));
  check_hears(normal, deaf, 740);
  check_hears(mute, normal, 440);
  check_hears(mute, deaf, 740);
  check_hears_nothing(deaf);
  check_hears_nothing(neither);
  CHECK(mute.client->frames_sent() > 20);
  CHECK(normal.packets.size() == 1);
  CHECK(mute.packets.size() == 2);
  // Nobody is shown as speaking who is not heard.
  const auto told = normal.last_speaking("mute");
  if (told) CHECK_FALSE(told->is_speaking);
}
