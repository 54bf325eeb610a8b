// The event hub against a model that forgets nothing: whatever peers read, drop or come back with,
// every stream holds exactly the matching events from where it began, in order, or says a gap that
// the buffer's bounds explain.
#include <doctest/doctest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "relay/control/event_hub.h"
#include "tests/support/event_stream.h"
#include "tests/support/fake_connection.h"

using namespace earshot;
using namespace earshot::control;
using test::StreamEvent;

namespace {

constexpr std::uint64_t boot_seed = 0x8765'4321;
const std::string boot = "12345678-";
constexpr std::uint64_t events_kept = 40;

// Event n is at n - 1.
using History = std::vector<EventHub::Event>;

bool matches(const EventHub::Filter& filter, const EventHub::Event& event) {
  if (event.is_secret && !filter.may_read_secret) return false;
  return !filter.server_id || event.server_id.empty() || event.server_id == *filter.server_id;
}

std::uint64_t number_of(const std::string& id) {
  REQUIRE(id.starts_with(boot));
  return std::stoull(id.substr(boot.size()));
}

// Follows one subscriber over all its connections.
struct Reader {
  EventHub::Filter filter;
  std::unique_ptr<test::FakeConnection> connection;
  std::uint64_t next = 0;  // all matching events before it were read, or were in a gap
  std::uint64_t end_when_cut = 0;
  Time taken_at;  // when it had last read all that was queued
  bool may_begin_with_gap = false;
  bool is_new_to_boot = false;  // came with an id that says nothing

  // No matching event in [next, to).
  void skip_to(std::uint64_t to, const History& history) {
    REQUIRE(to >= next);
    for (; next < to; ++next) REQUIRE_FALSE(matches(filter, history.at(next - 1)));
  }

  void on_gap(const StreamEvent& event, const History& history, bool is_first) {
    const auto data = nlohmann::json::parse(event.data);
    const std::uint64_t to = number_of(data.at("resumed_at"));
    CHECK(number_of(event.id) == to - 1);
    if (is_first && may_begin_with_gap) {
      if (!is_new_to_boot) CHECK(number_of(data.at("missed_from")) == next);
    } else {
      // In the middle only secrets may be missing, and at least one is.
      skip_to(number_of(data.at("missed_from")), history);
      int missing = 0;
      for (std::uint64_t n = next; n < to; ++n) {
        if (!matches(filter, history.at(n - 1))) continue;
        REQUIRE(history.at(n - 1).is_secret);
        ++missing;
      }
      CHECK(missing > 0);
    }
    REQUIRE(to >= next);
    next = to;
  }

  void on_too_slow(const StreamEvent& event, Time now) {
    const std::uint64_t missed = number_of(nlohmann::json::parse(event.data).at("missed_from"));
    const bool is_evicted = missed + events_kept < end_when_cut;
    const bool is_stalled = now - taken_at >= limits::event_read_time_max;
    CHECK((is_evicted || is_stalled));
  }

