#include "tools/earshot/event_stream.h"

#include <utility>

namespace earshot::tools {

std::vector<StreamEvent> EventStream::feed(std::string_view bytes) {
  std::vector<StreamEvent> events;
  for (const char c : bytes) {
    if (has_failed_) return events;
    if (std::exchange(was_return_, c == '\r') && c == '\n') continue;
    if (c == '\r' || c == '\n') {
      on_line(line_, events);
      line_.clear();
      continue;
    }
    line_ += c;
    has_failed_ = line_.size() + (data_ ? data_->size() : 0) > event_size_max;
  }
  return events;
}

void EventStream::on_line(std::string_view line, std::vector<StreamEvent>& out) {
  if (std::exchange(is_first_, false) && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
  if (line.empty()) {
    last_id_ = id_;
    const std::string name = std::exchange(name_, {});
    auto data = std::exchange(data_, std::nullopt);
    if (data) out.push_back({id_, name.empty() ? "message" : name, std::move(*data)});
    return;
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    name_ = value;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    id_ = value;
  } else if (field == "data") {
    if (data_) {
      *data_ += '\n';
    } else {
      data_.emplace();
    }
    *data_ += value;
  }
}

}  // namespace earshot::tools
