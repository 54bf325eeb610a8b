// Tokens as keyed hashes, and for how long an expired one may identify again. Controller thread;
// time comes in as an argument. The tokens themselves are never kept.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>

#include "crypto/keys.h"
#include "relay/base/time.h"

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
  // Forgets what is over. Call it every few seconds.
  void sweep(Time now);

 private:
  crypto::Key key_;
  std::map<TokenHash, Time> grace_until_;
};

}  // namespace earshot::control
