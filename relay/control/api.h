// The application's side of a node: the HTTP API on admin.listen (docs/openapi.json). Controller
// thread. It routes, checks keys and reads bodies; what it asks for is done by Sessions and
// Membership, and answered when the workers have acknowledged it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "relay/control/api_keys.h"
#include "relay/control/event_feed.h"
#include "relay/control/event_hub.h"
#include "relay/control/membership.h"
#include "relay/control/metrics.h"
#include "relay/control/recordings.h"
#include "relay/control/sessions.h"
#include "relay/control/wrong_keys.h"
#include "relay/gateway/connection.h"
#include "relay/gateway/token.h"

namespace earshot::control {

class Members;

// What GET /healthz answers on either port; nothing for another path.
std::optional<gateway::HttpResponse> health_response(const gateway::HttpRequest& request);

struct ApiOptions {
  NodeLabels labels;
  std::string endpoint;  // HOST:PORT that clients are sent to
  Endpoint media;        // as clients are told
  ApiKeys keys;
};

class Api final : public gateway::ConnectionEvents {
 public:
  // What is given by reference outlives it.
  struct Parts {
    Sessions& sessions;
    Membership& membership;
    Commands& commands;
    const gateway::TokenVerifier& tokens;
    EventHub& events;
    EventFeed& feed;
    Recordings& recordings;
    // Completed by the owner: what the listeners and the process know.
    std::function<void(NodeMetrics&)> add_metrics;
  };
  Api(ApiOptions options, Parts parts);

  // From now on; streams whose key is gone end.
  void set_keys(ApiKeys keys);
  // The node stops: it is not ready any more, and changes nothing.
  void begin_stop();

  std::optional<gateway::HttpResponse> on_request(gateway::Connection& connection,
                                                  const gateway::HttpRequest& request) override;
  void on_abandoned(gateway::Connection& connection) override;
  void on_stopping(gateway::Connection& connection) override;
  void on_drained(gateway::Connection& connection) override;
  bool accepts_websocket(const gateway::HttpRequest&) override { return false; }
  void on_open(gateway::Connection&, const gateway::HttpRequest&) override {}
  void on_text(gateway::Connection&, std::string_view) override {}
  void on_binary(gateway::Connection&, std::string_view) override {}
  void on_closed(gateway::Connection&, std::uint16_t) override {}
  bool admits(const IpAddress&) override { return true; }

 private:
  // Nothing: the answer is owed.
  using Answer = std::optional<gateway::HttpResponse>;
  struct Request {
    gateway::Connection& connection;
    const gateway::HttpRequest& http;
    const ApiKey& key;
    std::vector<std::string> names;  // what stands in the path for {server}, {channel}, {user}
    std::optional<std::string> server_id() const {
      return names.empty() ? std::nullopt : std::optional(names[0]);
    }
    ChannelKey channel() const { return {names[0], names[1]}; }
    const std::string& user_id() const { return names[2]; }
  };
  struct Route;
  static const std::vector<Route>& routes();
  static std::optional<std::vector<std::string>> match(const Route& route,
                                                       const std::vector<std::string>& path);

  Answer dispatch(gateway::Connection& connection, const gateway::HttpRequest& request);
  Answer ready(const gateway::HttpRequest& request) const;

  // --- api_routes.cpp ---
  Answer get_node(const Request& request);
  Answer get_metrics(const Request& request);
  Answer get_events(const Request& request);
  Answer post_join(const Request& request);
  Answer get_channels(const Request& request);
  Answer get_channel(const Request& request);
  Answer patch_channel(const Request& request);
  Answer delete_channel(const Request& request);
  Answer get_participants(const Request& request);
  Answer get_participant(const Request& request);
  Answer patch_participant(const Request& request);
  Answer delete_participant(const Request& request);
  Answer post_move(const Request& request);
  Answer get_recordings(const Request& request);
  Answer post_recording(const Request& request);
  Answer get_recording(const Request& request);
  Answer delete_recording(const Request& request);

  // Answers later, unless the connection has ended by then.
  std::function<void(const gateway::HttpResponse&)> owe(gateway::Connection& connection);
  gateway::HttpResponse participants_page(const Request& request, bool with_channel) const;
  // Session id, time to live and grants of a join, over what stands in `claims`.
  void read_join(Members& members, gateway::Claims& claims) const;
  NodeMetrics node_metrics() const;

  ApiOptions options_;
  Parts parts_;
  WrongKeys wrong_keys_;
  bool is_stopping_ = false;
  std::uint64_t next_answer_ = 1;
  std::map<const gateway::Connection*, std::uint64_t> owed_;
};

}  // namespace earshot::control
