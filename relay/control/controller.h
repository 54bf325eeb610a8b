// The controller of a node: the one loop on which signalling, channels and configuration live, and
// the owner of the workers that forward. Main thread. It wires the parts together; what they decide
// is in sessions.*, membership.* and keying.*.
#pragma once

#include <functional>
#include <memory>

#include "relay/base/address.h"
#include "relay/base/result.h"
#include "relay/control/config.h"

struct uv_loop_s;

namespace earshot::control {

// Where a running node is reached, with the real ports.
struct NodeEndpoints {
  Endpoint gateway;
  Endpoint media;  // as clients are told
  Endpoint admin;
};

// Reads every file that the configuration names. The error is one sentence.
Result<void> check_files(const Config& config);

class Controller {
 public:
  // Opens everything and starts the workers. `loop` outlives it. Errors name the address or file.
  static Result<std::unique_ptr<Controller>> create(uv_loop_s* loop, const Config& config);
  // Runs the loop until it is empty.
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  NodeEndpoints endpoints() const;
  // Reads again what the configuration names: API keys, token keys, certificate. What cannot be
  // read stays as it was, and is told in the log.
  void reload();
  // Closes every session with 1001, then everything else; the loop ends when all of it is gone.
  // Within 2.5 s. Idempotent.
  void stop();

 private:
  struct State;
  explicit Controller(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace earshot::control
