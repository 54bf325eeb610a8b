// Reads what a request of the HTTP API says: its JSON body, member by member, and its query. Any
// thread. The first thing that is wrong is kept as one sentence; nothing is repaired.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "relay/base/result.h"
#include "relay/gateway/connection.h"

namespace earshot::control {

// Content-Type: application/json, or none.
bool has_json_type(const gateway::HttpRequest& request);
// A JSON object without two members of one name. An absent body is an empty object.
Result<nlohmann::json> parse_body(const gateway::HttpRequest& request);

// %XX and nothing else; nothing if it is malformed.
std::optional<std::string> percent_decode(std::string_view text);

// The members of one object. Each of the readers answers nothing when the member is absent or
// wrong; finish() tells which.
class Members {
 public:
  // `path` names the object in complaints: "" or "grants.".
  explicit Members(const nlohmann::json& object, std::string path = {})
      : object_(object), path_(std::move(path)) {}

  std::optional<std::string> id(const char* name);
  std::string required_id(const char* name);
  std::optional<bool> boolean(const char* name);
  std::optional<std::int64_t> integer(const char* name, std::int64_t min, std::int64_t max);
  // null: the inner value is absent.
  std::optional<std::optional<std::int64_t>> integer_or_null(const char* name, std::int64_t min,
                                                             std::int64_t max);
  // An object of its own, to be read through another Members.
  const nlohmann::json* object(const char* name);
  void complain(const char* name, std::string_view what);
  void complain(const std::string& complaint);

  // Fails if something was wrong, or if there are members that nobody has asked for.
  Result<void> finish();

 private:
  const nlohmann::json* find(const char* name);

  const nlohmann::json& object_;
  std::string path_;
  std::set<std::string> known_;
  std::string complaint_;
};

}  // namespace earshot::control
