#include "relay/control/api.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "relay/control/api_body.h"
#include "relay/control/api_problem.h"
#include "relay/control/api_route.h"

namespace earshot::control {
namespace {

using gateway::HttpRequest;
using gateway::HttpResponse;

// "/a/b" -> {"a", "b"}. Nothing if a segment is not well encoded.
std::optional<std::vector<std::string>> split(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    auto decoded = percent_decode(segment);
    if (!decoded) return std::nullopt;
    segments.push_back(std::move(*decoded));
    path.remove_prefix(segment.size());
  }
  return segments;
}

HttpResponse wrong_method(const std::string& allowed) {
  HttpResponse response = problem(Problem::method_not_allowed, "allowed here: " + allowed);
  response.headers.emplace_back("Allow", allowed);
  return response;
}

bool is_read(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

}  // namespace

std::optional<HttpResponse> health_response(const HttpRequest& request) {
  if (request.path != "/healthz") return std::nullopt;
  if (!is_read(request)) return wrong_method("GET, HEAD");
  return HttpResponse{200, "application/json", R"({"status":"ok"})", {}};
}

Api::Api(ApiOptions options, Parts parts)
    : options_(std::move(options)), parts_(std::move(parts)) {}

void Api::set_keys(ApiKeys keys) {
  options_.keys = std::move(keys);
  parts_.events.end_if(
      [this](const EventHub::Subscriber& subscriber) {
        return !options_.keys.contains(subscriber.key);
      },
      "the key of this stream is gone");
}

void Api::begin_stop() {
  is_stopping_ = true;
  parts_.events.begin_stop();
}

// --- Connections --------------------------------------------------------------------------------

void Api::on_abandoned(gateway::Connection& connection) {
  owed_.erase(&connection);
  parts_.events.on_abandoned(connection);
}

void Api::on_stopping(gateway::Connection& connection) {
  parts_.events.on_stopping(connection);
}

void Api::on_drained(gateway::Connection& connection) {
  parts_.events.on_drained(connection);
}

std::function<void(const HttpResponse&)> Api::owe(gateway::Connection& connection) {
  const std::uint64_t answer = next_answer_++;
  owed_[&connection] = answer;
  return [this, &connection, answer](const HttpResponse& response) {
    const auto found = owed_.find(&connection);
    if (found == owed_.end() || found->second != answer) return;
    owed_.erase(found);
    connection.respond(response);
  };
}

// --- Routing ------------------------------------------------------------------------------------

std::optional<std::vector<std::string>> Api::match(const Route& route,
                                                   const std::vector<std::string>& path) {
  std::vector<std::string> names;
  std::size_t i = 0;
  for (std::string_view rest = route.path; !rest.empty(); ++i) {
    rest.remove_prefix(1);
    const std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    if (i >= path.size()) return std::nullopt;
    if (segment.starts_with('{')) {
      names.push_back(path[i]);
    } else if (path[i] != segment) {
      return std::nullopt;
    }
  }
  if (i != path.size()) return std::nullopt;
  return names;
}

Api::Answer Api::ready(const HttpRequest& request) const {
  if (!is_read(request)) return wrong_method("GET, HEAD");
  if (is_stopping_) return problem(Problem::stopping, "it takes no new participants");
  return HttpResponse{200, "application/json", R"({"status":"ok"})", {}};
}

Api::Answer Api::on_request(gateway::Connection& connection, const HttpRequest& request) {
  if (auto health = health_response(request)) return health;
  if (request.path == "/readyz") return ready(request);
  return dispatch(connection, request);
}

Api::Answer Api::dispatch(gateway::Connection& connection, const HttpRequest& request) {
  const auto path = split(request.path);
  if (!path) return problem(Problem::bad_request, "the path has a % that begins no %XX");
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  const Route* route = nullptr;
  std::vector<std::string> names;
  std::string allowed;
  for (const Route& candidate : routes()) {
    auto matched = match(candidate, *path);
    if (!matched) continue;
    allowed += (allowed.empty() ? "" : ", ") + std::string(candidate.method);
    if (candidate.method == "GET") allowed += ", HEAD";
    if (candidate.method != method) continue;
    route = &candidate;
    names = std::move(*matched);
  }
  if (allowed.empty()) return problem(Problem::not_found, "no such path");
  const std::string_view authorization = request.header("authorization");
  const ApiKey* key = options_.keys.find(authorization);
  if (key == nullptr) {
    const bool is_wrong = !authorization.empty();
    if (is_wrong && wrong_keys_.add(parts_.sessions.now(), connection.peer().ip)) {
      return problem(Problem::too_many_requests, "too many wrong keys came from this address");
    }
    return problem(Problem::unauthorized, "send a valid key: Authorization: Bearer KEY");
  }
  if (route == nullptr) return wrong_method(allowed);
  if (!key->may(route->scope)) {
    return problem(Problem::forbidden, "this needs a key with the scope admin");
  }
  const bool is_elsewhere = key->server_id && !names.empty() && !key->may_see(names[0]);
  if (is_elsewhere || (key->server_id && route->is_whole_node)) {
    return problem(Problem::forbidden, "this key is for one server only");
  }
  if (!std::ranges::all_of(names, gateway::is_valid_id)) {
    return problem(Problem::bad_request,
                   "an id in the path is not 1 to 64 printable ASCII characters without spaces");
  }
  if (is_stopping_ && !is_read(request)) {
    return problem(Problem::stopping, "it changes nothing any more");
  }
  if (!request.body.empty() && !has_json_type(request)) {
    return problem(Problem::unsupported_media_type, "send the body as application/json");
  }
  return (this->*route->handler)({connection, request, *key, std::move(names)});
}

}  // namespace earshot::control
