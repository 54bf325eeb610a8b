#include "relay/control/admin_endpoint.h"

namespace earshot::control {

std::optional<gateway::HttpResponse> health_response(const gateway::HttpRequest& request) {
  if (request.path != "/healthz") return std::nullopt;
  if (request.method == "GET" || request.method == "HEAD") {
    return gateway::HttpResponse{200, "application/json", R"({"status":"ok"})", {}};
  }
  return gateway::HttpResponse{405, "text/plain", "only GET\n", {{"Allow", "GET, HEAD"}}};
}

gateway::HttpResponse AdminEndpoint::on_request(gateway::Connection&,
                                                const gateway::HttpRequest& request) {
  if (auto health = health_response(request)) return *health;
  return {404, "text/plain", "not found\n", {}};
}

}  // namespace earshot::control
