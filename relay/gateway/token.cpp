#include "relay/gateway/token.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "crypto/keys.h"
#include "crypto/signature.h"
#include "relay/base/limits.h"
#include "relay/gateway/json.h"

namespace earshot::gateway {
namespace {

using nlohmann::json;

constexpr std::size_t key_size_min = 32;
constexpr std::size_t key_file_size_max = 4'096;
constexpr std::int64_t leeway = limits::token_leeway.ns / 1'000'000'000;
constexpr std::int64_t lifetime_max = limits::token_lifetime_max.ns / 1'000'000'000;
// Beyond this, sums with the leeway could overflow; 2^53 is what JSON numbers carry exactly (RFC
// 8259 s6).
constexpr std::int64_t seconds_max = std::int64_t{1} << 53;

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::optional<json> decode_part(std::string_view part) {
  const auto bytes = crypto::base64url_decode(part);
  if (!bytes) return std::nullopt;
  auto value = parse_json({reinterpret_cast<const char*>(bytes->data()), bytes->size()},
                          limits::token_size_max);
  if (!value || !value->is_object()) return std::nullopt;
  return value;
}

bool has_audience(const json& claims, std::string_view audience) {
  const auto found = claims.find("aud");
  if (found == claims.end()) return false;
  if (found->is_string()) return found->get_ref<const std::string&>() == audience;
  return found->is_array() && std::any_of(found->begin(), found->end(), [&](const json& entry) {
           return entry.is_string() && entry.get_ref<const std::string&>() == audience;
         });
}

// Absent keeps the default; another type is an error.
bool read_flag(const json& object, const char* name, bool& flag) {
  if (!object.contains(name)) return true;
  const auto value = bool_member(object, name);
  if (value) flag = *value;
  return value.has_value();
}

bool read_grants(const json& claims, TokenGrants& grants) {
  const auto found = claims.find("grants");
  if (found == claims.end()) return true;
  if (!found->is_object()) return false;
  const json& object = *found;
  if (!read_flag(object, "speak", grants.speak) || !read_flag(object, "listen", grants.listen) ||
      !read_flag(object, "priority", grants.priority) ||
      !read_flag(object, "require_e2ee", grants.require_e2ee)) {
    return false;
  }
  if (object.contains("max_bitrate")) {
    grants.max_bitrate = integer_member(object, "max_bitrate");
    if (!grants.max_bitrate || *grants.max_bitrate <= 0) return false;
  }
  if (object.contains("late_ms_max")) {
    const auto late = integer_member(object, "late_ms_max");
    if (!late || (*late != 0 && (*late < 20 || *late > 2'000))) return false;
    grants.late_ms_max = static_cast<int>(*late);
  }
  return true;
}

std::optional<Claims> read_claims(const json& object) {
  Claims claims;
  const auto read_id = [&object](const char* name, std::string& id) {
    auto value = string_member(object, name);
    if (!value || !is_valid_id(*value)) return false;
    id = std::move(*value);
    return true;
  };
  const auto expires = integer_member(object, "exp");
  if (!read_id("sub", claims.user_id) || !read_id("server_id", claims.server_id) ||
      !read_id("channel_id", claims.channel_id) || !read_id("session_id", claims.session_id) ||
      !expires || *expires < 0 || *expires > seconds_max || !read_grants(object, claims.grants)) {
    return std::nullopt;
  }
  claims.expires = *expires;
  return claims;
}

// `nbf` and `iat` are optional; what is there must be a time that has come.
bool has_begun(const json& object, std::int64_t now) {
  for (const char* name : {"nbf", "iat"}) {
    if (!object.contains(name)) continue;
    const auto value = integer_member(object, name);
    if (!value || *value > now + leeway) return false;
  }
  return true;
}

bool is_signed(TokenAlgorithm algorithm, std::span<const std::uint8_t> key,
               std::span<const std::uint8_t> signature, std::string_view message) {
  if (algorithm == TokenAlgorithm::hs256) {
    return crypto::verify_hmac_sha256(signature, key, bytes_of(message));
  }
  return crypto::ed25519_verify(signature, std::span<const std::uint8_t, 32>(key.data(), 32),
                                bytes_of(message));
}

std::string_view algorithm_name(TokenAlgorithm algorithm) {
  return algorithm == TokenAlgorithm::hs256 ? "HS256" : "EdDSA";
}

}  // namespace

bool Claims::is_same_identity(const Claims& other) const {
  return user_id == other.user_id && server_id == other.server_id &&
         channel_id == other.channel_id && session_id == other.session_id;
}

bool is_valid_id(std::string_view id) {
  return !id.empty() && id.size() <= limits::id_size_max &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

std::optional<TokenAlgorithm> parse_token_algorithm(std::string_view name) {
  if (name == "HS256") return TokenAlgorithm::hs256;
  if (name == "EdDSA") return TokenAlgorithm::eddsa;
  return std::nullopt;
}

std::string_view name(TokenError error) {
  switch (error) {
    case TokenError::malformed:
      return "malformed";
    case TokenError::unknown_key:
      return "unknown_key";
    case TokenError::wrong_algorithm:
      return "wrong_algorithm";
    case TokenError::wrong_signature:
      return "wrong_signature";
    case TokenError::wrong_claims:
      return "wrong_claims";
    case TokenError::not_valid_now:
      return "not_valid_now";
  }
  return "unknown";
}

TokenVerifier::TokenVerifier(std::string audience, std::vector<TokenKey> keys)
    : audience_(std::move(audience)) {
  set_keys(std::move(keys));
}

void TokenVerifier::set_keys(std::vector<TokenKey> keys) {
  clear();
  std::size_t size = 0;
  for (const TokenKey& key : keys) size += key.bytes.size();
  memory_ = crypto::SecretMemory(size);
  std::size_t used = 0;
  for (TokenKey& key : keys) {
    const bool fits = key.algorithm == TokenAlgorithm::hs256
                          ? key.bytes.size() >= key_size_min
                          : key.bytes.size() == crypto::ed25519_public_key_size;
    RELAY_CHECK(fits);
    if (key.algorithm == TokenAlgorithm::hs256 && signing_key_id_.empty()) signing_key_id_ = key.id;
    const auto place = memory_.bytes().subspan(used, key.bytes.size());
    used += key.bytes.size();
    std::copy(key.bytes.begin(), key.bytes.end(), place.begin());
    crypto::zero(key.bytes);
    keys_.emplace(std::move(key.id), Key{key.algorithm, place});
  }
}

void TokenVerifier::clear() {
  keys_.clear();
  signing_key_id_.clear();
}

std::optional<std::string> TokenVerifier::sign(const Claims& claims) const {
  const auto key = keys_.find(signing_key_id_);
  if (key == keys_.end()) return std::nullopt;
  return make_token(audience_, claims, key->first, TokenAlgorithm::hs256, key->second.bytes);
}

TokenVerifier::Verdict TokenVerifier::verify(std::string_view token, std::int64_t now) const {
  const auto refuse = [](TokenError error) { return Verdict{std::nullopt, error, false}; };
  const auto first = token.find('.');
  const auto last = token.rfind('.');
  if (token.size() > limits::token_size_max || first == std::string_view::npos || first == last ||
      token.find('.', first + 1) != last) {
    return refuse(TokenError::malformed);
  }
  const auto header = decode_part(token.substr(0, first));
  const auto signature = crypto::base64url_decode(token.substr(last + 1));
  if (!header || !signature) return refuse(TokenError::malformed);
  // RFC 7515 s4.1.11: an extension that we do not understand must be refused, and we understand
  // none.
  if (header->contains("crit")) return refuse(TokenError::malformed);
  const auto key_id = string_member(*header, "kid");
  const auto key = key_id ? keys_.find(*key_id) : keys_.end();
  if (key == keys_.end()) return refuse(TokenError::unknown_key);
  // The key fixes the algorithm; the header only has to agree (RFC 8725 s3.1).
  if (string_member(*header, "alg") != algorithm_name(key->second.algorithm))
    return refuse(TokenError::wrong_algorithm);
  if (!is_signed(key->second.algorithm, key->second.bytes, *signature, token.substr(0, last)))
    return refuse(TokenError::wrong_signature);

  const auto object = decode_part(token.substr(first + 1, last - first - 1));
  if (!object || !has_audience(*object, audience_)) return refuse(TokenError::wrong_claims);
  auto claims = read_claims(*object);
  if (!claims) return refuse(TokenError::wrong_claims);
  if (!has_begun(*object, now) || claims->expires > now + lifetime_max)
    return refuse(TokenError::not_valid_now);
  if (claims->expires + leeway < now) return {std::move(claims), TokenError::not_valid_now, true};
  return {std::move(claims), std::nullopt, false};
}

std::string make_token(std::string_view audience, const Claims& claims, std::string_view key_id,
                       TokenAlgorithm algorithm, std::span<const std::uint8_t> key) {
  json grants{{"speak", claims.grants.speak}, {"listen", claims.grants.listen}};
  if (claims.grants.priority) grants["priority"] = true;
  if (claims.grants.require_e2ee) grants["require_e2ee"] = true;
  if (claims.grants.max_bitrate) grants["max_bitrate"] = *claims.grants.max_bitrate;
  if (claims.grants.late_ms_max) grants["late_ms_max"] = *claims.grants.late_ms_max;
  const json header{{"alg", algorithm_name(algorithm)}, {"kid", key_id}, {"typ", "JWT"}};
  const json body{{"aud", audience},
                  {"sub", claims.user_id},
                  {"server_id", claims.server_id},
                  {"channel_id", claims.channel_id},
                  {"session_id", claims.session_id},
                  {"exp", claims.expires},
                  {"grants", grants}};
  std::string token = crypto::base64url_encode(bytes_of(header.dump())) + "." +
                      crypto::base64url_encode(bytes_of(body.dump()));
  if (algorithm == TokenAlgorithm::hs256) {
    return token + "." + crypto::base64url_encode(crypto::hmac_sha256(key, bytes_of(token)));
  }
  RELAY_CHECK(key.size() == crypto::ed25519_seed_size);
  const std::span<const std::uint8_t, crypto::ed25519_seed_size> seed(key.data(),
                                                                      crypto::ed25519_seed_size);
  return token + "." + crypto::base64url_encode(crypto::ed25519_sign(seed, bytes_of(token)));
}

Result<std::vector<std::uint8_t>> read_key_file(const std::string& path) {
  auto content = crypto::read_secret_file(path, key_file_size_max);
  if (!content) return Error{"cannot read the key file " + path};
  std::string_view line{reinterpret_cast<const char*>(content->bytes().data()),
                        content->bytes().size()};
  line = line.substr(0, line.find('\n'));
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  auto key = crypto::base64url_decode(line);
  if (!key || key->empty())
    return Error{"the key file " + path + " does not hold one line of base64url"};
  return std::move(*key);
}

}  // namespace earshot::gateway
