#include "tools/earshot/api_path.h"

#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "relay/base/address.h"

namespace earshot::tools {
namespace {

constexpr std::string_view scheme = "https://";
constexpr std::string_view default_listen = "127.0.0.1:8445";

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

Result<std::string> url_of_listener(std::string_view text) {
  auto endpoint = Endpoint::parse(text);
  if (!endpoint) return Error{"admin.listen is not ADDRESS:PORT: " + std::string(text)};
  if (endpoint->port == 0) return Error{"admin.listen names any free port; --api names the one"};
  if (endpoint->ip.is_unspecified()) {
    const bool is_v6 = text.starts_with('[');
    return std::string(scheme) + (is_v6 ? "[::1]:" : "127.0.0.1:") + std::to_string(endpoint->port);
  }
  return std::string(scheme) + endpoint->to_string();
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const bool is_dots = text == "." || text == "..";
  std::string result;
  for (const char c : text) {
    if (is_unreserved(c) && !is_dots) {
      result += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    result += '%';
    result += digits[byte >> 4];
    result += digits[byte & 15];
  }
  return result;
}

std::string server_path(std::string_view server) {
  return "/v1/servers/" + percent_encoded(server);
}

std::string channel_path(std::string_view server, std::string_view channel) {
  return server_path(server) + "/channels/" + percent_encoded(channel);
}

std::string participant_path(std::string_view server, std::string_view channel,
                             std::string_view user) {
  return channel_path(server, channel) + "/participants/" + percent_encoded(user);
}

Result<std::string> parse_api_url(std::string text) {
  if (text.ends_with('/')) text.pop_back();
  if (!text.starts_with(scheme)) return Error{"the API is at https://HOST:PORT, not " + text};
  const std::string_view authority = std::string_view(text).substr(scheme.size());
  const bool has_odd = authority.find_first_of("/?#@\\") != std::string_view::npos;
  if (authority.empty() || has_odd) return Error{"the API is at https://HOST:PORT, not " + text};
  for (const char c : authority) {
    if (c <= ' ' || c > '~') return Error{"the API is at https://HOST:PORT: an odd character"};
  }
  return text;
}

Result<std::string> api_url_of_configuration(std::string_view configuration) {
  const toml::parse_result parsed = toml::parse(configuration);
  if (!parsed) return Error{std::string(parsed.error().description())};
  const auto listen = parsed["admin"]["listen"];
  if (!listen) return url_of_listener(default_listen);
  const auto first = listen.is_array() ? listen[0] : listen;
  const auto text = first.value<std::string>();
  if (!text) return Error{"admin.listen names no address"};
  return url_of_listener(*text);
}

Result<nlohmann::json> parse_settings(const std::vector<std::string>& assignments) {
  nlohmann::json settings = nlohmann::json::object();
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error{"a setting is KEY=VALUE, not " + assignment};
    }
    const std::string key = assignment.substr(0, equals);
    const std::string value = assignment.substr(equals + 1);
    if (settings.contains(key)) return Error{key + " is set twice"};
    if (value == "default" || value == "null") {
      settings[key] = nullptr;
      continue;
    }
    std::int64_t number = 0;
    const char* const last = value.data() + value.size();
    const auto [end, status] = std::from_chars(value.data(), last, number);
    if (status != std::errc{} || end != last) {
      return Error{key + " takes a whole number or \"default\", not \"" + value + "\""};
    }
    settings[key] = number;
  }
  return settings;
}

}  // namespace earshot::tools
