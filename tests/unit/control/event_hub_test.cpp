#include "relay/control/event_hub.h"

#include <doctest/doctest.h>

#include <memory>

#include "tests/support/event_stream.h"
#include "tests/support/fake_connection.h"

using namespace earshot;
using namespace earshot::control;
using test::FakeConnection;
using test::StreamEvent;

namespace {

constexpr std::uint64_t seed = 0xFFFF'FFFF'0000'00A1;
const std::string boot = "1a000000";
const ApiKey admin{"admin", Scope::admin, std::nullopt, {}};

struct Rig {
  explicit Rig(EventHubLimits limits = {}) : hub(seed, limits) { hub.on_timeout(now); }

  FakeConnection& subscribe(std::string_view last_event_id = "", EventHub::Filter filter = {}) {
    connections.push_back(std::make_unique<FakeConnection>());
    REQUIRE(hub.subscribe(*connections.back(), admin, filter, last_event_id));
    return *connections.back();
  }
  void publish(const std::string& data, const std::string& server = "1", bool is_secret = false) {
    hub.publish({"note", server, data, is_secret});
  }
  void publish_many(int count) {
    for (int i = 0; i < count; ++i) publish(std::to_string(i));
  }
  // The peer reads until nothing more comes.
  const std::string& read_all(FakeConnection& connection) {
    while (connection.read()) hub.on_drained(connection);
    return connection.received;
  }
  std::vector<StreamEvent> events(FakeConnection& connection) {
    return test::parse_event_stream(read_all(connection)).events;
  }
  // Data of the events, "gap FROM TO" and "too_slow" among them.
  std::vector<std::string> data(FakeConnection& connection) {
    std::vector<std::string> list;
    for (const StreamEvent& event : events(connection))
      list.push_back(event.name == "note" ? event.data : event.name + " " + event.data);
    return list;
  }
  void wait(Duration time) {
    now = now + time;
    hub.on_timeout(now);
  }

