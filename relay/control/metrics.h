// What Prometheus scrapes (text format 0.0.4): the workers' counters, added up by nobody but the
// reader, since each sample names its worker, and what the controller knows. Pure; controller
// thread. docs/operations.md lists the names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/time.h"
#include "relay/control/sessions.h"
#include "relay/gateway/listener.h"
#include "relay/observe/counters.h"

namespace earshot::control {

struct NodeLabels {
  std::string version;
  NodeId node;
  std::string region;
  std::string cluster;
};

struct NodeMetrics {
  struct Worker {
    Counters counters;
    std::size_t participants = 0;
  };
  struct Listener {
    std::string name;  // "gateway" or "admin"
    gateway::ListenerCounters counters;
    std::size_t connections = 0;
  };

  NodeLabels labels;
  bool is_ready = false;
  bool is_secret_memory_locked = false;
  Duration uptime;
  std::size_t sessions = 0;
  std::size_t clients = 0;
  std::size_t participants = 0;
  std::size_t channels = 0;
  std::size_t capacity = 0;
  std::size_t event_streams = 0;
  SessionsCounters session_counters;
  std::vector<Worker> workers;
  std::vector<Listener> listeners;
};

std::string metrics_text(const NodeMetrics& metrics);

}  // namespace earshot::control
