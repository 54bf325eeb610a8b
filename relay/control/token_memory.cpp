#include "relay/control/token_memory.h"

#include <algorithm>

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

TokenMemory::SessionName TokenMemory::name(const gateway::Claims& claims) {
  return {claims.server_id, claims.user_id, claims.session_id};
}

void TokenMemory::revoke(const gateway::Claims& claims, Time until) {
  Time& revoked_until = revoked_until_[name(claims)];
  revoked_until = std::max(revoked_until, until);
}

bool TokenMemory::is_revoked(Time now, const gateway::Claims& claims) const {
  const auto found = revoked_until_.find(name(claims));
  return found != revoked_until_.end() && now < found->second;
}

void TokenMemory::sweep(Time now) {
  const auto is_over = [now](const auto& entry) { return now >= entry.second; };
  std::erase_if(grace_until_, is_over);
  std::erase_if(revoked_until_, is_over);
}

}  // namespace earshot::control
