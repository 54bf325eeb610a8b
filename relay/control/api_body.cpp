#include "relay/control/api_body.h"

#include <vector>

#include "relay/base/limits.h"
#include "relay/gateway/http.h"
#include "relay/gateway/json.h"
#include "relay/gateway/token.h"

namespace earshot::control {
namespace {

using Json = nlohmann::json;

// Readers differ in which of two members of one name they take.
bool has_twins(std::string_view text) {
  std::vector<std::set<std::string>> names;
  bool found = false;
  const auto on_event = [&](int, Json::parse_event_t event, Json& name) {
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key) {
      found = found || !names.back().insert(name.get<std::string>()).second;
    }
    return true;
  };
  const Json parsed = Json::parse(text, on_event, false);
  return found && !parsed.is_discarded();
}

}  // namespace

bool has_json_type(const gateway::HttpRequest& request) {
  const std::string_view type = request.header("content-type");
  return type.empty() || gateway::has_token(type.substr(0, type.find(';')), "application/json");
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = digit(text[i + 1]);
    const int low = digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return out;
}

Result<Json> parse_body(const gateway::HttpRequest& request) {
  if (request.body.empty()) return Json::object();
  // RFC 8259 s8.1: no byte order mark; the parser would skip it.
  if (request.body.starts_with("\xEF\xBB\xBF"))
    return Error{"the body begins with a byte order mark"};
  auto body = gateway::parse_json(request.body, gateway::http_body_bytes_max);
  if (!body || !body->is_object()) return Error{"the body must be one JSON object"};
  if (has_twins(request.body)) return Error{"the body has two members of one name"};
  return std::move(*body);
}

const Json* Members::find(const char* name) {
  known_.insert(name);
  const auto found = object_.find(name);
  return found == object_.end() ? nullptr : &*found;
}

void Members::complain(const char* name, std::string_view what) {
  complain(path_ + name + " " + std::string(what));
}

void Members::complain(const std::string& complaint) {
  if (complaint_.empty()) complaint_ = complaint;
}

std::optional<std::string> Members::id(const char* name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string() && gateway::is_valid_id(value->get_ref<const std::string&>())) {
    return value->get<std::string>();
  }
  complain(name, "must be a string of 1 to 64 printable ASCII characters without spaces");
  return std::nullopt;
}

std::string Members::required_id(const char* name) {
  if (!object_.contains(name)) complain(name, "is missing");
  return id(name).value_or("");
}

std::optional<bool> Members::boolean(const char* name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  complain(name, "must be true or false");
  return std::nullopt;
}

std::optional<std::int64_t> Members::integer(const char* name, std::int64_t min, std::int64_t max) {
  if (find(name) == nullptr) return std::nullopt;
  const auto value = gateway::integer_member(object_, name);
  if (value && *value >= min && *value <= max) return value;
  complain(name, "must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
  return std::nullopt;
}

std::optional<std::optional<std::int64_t>> Members::integer_or_null(const char* name,
                                                                    std::int64_t min,
                                                                    std::int64_t max) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_null()) return std::optional<std::int64_t>{};
  const auto number = integer(name, min, max);
  if (!number) return std::nullopt;
  return number;
}

const Json* Members::object(const char* name) {
  const Json* value = find(name);
  if (value == nullptr || value->is_object()) return value;
  complain(name, "must be an object");
  return nullptr;
}

Result<void> Members::finish() {
  for (const auto& [name, value] : object_.items()) {
    if (!known_.contains(name)) complain("there is no member " + path_ + name);
  }
  if (!complaint_.empty()) return Error{complaint_};
  return {};
}

}  // namespace earshot::control
