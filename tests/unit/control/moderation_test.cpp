#include "relay/control/moderation.h"

#include <doctest/doctest.h>

using namespace earshot::control;

TEST_CASE("a restraint sticks to one user in one channel until both are lifted") {
  Moderation moderation;
  const ChannelKey channel{"server", "channel"};
  CHECK_FALSE(moderation.of(channel, "user").is_muted);
  CHECK(moderation.set(channel, "user", {true, false}));
  CHECK(moderation.of(channel, "user").is_muted);
  CHECK_FALSE(moderation.of(channel, "user").is_deafened);
  CHECK_FALSE(moderation.of(channel, "other").is_muted);
  CHECK_FALSE(moderation.of({"server", "elsewhere"}, "user").is_muted);
  CHECK_FALSE(moderation.of({"another", "channel"}, "user").is_muted);
  CHECK(moderation.set(channel, "user", {true, true}));
  CHECK(moderation.set(channel, "user", {false, true}));
  CHECK_FALSE(moderation.of(channel, "user").is_muted);
  CHECK(moderation.of(channel, "user").is_deafened);
  CHECK(moderation.set(channel, "user", {}));
  CHECK_FALSE(moderation.of(channel, "user").is_deafened);
}
