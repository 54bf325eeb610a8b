// Join tokens: JWTs (RFC 7519) that the application's back end signs and the controller checks
// before anything else. Any thread; time comes in as seconds since 1970. docs/protocol.md, "Join
// token". No secret is ever put into an error.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/keys.h"
#include "relay/base/result.h"

namespace earshot::gateway {

enum class TokenAlgorithm : std::uint8_t { hs256, eddsa };

// A key that the configuration names. For HS256 the secret (at least 32 bytes), for EdDSA the
// public key (32 bytes).
struct TokenKey {
  std::string id;
  TokenAlgorithm algorithm = TokenAlgorithm::hs256;
  std::vector<std::uint8_t> bytes;

  // Whoever has read a key and not used it leaves nothing behind.
  ~TokenKey() { crypto::zero(bytes); }
};

struct TokenGrants {
  bool speak = true;
  bool listen = true;
  bool priority = false;
  bool require_e2ee = false;
  std::optional<std::int64_t> max_bitrate;
  std::optional<int> late_ms_max;
};

struct Claims {
  std::string user_id;  // sub
  std::string server_id;
  std::string channel_id;
  std::string session_id;
  std::int64_t expires = 0;  // seconds since 1970
  TokenGrants grants;

  // The same person in the same place: user and the three ids.
  bool is_same_identity(const Claims& other) const;
};

enum class TokenError : std::uint8_t {
  malformed,
  unknown_key,
  wrong_algorithm,
  wrong_signature,
  wrong_claims,
  not_valid_now
};
// "malformed", "unknown_key" ...: says what is wrong, never with what.
std::string_view name(TokenError error);

class TokenVerifier {
 public:
  TokenVerifier(std::string audience, std::vector<TokenKey> keys);
  TokenVerifier(const TokenVerifier&) = delete;
  TokenVerifier& operator=(const TokenVerifier&) = delete;

  struct Verdict {
    std::optional<Claims> claims;  // only of a token with a valid signature and well-formed claims
    std::optional<TokenError> error;
    // The signature and claims are right, only `exp` has passed: error is not_valid_now, and claims
    // are there.
    bool is_expired_only = false;
  };
  Verdict verify(std::string_view token, std::int64_t now_seconds) const;
  // Signs with the first HS256 key; nothing without one: of EdDSA keys a node has the public half.
  std::optional<std::string> sign(const Claims& claims) const;
  // Tokens of a key that is gone no longer identify.
  void set_keys(std::vector<TokenKey> keys);

 private:
  struct Key {
    TokenAlgorithm algorithm;
    std::span<const std::uint8_t> bytes;  // in memory_
  };

  void clear();

  std::string audience_;
  std::string signing_key_id_;
  crypto::SecretMemory memory_{0};
  std::map<std::string, Key, std::less<>> keys_;
};

// Signs a token with HS256 (`key` is the secret) or EdDSA (`key` is the 32-byte seed). For tools,
// tests and the API.
std::string make_token(std::string_view audience, const Claims& claims, std::string_view key_id,
                       TokenAlgorithm algorithm, std::span<const std::uint8_t> key);

// 1 to 64 printable ASCII bytes (0x21 to 0x7E).
bool is_valid_id(std::string_view id);

// Reads a key file: one line, base64url. The error names the file, never its content.
Result<std::vector<std::uint8_t>> read_key_file(const std::string& path);

std::optional<TokenAlgorithm> parse_token_algorithm(std::string_view name);

}  // namespace earshot::gateway
