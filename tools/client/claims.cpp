#include "tools/client/claims.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "crypto/signature.h"

namespace earshot::client {
namespace {

// The middle one of three parts, RFC 7515 s3.1.
std::optional<std::string_view> payload_part(std::string_view token) {
  const auto first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = token.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  if (token.find('.', second + 1) != std::string_view::npos) return std::nullopt;
  return token.substr(first + 1, second - first - 1);
}

}  // namespace

Result<TokenClaims> read_claims(std::string_view token) {
  const auto part = payload_part(token);
  const auto bytes = part ? crypto::base64url_decode(*part) : std::nullopt;
  if (!bytes) return Error{"the token is not a JWT (three base64url parts)"};
  const auto payload = nlohmann::json::parse(bytes->begin(), bytes->end(), nullptr, false);
  if (!payload.is_object()) return Error{"the token's payload is not a JSON object"};
  TokenClaims claims;
  const auto read = [&payload](const char* name, std::string& out) {
    const auto it = payload.find(name);
    if (it == payload.end() || !it->is_string()) return false;
    out = it->get<std::string>();
    return true;
  };
  for (const auto& [name, out] : {std::pair{"sub", &claims.user_id},
                                  {"server_id", &claims.server_id},
                                  {"channel_id", &claims.channel_id},
                                  {"session_id", &claims.session_id}}) {
    if (!read(name, *out)) return Error{std::string("the token has no claim ") + name};
  }
  return claims;
}

}  // namespace earshot::client