  // What this connection has brought so far; then it is as good as gone.
  std::string check_all(const History& history, Time now) {
    const test::EventStream stream = test::parse_event_stream(connection->received);
    bool is_first = true;
    for (const StreamEvent& event : stream.events) {
      if (event.name == "gap") {
        on_gap(event, history, is_first);
      } else if (event.name == "too_slow") {
        on_too_slow(event, now);
        CHECK(event == stream.events.back());
      } else {
        const std::uint64_t number = number_of(event.id);
        skip_to(number, history);
        REQUIRE(matches(filter, history.at(number - 1)));
        REQUIRE(event.data == history.at(number - 1).data);
        next = number + 1;
      }
      is_first = false;
    }
    if (!stream.last_id.empty()) skip_to(std::max(next, number_of(stream.last_id) + 1), history);
    return stream.last_id;
  }
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), hub_(boot_seed, small()) {
    hub_.on_timeout(now_);
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) step();
    // Everybody reads on: nothing that was published may be missing then.
    for (Reader& reader : readers_) {
      while (reader.connection->read()) hub_.on_drained(*reader.connection);
      note_cut(reader);
      reader.check_all(history_, now_);
      if (reader.connection->is_stream) reader.skip_to(history_.size() + 1, history_);
    }
  }

  std::uint64_t gaps() const { return hub_.counters().gaps; }
  std::uint64_t cuts() const { return hub_.counters().too_slow; }

 private:
  static EventHubLimits small() {
    EventHubLimits limits;
    limits.events_kept = events_kept;
    limits.queue_bytes = 600;
    limits.subscribers = 6;
    return limits;
  }

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

  void step() {
    switch (below(12)) {
      case 0:
        subscribe_anew();
        break;
      case 1:
        come_back();
        break;
      case 2:
        now_ = now_ + milliseconds(static_cast<std::int64_t>(below(one_in(5) ? 40'000 : 3'000)));
        hub_.on_timeout(now_);
        break;
      case 3:
      case 4:
      case 5:
        publish(one_in(10) ? 30 : 1);
        break;
      default:
        read_some();
    }
    for (Reader& reader : readers_) note_cut(reader);
  }

  void note_cut(Reader& reader) {
    if (!reader.connection->is_stream && reader.end_when_cut == 0)
      reader.end_when_cut = history_.size() + 1;
  }

  void publish(int count) {
    for (int i = 0; i < count; ++i) {
      EventHub::Event event{"note", std::string(1, "12"[below(2)]),
                            "{\"n\":" + std::to_string(history_.size() + 1) + "}", one_in(5)};
      if (one_in(6)) event.server_id.clear();
      history_.push_back(event);
      hub_.publish(event);
    }
  }

  EventHub::Filter any_filter() {
    EventHub::Filter filter;
    if (!one_in(3)) filter.server_id = std::string(1, "12"[below(2)]);
    filter.may_read_secret = one_in(2);
    return filter;
  }

  void connect(Reader& reader, const std::string& id) {
    reader.connection = std::make_unique<test::FakeConnection>();
    reader.end_when_cut = 0;
    reader.taken_at = now_;
    REQUIRE(hub_.subscribe(*reader.connection, {}, reader.filter, id));
  }

  void subscribe_anew() {
    if (hub_.subscribers_count() == small().subscribers) return;
    Reader reader;
    reader.filter = any_filter();
    std::string id;
    reader.next = history_.size() + 1;
    if (one_in(2)) {
      const std::uint64_t number = below(history_.size() + 1);
      id = boot + std::to_string(number);
      reader.next = number + 1;
      reader.may_begin_with_gap = is_evicted(number + 1);
    } else if (one_in(3)) {
      id = one_in(2) ? "00000000-7" : boot + std::to_string(history_.size() + 1 + below(9));
      reader.next = 1;
      reader.may_begin_with_gap = reader.is_new_to_boot = true;
    }
    connect(reader, id);
    readers_.push_back(std::move(reader));
  }

  bool is_evicted(std::uint64_t number) const {
    return history_.size() > events_kept && number <= history_.size() - events_kept;
  }

  // A reader loses its connection, or has lost it, and resumes behind what it has read.
  void come_back() {
    if (readers_.empty()) return;
    const std::size_t index = below(readers_.size());
    Reader& reader = readers_[index];
    const std::string id = reader.check_all(history_, now_);
    if (id.empty()) return;  // it has read nothing yet
    hub_.on_abandoned(*reader.connection);
    if (hub_.subscribers_count() == small().subscribers) {
      readers_.erase(readers_.begin() + static_cast<std::ptrdiff_t>(index));
      return;
    }
    reader.may_begin_with_gap = is_evicted(number_of(id) + 1);
    reader.is_new_to_boot = false;
    reader.next = number_of(id) + 1;
    connect(reader, id);
  }

  void read_some() {
    if (readers_.empty()) return;
    Reader& reader = readers_[below(readers_.size())];
    test::FakeConnection& connection = *reader.connection;
    const bool is_drained = connection.read(below(800));
    if (connection.is_stream && connection.send_queue_bytes() == 0) reader.taken_at = now_;
    if (is_drained) hub_.on_drained(connection);
  }

  std::mt19937_64 random_;
  Time now_{seconds(100).ns};
  EventHub hub_;
  History history_;
  std::vector<Reader> readers_;
};

}  // namespace

TEST_CASE("every stream is whole, or says where it is not") {
  std::uint64_t gaps = 0;
  std::uint64_t cuts = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    World world(seed);
    world.run(400);
    gaps += world.gaps();
    cuts += world.cuts();
  }
  // The cases that matter do happen.
  CHECK(gaps > 100);
  CHECK(cuts > 50);
}
