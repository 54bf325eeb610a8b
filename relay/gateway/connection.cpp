#include "relay/gateway/connection.h"

namespace earshot::gateway {

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [field, value] : headers) {
    if (field == name) return value;
  }
  return {};
}

std::string_view HttpRequest::query_parameter(std::string_view name, bool* is_present) const {
  if (is_present != nullptr) *is_present = false;
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(pair.size() < rest.size() ? pair.size() + 1 : rest.size());
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    if (is_present != nullptr) *is_present = true;
    return equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
  }
  return {};
}

}  // namespace earshot::gateway
