#include "tools/earshot/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace earshot::tools {
namespace {

namespace fs = std::filesystem;

Error system_error(const std::string& path) {
  return Error{"cannot write " + path + ": " + std::strerror(errno)};
}

// Printable ASCII as a TOML string.
std::string toml_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

std::string to_text(const KeyEntry& entry) {
  std::string scopes;
  for (const std::string& scope : entry.scopes) {
    scopes += (scopes.empty() ? "" : ", ") + toml_string(scope);
  }
  std::string text =
      "[[keys]]\nname = " + toml_string(entry.name) + "\nscopes = [" + scopes + "]\n";
  if (!entry.server.empty()) text += "server = " + toml_string(entry.server) + "\n";
  return text + "sha256 = " + toml_string(entry.sha256) + "\n";
}

struct Lines {
  std::size_t first, end;  // counted from 0
};

// Where the tables of [[keys]] stand. An entry ends where the next one, whatever comment stands
// right above that, or the file ends.
std::vector<Lines> key_lines(const std::vector<std::string>& lines) {
  std::vector<Lines> entries;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t start = lines[i].find_first_not_of(" \t");
    if (start == std::string::npos || lines[i][start] != '[') continue;
    if (!entries.empty() && entries.back().end > i) {
      std::size_t end = i;
      while (end > entries.back().first + 1 && lines[end - 1].rfind('#', 0) == 0) --end;
      entries.back().end = end;
    }
    if (lines[i].compare(start, 8, "[[keys]]") == 0) entries.push_back({i, lines.size()});
  }
  return entries;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1);
    lines.push_back(text.substr(at, end - at + 1));
    at = end + 1;
  }
  return lines;
}

// Whoever wrote the file may have chosen another form than that of this program.
Result<std::string> checked(std::string text, const std::vector<std::string>& names) {
  const auto after = key_names(text);
  if (!after || after.value() != names) {
    return Error{"its entries are not written as [[keys]] tables: change it by hand"};
  }
  return text;
}

}  // namespace

Result<std::vector<std::string>> key_names(std::string_view text) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return Error{"line " + std::to_string(parsed.error().source().begin.line) + ": " +
                 std::string(parsed.error().description())};
  }
  std::vector<std::string> names;
  const toml::node* const keys = parsed.table().get("keys");
  if (keys == nullptr) return names;
  if (!keys->is_array()) return Error{"keys is not a list of tables"};
  for (const toml::node& entry : *keys->as_array()) {
    const auto* const table = entry.as_table();
    const auto name = table == nullptr ? std::nullopt : (*table)["name"].value<std::string>();
    if (!name) return Error{"an entry of keys has no name"};
    names.push_back(*name);
  }
  return names;
}

Result<std::string> add_key(const std::string& text, const KeyEntry& entry) {
  auto names = key_names(text);
  if (!names) return names.error();
  std::string result = text;
  if (!result.empty() && result.back() != '\n') result += '\n';
  if (!result.empty()) result += '\n';
  names.value().push_back(entry.name);
  return checked(result + to_text(entry), names.value());
}

Result<std::string> remove_key(const std::string& text, const std::string& name) {
  auto found = key_names(text);
  if (!found) return found.error();
  std::vector<std::string> names = std::move(found.value());
  const auto place = std::find(names.begin(), names.end(), name);
  if (place == names.end()) return Error{"it has no key of the name " + name};
  const auto index = static_cast<std::size_t>(place - names.begin());
  const std::vector<std::string> lines = split(text);
  const std::vector<Lines> entries = key_lines(lines);
  names.erase(place);
  std::string result;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool is_removed =
        index < entries.size() && i >= entries[index].first && i < entries[index].end;
    if (!is_removed) result += lines[i];
  }
  // No blank lines are left at the end for an entry that was the last one.
  while (result.size() > 1 && result.ends_with("\n\n")) result.pop_back();
  if (result == "\n") result.clear();
  return checked(std::move(result), names);
}

Result<void> store_file(const std::string& path, std::string_view content) {
  std::error_code ignored;
  // Behind a link its target is meant.
  const std::string target =
      fs::is_symlink(path, ignored) ? fs::weakly_canonical(path, ignored).string() : path;
  struct stat before {};
  const bool was_there = stat(target.c_str(), &before) == 0;
  const std::string fresh = target + ".new";
  unlink(fresh.c_str());
  const int descriptor = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) return system_error(target);
  bool is_written = true;
  if (was_there) {
    const bool is_ours = before.st_uid == geteuid() && before.st_gid == getegid();
    is_written = (is_ours || fchown(descriptor, before.st_uid, before.st_gid) == 0) &&
                 fchmod(descriptor, 0600 | (before.st_mode & 0040)) == 0;
  }
  for (std::size_t at = 0; is_written && at < content.size();) {
    const ssize_t count = write(descriptor, content.data() + at, content.size() - at);
    if (count < 0) is_written = errno == EINTR;
    if (count > 0) at += static_cast<std::size_t>(count);
  }
  is_written = is_written && fsync(descriptor) == 0;
  is_written = close(descriptor) == 0 && is_written;
  if (!is_written || rename(fresh.c_str(), target.c_str()) != 0) {
    const Error error = system_error(target);
    unlink(fresh.c_str());
    return error;
  }
  return {};
}

}  // namespace earshot::tools
