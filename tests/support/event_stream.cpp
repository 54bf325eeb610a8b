#include "tests/support/event_stream.h"

#include <algorithm>

namespace earshot::test {

EventStream parse_event_stream(std::string_view body) {
  EventStream stream;
  StreamEvent event;
  std::string id;
  while (!body.empty()) {
    const std::size_t end = body.find('\n');
    if (end == std::string_view::npos) break;
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(end + 1);
    if (line.empty()) {
      stream.last_id = id;
      event.id = id;
      if (!event.data.empty()) stream.events.push_back(event);
      event = {};
      continue;
    }
    const std::size_t colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value = line.substr(std::min(colon, line.size() - 1) + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field.empty()) stream.comments.emplace_back(value);
    if (field == "event") event.name = value;
    if (field == "data") event.data += value;
    if (field == "id") id = value;
  }
  return stream;
}

}  // namespace earshot::test
