// What each route of the HTTP API does.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "crypto/keys.h"
#include "crypto/signature.h"
#include "relay/base/limits.h"
#include "relay/control/api_body.h"
#include "relay/control/api_problem.h"
#include "relay/control/api_route.h"
#include "relay/control/api_views.h"

namespace earshot::control {
namespace {

using gateway::HttpResponse;
using Json = nlohmann::json;

constexpr std::int64_t ttl_seconds_default = 600;
constexpr std::int64_t ttl_seconds_max = 3'600;
constexpr std::size_t channels_page_default = 100;
constexpr std::size_t page_max = 1'000;

HttpResponse json(int status, const Json& body) {
  return {status, "application/json", body.dump(), {}};
}

HttpResponse no_content() {
  return {204, "", "", {}};
}

HttpResponse not_there(const std::string& user_id) {
  return problem(Problem::not_found, user_id + " is not in this channel");
}

// A query parameter, decoded. An undecodable one counts as absent: no valid value needs a bare %.
std::optional<std::string> query(const gateway::HttpRequest& request, std::string_view name) {
  bool is_present = false;
  const auto value = request.query_parameter(name, &is_present);
  return is_present ? percent_decode(value) : std::nullopt;
}

struct Page {
  std::size_t limit = 0;
  std::optional<std::string> after;
};

Result<Page> read_page(const gateway::HttpRequest& request, std::size_t limit_default) {
  Page page{limit_default, query(request, "after")};
  const auto text = query(request, "limit");
  if (!text) return page;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), page.limit);
  if (parsed.ec != std::errc{} || parsed.ptr != text->data() + text->size() || page.limit < 1 ||
      page.limit > page_max) {
    return Error{"limit must be an integer from 1 to " + std::to_string(page_max)};
  }
  return page;
}

std::string random_session_id() {
  std::array<std::uint8_t, 16> bytes;
  crypto::random_bytes(bytes);
  return crypto::base64url_encode(bytes);
}

bool is_late_bound(std::int64_t ms) {
  return ms == 0 || ms >= 20;
}

constexpr std::string_view late_form = "must be 0 (off) or an integer from 20 to 2000";

}  // namespace

const std::vector<Api::Route>& Api::routes() {
  static const std::vector<Route> table{
      {"GET", "/metrics", Scope::read, true, &Api::get_metrics},
      {"GET", "/v1/node", Scope::read, true, &Api::get_node},
      {"GET", "/v1/events", Scope::read, false, &Api::get_events},
      {"POST", "/v1/joins", Scope::admin, false, &Api::post_join},
      {"GET", "/v1/channels", Scope::read, false, &Api::get_channels},
      {"GET", "/v1/servers/{s}/channels", Scope::read, false, &Api::get_channels},
      {"GET", "/v1/servers/{s}/channels/{c}", Scope::read, false, &Api::get_channel},
      {"PATCH", "/v1/servers/{s}/channels/{c}", Scope::admin, false, &Api::patch_channel},
      {"DELETE", "/v1/servers/{s}/channels/{c}", Scope::admin, false, &Api::delete_channel},
      {"GET", "/v1/servers/{s}/channels/{c}/participants", Scope::read, false,
       &Api::get_participants},
      {"GET", "/v1/servers/{s}/channels/{c}/participants/{u}", Scope::read, false,
       &Api::get_participant},
      {"PATCH", "/v1/servers/{s}/channels/{c}/participants/{u}", Scope::admin, false,
       &Api::patch_participant},
      {"DELETE", "/v1/servers/{s}/channels/{c}/participants/{u}", Scope::admin, false,
       &Api::delete_participant},
      {"POST", "/v1/servers/{s}/channels/{c}/participants/{u}/move", Scope::admin, false,
       &Api::post_move},
      // They tell of every server's streams.
      {"GET", "/v1/recordings", Scope::admin, true, &Api::get_recordings},
      {"POST", "/v1/recordings", Scope::admin, true, &Api::post_recording},
      {"GET", "/v1/recordings/{name}", Scope::admin, true, &Api::get_recording},
      {"DELETE", "/v1/recordings/{name}", Scope::admin, true, &Api::delete_recording},
  };
  return table;
}

