#include "tests/support/fake_connection.h"

#include <algorithm>
#include <utility>

namespace earshot::test {

void FakeConnection::respond(const gateway::HttpResponse& answer) {
  if (std::exchange(is_owed, false) && !is_aborted) response = answer;
}

bool FakeConnection::begin_stream(const gateway::HttpResponse& head) {
  if (!std::exchange(is_owed, false) || is_aborted) return false;
  response = head;
  is_stream = !is_head;
  return is_stream;
}

bool FakeConnection::send_stream(std::string_view bytes) {
  if (!is_stream || is_aborted) return false;
  sent_ += bytes.size();
  queue_.append(bytes);
  if (queue_.size() > 2 * queue_bytes_max) is_aborted = true;
  return queue_.size() <= queue_bytes_max;
}

void FakeConnection::end_stream() {
  has_stream_ended = has_stream_ended || is_stream;
  is_stream = false;
}

bool FakeConnection::read(std::size_t size) {
  const std::size_t taken = std::min(size, queue_.size());
  received.append(queue_, 0, taken);
  queue_.erase(0, taken);
  return taken > 0 && queue_.empty() && is_stream;
}

}  // namespace earshot::test
