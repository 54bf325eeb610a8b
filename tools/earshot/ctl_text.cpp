#include "tools/earshot/ctl_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "relay/gateway/json.h"
#include "tools/earshot/terminal_text.h"
#include "tools/earshot/text_table.h"

namespace earshot::tools {
namespace {

using nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

constexpr std::size_t answer_size_max = std::size_t{64} << 20;
const std::string dash = "-";

const json& at(const json& object, const char* name) {
  static const json none;
  if (!object.is_object()) return none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

std::string text_of(const json& value) {
  if (value.is_null()) return dash;
  if (value.is_string()) return printable(value.get<std::string>());
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump();
}

std::optional<std::int64_t> integer_at(const json& object, const char* name) {
  return gateway::integer_member(object, name);
}

std::string number_at(const json& object, const char* name) {
  const auto number = integer_at(object, name);
  return number ? grouped(*number) : text_of(at(object, name));
}

bool is_set(const json& object, const char* name) {
  return gateway::bool_member(object, name).value_or(false);
}

std::string ms_at(const json& object, const char* name) {
  const json& value = at(object, name);
  if (!value.is_number()) return dash;
  std::array<char, 32> text;
  const double ms = value.get<double>();
  std::snprintf(text.data(), text.size(), ms < 10 ? "%.1f ms" : "%.0f ms", ms);
  return text.data();
}

std::string setting_text(const json& settings, const char* name) {
  const json& value = at(settings, name);
  return value.is_null() ? "default" : text_of(value);
}

std::string duration_at(const json& object, const char* name) {
  const json& value = at(object, name);
  return value.is_number() ? duration_text(static_cast<std::int64_t>(value.get<double>())) : dash;
}

// "1/7"
std::string place_text(const json& object) {
  return text_of(at(object, "server_id")) + "/" + text_of(at(object, "channel_id"));
}

std::string marks_of(const json& participant) {
  std::string marks;
  const auto add = [&](const char* name, const char* mark) {
    if (is_set(participant, name)) marks += (marks.empty() ? "" : ", ") + std::string(mark);
  };
  add("speaking", "speaking");
  add("mute", "muted");
  add("deafen", "deafened");
  return marks;
}

std::string time_of_day(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1'000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%02d:%02d:%02d.%03d", parts.tm_hour, parts.tm_min,
                parts.tm_sec, static_cast<int>(unix_ms % 1'000));
  return text.data();
}

std::string joined_or(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

// What an event tells beside who and where. The token of a move is nothing for a terminal.
std::string event_details(const std::string& name, const json& data) {
  if (name == "muted") {
    return std::string(is_set(data, "mute") ? "muted" : "not muted") + ", " +
           (is_set(data, "deafen") ? "deafened" : "not deafened");
  }
  if (name == "speaking") return is_set(data, "speaking") ? "speaks" : "is silent";
  if (name == "moved") {
    return text_of(at(data, "from_channel_id")) + " -> " + text_of(at(data, "to_channel_id"));
  }
  constexpr std::array untold{"server_id", "channel_id", "user_id", "at", "token"};
  std::vector<std::string> details;
  for (const auto& [key, value] : data.items()) {
    if (std::find(untold.begin(), untold.end(), key) != untold.end()) continue;
    if (value.is_object()) {
      for (const auto& [inner, inner_value] : value.items()) {
        details.push_back(printable(inner) + " " +
                          (inner_value.is_null() ? "default" : text_of(inner_value)));
      }
    } else {
      details.push_back(printable(key) + " " + text_of(value));
    }
  }
  return joined_or(details, ", ");
}

}  // namespace

std::string node_text(const json& node) {
  std::string text = "node " + text_of(at(node, "node")) + " of cluster " +
                     text_of(at(node, "cluster")) + ", version " + text_of(at(node, "version"));
  const std::string region = text_of(at(node, "region"));
  if (!region.empty() && region != dash) text += ", region " + region;
  text += "\n" + text_of(at(node, "state")) + ", up " + duration_at(node, "uptime_seconds") +
          "; gateway " + text_of(at(node, "gateway")) + ", media " + text_of(at(node, "media")) +
          "\n" + number_at(node, "sessions") + " of " + number_at(node, "capacity") +
          " sessions; " + counted(integer_at(node, "participants").value_or(0), "participant") +
          " in " + counted(integer_at(node, "channels").value_or(0), "channel") + "\n\n";
  Rows rows;
  for (const json& worker : at(node, "workers")) {
    rows.push_back({number_at(worker, "worker"), number_at(worker, "sessions"),
                    number_at(worker, "packets_received"), number_at(worker, "packets_sent"),
                    number_at(worker, "drops")});
  }
  return text + make_text_table({{"worker", true},
                                 {"sessions", true},
                                 {"packets received", true},
                                 {"packets sent", true},
                                 {"drops", true}},
                                std::move(rows));
}

std::string recordings_text(const json& answer) {
  const json& list = at(answer, "recordings");
  if (list.empty()) return "no recordings\n";
  Rows rows;
  for (const json& r : list) {
    rows.push_back({text_of(at(r, "name")), text_of(at(r, "reason")), number_at(r, "bytes")});
  }
  return make_text_table({{"recording", false, true}, {"reason"}, {"bytes", true}}, rows);
}

std::string channels_text(const json& channels) {
  if (channels.empty()) return "no channels\n";
  Rows rows;
  for (const json& channel : channels) {
    const json& settings = at(channel, "settings");
    rows.push_back({text_of(at(channel, "server_id")), text_of(at(channel, "channel_id")),
                    number_at(channel, "participants_count"), setting_text(settings, "late_ms_max"),
                    setting_text(settings, "speakers_max"),
                    setting_text(settings, "participants_max")});
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return a[0] == b[0] ? is_id_before(a[1], b[1]) : is_id_before(a[0], b[0]);
  });
  return make_text_table({{"server", false, true},
                          {"channel", false, true},
                          {"participants", true},
                          {"late_ms_max", true},
                          {"speakers_max", true},
                          {"participants_max", true}},
                         std::move(rows));
}

std::string participants_text(const json& participants) {
  if (participants.empty()) return "nobody is in this channel\n";
  Rows rows;
  for (const json& participant : participants) {
    const json& statistics = at(participant, "statistics");
    rows.push_back({text_of(at(participant, "user_id")), text_of(at(participant, "state")),
                    duration_at(participant, "uptime_seconds"),
                    number_at(statistics, "packets_received"),
                    number_at(statistics, "packets_sent"), number_at(statistics, "packets_lost"),
                    number_at(statistics, "packets_late"), ms_at(statistics, "jitter_ms"),
                    ms_at(participant, "rtt_ms"), marks_of(participant)});
  }
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return is_id_before(a[0], b[0]); });
  return make_text_table({{"user", false, true},
                          {"state"},
                          {"up", true},
                          {"in", true},
                          {"out", true},
                          {"lost", true},
                          {"late", true},
                          {"jitter", true},
                          {"rtt", true},
                          {"", false, true}},
                         std::move(rows));
}

std::string channel_text(const json& channel) {
  const json& settings = at(channel, "settings");
  std::vector<std::string> words;
  if (settings.is_object()) {
    for (const auto& [key, value] : settings.items()) {
      words.push_back(printable(key) + " " + setting_text(settings, key.c_str()));
    }
  }
  return place_text(channel) + ": " + joined_or(words, ", ") + "\n";
}

std::string moderation_text(const json& answer) {
  return text_of(at(answer, "user_id")) + " in " + place_text(answer) + ": " +
         event_details("muted", answer) +
         (is_set(answer, "present") ? "" : " (nobody of that name is there now)") + "\n";
}

std::string join_text(const json& join) {
  return "endpoint  " + text_of(at(join, "endpoint")) + "\nguild     " +
         text_of(at(join, "guild_id")) + "\nchannel   " + text_of(at(join, "channel_id")) +
         "\nuser      " + text_of(at(join, "user_id")) + "\nsession   " +
         text_of(at(join, "session_id")) + "\ntoken     " + text_of(at(join, "token")) + "\n";
}

std::string event_text(const StreamEvent& event) {
  const auto parsed = gateway::parse_json(event.data, EventStream::event_size_max);
  const json data = parsed ? *parsed : json::object();
  std::string text = time_of_day(integer_at(data, "at").value_or(0)) + "  ";
  std::string name = printable(event.name);
  name.resize(std::max<std::size_t>(name.size(), 19), ' ');
  text += name;
  if (data.is_object() && data.contains("channel_id")) text += "  " + place_text(data);
  if (data.is_object() && data.contains("user_id")) text += "  " + text_of(data["user_id"]);
  const std::string details =
      data.is_object() ? event_details(event.name, data) : printable(event.data);
  if (!details.empty()) text += "  " + details;
  return text.erase(text.find_last_not_of(' ') + 1) + "\n";
}

std::string problem_text(long status, std::string_view content_type, std::string_view body) {
  if (content_type.starts_with("application/problem+json")) {
    const auto problem = gateway::parse_json(body, answer_size_max);
    const auto title = problem ? gateway::string_member(*problem, "title") : std::nullopt;
    const auto detail = problem ? gateway::string_member(*problem, "detail") : std::nullopt;
    if (title && detail && !detail->empty()) return printable(*title) + ": " + printable(*detail);
    if (title) return printable(*title);
  }
  return "this is not Earshot's API: it answered with status " + std::to_string(status) +
         (content_type.empty() ? "" : " and " + printable(content_type));
}

}  // namespace earshot::tools
