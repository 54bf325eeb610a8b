#include "tools/replay/policy.h"

#include <algorithm>
#include <charconv>

namespace earshot::replay {
namespace {

constexpr std::uint16_t ms_min = 20;
constexpr std::uint16_t ms_max = 2'000;

Error not_a_policy(std::string_view text) {
  return Error{"\"" + std::string(text) +
               "\" is no policy: off, late=N or deadline=N, with 20 to 2000 ms, or recorded"};
}

}  // namespace

std::string name(const Policy& policy) {
  if (policy.kind == Policy::Kind::recorded) return "recorded";
  if (policy.kind == Policy::Kind::deadline) return "deadline=" + std::to_string(policy.ms);
  return policy.ms == 0 ? "off" : "late=" + std::to_string(policy.ms);
}

Result<Policy> parse_policy(std::string_view text) {
  if (text == "off" || text == "late=0") return Policy{Policy::Kind::late, 0};
  if (text == "recorded") return Policy{Policy::Kind::recorded, 0};
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return not_a_policy(text);
  Policy policy;
  const std::string_view kind = text.substr(0, equals);
  if (kind == "deadline") {
    policy.kind = Policy::Kind::deadline;
  } else if (kind != "late") {
    return not_a_policy(text);
  }
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + equals + 1, end, policy.ms);
  if (error != std::errc{} || stop != end || policy.ms < ms_min || policy.ms > ms_max) {
    return not_a_policy(text);
  }
  return policy;
}

Result<std::vector<Policy>> parse_policies(std::string_view text) {
  std::vector<Policy> policies;
  for (;;) {
    const std::size_t comma = text.find(',');
    auto policy = parse_policy(text.substr(0, comma));
    if (!policy.ok()) return policy.error();
    if (std::find(policies.begin(), policies.end(), policy.value()) != policies.end()) {
      return Error{name(policy.value()) + " is named twice"};
    }
    policies.push_back(policy.value());
    if (comma == std::string_view::npos) return policies;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace earshot::replay
