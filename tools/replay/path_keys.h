// The keys of a path's model, one table row each: what profiles and the command line have in
// common. Any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "relay/base/result.h"
#include "tools/replay/network.h"

namespace earshot::replay {

// What is wrong with a key or its value: "delay must be ...". Nothing if it was taken. Files are
// relative to `folder`.
std::optional<std::string> read_path_key(std::string_view key, std::string_view value,
                                         const std::filesystem::path& folder, PathModel& model);

// A key that means nothing without another.
std::optional<std::string> find_missing_key(const PathModel& model);

// Lines of "DELAY" (in ms, one for every 20 ms) or of "TIME,DELAY" (both in ms, from the first
// line's time).
Result<DelayTrace> read_delay_trace(const std::string& path);

}  // namespace earshot::replay
