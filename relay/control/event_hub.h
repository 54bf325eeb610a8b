// The events of GET /v1/events as server-sent events: numbered, kept for a while, and streamed to
// subscribers. Controller thread. No socket and no clock: subscribers are connections behind the
// gateway's seam, time comes with on_timeout(). It does not know what an event means.
//
// All subscribers read one shared buffer, each at its own position, so that there is no step from
// replay to live that could lose an event, and a slow reader costs nothing but its position. A
// stream holds every matching event once and in order, or says "gap" where some are missing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/limits.h"
#include "relay/base/time.h"
#include "relay/control/api_keys.h"
#include "relay/gateway/connection.h"

namespace earshot::control {

// As in limits.h; tests make them small.
struct EventHubLimits {
  std::size_t events_kept = limits::events_kept_max;
  std::size_t bytes_kept = limits::event_bytes_kept_max;
  std::size_t subscribers = limits::event_subscribers_max;
  // A stream gets more while its send queue is shorter than this.
  std::size_t queue_bytes = limits::event_queue_bytes;
};

// Since the start; only ever growing.
struct EventHubCounters {
  std::uint64_t published = 0;
  std::uint64_t refused = 0;   // subscriptions, because there were too many
  std::uint64_t gaps = 0;      // told to subscribers
  std::uint64_t too_slow = 0;  // streams cut
};

class EventHub {
 public:
  struct Event {
    std::string name;
    std::string server_id;   // empty: of the node, for everybody
    std::string data;        // one line of JSON
    bool is_secret = false;  // holds a token: only for those who may read it, and not for long
  };
  struct Filter {
    std::optional<std::string> server_id;  // and what is of the node; nothing: all servers
    bool may_read_secret = false;
  };
  struct Subscriber {
    ApiKey key;
    Filter filter;
    gateway::Connection* connection = nullptr;
    std::uint64_t next = 0;  // the event that it has to look at
    Time ping_at;
    Time drained_at;  // when the peer had last taken everything, or began to
    bool has_drained = false;
    bool is_stopping = false;
  };

  // `boot` tells the events of this process from an earlier one's; any random number.
  explicit EventHub(std::uint64_t boot, EventHubLimits limits = {});
  ~EventHub();
  EventHub(const EventHub&) = delete;
  EventHub& operator=(const EventHub&) = delete;

  void publish(const Event& event);
  // Begins the stream that answers a request on `connection`; a HEAD is answered too. After
  // `last_event_id` if it is not empty, from now on otherwise. False: there are too many
  // subscribers, and the request still has no answer.
  [[nodiscard]] bool subscribe(gateway::Connection& connection, const ApiKey& key,
                               const Filter& filter, std::string_view last_event_id);
  // What the listener tells about any of its connections; those that are no streams of this hub
  // are left alone.
  void on_drained(gateway::Connection& connection);
  void on_abandoned(gateway::Connection& connection);
  // The stream ends when it has everything and nothing more happens.
  void on_stopping(gateway::Connection& connection);
  // The same for all of them.
  void begin_stop();
  // At least once a second: pings, secrets whose time is over, peers that read nothing.
  void on_timeout(Time now);
  // Ends the streams that `is_over` names. `reason` becomes a comment in the stream.
  void end_if(const std::function<bool(const Subscriber&)>& is_over, std::string_view reason);

  std::size_t subscribers_count() const { return subscribers_.size(); }
  const EventHubCounters& counters() const { return counters_; }

 private:
  struct Entry {
    std::string text;  // as it is streamed; empty: a secret whose time is over
    std::string server_id;
    bool is_secret = false;
  };
  struct Secret {
    std::uint64_t number;
    Time at;
  };

  // --- The buffer: numbers [first_, end()) ---
  std::uint64_t end() const { return first_ + entries_.size(); }
  const Entry& entry(std::uint64_t number) const;
  static std::size_t size_of(const Entry& entry);
  static bool matches(const Filter& filter, const Entry& entry);
  void evict_oldest();
  void forget_secrets(Time now);

  // --- Ids and texts ---
  std::string id(std::uint64_t number) const;
  std::optional<std::uint64_t> parse_own_id(std::string_view id) const;
  std::string missed_from(std::string_view last_event_id) const;
  std::string gap(std::string_view missed_from, std::uint64_t resumed_at);

  // --- Subscribers; false: its stream has ended ---
  void start(Subscriber& subscriber, std::string_view last_event_id);
  void skip_lost(Subscriber& subscriber);
  void collect(Subscriber& subscriber);
  bool send_pending(Subscriber& subscriber);
  bool look_after(Subscriber& subscriber);
  void cut_slow(Subscriber& subscriber);
  Subscriber* find(const gateway::Connection& connection);
  void remove(const gateway::Connection& connection);
  void keep_if(const std::function<bool(Subscriber&)>& goes_on);

  const EventHubLimits limits_;
  const std::string boot_;
  Time now_;
  Time published_at_;
  std::deque<Entry> entries_;
  std::uint64_t first_ = 1;
  std::size_t bytes_ = 0;
  std::deque<Secret> secrets_;  // those that still have a text, by age
  std::vector<Subscriber> subscribers_;
  std::string batch_;  // scratch: what is sent in one piece
  EventHubCounters counters_;
};

}  // namespace earshot::control
