// What the HTTP API refuses with: problem details (RFC 9457). Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "relay/gateway/connection.h"

namespace earshot::control {

enum class Problem : std::uint8_t {
  bad_request,
  unauthorized,
  forbidden,
  not_found,
  method_not_allowed,
  conflict,
  unsupported_media_type,
  too_many_requests,
  no_signing_key,
  stopping,
};

// `detail`: one sentence for a person; it never holds a secret.
gateway::HttpResponse problem(Problem kind, std::string_view detail);

}  // namespace earshot::control
