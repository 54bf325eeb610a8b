// A stream of server-sent events, from bytes to events (WHATWG HTML, 9.2.6). Any thread; pure.
// Comments and what is not finished by a blank line are no events. `retry` is ignored: how soon a
// reader comes back is its own decision.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace earshot::tools {

struct StreamEvent {
  std::string id;  // the last one that was given, also by an earlier event
  std::string name = "message";
  std::string data;
};

class EventStream {
 public:
  // An event larger than this is refused: has_failed().
  static constexpr std::size_t event_size_max = std::size_t{1} << 20;

  std::vector<StreamEvent> feed(std::string_view bytes);
  bool has_failed() const { return has_failed_; }
  // The last id that was given, by an event or alone: where to come back to.
  const std::string& last_id() const { return last_id_; }

 private:
  void on_line(std::string_view line, std::vector<StreamEvent>& out);

  std::string line_;
  std::string id_;
  std::string last_id_;
  std::string name_;
  std::optional<std::string> data_;
  bool was_return_ = false;  // a line feed behind it belongs to it
  bool is_first_ = true;
  bool has_failed_ = false;
};

}  // namespace earshot::tools
