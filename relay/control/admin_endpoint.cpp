#include "relay/control/admin_endpoint.h"

#include "relay/gateway/http.h"

namespace earshot::control {

std::optional<gateway::HttpResponse> health_response(const gateway::HttpRequest& request) {
  if (request.path != "/healthz") return std::nullopt;
  if (request.method == "GET" || request.method == "HEAD") {
    return gateway::HttpResponse{200, "application/json", R"({"status":"ok"})", {}};
  }
  auto response = gateway::problem_response(405, "method-not-allowed", "only GET and HEAD");
  response.headers = {{"Allow", "GET, HEAD"}};
  return response;
}

std::optional<gateway::HttpResponse> AdminEndpoint::on_request(
    gateway::Connection&, const gateway::HttpRequest& request) {
  if (auto health = health_response(request)) return *health;
  return gateway::problem_response(404, "not-found", "nothing is served at this path");
}

}  // namespace earshot::control
