// Who follows the events of a node, and how (GET /v1/events). Controller thread. So far nobody can:
// streams are refused.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "relay/base/time.h"
#include "relay/control/api_keys.h"
#include "relay/gateway/connection.h"

namespace earshot::control {

class EventHub {
 public:
  struct Event {
    std::string name;
    std::string server_id;  // empty: of the node
    std::string data;       // JSON
    bool is_secret = false;
  };
  struct Filter {
    std::optional<std::string> server_id;
    bool may_read_secret = false;
  };
  struct Subscriber {
    ApiKey key;
  };

  // `seed` names this run of the process.
  explicit EventHub(std::uint64_t) {}
  void publish(const Event&) {}
  bool subscribe(gateway::Connection&, const ApiKey&, const Filter&, std::string_view) {
    return false;
  }
  void on_drained(gateway::Connection&) {}
  void on_abandoned(gateway::Connection&) {}
  void on_stopping(gateway::Connection&) {}
  void on_timeout(Time) {}
  std::size_t subscribers_count() const { return 0; }
  void end_if(const std::function<bool(const Subscriber&)>&, std::string_view) {}
};

}  // namespace earshot::control
