// What the API answers, as text for people. Any thread; pure. An answer may come from another
// version of the relay: a member that is missing is a dash, never an error.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "tools/earshot/event_stream.h"

namespace earshot::tools {

std::string node_text(const nlohmann::json& node);
std::string channels_text(const nlohmann::json& channels);          // a list
std::string participants_text(const nlohmann::json& participants);  // a list
std::string channel_text(const nlohmann::json& channel);
std::string moderation_text(const nlohmann::json& answer);
std::string join_text(const nlohmann::json& join);
std::string recordings_text(const nlohmann::json& answer);

// One line, with the time of day here.
std::string event_text(const StreamEvent& event);

// "title: detail" of a problem (RFC 9457), or what can be said about an answer that is none.
std::string problem_text(long status, std::string_view content_type, std::string_view body);

}  // namespace earshot::tools
