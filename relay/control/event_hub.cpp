#include "relay/control/event_hub.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "crypto/keys.h"
#include "relay/base/check.h"

namespace earshot::control {
namespace {

constexpr std::size_t boot_digits = 8;
// Pieces of this size fill a TLS record.
constexpr std::size_t batch_bytes = 16 * 1'024;

std::string make_boot(std::uint64_t seed) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string boot;
  for (std::size_t i = 0; i < boot_digits; ++i) boot.push_back(digits[(seed >> (4 * i)) & 15]);
  return boot;
}

bool is_boot(std::string_view text) {
  return text.size() == boot_digits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// The number of "BOOT-N", as our ids have it.
std::optional<std::uint64_t> parse_number(std::string_view id) {
  if (id.size() <= boot_digits || !is_boot(id.substr(0, boot_digits)) || id[boot_digits] != '-')
    return std::nullopt;
  const std::string_view digits = id.substr(boot_digits + 1);
  const bool is_padded = digits.size() > 1 && digits.front() == '0';
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool is_whole = error == std::errc{} && rest == digits.data() + digits.size();
  if (!is_whole || is_padded || number == UINT64_MAX) return std::nullopt;
  return number;
}

void wipe(std::string& text) {
  crypto::zero({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  text.clear();
}

gateway::HttpResponse stream_head() {
  return {200, "text/event-stream", "", {}};
}

}  // namespace

EventHub::EventHub(std::uint64_t boot, EventHubLimits limits)
    : limits_(limits), boot_(make_boot(boot)) {}

EventHub::~EventHub() {
  for (Entry& entry : entries_) {
    if (entry.is_secret) wipe(entry.text);
  }
}

// --- The buffer ---------------------------------------------------------------------------------

const EventHub::Entry& EventHub::entry(std::uint64_t number) const {
  RELAY_CHECK(number >= first_ && number < end());
  return entries_[static_cast<std::size_t>(number - first_)];
}

std::size_t EventHub::size_of(const Entry& entry) {
  return sizeof(Entry) + entry.text.size() + entry.server_id.size();
}

bool EventHub::matches(const Filter& filter, const Entry& entry) {
  if (entry.is_secret && !filter.may_read_secret) return false;
  return !filter.server_id || entry.server_id.empty() || *filter.server_id == entry.server_id;
}

void EventHub::publish(const Event& event) {
  RELAY_CHECK(event.data.size() <= limits::event_size_max);
  RELAY_CHECK(event.data.find_first_of("\r\n") == std::string::npos);
  ++counters_.published;
  published_at_ = now_;
  Entry entry;
  // No copy of a secret is left behind by a text that had to grow.
  entry.text.reserve(64 + event.name.size() + event.data.size());
  entry.text.append("id: ").append(id(end())).append("\nevent: ").append(event.name);
  entry.text.append("\ndata: ").append(event.data).append("\n\n");
  entry.server_id = event.server_id;
  entry.is_secret = event.is_secret;
  if (event.is_secret) secrets_.push_back({end(), now_});
  bytes_ += size_of(entry);
  entries_.push_back(std::move(entry));
  while (entries_.size() > 1 &&
         (entries_.size() > limits_.events_kept || bytes_ > limits_.bytes_kept))
    evict_oldest();
  // The others go on when they have drained: what happens in one turn of the loop is sent as one.
  keep_if([this](Subscriber& subscriber) {
    return subscriber.connection->send_queue_bytes() > 0 || send_pending(subscriber);
  });
}

// Whoever still had to read it is too slow.
void EventHub::evict_oldest() {
  Entry& oldest = entries_.front();
  keep_if([&](Subscriber& subscriber) {
    if (subscriber.next != first_) return true;
    if (matches(subscriber.filter, oldest)) {
      cut_slow(subscriber);
      return false;
    }
    ++subscriber.next;
    return true;
  });
  bytes_ -= size_of(oldest);
  if (oldest.is_secret) wipe(oldest.text);
  if (!secrets_.empty() && secrets_.front().number == first_) secrets_.pop_front();
  entries_.pop_front();
  ++first_;
}

void EventHub::forget_secrets(Time now) {
  while (!secrets_.empty() && now - secrets_.front().at >= limits::event_secret_kept) {
    Entry& secret = entries_[static_cast<std::size_t>(secrets_.front().number - first_)];
    bytes_ -= secret.text.size();
    wipe(secret.text);
    secrets_.pop_front();
  }
}

// --- Ids and texts ------------------------------------------------------------------------------

std::string EventHub::id(std::uint64_t number) const {
  return boot_ + "-" + std::to_string(number);
}

// The number if the id is one that this process can have given.
std::optional<std::uint64_t> EventHub::parse_own_id(std::string_view id) const {
  const auto number = parse_number(id);
  if (!number || !id.starts_with(boot_) || *number >= end()) return std::nullopt;
  return number;
}

// Behind an event that was seen; of what is no id nobody knows more than that all may be missing.
std::string EventHub::missed_from(std::string_view last_event_id) const {
  const auto number = parse_number(last_event_id);
  const bool is_ours = number && last_event_id.starts_with(boot_);
  if (!number || (is_ours && *number >= end())) return id(1);
  return std::string(last_event_id.substr(0, boot_digits + 1)) + std::to_string(*number + 1);
}

// Its id is that of the event before `resumed_at`: who comes back with it misses nothing more.
std::string EventHub::gap(std::string_view missed_from, std::uint64_t resumed_at) {
  ++counters_.gaps;
  std::string text = "id: " + id(resumed_at - 1) + "\nevent: gap\ndata: {\"missed_from\":\"";
  return text.append(missed_from)
      .append("\",\"resumed_at\":\"")
      .append(id(resumed_at))
      .append("\"}\n\n");
}

// --- Subscribers --------------------------------------------------------------------------------

bool EventHub::subscribe(gateway::Connection& connection, const ApiKey& key, const Filter& filter,
                         std::string_view last_event_id) {
  if (subscribers_.size() >= limits_.subscribers) {
    ++counters_.refused;
    return false;
  }
  if (!connection.begin_stream(stream_head())) return true;
  Subscriber subscriber{key,  filter, &connection, 0, now_ + limits::event_ping_interval,
                        now_, false,  false};
  start(subscriber, last_event_id);
  if (send_pending(subscriber)) subscribers_.push_back(std::move(subscriber));
  return true;
}

void EventHub::start(Subscriber& subscriber, std::string_view last_event_id) {
  const auto last = parse_own_id(last_event_id);
  if (last && *last + 1 >= first_) {
    subscriber.next = *last + 1;
  } else if (last_event_id.empty()) {
    subscriber.next = end();
    // An id without data is no event, but where to resume.
    subscriber.connection->send_stream("id: " + id(end() - 1) + "\n\n");
  } else {
    subscriber.next = first_;
    subscriber.connection->send_stream(gap(missed_from(last_event_id), first_));
  }
}

// The secret at `next` has no text any more; others behind it may have none either.
void EventHub::skip_lost(Subscriber& subscriber) {
  const std::uint64_t missed = subscriber.next;
  const auto is_lost = [&](const Entry& e) {
    return e.text.empty() || !matches(subscriber.filter, e);
  };
  while (subscriber.next < end() && is_lost(entry(subscriber.next))) ++subscriber.next;
  batch_.append(gap(id(missed), subscriber.next));
}

void EventHub::collect(Subscriber& subscriber) {
  while (subscriber.next < end() && batch_.size() < batch_bytes) {
    const Entry& next = entry(subscriber.next);
    if (!matches(subscriber.filter, next)) {
      ++subscriber.next;
    } else if (next.text.empty()) {
      skip_lost(subscriber);
    } else {
      batch_.append(next.text);
      ++subscriber.next;
    }
  }
}

bool EventHub::send_pending(Subscriber& subscriber) {
  gateway::Connection& connection = *subscriber.connection;
  while (subscriber.next < end() && connection.send_queue_bytes() < limits_.queue_bytes) {
    collect(subscriber);
    if (batch_.empty()) break;
    const bool is_taken = connection.send_stream(batch_);
    wipe(batch_);
    if (!is_taken) {
      cut_slow(subscriber);
      return false;
    }
  }
  return true;
}

// Its id stays that of the last event that it got: coming back with it, it misses nothing that is
// still kept.
void EventHub::cut_slow(Subscriber& subscriber) {
  ++counters_.too_slow;
  subscriber.connection->send_stream("event: too_slow\ndata: {\"missed_from\":\"" +
                                     id(subscriber.next) + "\"}\n\n");
  subscriber.connection->end_stream();
}

bool EventHub::look_after(Subscriber& subscriber) {
  gateway::Connection& connection = *subscriber.connection;
  const bool is_empty = connection.send_queue_bytes() == 0;
  if (std::exchange(subscriber.has_drained, false) || is_empty) subscriber.drained_at = now_;
  if (now_ - subscriber.drained_at >= limits::event_read_time_max) {
    cut_slow(subscriber);
    return false;
  }
  const bool is_quiet = now_ - published_at_ >= limits::event_stop_quiet;
  if (subscriber.is_stopping && is_quiet && subscriber.next == end()) {
    connection.end_stream();
    return false;
  }
  if (now_ < subscriber.ping_at) return true;
  subscriber.ping_at = now_ + limits::event_ping_interval;
  // What is under way says as much. The id spares a subscriber of few events a gap.
  if (is_empty) connection.send_stream(": ping\nid: " + id(subscriber.next - 1) + "\n\n");
  return true;
}

EventHub::Subscriber* EventHub::find(const gateway::Connection& connection) {
  const auto found = std::find_if(
      subscribers_.begin(), subscribers_.end(),
      [&](const Subscriber& subscriber) { return subscriber.connection == &connection; });
  return found == subscribers_.end() ? nullptr : &*found;
}

void EventHub::keep_if(const std::function<bool(Subscriber&)>& goes_on) {
  std::erase_if(subscribers_, [&](Subscriber& subscriber) { return !goes_on(subscriber); });
}

void EventHub::remove(const gateway::Connection& connection) {
  keep_if([&](const Subscriber& subscriber) { return subscriber.connection != &connection; });
}

// --- What happens to them -----------------------------------------------------------------------

void EventHub::on_drained(gateway::Connection& connection) {
  Subscriber* subscriber = find(connection);
  if (subscriber == nullptr) return;
  subscriber->has_drained = true;
  if (!send_pending(*subscriber)) remove(connection);
}

void EventHub::on_abandoned(gateway::Connection& connection) {
  remove(connection);
}

void EventHub::on_stopping(gateway::Connection& connection) {
  if (Subscriber* subscriber = find(connection)) subscriber->is_stopping = true;
}

void EventHub::begin_stop() {
  for (Subscriber& subscriber : subscribers_) subscriber.is_stopping = true;
}

void EventHub::on_timeout(Time now) {
  now_ = now;
  forget_secrets(now);
  keep_if([this](Subscriber& subscriber) { return look_after(subscriber); });
}

void EventHub::end_if(const std::function<bool(const Subscriber&)>& is_over,
                      std::string_view reason) {
  keep_if([&](const Subscriber& subscriber) {
    if (!is_over(subscriber)) return true;
    subscriber.connection->send_stream(std::string(": ").append(reason).append("\n\n"));
    subscriber.connection->end_stream();
    return false;
  });
}

}  // namespace earshot::control
