#include "tools/client/claims.h"

#include <doctest/doctest.h>

#include <vector>

#include "crypto/signature.h"
#include "relay/gateway/token.h"

using namespace earshot;
using client::read_claims;

namespace {

std::string with_payload(std::string_view payload) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
  return "e30." + crypto::base64url_encode({bytes, payload.size()}) + ".c2ln";
}

}  // namespace

TEST_CASE("the claims of a signed token are what it was signed for") {
  gateway::Claims claims;
  claims.user_id = "alice";
  claims.server_id = "s1";
  claims.channel_id = "42";
  claims.session_id = "one";
  const std::vector<std::uint8_t> key(32, 7);
  const auto token =
      gateway::make_token("earshot", claims, "dev", gateway::TokenAlgorithm::hs256, key);
  const auto read = read_claims(token);
  REQUIRE(read);
  CHECK(read.value().user_id == "alice");
  CHECK(read.value().server_id == "s1");
  CHECK(read.value().channel_id == "42");
  CHECK(read.value().session_id == "one");
}

TEST_CASE("what is no token is refused with a sentence that says what is wrong") {
  for (const std::string text :
       {"", "nothing", "one.two", "a.b.c.d", "e30.!!!.sig", "e30.e30\n.sig"}) {
    CAPTURE(text);
    const auto read = read_claims(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().text == "the token is not a JWT (three base64url parts)");
  }
  for (const char* payload : {"", "7", "[]", "{", "\"text\"", "\xFF"}) {
    CAPTURE(payload);
    REQUIRE_FALSE(read_claims(with_payload(payload)));
  }
  const auto missing = read_claims(with_payload(R"({"sub":"a","server_id":"b","session_id":"c"})"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().text == "the token has no claim channel_id");
  const auto number =
      read_claims(with_payload(R"({"sub":1,"server_id":"b","channel_id":"d","session_id":"c"})"));
  REQUIRE_FALSE(number);
  CHECK(number.error().text == "the token has no claim sub");
}
