// A connection to the HTTP API of a relay under test: one request at a time, and when its answer
// reached this machine's kernel. Never blocks; pump() does what can be done now.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tests/e2e/relay_process.h"
#include "tests/support/socket_client.h"

namespace earshot::test {

struct ApiAnswer {
  int status = 0;
  nlohmann::json body;  // null without one
  Time at;
};

class ApiConnection {
 public:
  ApiConnection(const RelayProcess& relay, const gateway::TlsContext& tls);

  void send(const std::string& method, const std::string& path, const nlohmann::json& body = {});
  void pump();
  // To the last request.
  const std::optional<ApiAnswer>& answer() const { return answer_; }

 private:
  std::string host_, key_;
  SocketClient socket_;
  std::size_t taken_ = 0;  // of what was received
  std::optional<ApiAnswer> answer_;
};

}  // namespace earshot::test
