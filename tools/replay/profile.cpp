#include "tools/replay/profile.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "tools/replay/path_keys.h"

namespace earshot::replay {
namespace {

namespace fs = std::filesystem;

using Complaint = std::optional<std::string>;

constexpr std::uintmax_t file_size_max = 1 << 20;
constexpr std::string_view ending = ".toml";

std::string place(const std::string& file, const toml::source_region& source) {
  return file + ":" + std::to_string(source.begin.line);
}

Complaint read_value(std::string_view key, const toml::node& node, const fs::path& folder,
                     PathModel& model) {
  if (const auto text = node.value_exact<std::string>()) {
    return read_path_key(key, *text, folder, model);
  }
  if (const auto flag = node.value_exact<bool>()) {
    return read_path_key(key, *flag ? "true" : "false", folder, model);
  }
  return std::string(key) + " must be a string, or true or false";
}

Result<void> read_path_table(const std::string& file, std::string_view section,
                             const toml::table& table, PathModel& model) {
  const fs::path folder = fs::path(file).parent_path();
  for (const auto& [key, value] : table) {
    if (const auto complaint = read_value(key.str(), value, folder, model)) {
      return Error{place(file, key.source()) + ": [" + std::string(section) + "] " + *complaint};
    }
  }
  if (const auto missing = find_missing_key(model)) {
    return Error{place(file, table.source()) + ": [" + std::string(section) + "] " + *missing};
  }
  return {};
}

// One line for a person.
Complaint read_description(const toml::node& node, Profile& profile) {
  const auto text = node.value_exact<std::string>();
  if (!text || text->empty() || text->size() > 200 || text->find('\n') != std::string::npos) {
    return "description must be one line of up to 200 characters";
  }
  profile.description = *text;
  return std::nullopt;
}

Result<void> read_tables(const std::string& file, const toml::table& root, Profile& profile) {
  for (const auto& [key, node] : root) {
    const std::string name(key.str());
    const std::string where = place(file, key.source()) + ": ";
    if (name == "description") {
      if (const auto complaint = read_description(node, profile)) return Error{where + *complaint};
      continue;
    }
    const auto* table = node.as_table();
    if (table == nullptr || (name != "uplink" && name != "downlink")) {
      return Error{where + "unknown key " + name +
                   "; a profile has description, [uplink] and [downlink]"};
    }
    PathModel& model = name == "uplink" ? profile.uplink : profile.downlink;
    if (auto read = read_path_table(file, name, *table, model); !read) return read;
  }
  return {};
}

Result<std::string> read_text(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return Error{path + ": cannot be read"};
  if (size > file_size_max) return Error{path + ": larger than a profile may be"};
  std::ifstream stream(path);
  std::ostringstream content;
  content << stream.rdbuf();
  if (!stream.is_open() || stream.bad()) return Error{path + ": cannot be read"};
  return content.str();
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

Result<Profile> read_profile(const std::string& path) {
  auto text = read_text(path);
  if (!text) return text.error();
  const auto parsed = toml::parse(text.value(), path);
  if (!parsed) {
    return Error{place(path, parsed.error().source()) + ": " +
                 std::string(parsed.error().description())};
  }
  Profile profile;
  profile.name = fs::path(path).stem().string();
  if (auto read = read_tables(path, parsed.table(), profile); !read) return read.error();
  if (profile.description.empty()) return Error{path + ": has no description"};
  return profile;
}

std::vector<std::string> profile_names(std::span<const std::string> folders) {
  std::vector<std::string> names;
  for (const std::string& folder : folders) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (entry.path().extension() == ending) names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<Profile> find_profile(const std::string& name, std::span<const std::string> folders) {
  if (name.find('/') != std::string::npos) return read_profile(name);
  for (const std::string& folder : folders) {
    const fs::path path = fs::path(folder) / (name + std::string(ending));
    std::error_code error;
    if (fs::is_regular_file(path, error)) return read_profile(path.string());
  }
  const std::string known = join(profile_names(folders));
  return Error{"profile " + name + " is not known; " +
               (known.empty() ? "there is none in " + join({folders.begin(), folders.end()})
                              : "there are " + known)};
}

// A part without '=' belongs to the value before it: values have commas too.
Result<PathModel> parse_path_model(std::string_view text, const PathModel& base) {
  PathModel model = base;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t equals = text.find('=', at);
    if (equals == std::string_view::npos) {
      return Error{std::string(text.substr(at)) + " must be KEY=VALUE"};
    }
    const std::size_t next_equals = text.find('=', equals + 1);
    std::size_t end = text.size();
    if (next_equals != std::string_view::npos) {
      const std::size_t comma = text.rfind(',', next_equals);
      // Otherwise the second '=' is part of a file's name.
      if (comma != std::string_view::npos && comma > equals) end = comma;
    }
    const std::string_view key = text.substr(at, equals - at);
    const std::string_view value = text.substr(equals + 1, end - equals - 1);
    if (const auto complaint = read_path_key(key, value, fs::path{}, model)) {
      return Error{*complaint};
    }
    at = end + 1;
  }
  if (const auto missing = find_missing_key(model)) return Error{*missing};
  return model;
}

}  // namespace earshot::replay
