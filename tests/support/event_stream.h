// Reads server-sent events as the WHATWG's HTML standard (s9.2.6) has them, all at once. Tests
// only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace earshot::test {

struct StreamEvent {
  std::string name;
  std::string data;
  std::string id;  // as it was when the event was complete
  bool operator==(const StreamEvent&) const = default;
};

struct EventStream {
  std::vector<StreamEvent> events;
  std::vector<std::string> comments;
  std::string last_id;  // what an EventSource would come back with
};

// `body`: complete blocks; what stands behind the last empty line is no event.
EventStream parse_event_stream(std::string_view body);

}  // namespace earshot::test