  Time now{seconds(1'000).ns};
  EventHub hub;
  std::vector<std::unique_ptr<FakeConnection>> connections;
};

using List = std::vector<std::string>;

std::string gap(const std::string& from, int to) {
  return "gap {\"missed_from\":\"" + from + "\",\"resumed_at\":\"" + boot + "-" +
         std::to_string(to) + "\"}";
}

std::string number(int n) {
  return boot + "-" + std::to_string(n);
}

}  // namespace

TEST_CASE("a stream begins now, with an id to come back to, and events as they happen") {
  Rig rig;
  rig.publish("earlier");
  FakeConnection& connection = rig.subscribe();
  REQUIRE(connection.response);
  CHECK(connection.response->status == 200);
  CHECK(connection.response->content_type == "text/event-stream");
  CHECK(rig.read_all(connection) == "id: " + number(1) + "\n\n");
  rig.publish(R"({"a":1})");
  rig.publish(R"({"b":2})");
  rig.read_all(connection);
  CHECK(connection.received == "id: " + number(1) + "\n\nid: " + number(2) +
                                   "\nevent: note\ndata: {\"a\":1}\n\nid: " + number(3) +
                                   "\nevent: note\ndata: {\"b\":2}\n\n");
  CHECK(rig.hub.subscribers_count() == 1);
  CHECK(rig.hub.counters().published == 3);
}

TEST_CASE("what a subscriber gets: its server's events, the node's, and secrets if it may") {
  Rig rig;
  FakeConnection& all = rig.subscribe();
  FakeConnection& one = rig.subscribe("", {"1", false});
  FakeConnection& secret = rig.subscribe("", {"1", true});
  rig.publish("a", "1");
  rig.publish("b", "2");
  rig.publish("c", "");
  rig.publish("d", "1", true);
  rig.publish("e", "2", true);
  CHECK(rig.data(all) == List{"a", "b", "c"});
  CHECK(rig.data(one) == List{"a", "c"});
  CHECK(rig.data(secret) == List{"a", "c", "d"});
  // The same holds for a replay.
  CHECK(rig.data(rig.subscribe(number(0), {"2", true})) == List{"b", "c", "e"});
  CHECK(rig.data(rig.subscribe(number(0), {std::nullopt, false})) == List{"a", "b", "c"});
}

TEST_CASE("resumed from an id: everything behind it, and a gap where that is not known") {
  EventHubLimits limits;
  limits.events_kept = 4;
  Rig rig(limits);
  for (const char* text : {"1", "2", "3", "4", "5", "6"}) rig.publish(text);
  const List kept{"3", "4", "5", "6"};
  const auto with_gap = [&](const std::string& from) {
    List list{gap(from, 3)};
    list.insert(list.end(), kept.begin(), kept.end());
    return list;
  };
  SUBCASE("kept") {
    CHECK(rig.data(rig.subscribe(number(2))) == kept);
    CHECK(rig.data(rig.subscribe(number(5))) == List{"6"});
    CHECK(rig.data(rig.subscribe(number(6))) == List{});
    CHECK(rig.hub.counters().gaps == 0);
  }
  SUBCASE("evicted") {
    CHECK(rig.data(rig.subscribe(number(1))) == with_gap(number(2)));
    CHECK(rig.data(rig.subscribe(number(0))) == with_gap(number(1)));
    CHECK(rig.hub.counters().gaps == 2);
  }
  SUBCASE("of another run") {
    CHECK(rig.data(rig.subscribe("00c0ffee-41")) == with_gap("00c0ffee-42"));
  }
  SUBCASE("never given") {
    const List ids{number(7),
                   number(1'000),
                   boot + "-18446744073709551615",
                   boot + "-18446744073709551616",
                   boot + "-",
                   boot + "-01",
                   boot + "-+1",
                   boot + "--1",
                   boot + "-1 ",
                   boot,
                   "1A000000-1",
                   "1",
                   "\xFF\"}",
                   boot + "-" + std::string(10'000, '1')};
    for (const std::string& id : ids) {
      CAPTURE(id);
      CHECK(rig.data(rig.subscribe(id)) == with_gap(number(1)));
    }
  }
  SUBCASE("a gap's own id leads to no second gap") {
    FakeConnection& connection = rig.subscribe("junk");
    const auto first = rig.events(connection).front();
    CHECK(first.id == number(2));
    CHECK(rig.data(rig.subscribe(first.id)) == kept);
  }
}

TEST_CASE("a replay goes out in pieces as the peer reads, and what happens meanwhile follows") {
  EventHubLimits limits;
  limits.queue_bytes = 10'000;
  Rig rig(limits);
  rig.publish_many(5'000);
  FakeConnection& connection = rig.subscribe(number(0));
  CHECK(connection.send_queue_bytes() >= 10'000);
  CHECK(connection.send_queue_bytes() < 30'000);
  rig.publish("live");
  CHECK(connection.send_queue_bytes() < 30'000);
  const List data = rig.data(connection);
  REQUIRE(data.size() == 5'001);
  for (int i = 0; i < 5'000; ++i) REQUIRE(data[static_cast<std::size_t>(i)] == std::to_string(i));
  CHECK(data.back() == "live");
}

TEST_CASE("who is still to read an event that must go is told so, and nobody else notices") {
  EventHubLimits limits;
  limits.events_kept = 10;
  Rig rig(limits);
  FakeConnection& slow = rig.subscribe();
  FakeConnection& quick = rig.subscribe();
  FakeConnection& elsewhere = rig.subscribe("", {"2", false});
  for (int i = 0; i < 12; ++i) {
    rig.publish(std::to_string(i));
    rig.read_all(quick);
  }
  // Nothing had been read of the opening, so nothing more was sent.
  CHECK(slow.has_stream_ended);
  CHECK(rig.data(slow) == List{"too_slow {\"missed_from\":\"" + number(1) + "\"}"});
  CHECK(rig.data(quick).size() == 12);
  CHECK(quick.is_stream);
  // It reads no more than the slow one, but misses nothing.
  CHECK(elsewhere.is_stream);
  rig.publish("for 2", "2");
  CHECK(rig.data(elsewhere) == List{"for 2"});
  CHECK(rig.hub.subscribers_count() == 2);
  CHECK(rig.hub.counters().too_slow == 1);
  // It comes back with what it has.
  const std::string id = test::parse_event_stream(slow.received).last_id;
  CHECK(id == number(0));
  CHECK(rig.data(rig.subscribe(id)).front() == gap(number(1), 4));
}

TEST_CASE("a buffer of bytes evicts by bytes, but never the newest") {
  EventHubLimits limits;
  limits.bytes_kept = 8'000;
  Rig rig(limits);
  for (int i = 0; i < 9; ++i) rig.publish(std::string(3'000, 'x'));
  CHECK(rig.data(rig.subscribe(number(7))).size() == 2);
  CHECK(rig.data(rig.subscribe(number(6))).front() == gap(number(7), 8));
  rig.publish(std::string(9'000, 'y'));
  CHECK(rig.data(rig.subscribe(number(9))) == List{std::string(9'000, 'y')});
}

TEST_CASE("secrets leave the buffer after a minute; who may read them sees a gap") {
  Rig rig;
  const EventHub::Filter may{std::nullopt, true};
  FakeConnection& live = rig.subscribe("", may);
  rig.publish("a");
  rig.publish("token 1", "1", true);
  rig.publish("other", "2");
  rig.publish("token 2", "1", true);
  rig.publish("b");
  rig.read_all(live);
  rig.wait(seconds(30));
  rig.publish("token 3", "1", true);
  // Whoever was there in time has them all.
  CHECK(rig.data(live) == List{"a", "token 1", "other", "token 2", "b", "token 3"});
  rig.wait(seconds(29));
  CHECK(rig.data(rig.subscribe(number(0), may)) ==
        List{"a", "token 1", "other", "token 2", "b", "token 3"});
  rig.wait(seconds(1));
  CHECK(rig.data(rig.subscribe(number(0), may)) ==
        List{"a", gap(number(2), 3), "other", gap(number(4), 5), "b", "token 3"});
  CHECK(rig.data(rig.subscribe(number(0), {"1", true})) ==
        List{"a", gap(number(2), 5), "b", "token 3"});
  CHECK(rig.data(rig.subscribe(number(0))) == List{"a", "other", "b"});
  rig.wait(seconds(30));
  const auto events = rig.events(rig.subscribe(number(5), may));
  REQUIRE(events.size() == 1);
  CHECK(events[0].data ==
        R"({"missed_from":")" + number(6) + R"(","resumed_at":")" + number(7) + R"("})");
  CHECK(rig.data(rig.subscribe(events[0].id, may)).empty());
}

TEST_CASE("a ping every 15 seconds, with an id that is no older than what was seen") {
  Rig rig;
  FakeConnection& connection = rig.subscribe("", {"2", false});
  rig.read_all(connection);
  rig.publish("not for it", "1");
  rig.wait(seconds(14));
  CHECK(test::parse_event_stream(rig.read_all(connection)).comments.empty());
  rig.wait(seconds(1));
  CHECK(test::parse_event_stream(rig.read_all(connection)).comments == List{"ping"});
  CHECK(test::parse_event_stream(connection.received).last_id == number(1));
  for (int i = 0; i < 60; ++i) {
    rig.wait(seconds(1));
    rig.read_all(connection);
  }
  CHECK(test::parse_event_stream(connection.received).comments.size() == 5);
  CHECK(rig.events(connection).empty());
}

TEST_CASE("who reads nothing for 30 seconds is cut; who reads a little is not") {
  EventHubLimits limits;
  limits.queue_bytes = 1'000;
  Rig rig(limits);
  FakeConnection& deaf = rig.subscribe();
  FakeConnection& slow = rig.subscribe();
  rig.publish_many(1'000);
  for (int i = 0; i < 29; ++i) {
    rig.wait(seconds(1));
    if (i % 10 == 9 && slow.read()) rig.hub.on_drained(slow);
  }
  CHECK(deaf.is_stream);
  CHECK(slow.is_stream);
  rig.wait(seconds(1));
  CHECK_FALSE(deaf.is_stream);
  CHECK(slow.is_stream);
  CHECK(rig.data(deaf) == List{"too_slow {\"missed_from\":\"" + number(1) + "\"}"});
  CHECK(rig.data(slow).size() == 1'000);
}

TEST_CASE("there are only so many subscribers") {
  EventHubLimits limits;
  limits.subscribers = 2;
  Rig rig(limits);
  FakeConnection& first = rig.subscribe();
  rig.subscribe();
  FakeConnection refused;
  CHECK_FALSE(rig.hub.subscribe(refused, admin, {}, ""));
  CHECK_FALSE(refused.response);
  CHECK(refused.is_owed);
  CHECK(rig.hub.counters().refused == 1);
  rig.hub.on_abandoned(first);
  CHECK(rig.hub.subscribe(refused, admin, {}, ""));
}

TEST_CASE("HEAD gets its head and is no subscriber") {
  Rig rig;
  FakeConnection connection;
  connection.is_head = true;
  CHECK(rig.hub.subscribe(connection, admin, {}, number(0)));
  CHECK(connection.response);
  CHECK(rig.hub.subscribers_count() == 0);
}

TEST_CASE("an abandoned stream is forgotten, a strange connection left alone") {
  Rig rig;
  FakeConnection& gone = rig.subscribe();
  FakeConnection& here = rig.subscribe();
  FakeConnection stranger;
  rig.hub.on_drained(stranger);
  rig.hub.on_stopping(stranger);
  rig.hub.on_abandoned(stranger);
  CHECK(rig.hub.subscribers_count() == 2);
  rig.hub.on_abandoned(gone);
  CHECK(rig.hub.subscribers_count() == 1);
  const std::size_t before = gone.send_queue_bytes();
  rig.publish("a");
  rig.wait(seconds(40));
  CHECK(gone.send_queue_bytes() == before);
  CHECK_FALSE(here.is_stream);
}

TEST_CASE("streams whose key is gone end with a word") {
  Rig rig;
  FakeConnection& kept = rig.subscribe();
  FakeConnection removed;
  const ApiKey other{"other", Scope::read, std::nullopt, {}};
  REQUIRE(rig.hub.subscribe(removed, other, {}, ""));
  rig.hub.end_if([&](const EventHub::Subscriber& subscriber) { return subscriber.key == other; },
                 "the key is gone");
  CHECK(kept.is_stream);
  CHECK_FALSE(removed.is_stream);
  CHECK(test::parse_event_stream(rig.read_all(removed)).comments == List{"the key is gone"});
  CHECK(rig.hub.subscribers_count() == 1);
}

TEST_CASE("when the node stops, a stream ends once it has everything and all is quiet") {
  Rig rig;
  FakeConnection& connection = rig.subscribe();
  rig.publish("stopping");
  rig.hub.on_stopping(connection);
  rig.wait(milliseconds(250));
  rig.publish("left 1");
  rig.read_all(connection);
  rig.wait(milliseconds(250));
  rig.wait(milliseconds(200));
  CHECK(connection.is_stream);
  rig.wait(milliseconds(50));
  CHECK(connection.has_stream_ended);
  CHECK(rig.data(connection) == List{"stopping", "left 1"});
  CHECK(rig.hub.subscribers_count() == 0);
}
