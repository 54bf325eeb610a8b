#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "crypto/keys.h"
#include "crypto/signature.h"
#include "relay/gateway/token.h"
#include "tools/earshot/command.h"
#include "tools/earshot/key_file.h"

namespace earshot::tools {
namespace {

struct Options {
  std::string name;
  std::vector<std::string> scopes;
  std::string server;
  std::string file = ".state/api-keys.toml";
  bool replaces = false;
  bool removes = false;
};

int fail(const std::string& text) {
  std::fprintf(stderr, "earshot key: %s\n", text.c_str());
  return exit_failed;
}

std::string check_id(const std::string& id) {
  return gateway::is_valid_id(id) ? ""
                                  : "must be 1 to 64 printable ASCII characters without spaces";
}

// Two commands at a time change the file one after the other.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder)
      : descriptor_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ >= 0) flock(descriptor_, LOCK_EX);
  }
  ~FolderLock() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

// Nothing is an empty file; what cannot be read is an error.
Result<std::string> read_text(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return std::string{};
  std::ifstream file(path);
  std::ostringstream text;
  if (!(file && text << file.rdbuf()) && !file.eof()) {
    return Error{"cannot read " + path + ": " + std::strerror(errno)};
  }
  return text.str();
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::string make_key() {
  std::array<std::uint8_t, crypto::key_size> bytes;
  crypto::random_bytes(bytes);
  std::string key = crypto::base64url_encode(bytes);
  crypto::zero(bytes);
  return key;
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

int remove(const Options& options, const std::string& text) {
  const auto rest = remove_key(text, options.name);
  if (!rest) return fail(options.file + ": " + rest.error().text);
  const auto stored = store_file(options.file, rest.value());
  if (!stored) return fail(stored.error().text);
  std::fprintf(stderr, "earshot key: %s was removed from %s; a running node rereads it on SIGHUP\n",
               options.name.c_str(), options.file.c_str());
  return exit_ok;
}

int add(const Options& options, std::string text) {
  const auto names = key_names(text);
  if (!names) return fail(options.file + ": " + names.error().text);
  const auto& known = names.value();
  if (std::find(known.begin(), known.end(), options.name) != known.end()) {
    if (!options.replaces) {
      return fail(options.file + " has a key of the name " + options.name +
                  " already; --replace puts a new one in its place");
    }
    auto rest = remove_key(text, options.name);
    if (!rest) return fail(options.file + ": " + rest.error().text);
    text = std::move(rest.value());
  }
  const std::string key = make_key();
  KeyEntry entry;
  entry.name = options.name;
  entry.scopes = options.scopes.empty() ? std::vector<std::string>{"read"} : options.scopes;
  std::sort(entry.scopes.rbegin(), entry.scopes.rend());
  entry.scopes.erase(std::unique(entry.scopes.begin(), entry.scopes.end()), entry.scopes.end());
  entry.server = options.server;
  entry.sha256 = to_hex(crypto::sha256(bytes_of(key)));
  const auto whole = add_key(text, entry);
  if (!whole) return fail(options.file + ": " + whole.error().text);
  const auto stored = store_file(options.file, whole.value());
  if (!stored) return fail(stored.error().text);
  std::printf("%s\n", key.c_str());
  if (std::fflush(stdout) != 0) return fail("cannot print the key; make it anew with --replace");
  std::fprintf(stderr,
               "earshot key: this is the key of %s (%s%s), shown once; its hash is in %s, which a "
               "running node rereads on SIGHUP\n",
               entry.name.c_str(), joined(entry.scopes).c_str(),
               entry.server.empty() ? "" : (", server " + entry.server).c_str(),
               options.file.c_str());
  return exit_ok;
}

int run(const Options& options) {
  if (!crypto::initialize()) return fail("libsodium does not work here");
  const auto folder = std::filesystem::path(options.file).parent_path().string();
  const FolderLock lock(folder.empty() ? "." : folder);
  auto text = read_text(options.file);
  if (!text) return fail(text.error().text);
  return options.removes ? remove(options, text.value()) : add(options, std::move(text.value()));
}

}  // namespace

Command make_key_command(CLI::App& parent) {
  auto options = std::make_shared<Options>();
  CLI::App* app = parent.add_subcommand(
      "key", "Make a key for the HTTP API: printed once, its hash goes into the node's key file");
  app->add_option("NAME", options->name, "What the key is called in the file")
      ->required()
      ->check(CLI::Validator(check_id, "NAME"));
  auto* const scope =
      app->add_option("--scope", options->scopes,
                      "read (look, listen to events) or admin (that, and change); may be repeated "
                      "(default: read)")
          ->check(CLI::IsMember({"read", "admin"}))
          ->allow_extra_args(false);
  auto* const server =
      app->add_option("--server", options->server, "Only this server's channels, joins and events")
          ->check(CLI::Validator(check_id, "ID"));
  app->add_option("--file", options->file, "The node's key file (admin.keys_file)")
      ->capture_default_str();
  auto* const replace = app->add_flag("--replace", options->replaces,
                                      "Put the new key in the place of one of that name");
  app->add_flag("--remove", options->removes, "Remove the entry of that name instead")
      ->excludes(scope)
      ->excludes(server)
      ->excludes(replace);
  return {app, [options] { return run(*options); }};
}

}  // namespace earshot::tools
