#include "relay/control/token_memory.h"

#include <doctest/doctest.h>

#include "relay/base/limits.h"

using namespace earshot;
using control::TokenMemory;

TEST_CASE("a token has one hash in a process, and another in the next") {
  const TokenMemory memory;
  CHECK(memory.hash("token") == memory.hash("token"));
  CHECK(memory.hash("token") != memory.hash("tokem"));
  CHECK(memory.hash("token") != TokenMemory().hash("token"));
  CHECK(memory.hash("") != memory.hash("token"));
}

TEST_CASE("grace lasts 60 s, for that token") {
  const Time start{seconds(5).ns};
  TokenMemory memory;
  const auto token = memory.hash("token");
  CHECK_FALSE(memory.has_grace(start, token));
  memory.grant_grace(start, token);
  CHECK(memory.has_grace(start, token));
  CHECK_FALSE(memory.has_grace(start, memory.hash("another")));
  CHECK(memory.has_grace(start + limits::token_grace - nanoseconds(1), token));
  CHECK_FALSE(memory.has_grace(start + limits::token_grace, token));
  // Granted anew, it counts from then.
  memory.grant_grace(start + seconds(30), token);
  memory.sweep(start + limits::token_grace);
  CHECK(memory.has_grace(start + seconds(89), token));
  memory.sweep(start + seconds(90));
  CHECK_FALSE(memory.has_grace(start + seconds(89), token));
}
