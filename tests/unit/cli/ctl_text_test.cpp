#include "tools/earshot/ctl_text.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace earshot::tools;
using nlohmann::json;

namespace {

json make_participant(const std::string& user) {
  return {{"user_id", user},
          {"server_id", "1"},
          {"channel_id", "7"},
          {"state", "live"},
          {"mute", false},
          {"deafen", false},
          {"speaking", false},
          {"uptime_seconds", 62},
          {"rtt_ms", nullptr},
          {"statistics",
           {{"packets_received", 12'345},
            {"packets_sent", 6},
            {"packets_lost", 2},
            {"packets_late", 1},
            {"jitter_ms", 0.52}}}};
}

std::size_t widest_line(const std::string& text) {
  std::size_t width = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) width = std::max(width, line.size());
  return width;
}

std::string line_of(const char* name, const json& data) {
  setenv("TZ", "UTC", 1);
  tzset();
  return event_text({"b-1", name, data.dump()});
}

}  // namespace

TEST_CASE("a node's numbers have units") {
  const json node{{"node", 3},
                  {"region", "eu"},
                  {"cluster", "earshot"},
                  {"version", "0.1.0"},
                  {"state", "ready"},
                  {"uptime_seconds", 7'500},
                  {"gateway", "127.0.0.1:8443"},
                  {"media", "127.0.0.1:8444"},
                  {"sessions", 12},
                  {"participants", 1},
                  {"channels", 3},
                  {"capacity", 16'384},
                  {"workers",
                   {{{"worker", 0},
                     {"packets_received", 12'345},
                     {"packets_sent", 24'690},
                     {"drops", 5},
                     {"sessions", 12}}}}};
  CHECK(node_text(node) ==
        "node 3 of cluster earshot, version 0.1.0, region eu\n"
        "ready, up 2 h 5 min; gateway 127.0.0.1:8443, media 127.0.0.1:8444\n"
        "12 of 16,384 sessions; 1 participant in 3 channels\n"
        "\n"
        "worker  sessions  packets received  packets sent  drops\n"
        "     0        12            12,345        24,690      5\n");
}

TEST_CASE("channels are sorted, and their settings are the default or a number") {
  const json channels{
      {{"server_id", "1"}, {"channel_id", "10"}, {"participants_count", 1'200}},
      {{"server_id", "1"},
       {"channel_id", "9"},
       {"participants_count", 0},
       {"settings", {{"late_ms_max", 0}, {"speakers_max", nullptr}, {"participants_max", 12}}}}};
  CHECK(channels_text(channels) ==
        "server  channel  participants  late_ms_max  speakers_max  participants_max\n"
        "1       9                   0            0       default                12\n"
        "1       10              1,200      default       default           default\n");
  CHECK(channels_text(json::array()) == "no channels\n");
}

TEST_CASE("participants are sorted, with what is said about them behind") {
  json ben = make_participant("ben");
  ben["mute"] = ben["speaking"] = true;
  ben["rtt_ms"] = 23.4;
  CHECK(participants_text({ben, make_participant("ada")}) ==
        "user  state         up      in  out  lost  late  jitter    rtt\n"
        "ada   live   1 min 2 s  12,345    6     2     1  0.5 ms      -\n"
        "ben   live   1 min 2 s  12,345    6     2     1  0.5 ms  23 ms  speaking, muted\n");
  CHECK(participants_text(json::array()) == "nobody is in this channel\n");
}

TEST_CASE("no table is wider than a hundred columns") {
  json long_names = make_participant(std::string(64, 'u'));
  long_names["mute"] = long_names["deafen"] = long_names["speaking"] = true;
  long_names["state"] = "reconnecting";
  long_names["uptime_seconds"] = 86'400 * 700 + 3'600 * 20;
  for (const char* name : {"packets_received", "packets_sent"}) {
    long_names["statistics"][name] = 123'456'789;
  }
  CHECK(widest_line(participants_text({long_names})) <= 100);
  const json channel{{"server_id", std::string(64, 's')},
                     {"channel_id", std::string(64, 'c')},
                     {"participants_count", 1}};
  CHECK(widest_line(channels_text({channel})) <= 100);
}

TEST_CASE("an answer of another version is shown as far as it goes") {
  for (const json& odd : {json::object(), json(5), json{{"workers", 5}, {"state", {1}}}}) {
    CAPTURE(odd.dump());
    CHECK_FALSE(node_text(odd).empty());
    CHECK_FALSE(channels_text({odd}).empty());
    CHECK_FALSE(participants_text({odd}).empty());
    CHECK_FALSE(channel_text(odd).empty());
    CHECK_FALSE(moderation_text(odd).empty());
    CHECK_FALSE(join_text(odd).empty());
    CHECK_FALSE(event_text({"", "joined", odd.dump()}).empty());
  }
  CHECK_FALSE(event_text({"", "joined", "no json"}).empty());
}

TEST_CASE("one answer is one line") {
  CHECK(channel_text({{"server_id", "1"},
                      {"channel_id", "7"},
                      {"settings", {{"late_ms_max", 120}, {"speakers_max", nullptr}}}}) ==
        "1/7: late_ms_max 120, speakers_max default\n");
  json answer{{"server_id", "1"}, {"channel_id", "7"}, {"user_id", "ada"},
              {"mute", true},     {"deafen", false},   {"present", true}};
  CHECK(moderation_text(answer) == "ada in 1/7: muted, not deafened\n");
  answer["present"] = false;
  CHECK(moderation_text(answer) ==
        "ada in 1/7: muted, not deafened (nobody of that name is there now)\n");
}

TEST_CASE("an event is a line with its time") {
  json data{{"server_id", "1"}, {"channel_id", "7"}, {"user_id", "ada"}, {"at", 45'296'007}};
  const auto with = [&](json more) {
    json all = data;
    all.update(more);
    return all;
  };
  const std::string place = "  1/7  ada";
  CHECK(line_of("joined", with({{"session_id", "s"}, {"ssrc", 5}})) ==
        "12:34:56.007  joined             " + place + "  session_id s, ssrc 5\n");
  CHECK(line_of("muted", with({{"mute", true}, {"deafen", false}})) ==
        "12:34:56.007  muted              " + place + "  muted, not deafened\n");
  CHECK(line_of("speaking", with({{"speaking", true}, {"ssrc", 5}, {"flags", 1}})) ==
        "12:34:56.007  speaking           " + place + "  speaks\n");
  CHECK(line_of("moved", with({{"from_channel_id", "7"}, {"to_channel_id", "8"}})) ==
        "12:34:56.007  moved              " + place + "  7 -> 8\n");
  // A token is not for a terminal that somebody looks at.
  CHECK(line_of("voice_server_update", with({{"token", "secret"}, {"endpoint", "h:1"}})) ==
        "12:34:56.007  voice_server_update" + place + "  endpoint h:1\n");
  CHECK(line_of("channel_updated", {{"server_id", "1"},
                                    {"channel_id", "7"},
                                    {"at", 0},
                                    {"settings", {{"late_ms_max", nullptr}}}}) ==
        "00:00:00.000  channel_updated      1/7  late_ms_max default\n");
  CHECK(line_of("node", {{"state", "stopping"}, {"at", 1}}) ==
        "00:00:00.001  node                 state stopping\n");
  CHECK(line_of("\x1b[2J", json::object()) == "00:00:00.000  ?[2J\n");
}

TEST_CASE("a problem is a sentence") {
  const char* type = "application/problem+json";
  CHECK(problem_text(404, type, R"({"title":"Not found","detail":"nobody is there"})") ==
        "Not found: nobody is there");
  CHECK(problem_text(404, type, R"({"title":"Not found","status":404})") == "Not found");
  CHECK(problem_text(502, "text/html", "<html>") ==
        "this is not Earshot's API: it answered with status 502 and text/html");
  CHECK(problem_text(404, type, "no json") ==
        "this is not Earshot's API: it answered with status 404 and application/problem+json");
  CHECK(problem_text(200, "", "") == "this is not Earshot's API: it answered with status 200");
}
