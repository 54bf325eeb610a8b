#include "relay/gateway/token.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "crypto/keys.h"
#include "crypto/signature.h"
#include "relay/base/limits.h"

using namespace earshot;
using namespace earshot::gateway;
using nlohmann::json;

namespace {

constexpr std::int64_t now = 1'800'000'000;
constexpr std::array<std::uint8_t, crypto::ed25519_seed_size> seed{9, 8, 7};

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::vector<std::uint8_t> secret() {
  return std::vector<std::uint8_t>(32, 0x5A);
}

std::vector<std::uint8_t> public_key() {
  const auto key = crypto::ed25519_public_key(seed);
  return {key.begin(), key.end()};
}

const TokenVerifier& verifier() {
  REQUIRE(crypto::initialize());
  static const TokenVerifier value("earshot", {{"secret", TokenAlgorithm::hs256, secret()},
                                               {"public", TokenAlgorithm::eddsa, public_key()}});
  return value;
}

Claims claims() {
  Claims value;
  value.user_id = "user";
  value.server_id = "server";
  value.channel_id = "channel";
  value.session_id = "session";
  value.expires = now + 600;
  return value;
}

json body() {
  return {{"aud", "earshot"},        {"sub", "user"},           {"server_id", "server"},
          {"channel_id", "channel"}, {"session_id", "session"}, {"exp", now + 600}};
}

json header(const char* algorithm = "HS256", const char* key_id = "secret") {
  return {{"alg", algorithm}, {"kid", key_id}};
}

std::string with_signature(const std::string& message, std::span<const std::uint8_t> signature) {
  return message + "." + crypto::base64url_encode(signature);
}

std::string message_of(const std::string& head, const std::string& claims_text) {
  return crypto::base64url_encode(bytes_of(head)) + "." +
         crypto::base64url_encode(bytes_of(claims_text));
}

std::string sign(const json& head, const json& claims_object,
                 const std::vector<std::uint8_t>& key = secret()) {
  const std::string message = message_of(head.dump(), claims_object.dump());
  return with_signature(message, crypto::hmac_sha256(key, bytes_of(message)));
}

// What verify() says, as one value: nothing when the token is good.
std::optional<TokenError> refusal(const std::string& token, std::int64_t at = now) {
  const auto verdict = verifier().verify(token, at);
  CHECK(verdict.error.has_value() != (verdict.claims.has_value() && !verdict.is_expired_only));
  return verdict.error;
}

std::optional<TokenError> refusal_with(const char* name, const json& value) {
  json changed = body();
  changed[name] = value;
  return refusal(sign(header(), changed));
}

std::optional<TokenError> refusal_without(const char* name) {
  json changed = body();
  changed.erase(name);
  return refusal(sign(header(), changed));
}

}  // namespace

