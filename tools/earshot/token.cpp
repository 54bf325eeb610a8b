#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/limits.h"
#include "tools/earshot/command.h"
#include "tools/earshot/development_token.h"

namespace earshot::tools {
namespace {

struct Options {
  std::string server, user, session, channel;
  std::string state = ".state";
  std::string cluster = "earshot";
  std::string ttl = "10m";
  std::vector<std::string> deny;
  std::optional<int> late_ms_max;
  bool priority = false;
};

// "90", "90s", "10m" or "1h".
std::optional<Duration> parse_duration(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, text.data() + text.size());
  if (status != std::errc{} || number <= 0 || number > 1'000'000) return std::nullopt;
  if (unit.empty() || unit == "s") return seconds(number);
  if (unit == "m") return seconds(number * 60);
  if (unit == "h") return seconds(number * 3'600);
  return std::nullopt;
}

std::string check_duration(const std::string& text) {
  const auto duration = parse_duration(text);
  if (!duration) return "a duration is a number with s, m or h: " + text;
  if (*duration > limits::token_lifetime_max) return "the relay accepts one hour at most";
  return {};
}

std::string check_id(const std::string& id) {
  return gateway::is_valid_id(id) ? "" : "an id is 1 to 64 printable ASCII characters";
}

int run(const Options& options) {
  const auto key = DevelopmentKey::load(options.state, options.cluster);
  if (!key) {
    std::fprintf(stderr, "earshot token: %s\n", key.error().text.c_str());
    return exit_failed;
  }
  const auto is_denied = [&options](const char* grant) {
    return std::find(options.deny.begin(), options.deny.end(), grant) != options.deny.end();
  };
  gateway::Claims claims;
  claims.user_id = options.user;
  claims.server_id = options.server;
  claims.channel_id = options.channel;
  claims.session_id = options.session;
  claims.grants.speak = !is_denied("speak");
  claims.grants.listen = !is_denied("listen");
  claims.grants.priority = options.priority;
  claims.grants.late_ms_max = options.late_ms_max;
  std::printf("%s\n", key.value().sign(claims, *parse_duration(options.ttl)).c_str());
  return std::fflush(stdout) == 0 ? exit_ok : exit_failed;
}

}  // namespace

Command make_token_command(CLI::App& parent) {
  auto options = std::make_shared<Options>();
  CLI::App* app = parent.add_subcommand("token", "Print a join token for a development node");
  const CLI::Validator id(check_id, "ID");
  app->add_option("--server", options->server, "Server the channel belongs to")
      ->required()
      ->check(id);
  app->add_option("--user", options->user, "Who joins")->required()->check(id);
  app->add_option("--session", options->session, "Session id, one per join")->required()->check(id);
  app->add_option("--channel", options->channel, "Channel to join")->required()->check(id);
  app->add_option("--state", options->state, "State folder of tools/run, with the signing key")
      ->capture_default_str();
  app->add_option("--cluster", options->cluster, "The node's cluster.name")->capture_default_str();
  app->add_option("--ttl", options->ttl, "How long the token is valid: 90s, 10m, 1h")
      ->capture_default_str()
      ->check(CLI::Validator(check_duration, "DURATION"));
  app->add_option("--deny", options->deny, "Grants to leave out: speak, listen")
      ->delimiter(',')
      ->check(CLI::IsMember({"speak", "listen"}));
  app->add_option("--late-ms-max", options->late_ms_max, "Bound on lateness: 0 (off) or 20 to 2000")
      ->check(CLI::IsMember({0}) | CLI::Range(20, 2'000));
  app->add_flag("--priority", options->priority, "Is heard first where many speak");
  return {app, [options] { return run(*options); }};
}

}  // namespace earshot::tools
