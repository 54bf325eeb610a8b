// What a client needs to know from its own join token: the ids that Identify has to repeat. Any
// thread. Does not verify the token; only the relay can.
#pragma once

#include <string>
#include <string_view>

#include "relay/base/result.h"

namespace earshot::client {

struct TokenClaims {
  std::string user_id;
  std::string server_id;
  std::string channel_id;
  std::string session_id;
};

Result<TokenClaims> read_claims(std::string_view token);

}  // namespace earshot::client
