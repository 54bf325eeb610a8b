#include "relay/control/token_memory.h"

#include "crypto/signature.h"
#include "relay/base/limits.h"

namespace earshot::control {

TokenMemory::TokenMemory() {
  crypto::random_bytes(key_.mutable_bytes());
}

TokenHash TokenMemory::hash(std::string_view token) const {
  return crypto::hmac_sha256(key_.bytes(),
                             {reinterpret_cast<const std::uint8_t*>(token.data()), token.size()});
}

void TokenMemory::grant_grace(Time now, const TokenHash& hash) {
  grace_until_[hash] = now + limits::token_grace;
}

bool TokenMemory::has_grace(Time now, const TokenHash& hash) const {
  const auto found = grace_until_.find(hash);
  return found != grace_until_.end() && now < found->second;
}

void TokenMemory::sweep(Time now) {
  std::erase_if(grace_until_, [now](const auto& entry) { return now >= entry.second; });
}

}  // namespace earshot::control
