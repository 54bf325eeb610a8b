#include "tools/earshot/development_token.h"

#include <ctime>
#include <utility>

namespace earshot::tools {

Result<DevelopmentKey> DevelopmentKey::load(const std::string& state, std::string audience) {
  auto key = gateway::read_key_file(state + "/token.key");
  if (!key) return Error{key.error().text + " (tools/run makes one)"};
  DevelopmentKey loaded;
  loaded.audience_ = std::move(audience);
  loaded.key_ = std::move(key.value());
  return loaded;
}

std::string DevelopmentKey::sign(gateway::Claims claims, Duration lifetime) const {
  claims.expires = std::time(nullptr) + lifetime.ms() / 1'000;
  return gateway::make_token(audience_, claims, "dev", gateway::TokenAlgorithm::hs256, key_);
}

}  // namespace earshot::tools
