// Join tokens signed with a node's development key (STATE/token.key), as an application's back end
// would sign its own. Main thread only.
#pragma once

#include <string>
#include <vector>

#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/gateway/token.h"

namespace earshot::tools {

class DevelopmentKey {
 public:
  // `state` is the folder that tools/run keeps; `audience` the node's cluster.name.
  static Result<DevelopmentKey> load(const std::string& state, std::string audience);

  // `claims.expires` is set here.
  std::string sign(gateway::Claims claims, Duration lifetime) const;

 private:
  std::string audience_;
  std::vector<std::uint8_t> key_;
};

}  // namespace earshot::tools
