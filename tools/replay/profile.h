// Network profiles by name (config/profiles/*.toml), and models of a path in a line of text. Any
// thread. Errors are one sentence that names file, line and key.
// The keys and the form of their values are the same in both: see profile.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "relay/base/result.h"
#include "tools/replay/network.h"

namespace earshot::replay {

struct Profile {
  std::string name;
  std::string description;
  PathModel uplink;
  PathModel downlink;
};

// The name is the file's, without its ending.
Result<Profile> read_profile(const std::string& path);

// NAME.toml in the first folder that has it; the error lists the names that there are.
Result<Profile> find_profile(const std::string& name, std::span<const std::string> folders);

// The names in these folders, sorted, each once.
std::vector<std::string> profile_names(std::span<const std::string> folders);

// "delay=40ms,jitter=normal:10ms,loss=ge:1%,30%,stall=300ms/4s". Over `base`, whose other keys stay
// as they are. Names of files are relative to the current folder.
Result<PathModel> parse_path_model(std::string_view text, const PathModel& base = {});

// One line for each key: its form and what it means. For --help.
std::string describe_path_keys();

}  // namespace earshot::replay
