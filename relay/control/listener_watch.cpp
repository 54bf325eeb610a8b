#include "relay/control/listener_watch.h"

#include "relay/control/log.h"

namespace earshot::control {
namespace {

constexpr Duration interval = seconds(10);

}  // namespace

void ListenerWatch::look(Time now, const gateway::ListenerCounters& counters) {
  if (told_at_ && now - *told_at_ < interval) return;
  const auto paused = counters.accept_pauses - told_.accept_pauses;
  const auto refused = counters.refused - told_.refused;
  const auto handshakes = counters.handshakes_failed - told_.handshakes_failed;
  const auto timeouts = counters.timeouts - told_.timeouts;
  const auto requests = counters.requests_refused - told_.requests_refused;
  const auto protocol = counters.protocol_errors - told_.protocol_errors;
  const auto slow = counters.slow_readers - told_.slow_readers;
  if (paused + refused + handshakes + timeouts + requests + protocol + slow == 0) return;
  told_ = counters;
  told_at_ = now;
  // A pause means that newcomers wait: no descriptors are left, or too many handshakes are open.
  const auto write = paused > 0 ? log::warn : log::info;
  write("listener_errors", {{"listener", name_},
                            {"accept_pauses", paused},
                            {"connections_refused", refused},
                            {"handshakes_failed", handshakes},
                            {"timeouts", timeouts},
                            {"requests_refused", requests},
                            {"protocol_errors", protocol},
                            {"slow_readers", slow}});
}

}  // namespace earshot::control