TEST_CASE("what is signed comes back, under both algorithms") {
  Claims given = claims();
  given.grants = {false, false, true, true, 64'000, 120};
  const std::string tokens[] = {
      make_token("earshot", given, "secret", TokenAlgorithm::hs256, secret()),
      make_token("earshot", given, "public", TokenAlgorithm::eddsa, {seed.begin(), seed.end()})};
  for (const std::string& token : tokens) {
    const auto verdict = verifier().verify(token, now);
    REQUIRE(!verdict.error);
    REQUIRE(verdict.claims);
    CHECK(verdict.claims->is_same_identity(given));
    CHECK(verdict.claims->expires == given.expires);
    const TokenGrants& grants = verdict.claims->grants;
    CHECK(!grants.speak);
    CHECK(!grants.listen);
    CHECK(grants.priority);
    CHECK(grants.require_e2ee);
    CHECK(grants.max_bitrate == 64'000);
    CHECK(grants.late_ms_max == 120);
  }
}

// Signed by another implementation (Python's hmac and json modules; the key is 32 bytes of "k").
TEST_CASE("a token that another implementation has signed") {
  const TokenVerifier foreign("earshot",
                              {{"k1", TokenAlgorithm::hs256, std::vector<std::uint8_t>(32, 'k')}});
  const std::string token =
      "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJIUzI1NiIsICJraWQiOiAiazEifQ.eyJhdWQiOiBbImVhcnNob3QiXSwgIml"
      "hdCI6IDE3OTk5OTk5OTUsICJuYmYiOiAxNzk5OTk5OTk1LCAiZXhwIjogMTgwMDAwMDMwMCwgInN1YiI6ICIxMDQ2O"
      "TQzMTkzMDYyNDgxOTIiLCAic2VydmVyX2lkIjogIjQxNzcxOTgzNDIzMTQzOTM3IiwgImNoYW5uZWxfaWQiOiAiMTI"
      "3MTIxNTE1MjYyMTE1ODQwIiwgInNlc3Npb25faWQiOiAiMzBmMzJjNWQ1NGFlODYxMzBmYzRhMjE1Yzc0NzQyNjMiL"
      "CAianRpIjogIngifQ.egS-Dnc2qRVIaU8QJNTVZRjxFk97YG1NbT-zyrEGbpw";
  const auto verdict = foreign.verify(token, now);
  REQUIRE(verdict.claims);
  CHECK(!verdict.error);
  CHECK(verdict.claims->user_id == "104694319306248192");
  CHECK(verdict.claims->grants.speak);
  CHECK(verdict.claims->grants.listen);
  CHECK(!verdict.claims->grants.priority);
  CHECK(!verdict.claims->grants.late_ms_max);
}

// RFC 8037 A.4: its key, its header and payload ("Example of Ed25519 signing") with its signature.
TEST_CASE("EdDSA against the vector of RFC 8037") {
  REQUIRE(crypto::initialize());
  const auto key = crypto::base64url_decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
  const auto signature = crypto::base64url_decode(
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
  REQUIRE((key && signature));
  const std::string_view message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
  CHECK(crypto::ed25519_verify(*signature, std::span<const std::uint8_t, 32>(key->data(), 32),
                               bytes_of(message)));
}

TEST_CASE("the key fixes the algorithm") {
  CHECK(!refusal(sign(header(), body())));
  CHECK(refusal(sign(header("none"), body())) == TokenError::wrong_algorithm);
  CHECK(refusal(sign(header("None"), body())) == TokenError::wrong_algorithm);
  CHECK(refusal(sign(header("hs256"), body())) == TokenError::wrong_algorithm);
  CHECK(refusal(sign(header("HS512"), body())) == TokenError::wrong_algorithm);
  CHECK(refusal(sign(header("RS256"), body())) == TokenError::wrong_algorithm);
  CHECK(refusal(sign(header("EdDSA"), body())) == TokenError::wrong_algorithm);
  // The classic: the public key taken for an HMAC secret.
  CHECK(refusal(sign(header("HS256", "public"), body(), public_key())) ==
        TokenError::wrong_algorithm);
  CHECK(refusal(sign(header("EdDSA", "public"), body(), public_key())) ==
        TokenError::wrong_signature);
  json no_algorithm = header();
  no_algorithm.erase("alg");
  CHECK(refusal(sign(no_algorithm, body())) == TokenError::wrong_algorithm);
  no_algorithm["alg"] = json::array({"HS256"});
  CHECK(refusal(sign(no_algorithm, body())) == TokenError::wrong_algorithm);
}

TEST_CASE("an unsigned token is nobody's") {
  const std::string message = message_of(header("none").dump(), body().dump());
  CHECK(refusal(message + ".") == TokenError::wrong_algorithm);
  const std::string honest = message_of(header().dump(), body().dump());
  CHECK(refusal(honest + ".") == TokenError::wrong_signature);
  CHECK(refusal(honest + ".AA") == TokenError::wrong_signature);
}

TEST_CASE("the key must be a known one, and extensions are refused") {
  CHECK(refusal(sign(header("HS256", "other"), body())) == TokenError::unknown_key);
  CHECK(refusal(sign(header("HS256", ""), body())) == TokenError::unknown_key);
  CHECK(refusal(sign(header("HS256", "../secret"), body())) == TokenError::unknown_key);
  CHECK(refusal(sign({{"alg", "HS256"}}, body())) == TokenError::unknown_key);
  CHECK(refusal(sign({{"alg", "HS256"}, {"kid", 7}}, body())) == TokenError::unknown_key);
  json critical = header();
  critical["crit"] = json::array({"b64"});
  CHECK(refusal(sign(critical, body())) == TokenError::malformed);
  critical["crit"] = nullptr;
  CHECK(refusal(sign(critical, body())) == TokenError::malformed);
  // A key of the header's own is never looked at.
  json embedded = header("HS256", "other");
  embedded["jwk"] = {{"kty", "oct"}, {"k", crypto::base64url_encode(secret())}};
  CHECK(refusal(sign(embedded, body())) == TokenError::unknown_key);
}

TEST_CASE("any changed character is noticed") {
  const std::string token = sign(header(), body());
  for (std::size_t i = 0; i < token.size(); ++i) {
    CAPTURE(i);
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    CHECK(refusal(changed).has_value());
  }
  const auto other = std::vector<std::uint8_t>(32, 0x5B);
  CHECK(refusal(sign(header(), body(), other)) == TokenError::wrong_signature);
}

TEST_CASE("what is no JWT") {
  const std::string token = sign(header(), body());
  const std::string rows[] = {"",           ".",
                              "..",         "...",
                              "a",          "a.b",
                              "a.b.c.d",    token + "=",
                              token + ".x", " " + token,
                              token + " ",  token + "\n",
                              "!" + token,  std::string(limits::token_size_max + 1, 'a')};
  for (const std::string& row : rows) {
    CAPTURE(row);
    CHECK(refusal(row) == TokenError::malformed);
  }
  std::string long_token = token;
  long_token.insert(long_token.find('.') + 1, limits::token_size_max, 'A');
  CHECK(refusal(long_token) == TokenError::malformed);
  const auto signed_text = [](const std::string& head, const std::string& claims_text) {
    const std::string message = message_of(head, claims_text);
    return with_signature(message, crypto::hmac_sha256(secret(), bytes_of(message)));
  };
  CHECK(refusal(signed_text("[]", body().dump())) == TokenError::malformed);
  CHECK(refusal(signed_text("{", body().dump())) == TokenError::malformed);
  CHECK(refusal(signed_text(header().dump(), "[]")) == TokenError::wrong_claims);
  CHECK(refusal(signed_text(header().dump(), "")) == TokenError::wrong_claims);
  CHECK(refusal(signed_text(header().dump(), std::string(1'000, '['))) == TokenError::wrong_claims);
  CHECK(refusal(signed_text(std::string(1'000, '['), body().dump())) == TokenError::malformed);
}

TEST_CASE("the audience is this cluster") {
  CHECK(!refusal_with("aud", "earshot"));
  CHECK(!refusal_with("aud", json::array({"other", "earshot"})));
  CHECK(!refusal_with("aud", json::array({7, "earshot"})));
  CHECK(refusal_with("aud", "other") == TokenError::wrong_claims);
  CHECK(refusal_with("aud", "earshot2") == TokenError::wrong_claims);
  CHECK(refusal_with("aud", "") == TokenError::wrong_claims);
  CHECK(refusal_with("aud", json::array()) == TokenError::wrong_claims);
  CHECK(refusal_with("aud", json::array({"other"})) == TokenError::wrong_claims);
  CHECK(refusal_with("aud", 7) == TokenError::wrong_claims);
  CHECK(refusal_without("aud") == TokenError::wrong_claims);
}

TEST_CASE("ids are 1 to 64 printable ASCII bytes") {
  for (const char* name : {"sub", "server_id", "channel_id", "session_id"}) {
    CAPTURE(name);
    CHECK(!refusal_with(name, std::string(64, '~')));
    CHECK(!refusal_with(name, "!"));
    CHECK(refusal_with(name, std::string(65, 'x')) == TokenError::wrong_claims);
    CHECK(refusal_with(name, "") == TokenError::wrong_claims);
    CHECK(refusal_with(name, "a b") == TokenError::wrong_claims);
    CHECK(refusal_with(name, "a\n") == TokenError::wrong_claims);
    CHECK(refusal_with(name, std::string("a\0b", 3)) == TokenError::wrong_claims);
    CHECK(refusal_with(name, "\x7F") == TokenError::wrong_claims);
    CHECK(refusal_with(name, "\xC3\xA9") == TokenError::wrong_claims);
    CHECK(refusal_with(name, 7) == TokenError::wrong_claims);
    CHECK(refusal_without(name) == TokenError::wrong_claims);
  }
}

TEST_CASE("times: exp is required and bounded, nbf and iat must have come, 30 s leeway") {
  CHECK(refusal_without("exp") == TokenError::wrong_claims);
  CHECK(refusal_with("exp", "1800000600") == TokenError::wrong_claims);
  CHECK(refusal_with("exp", -1) == TokenError::wrong_claims);
  CHECK(refusal_with("exp", std::int64_t{1} << 60) == TokenError::wrong_claims);
  CHECK(refusal_with("exp", std::uint64_t{1} << 63) == TokenError::wrong_claims);
  CHECK(!refusal_with("exp", now + 3'630));
  CHECK(refusal_with("exp", now + 3'631) == TokenError::not_valid_now);
  CHECK(!refusal_with("exp", now - 30));
  CHECK(refusal_with("exp", now - 31) == TokenError::not_valid_now);
  for (const char* name : {"nbf", "iat"}) {
    CAPTURE(name);
    CHECK(!refusal_with(name, now + 30));
    CHECK(refusal_with(name, now + 31) == TokenError::not_valid_now);
    CHECK(refusal_with(name, "soon") == TokenError::not_valid_now);
    CHECK(!refusal_with(name, 0));
  }
}

TEST_CASE("an expired token still says whose it is, any other refusal does not") {
  const std::string token = sign(header(), body());
  const auto expired = verifier().verify(token, now + 600 + 31);
  CHECK(expired.error == TokenError::not_valid_now);
  CHECK(expired.is_expired_only);
  REQUIRE(expired.claims);
  CHECK(expired.claims->session_id == "session");
  const auto early = verifier().verify(token, now - 3'631);
  CHECK(early.error == TokenError::not_valid_now);
  CHECK(!early.is_expired_only);
  CHECK(!early.claims);
  json not_begun = body();
  not_begun["exp"] = now - 100;
  not_begun["nbf"] = now + 100;
  CHECK(!verifier().verify(sign(header(), not_begun), now).is_expired_only);
}

TEST_CASE("grants: defaults, types and ranges") {
  const auto plain = verifier().verify(sign(header(), body()), now);
  REQUIRE(plain.claims);
  CHECK(plain.claims->grants.speak);
  CHECK(plain.claims->grants.listen);
  CHECK(!plain.claims->grants.priority);
  CHECK(!plain.claims->grants.require_e2ee);
  CHECK(!refusal_with("grants", json::object()));
  CHECK(!refusal_with("grants", {{"unknown", 1}}));
  CHECK(refusal_with("grants", nullptr) == TokenError::wrong_claims);
  CHECK(refusal_with("grants", json::array({"speak"})) == TokenError::wrong_claims);
  for (const char* name : {"speak", "listen", "priority", "require_e2ee"}) {
    CHECK(refusal_with("grants", {{name, 1}}) == TokenError::wrong_claims);
    CHECK(refusal_with("grants", {{name, "true"}}) == TokenError::wrong_claims);
    CHECK(refusal_with("grants", {{name, nullptr}}) == TokenError::wrong_claims);
  }
  for (const int value : {0, 20, 120, 2'000})
    CHECK(!refusal_with("grants", {{"late_ms_max", value}}));
  for (const int value : {-1, 1, 19, 2'001}) {
    CHECK(refusal_with("grants", {{"late_ms_max", value}}) == TokenError::wrong_claims);
  }
  CHECK(refusal_with("grants", {{"late_ms_max", "120"}}) == TokenError::wrong_claims);
  CHECK(refusal_with("grants", {{"max_bitrate", 0}}) == TokenError::wrong_claims);
  CHECK(refusal_with("grants", {{"max_bitrate", 1.5}}) == TokenError::wrong_claims);
}

TEST_CASE("the same identity is the user and the three ids") {
  CHECK(claims().is_same_identity(claims()));
  Claims later = claims();
  later.expires += 10;
  later.grants.speak = false;
  CHECK(later.is_same_identity(claims()));
  for (std::string Claims::*field :
       {&Claims::user_id, &Claims::server_id, &Claims::channel_id, &Claims::session_id}) {
    Claims other = claims();
    other.*field += "x";
    CHECK(!other.is_same_identity(claims()));
  }
}

TEST_CASE("a key file is one line of base64url, and an error never shows it") {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("earshot-key-" + std::to_string(getpid())))
          .string();
  const auto write = [&path](std::string_view text) { std::ofstream(path) << text; };
  write(crypto::base64url_encode(secret()) + "\n");
  auto key = read_key_file(path);
  REQUIRE(key.ok());
  CHECK(key.value() == secret());
  write(crypto::base64url_encode(secret()) + "  \r\n");
  CHECK(read_key_file(path).ok());
  for (const char* text : {"", "\n", "not base64url!\n", "QUJD=\n"}) {
    write(text);
    const auto bad = read_key_file(path);
    REQUIRE(!bad.ok());
    CHECK(bad.error().text.find(path) != std::string::npos);
    CHECK(bad.error().text.find("QUJD") == std::string::npos);
  }
  std::remove(path.c_str());
  CHECK(!read_key_file(path).ok());
  CHECK(parse_token_algorithm("HS256") == TokenAlgorithm::hs256);
  CHECK(parse_token_algorithm("EdDSA") == TokenAlgorithm::eddsa);
  CHECK(!parse_token_algorithm("none"));
}
