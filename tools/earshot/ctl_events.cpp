#include <algorithm>
#include <nlohmann/json.hpp>

#include "relay/gateway/json.h"
#include "tools/earshot/api_path.h"
#include "tools/earshot/command.h"
#include "tools/earshot/ctl_call.h"
#include "tools/earshot/ctl_text.h"
#include "tools/earshot/event_stream.h"

namespace earshot::tools {
namespace {

constexpr int pause_min_ms = 500;
constexpr int pause_max_ms = 5'000;

std::string to_line(const StreamEvent& event) {
  auto data = gateway::parse_json(event.data, EventStream::event_size_max);
  const nlohmann::json line{{"id", event.id},
                            {"event", event.name},
                            {"data", data ? std::move(*data) : nlohmann::json(event.data)}};
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// Is there no point in asking again?
bool is_final(const ApiAnswer& answer) {
  return answer.status != 200 && answer.status != 429 && answer.status != 503;
}

}  // namespace

int follow_events(CtlCall& call, const std::string& server, const std::string& since) {
  ApiRequest request;
  request.path = "/v1/events";
  if (!server.empty()) request.path += "?server_id=" + percent_encoded(server);
  request.last_event_id = since;
  bool was_connected = false;
  bool is_told = false;
  bool is_read = true;
  for (int pause_ms = pause_min_ms;; pause_ms = std::min(pause_ms * 2, pause_max_ms)) {
    EventStream stream;
    const auto answer = call.client().follow(request, [&](std::string_view bytes) {
      for (const StreamEvent& event : stream.feed(bytes)) {
        is_read = call.print(call.is_json() ? to_line(event) : event_text(event));
        if (!is_read) return false;
      }
      return !stream.has_failed();
    });
    if (!stream.last_id().empty()) request.last_event_id = stream.last_id();
    if (call.client().was_interrupted()) return exit_interrupted;
    if (!is_read) return exit_failed;
    if (answer && is_final(answer.value())) return call.refuse(answer.value());
    const bool has_begun = call.client().has_begun();
    if (!answer && !was_connected && !has_begun) return call.fail(answer.error().text);
    was_connected = true;
    if (has_begun) {
      pause_ms = pause_min_ms;
      is_told = false;
    }
    if (!is_told) {
      call.fail((answer ? std::string("the stream ended") : answer.error().text) +
                "; coming back to it");
      is_told = true;
    }
    call.client().sleep_ms(pause_ms);
    if (call.client().was_interrupted()) return exit_interrupted;
  }
}

}  // namespace earshot::tools
