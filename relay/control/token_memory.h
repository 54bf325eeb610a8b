// Tokens as keyed hashes, for how long an expired one may identify again, and whose tokens are
// revoked. Controller thread; time comes in as an argument. The tokens themselves are never kept.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "crypto/keys.h"
#include "relay/base/time.h"
#include "relay/gateway/token.h"

namespace earshot::control {

// HMAC-SHA256 under a key of this process: two hashes may be compared and ordered without giving
// anything away about the tokens.
using TokenHash = std::array<std::uint8_t, 32>;

class TokenMemory {
 public:
  TokenMemory();

  TokenHash hash(std::string_view token) const;
  // For limits::token_grace from now on this token may identify again, whatever its `exp` says.
  void grant_grace(Time now, const TokenHash& hash);
  bool has_grace(Time now, const TokenHash& hash) const;
  // No token of that user with that session id identifies until then.
  void revoke(const gateway::Claims& claims, Time until);
  bool is_revoked(Time now, const gateway::Claims& claims) const;
  // Forgets what is over. Call it every few seconds.
  void sweep(Time now);

 private:
  // Session ids are the application's: unique for one user of one server at least.
  using SessionName = std::tuple<std::string, std::string, std::string>;
  static SessionName name(const gateway::Claims& claims);

  crypto::Key key_;
  std::map<SessionName, Time> revoked_until_;
  std::map<TokenHash, Time> grace_until_;
};

}  // namespace earshot::control