// --- The node -----------------------------------------------------------------------------------

NodeMetrics Api::node_metrics() const {
  NodeMetrics metrics;
  metrics.labels = options_.labels;
  metrics.is_ready = !is_stopping_;
  metrics.sessions = parts_.sessions.sessions_count();
  metrics.clients = parts_.sessions.clients_count();
  metrics.participants = parts_.membership.participants_count();
  metrics.channels = parts_.membership.channels_count();
  metrics.capacity = parts_.membership.capacity();
  metrics.event_streams = parts_.events.subscribers_count();
  metrics.session_counters = parts_.sessions.counters();
  for (std::uint8_t w = 0; w < parts_.commands.workers().size(); ++w) {
    metrics.workers.push_back(
        {parts_.commands.workers().counters({w}), parts_.membership.participants_on({w})});
  }
  parts_.add_metrics(metrics);
  return metrics;
}

Api::Answer Api::get_node(const Request&) {
  const NodeMetrics metrics = node_metrics();
  Json workers = Json::array();
  for (std::size_t w = 0; w < metrics.workers.size(); ++w) {
    const Counters& counters = metrics.workers[w].counters;
    workers.push_back({{"worker", w},
                       {"packets_received", counters[Counter::received]},
                       {"packets_sent", counters[Counter::datagrams_sent]},
                       {"drops", counters.drops_total()},
                       {"sessions", metrics.workers[w].participants}});
  }
  return json(200, {{"node", options_.labels.node.value},
                    {"region", options_.labels.region},
                    {"cluster", options_.labels.cluster},
                    {"version", options_.labels.version},
                    {"state", is_stopping_ ? "stopping" : "ready"},
                    {"uptime_seconds", metrics.uptime.ns / seconds(1).ns},
                    {"gateway", options_.endpoint},
                    {"media", options_.media.to_string()},
                    {"sessions", metrics.sessions},
                    {"participants", metrics.participants},
                    {"channels", metrics.channels},
                    {"capacity", metrics.capacity},
                    {"workers", std::move(workers)}});
}

Api::Answer Api::get_metrics(const Request&) {
  return HttpResponse{
      200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(node_metrics()), {}};
}

Api::Answer Api::get_events(const Request& request) {
  EventHub::Filter filter;
  filter.server_id = query(request.http, "server_id");
  if (filter.server_id && !request.key.may_see(*filter.server_id)) {
    return problem(Problem::forbidden, "this key is for one server only");
  }
  if (request.key.server_id) filter.server_id = request.key.server_id;
  filter.may_read_secret = request.key.may(Scope::admin);
  const std::string_view header = request.http.header("last-event-id");
  const std::string last =
      header.empty() ? query(request.http, "last_event_id").value_or("") : std::string(header);
  if (!parts_.events.subscribe(request.connection, request.key, filter, last)) {
    return problem(Problem::too_many_requests, "too many event streams are open");
  }
  return std::nullopt;
}

// --- Joins --------------------------------------------------------------------------------------

