// Bounded JSON: size and depth are checked before nlohmann-json sees a byte, and nothing throws.
// Any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace earshot::gateway {

// Nothing if it is not one JSON value (RFC 8259), is larger than `size_max` bytes or nested deeper
// than limits::json_depth_max.
std::optional<nlohmann::json> parse_json(std::string_view text, std::size_t size_max);

// Members of an object, or nothing where the member is absent or of another type. `object` may be
// any value.
std::optional<std::string> string_member(const nlohmann::json& object, const char* name);
std::optional<std::int64_t> integer_member(const nlohmann::json& object, const char* name);
std::optional<bool> bool_member(const nlohmann::json& object, const char* name);

}  // namespace earshot::gateway
