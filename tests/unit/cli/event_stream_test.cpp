#include "tools/earshot/event_stream.h"

#include <doctest/doctest.h>

using namespace earshot::tools;

namespace {

// All at once, and byte by byte.
std::vector<StreamEvent> parse(std::string_view bytes) {
  EventStream whole;
  auto events = whole.feed(bytes);
  EventStream slow;
  std::vector<StreamEvent> again;
  for (const char& c : bytes) {
    for (auto& event : slow.feed({&c, 1})) again.push_back(std::move(event));
  }
  REQUIRE(again.size() == events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    CHECK(events[i].id == again[i].id);
    CHECK(events[i].name == again[i].name);
    CHECK(events[i].data == again[i].data);
  }
  return events;
}

}  // namespace

TEST_CASE("an event ends with a blank line, whatever ends a line") {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    const auto events = parse("id: b-1" + end + "event: joined" + end + "data: {}" + end + end +
                              ": ping" + end + end + "event: left" + end + "data:1" + end + end);
    REQUIRE(events.size() == 2);
    CHECK(events[0].id == "b-1");
    CHECK(events[0].name == "joined");
    CHECK(events[0].data == "{}");
    // The id stays.
    CHECK(events[1].id == "b-1");
    CHECK(events[1].name == "left");
    CHECK(events[1].data == "1");
  }
}

TEST_CASE("several data lines are one text; an event without a name is a message") {
  const auto events = parse(
      "\xef\xbb\xbf"
      "data: a\ndata\ndata:  b\n\n");
  REQUIRE(events.size() == 1);
  CHECK(events[0].name == "message");
  CHECK(events[0].data == "a\n\n b");
}

TEST_CASE("what has no data, or is not finished, is no event") {
  CHECK(parse("event: joined\n\n").empty());
  CHECK(parse("data: x\n").empty());
  CHECK(parse("retry: 5\nother: x\n\n").empty());
  CHECK(parse(std::string_view("id: a\0b\ndata: x\n\n", 17)).at(0).id.empty());
  // The name of an event without data is not the next one's.
  CHECK(parse("event: joined\n\ndata: x\n\n").at(0).name == "message");
}

TEST_CASE("an id alone is where to come back to") {
  EventStream stream;
  CHECK(stream.last_id().empty());
  CHECK(stream.feed("id: b-4\n").empty());
  CHECK(stream.last_id().empty());
  CHECK(stream.feed("\n").empty());
  CHECK(stream.last_id() == "b-4");
  CHECK(stream.feed(": ping\nid: b-6\n\nid: b-7\nevent: left\ndata: {}\n\n").size() == 1);
  CHECK(stream.last_id() == "b-7");
}

TEST_CASE("an event without an end does not fill the memory") {
  EventStream stream;
  const std::string line = "data: " + std::string(1'000, 'x') + "\n";
  std::size_t fed = 0;
  while (!stream.has_failed() && fed < 4 * EventStream::event_size_max) {
    stream.feed(line);
    fed += line.size();
  }
  CHECK(stream.has_failed());
  CHECK(fed <= EventStream::event_size_max + 20'000);
  CHECK(stream.feed("\n\ndata: y\n\n").empty());

  EventStream endless;
  endless.feed(std::string(EventStream::event_size_max + 1, 'x'));
  CHECK(endless.has_failed());
}
