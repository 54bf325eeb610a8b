// The file of API keys (admin.keys_file) as text: entries come and go, everything else in it stays
// as it was. Any thread; pure but for store_file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"

namespace earshot::tools {

struct KeyEntry {
  std::string name;
  std::vector<std::string> scopes;
  std::string server;  // empty: all of them
  std::string sha256;  // of the key's characters, in hexadecimal digits
};

// The names of the entries, in their order. The error is what is wrong with the text.
Result<std::vector<std::string>> key_names(std::string_view text);

// The text with one more entry, or without the one of that name (an error if there is none).
Result<std::string> add_key(const std::string& text, const KeyEntry& entry);
Result<std::string> remove_key(const std::string& text, const std::string& name);

// The file gets that content, whole or not at all. A new one is private to its owner; one that was
// there keeps its owner, whom a node may run as, and loses what others might do with it.
Result<void> store_file(const std::string& path, std::string_view content);

}  // namespace earshot::tools
