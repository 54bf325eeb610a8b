// Names of things in the HTTP API: its URL, the path of a channel or participant, settings as they
// are typed. Any thread; pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"

namespace earshot::tools {

// RFC 3986: all but unreserved characters as %XX; a segment of dots alone, too, which would name
// another folder.
std::string percent_encoded(std::string_view text);

std::string server_path(std::string_view server);
std::string channel_path(std::string_view server, std::string_view channel);
std::string participant_path(std::string_view server, std::string_view channel,
                             std::string_view user);

// "https://HOST:PORT", without a slash at its end. The error names what is wrong with the text.
Result<std::string> parse_api_url(std::string text);

// Where a node with this configuration (TOML) has its API, seen from its own machine.
Result<std::string> api_url_of_configuration(std::string_view configuration);

// {"late_ms_max": 120, "speakers_max": null} of late_ms_max=120 speakers_max=default.
Result<nlohmann::json> parse_settings(const std::vector<std::string>& assignments);

}  // namespace earshot::tools
