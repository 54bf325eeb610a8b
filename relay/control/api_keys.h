// The keys that open the HTTP API: by name, with what each may do, known here by their SHA-256
// only. Any thread; reads a file when it is told to. A key is 32 random bytes, so a plain hash
// keeps it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"

namespace earshot::control {

enum class Scope : std::uint8_t {
  read,   // see everything but tokens
  admin,  // and change it
};

struct ApiKey {
  std::string name;
  Scope scope = Scope::read;
  std::optional<std::string> server_id;  // what it may see and change; nothing: the whole node
  std::array<std::uint8_t, 32> hash{};

  bool may(Scope needed) const { return scope >= needed; }
  bool may_see(std::string_view server) const { return !server_id || *server_id == server; }
  bool operator==(const ApiKey&) const = default;
};

class ApiKeys {
 public:
  // TOML: a list `keys` of { name, scopes, server (optional), sha256 }. The error names the file
  // and what is wrong in it.
  static Result<ApiKeys> load(const std::string& file);

  ApiKeys() = default;
  explicit ApiKeys(std::vector<ApiKey> keys) : keys_(std::move(keys)) {}

  // `authorization`: the value of that header. Takes as long whichever key it is, or none.
  const ApiKey* find(std::string_view authorization) const;
  bool contains(const ApiKey& key) const;
  std::size_t size() const { return keys_.size(); }

 private:
  std::vector<ApiKey> keys_;
};

}  // namespace earshot::control
