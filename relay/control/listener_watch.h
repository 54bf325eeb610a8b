// Looks at a listener's counters and logs what an operator should know: one line at most every ten
// seconds, so that strangers cannot fill the log. Controller thread; time comes in as an argument.
#pragma once

#include <optional>
#include <string_view>

#include "relay/base/time.h"
#include "relay/gateway/listener.h"

namespace earshot::control {

class ListenerWatch {
 public:
  // `name` is a literal: which listener this is.
  explicit ListenerWatch(std::string_view name) : name_(name) {}

  void look(Time now, const gateway::ListenerCounters& counters);

 private:
  std::string_view name_;
  gateway::ListenerCounters told_;
  std::optional<Time> told_at_;
};

}  // namespace earshot::control
