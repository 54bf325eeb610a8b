#include "relay/control/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace earshot::control {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  void gauge(const std::string& name, const std::string& help, double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    of(name, help, MetricType::Gauge).metric.push_back(std::move(metric));
  }
  void counter(const std::string& name, const std::string& help, std::uint64_t value,
               Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = static_cast<double>(value);
    of(name, help, MetricType::Counter).metric.push_back(std::move(metric));
  }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  // The samples of one family come one after the other.
  MetricFamily& of(const std::string& name, const std::string& help, MetricType type) {
    const std::string full = "earshot_" + name;
    if (families_.empty() || families_.back().name != full) {
      families_.push_back({full, help, type, {}});
    }
    return families_.back();
  }

  std::vector<MetricFamily> families_;
};

ClientMetric::Label worker_label(std::size_t worker) {
  return {"worker", std::to_string(worker)};
}

void add_node(Families& out, const NodeMetrics& m) {
  const auto number = [](auto value) { return static_cast<double>(value); };
  out.gauge("info", "Always 1; the labels say which node this is", 1,
            {{"version", m.labels.version},
             {"node", std::to_string(m.labels.node.value)},
             {"region", m.labels.region},
             {"cluster", m.labels.cluster}});
  out.gauge("ready", "1 while new participants are taken", m.is_ready ? 1 : 0);
  out.gauge("uptime_seconds", "Since the node has started", number(m.uptime.ms()) / 1'000);
  out.gauge("secret_memory_locked", "0: keys may reach swap (RLIMIT_MEMLOCK)",
            m.is_secret_memory_locked ? 1 : 0);
  out.gauge("sessions", "Signalling sessions, those that wait to be resumed included",
            number(m.sessions));
  out.gauge("clients", "Open WebSockets", number(m.clients));
  out.gauge("participants", "Slots taken", number(m.participants));
  out.gauge("capacity", "Slots there are", number(m.capacity));
  out.gauge("channels", "Channels with participants", number(m.channels));
  out.gauge("event_streams", "Open streams of /v1/events", number(m.event_streams));
}

void add_sessions(Families& out, const SessionsCounters& c) {
  out.counter("sessions_identified_total", "Identify accepted", c.identified);
  out.counter("sessions_resumed_total", "Resume accepted", c.resumed);
  out.counter("sessions_resumes_refused_total", "Resume refused with 4006", c.resumes_refused);
  out.counter("sessions_taken_over_total", "Ended because the same user identified anew",
              c.taken_over);
  out.counter("sessions_tokens_refused_total", "Identify refused", c.tokens_refused);
  out.counter("sessions_capacity_refused_total", "The node or the channel was full",
              c.capacity_refused);
  out.counter("sessions_fresh_keys_total", "Closed with 4009 before nonces could meet",
              c.fresh_keys);
  out.counter("sessions_mappings_lost_total", "Closed with 4009 because keep-alives had stopped",
              c.mappings_lost);
}

void add_listeners(Families& out, const NodeMetrics& m) {
  for (const auto& l : m.listeners) {
    out.gauge("listener_connections", "Open TCP connections, handshakes included",
              static_cast<double>(l.connections), {{"listener", l.name}});
  }
  struct Row {
    const char* name;
    const char* help;
    std::uint64_t gateway::ListenerCounters::*member;
  };
  using C = gateway::ListenerCounters;
  static constexpr Row rows[] = {
      {"accepted", "TCP connections accepted", &C::accepted},
      {"refused", "Connections refused by the bounds of their address", &C::refused},
      {"accept_pauses", "No descriptors left, or too many handshakes waiting", &C::accept_pauses},
      {"handshakes_failed", "TLS handshakes that did not succeed", &C::handshakes_failed},
      {"timeouts", "Handshake, request or keep-alive timed out", &C::timeouts},
      {"requests", "HTTP requests", &C::requests},
      {"requests_refused", "Malformed requests and upgrades", &C::requests_refused},
      {"websockets_opened", "Upgrades to WebSocket", &C::websockets_opened},
      {"protocol_errors", "WebSockets closed with 1002, 1007, 1008 or 1009", &C::protocol_errors},
      {"slow_readers", "Connections reset because their send queue was full", &C::slow_readers},
  };
  for (const Row& row : rows) {
    for (const auto& l : m.listeners)
      out.counter("listener_" + std::string(row.name) + "_total", row.help, l.counters.*row.member,
                  {{"listener", l.name}});
  }
}

void add_workers(Families& out, const NodeMetrics& m) {
  for (std::size_t w = 0; w < m.workers.size(); ++w) {
    out.gauge("worker_participants", "Slots taken on this worker",
              static_cast<double>(m.workers[w].participants), {worker_label(w)});
  }
  for (std::size_t i = 0; i < counters_count; ++i) {
    for (std::size_t w = 0; w < m.workers.size(); ++w) {
      out.counter("worker_" + std::string(counter_names[i]) + "_total",
                  "See docs/operations.md, Counters", m.workers[w].counters.values[i],
                  {worker_label(w)});
    }
  }
  const auto add_drops = [&](const char* name, const char* help, auto member) {
    for (std::size_t w = 0; w < m.workers.size(); ++w) {
      for (std::size_t i = 1; i < drop_reasons_count; ++i) {
        out.counter(name, help, (m.workers[w].counters.*member)[i],
                    {worker_label(w), {"reason", std::string(drop_reason_names[i])}});
      }
    }
  };
  add_drops("worker_drops_total", "Datagrams that were not sent on, by reason", &Counters::drops);
  add_drops("worker_forward_drops_total", "Packets of other workers that were not sent on",
            &Counters::forward_drops);
}

}  // namespace

std::string metrics_text(const NodeMetrics& metrics) {
  Families out;
  add_node(out, metrics);
  add_sessions(out, metrics.session_counters);
  add_listeners(out, metrics);
  add_workers(out, metrics);
  return out.text();
}

}  // namespace earshot::control
