#include "relay/control/api_keys.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "crypto/keys.h"
#include "crypto/signature.h"
#include "relay/gateway/http.h"
#include "relay/gateway/token.h"

namespace earshot::control {
namespace {

constexpr std::string_view form =
    R"(must have keys of the form { name = "NAME", scopes = ["read"] or ["admin"], server = "ID" )"
    R"((or left out), sha256 = "64 hex digits" })";

std::optional<std::array<std::uint8_t, 32>> parse_hash(std::string_view text) {
  std::array<std::uint8_t, 32> hash{};
  if (text.size() != 2 * hash.size()) return std::nullopt;
  const auto digit = [](char c) {
    const auto place = std::string_view("0123456789abcdef").find(c);
    return place == std::string_view::npos ? -1 : static_cast<int>(place);
  };
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    hash[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return hash;
}

std::optional<Scope> parse_scopes(const toml::table& entry) {
  const auto* list = entry["scopes"].as_array();
  if (list == nullptr || list->empty()) return std::nullopt;
  Scope most = Scope::read;
  for (const toml::node& one : *list) {
    const auto scope = one.value_exact<std::string>();
    if (scope == "admin") {
      most = Scope::admin;
    } else if (scope != "read") {
      return std::nullopt;
    }
  }
  return most;
}

std::optional<ApiKey> parse_entry(const toml::node& node) {
  const auto* entry = node.as_table();
  if (entry == nullptr) return std::nullopt;
  for (const auto& [key, value] : *entry) {
    if (key != "name" && key != "scopes" && key != "server" && key != "sha256") return std::nullopt;
  }
  const auto name = (*entry)["name"].value_exact<std::string>();
  const auto hash_text = (*entry)["sha256"].value_exact<std::string>();
  const auto hash = hash_text ? parse_hash(*hash_text) : std::nullopt;
  const auto scope = parse_scopes(*entry);
  if (!name || !gateway::is_valid_id(*name) || !hash || !scope) return std::nullopt;
  ApiKey key{*name, *scope, std::nullopt, *hash};
  if (entry->contains("server")) {
    key.server_id = (*entry)["server"].value_exact<std::string>();
    if (!key.server_id || !gateway::is_valid_id(*key.server_id)) return std::nullopt;
  }
  return key;
}

}  // namespace

Result<ApiKeys> ApiKeys::load(const std::string& file) {
  std::ifstream stream(file);
  stream.peek();  // a folder opens like a file, and fails only now
  if (!stream.is_open() || stream.bad()) return Error{file + ": cannot be read"};
  std::ostringstream content;
  content << stream.rdbuf();
  const auto parsed = toml::parse(content.str(), file);
  if (!parsed) {
    return Error{file + ":" + std::to_string(parsed.error().source().begin.line) + ": " +
                 std::string(parsed.error().description())};
  }
  const toml::table& root = parsed.table();
  if (root.empty()) return ApiKeys{};
  const auto* list = root["keys"].as_array();
  if (list == nullptr || root.size() != 1) return Error{file + ": " + std::string(form)};
  std::vector<ApiKey> keys;
  for (const toml::node& node : *list) {
    auto key = parse_entry(node);
    const std::string where = file + ":" + std::to_string(node.source().begin.line) + ": ";
    if (!key) return Error{where + std::string(form)};
    const auto has_name = [&key](const ApiKey& other) { return other.name == key->name; };
    if (std::ranges::any_of(keys, has_name)) return Error{where + "a second key " + key->name};
    keys.push_back(std::move(*key));
  }
  return ApiKeys(std::move(keys));
}

const ApiKey* ApiKeys::find(std::string_view authorization) const {
  // RFC 9110 s11.1: the scheme's case does not matter.
  constexpr std::string_view scheme = "Bearer ";
  if (authorization.size() <= scheme.size() ||
      !gateway::has_token(authorization.substr(0, scheme.size() - 1), "Bearer") ||
      authorization[scheme.size() - 1] != ' ') {
    return nullptr;
  }
  const std::string_view key = authorization.substr(scheme.size());
  const auto hash = crypto::sha256({reinterpret_cast<const std::uint8_t*>(key.data()), key.size()});
  const ApiKey* found = nullptr;
  for (const ApiKey& candidate : keys_) {
    if (crypto::equal_constant_time(hash, candidate.hash)) found = &candidate;
  }
  return found;
}

bool ApiKeys::contains(const ApiKey& key) const {
  return std::ranges::find(keys_, key) != keys_.end();
}

}  // namespace earshot::control