void Api::read_join(Members& members, gateway::Claims& claims) const {
  claims.session_id = members.id("session_id").value_or("");
  if (claims.session_id.empty()) claims.session_id = random_session_id();
  claims.expires = parts_.sessions.unix_seconds() +
                   members.integer("ttl_seconds", 1, ttl_seconds_max).value_or(ttl_seconds_default);
  const Json* object = members.object("grants");
  if (object == nullptr) return;
  Members grants(*object, "grants.");
  claims.grants.speak = grants.boolean("speak").value_or(claims.grants.speak);
  claims.grants.listen = grants.boolean("listen").value_or(claims.grants.listen);
  claims.grants.priority = grants.boolean("priority").value_or(claims.grants.priority);
  claims.grants.require_e2ee = grants.boolean("require_e2ee").value_or(claims.grants.require_e2ee);
  if (const auto bitrate = grants.integer("max_bitrate", 1, INT32_MAX)) {
    claims.grants.max_bitrate = bitrate;
  }
  if (const auto ms = grants.integer("late_ms_max", 0, 2'000)) {
    if (!is_late_bound(*ms)) grants.complain("late_ms_max", late_form);
    claims.grants.late_ms_max = static_cast<int>(*ms);
  }
  if (auto finished = grants.finish(); !finished) members.complain(finished.error().text);
}

Api::Answer Api::post_join(const Request& request) {
  const auto body = parse_body(request.http);
  if (!body) return problem(Problem::bad_request, body.error().text);
  Members members(body.value());
  gateway::Claims claims;
  claims.server_id = members.required_id("server_id");
  claims.channel_id = members.required_id("channel_id");
  claims.user_id = members.required_id("user_id");
  read_join(members, claims);
  if (auto finished = members.finish(); !finished) {
    return problem(Problem::bad_request, finished.error().text);
  }
  if (!request.key.may_see(claims.server_id)) {
    return problem(Problem::forbidden, "this key is for one server only");
  }
  const auto token = parts_.tokens.sign(claims);
  if (!token) return problem(Problem::no_signing_key, "tokens.keys has no HS256 key");
  return json(201, join_view(claims, *token, options_.endpoint));
}

// --- Channels -----------------------------------------------------------------------------------

Api::Answer Api::get_channels(const Request& request) {
  const auto page = read_page(request.http, channels_page_default);
  if (!page) return problem(Problem::bad_request, page.error().text);
  std::optional<ChannelKey> after;
  if (page.value().after) {
    after = parse_channel_cursor(*page.value().after);
    if (!after) return problem(Problem::bad_request, "after is not the next of a list");
  }
  const auto server = request.server_id() ? request.server_id() : request.key.server_id;
  if (after && server && after->server_id != *server) after.reset();
  auto listed = parts_.membership.list(after, server, page.value().limit + 1);
  Json next = nullptr;
  if (listed.size() > page.value().limit) {
    listed.pop_back();
    next = channel_cursor(listed.back().key);
  }
  Json channels = Json::array();
  for (const auto& channel : listed)
    channels.push_back(channel_view(channel, parts_.membership.settings(channel.key)));
  return json(200, {{"channels", std::move(channels)}, {"next", std::move(next)}});
}

HttpResponse Api::participants_page(const Request& request, bool with_channel) const {
  const auto page = read_page(request.http, page_max);
  if (!page) return problem(Problem::bad_request, page.error().text);
  std::string after;
  if (page.value().after) {
    const auto user_id = parse_user_cursor(*page.value().after);
    if (!user_id) return problem(Problem::bad_request, "after is not the next of a list");
    after = *user_id;
  }
  const ChannelKey key = request.channel();
  auto listed = parts_.sessions.list(key, after, page.value().limit + 1);
  const auto channel = parts_.membership.find_channel(key);
  if (!channel && listed.empty() && after.empty()) {
    return problem(Problem::not_found, "nobody is in this channel, and it has no settings");
  }
  Json next = nullptr;
  if (listed.size() > page.value().limit) {
    listed.pop_back();
    next = user_cursor(listed.back()->claims.user_id);
  }
  Json participants = Json::array();
  for (const Session* session : listed) {
    participants.push_back(participant_view(*session, parts_.sessions.stats(*session),
                                            parts_.sessions.restraint(key, session->claims.user_id),
                                            parts_.sessions.now()));
  }
  Json body = Json::object();
  if (with_channel) {
    body =
        channel_view(channel.value_or(Membership::Listed{key, 0}), parts_.membership.settings(key));
  }
  body["participants"] = std::move(participants);
  body["next"] = std::move(next);
  return json(200, body);
}

Api::Answer Api::get_channel(const Request& request) {
  return participants_page(request, true);
}

Api::Answer Api::get_participants(const Request& request) {
  return participants_page(request, false);
}

Api::Answer Api::patch_channel(const Request& request) {
  const auto body = parse_body(request.http);
  if (!body) return problem(Problem::bad_request, body.error().text);
  const ChannelKey key = request.channel();
  ChannelSettings settings = parts_.membership.settings(key);
  Members members(body.value());
  if (const auto ms = members.integer_or_null("late_ms_max", 0, 2'000)) {
    if (*ms && !is_late_bound(**ms)) members.complain("late_ms_max", late_form);
    settings.late_ms_max.reset();
    if (*ms) settings.late_ms_max = static_cast<std::uint16_t>(**ms);
  }
  if (const auto speakers = members.integer_or_null(
          "speakers_max", 1, static_cast<std::int64_t>(limits::channel_speakers_max))) {
    settings.speakers_max.reset();
    if (*speakers) settings.speakers_max = static_cast<std::uint16_t>(**speakers);
  }
  if (const auto participants = members.integer_or_null("participants_max", 1, 1'000'000)) {
    settings.participants_max.reset();
    if (*participants) settings.participants_max = static_cast<std::size_t>(**participants);
  }
  if (auto finished = members.finish(); !finished) {
    return problem(Problem::bad_request, finished.error().text);
  }
  const auto answer = owe(request.connection);
  const bool is_set = parts_.membership.set_settings(key, settings, [this, key, answer] {
    const auto channel = parts_.membership.find_channel(key);
    answer(json(200, channel_view(channel.value_or(Membership::Listed{key, 0}),
                                  parts_.membership.settings(key))));
  });
  if (is_set) {
    parts_.feed.on_channel_updated(key, settings_view(settings));
  } else {
    answer(problem(Problem::conflict, "too many channels have settings of their own"));
  }
  return std::nullopt;
}

Api::Answer Api::delete_channel(const Request& request) {
  const ChannelKey key = request.channel();
  const bool has_settings = parts_.membership.settings(key) != ChannelSettings{};
  const auto answer = owe(request.connection);
  const auto done = [answer] { answer(no_content()); };
  const bool was_open = parts_.sessions.close_channel(key, done);
  if (!was_open && !has_settings) {
    answer(problem(Problem::not_found, "nobody is in this channel, and it has no settings"));
    return std::nullopt;
  }
  // Forgetting settings needs no room, so it is never refused.
  RELAY_CHECK(parts_.membership.set_settings(key, {}, was_open ? [] {} : std::function(done)));
  parts_.feed.on_channel_closed(key);
  return std::nullopt;
}

// --- Participants -------------------------------------------------------------------------------

Api::Answer Api::get_participant(const Request& request) {
  const ChannelKey key = request.channel();
  const Session* session = parts_.sessions.find_in(key, request.user_id());
  if (session == nullptr) return not_there(request.user_id());
  return json(200, participant_view(*session, parts_.sessions.stats(*session),
                                    parts_.sessions.restraint(key, request.user_id()),
                                    parts_.sessions.now()));
}

Api::Answer Api::patch_participant(const Request& request) {
  const auto body = parse_body(request.http);
  if (!body) return problem(Problem::bad_request, body.error().text);
  Members members(body.value());
  const Sessions::RestraintChange change{members.boolean("mute"), members.boolean("deafen")};
  if (auto finished = members.finish(); !finished) {
    return problem(Problem::bad_request, finished.error().text);
  }
  const ChannelKey key = request.channel();
  const std::string user_id = request.user_id();
  const Restraint before = parts_.sessions.restraint(key, user_id);
  const auto answer = owe(request.connection);
  const bool is_set = parts_.sessions.restrain(key, user_id, change, [=, this] {
    const Restraint now = parts_.sessions.restraint(key, user_id);
    answer(json(200, {{"user_id", user_id},
                      {"server_id", key.server_id},
                      {"channel_id", key.channel_id},
                      {"mute", now.is_muted},
                      {"deafen", now.is_deafened},
                      {"present", parts_.sessions.find_in(key, user_id) != nullptr}}));
  });
  if (!is_set) {
    answer(problem(Problem::conflict, "too many users are muted or deafened"));
    return std::nullopt;
  }
  const Restraint after = parts_.sessions.restraint(key, user_id);
  if (after != before) parts_.feed.on_restrained(key, user_id, after);
  return std::nullopt;
}

Api::Answer Api::delete_participant(const Request& request) {
  const auto answer = owe(request.connection);
  if (!parts_.sessions.disconnect(request.channel(), request.user_id(),
                                  [answer] { answer(no_content()); })) {
    answer(not_there(request.user_id()));
  }
  return std::nullopt;
}

Api::Answer Api::post_move(const Request& request) {
  const auto body = parse_body(request.http);
  if (!body) return problem(Problem::bad_request, body.error().text);
  const ChannelKey key = request.channel();
  Members members(body.value());
  const Session* session = parts_.sessions.find_in(key, request.user_id());
  gateway::Claims claims;
  if (session != nullptr) claims.grants = session->claims.grants;
  claims.server_id = key.server_id;
  claims.channel_id = members.required_id("channel_id");
  claims.user_id = request.user_id();
  read_join(members, claims);
  if (auto finished = members.finish(); !finished) {
    return problem(Problem::bad_request, finished.error().text);
  }
  if (session == nullptr) return not_there(request.user_id());
  if (claims.channel_id == key.channel_id) {
    return problem(Problem::conflict, request.user_id() + " is in that channel already");
  }
  if (claims.session_id == session->claims.session_id) {
    return problem(Problem::conflict, "a move needs a session id of its own");
  }
  const auto token = parts_.tokens.sign(claims);
  if (!token) return problem(Problem::no_signing_key, "tokens.keys has no HS256 key");
  parts_.sessions.begin_move(key, request.user_id(), claims.channel_id);
  const Json join = join_view(claims, *token, options_.endpoint);
  parts_.feed.on_voice_server_update(claims, join);
  return json(200, join);
}

// --- Recordings ---------------------------------------------------------------------------------

Api::Answer Api::get_recordings(const Request&) {
  Json list = Json::array();
  for (const RecordingDescription& d : parts_.recordings.list()) list.push_back(recording_view(d));
  return json(200, {{"recordings", std::move(list)}});
}

Api::Answer Api::post_recording(const Request& request) {
  auto body = parse_body(request.http);
  if (!body) return problem(Problem::bad_request, body.error().text);
  if (auto finished = Members(body.value()).finish(); !finished) {
    return problem(Problem::bad_request, finished.error().text);
  }
  if (!parts_.recordings.is_on()) {
    return problem(Problem::conflict, "the flight recorder is off (recorder.seconds is 0)");
  }
  const bool is_begun = parts_.recordings.make(
      "asked", [respond = owe(request.connection)](const Result<RecordingDescription>& made) {
        respond(made.ok() ? json(201, recording_view(made.value()))
                          : problem(Problem::conflict, made.error().text));
      });
  if (is_begun) return std::nullopt;
  owed_.erase(&request.connection);
  return problem(Problem::conflict, "a recording is being made");
}

Api::Answer Api::get_recording(const Request& request) {
  const auto bytes = parts_.recordings.read(request.names[0]);
  if (bytes == nullptr) return problem(Problem::not_found, "there is no such recording");
  return HttpResponse{200, "application/octet-stream", *bytes, {}};
}

Api::Answer Api::delete_recording(const Request& request) {
  if (parts_.recordings.remove(request.names[0])) return no_content();
  return problem(Problem::not_found, "there is no such recording");
}

}  // namespace earshot::control
