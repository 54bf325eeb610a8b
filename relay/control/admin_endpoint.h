// The application's side of a node, on admin.listen: today its health. Controller thread.
#pragma once

#include <optional>

#include "relay/gateway/connection.h"

namespace earshot::control {

// What GET /healthz answers on either port; nothing for another path.
std::optional<gateway::HttpResponse> health_response(const gateway::HttpRequest& request);

class AdminEndpoint final : public gateway::ConnectionEvents {
 public:
  std::optional<gateway::HttpResponse> on_request(gateway::Connection& connection,
                                                  const gateway::HttpRequest& request) override;
  bool accepts_websocket(const gateway::HttpRequest&) override { return false; }
  void on_open(gateway::Connection&, const gateway::HttpRequest&) override {}
  void on_text(gateway::Connection&, std::string_view) override {}
  void on_binary(gateway::Connection&, std::string_view) override {}
  void on_drained(gateway::Connection&) override {}
  void on_closed(gateway::Connection&, std::uint16_t) override {}
  bool admits(const IpAddress&) override { return true; }
};

}  // namespace earshot::control
