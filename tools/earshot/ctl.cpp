#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "relay/gateway/token.h"
#include "tools/earshot/api_path.h"
#include "tools/earshot/command.h"
#include "tools/earshot/ctl_call.h"
#include "tools/earshot/ctl_text.h"
#include "tools/earshot/terminal_text.h"
#include "tools/earshot/text_table.h"

namespace earshot::tools {
namespace {

using nlohmann::json;

struct Arguments {
  CtlOptions common;
  std::string server, channel, user, to_channel, session, since, out;
  std::optional<int> ttl_seconds;
  std::vector<std::string> settings;
};

// One subcommand of ctl. What cannot be taken back asks first, with `question`.
struct Action {
  CLI::App* app = nullptr;
  std::function<int(CtlCall&)> run;
  std::function<std::string()> question;
};

std::string check_id(const std::string& id) {
  return gateway::is_valid_id(id) ? "" : "an id is 1 to 64 printable ASCII characters";
}

int wrong(const std::string& text) {
  std::fprintf(stderr, "earshot ctl: %s\n", text.c_str());
  return exit_usage;
}

// Nothing if it may go on, otherwise the exit code.
std::optional<int> ask(const std::string& question) {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0) {
    return wrong("this cannot be taken back: give --yes where nobody can be asked");
  }
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  std::string answer;
  if (std::getline(std::cin, answer) && (answer == "y" || answer == "yes")) return std::nullopt;
  std::fprintf(stderr, "earshot ctl: nothing was done\n");
  return exit_failed;
}

std::string who(const Arguments& arguments) {
  return printable(arguments.user) + " in channel " + printable(arguments.channel) + " of server " +
         printable(arguments.server);
}

ApiRequest participant_request(const Arguments& arguments, const char* method) {
  ApiRequest request;
  request.method = method;
  request.path = participant_path(arguments.server, arguments.channel, arguments.user);
  return request;
}

class Actions {
 public:
  Actions(CLI::App& app, Arguments& arguments) : app_(app), arguments_(arguments) {
    add_status();
    add_channels();
    add_participants();
    add_moderation("mute", "Let nobody hear a participant", {{"mute", true}});
    add_moderation("unmute", "Let a participant be heard again", {{"mute", false}});
    add_moderation("deafen", "Let a participant hear nobody", {{"deafen", true}});
    add_moderation("undeafen", "Let a participant hear again", {{"deafen", false}});
    add_move();
    add_disconnect();
    add_close();
    add_set();
    add_join();
    add_events();
    add_record();
    add_recordings();
  }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;

  const std::vector<Action>& list() const { return actions_; }

 private:
  CLI::App* add(const char* name, const char* description) {
    CLI::App* const app = app_.add_subcommand(name, description);
    // The common options may stand behind it.
    app->fallthrough();
    return app;
  }
  static void add_id(CLI::App* app, const char* name, std::string& value, const char* description) {
    app->add_option(name, value, description)
        ->required(name[0] != '-')
        ->check(CLI::Validator(check_id, "ID"));
  }
  void add_place(CLI::App* app) {
    add_id(app, "SERVER", arguments_.server, "Server that the channel belongs to");
    add_id(app, "CHANNEL", arguments_.channel, "The channel");
  }
  void add_participant(CLI::App* app) {
    add_place(app);
    add_id(app, "USER", arguments_.user, "The participant");
  }

  void add_status() {
    CLI::App* const app = add("status", "What the node is and does");
    actions_.push_back({app,
                        [](CtlCall& call) {
                          ApiRequest request;
                          request.path = "/v1/node";
                          return call.run(request, node_text);
                        },
                        {}});
  }

  void add_channels() {
    CLI::App* const app = add("channels", "Channels that somebody is in, or that have settings");
    add_id(app, "--server", arguments_.server, "Only those of this server");
    actions_.push_back({app,
                        [this](CtlCall& call) {
                          const bool is_all = arguments_.server.empty();
                          const std::string base = is_all ? "/v1" : server_path(arguments_.server);
                          return call.run_list(base + "/channels", "channels", channels_text);
                        },
                        {}});
  }

  void add_participants() {
    CLI::App* const app = add("participants", "Who is in a channel");
    add_place(app);
    actions_.push_back(
        {app,
         [this](CtlCall& call) {
           const std::string path = channel_path(arguments_.server, arguments_.channel);
           return call.run_list(path + "/participants", "participants", participants_text);
         },
         {}});
  }

  void add_moderation(const char* name, const char* description, json change) {
    CLI::App* const app = add(name, description);
    add_participant(app);
    actions_.push_back({app,
                        [this, body = change.dump()](CtlCall& call) {
                          ApiRequest request = participant_request(arguments_, "PATCH");
                          request.body = body;
                          return call.run(request, moderation_text);
                        },
                        {}});
  }

  void add_move() {
    CLI::App* const app = add("move", "Move a participant to another channel of its server");
    add_participant(app);
    add_id(app, "TO_CHANNEL", arguments_.to_channel, "Where it goes");
    actions_.push_back({app,
                        [this](CtlCall& call) {
                          ApiRequest request = participant_request(arguments_, "POST");
                          request.path += "/move";
                          request.body = json{{"channel_id", arguments_.to_channel}}.dump();
                          return call.run(request, join_text);
                        },
                        [this] {
                          return "Move " + who(arguments_) + " to channel " +
                                 printable(arguments_.to_channel) + "?";
                        }});
  }

  void add_disconnect() {
    CLI::App* const app = add("disconnect", "Throw a participant out");
    add_participant(app);
    actions_.push_back({app,
                        [this](CtlCall& call) {
                          return call.run(participant_request(arguments_, "DELETE"),
                                          [this](const json&) {
                                            return "disconnected " + who(arguments_) + "\n";
                                          });
                        },
                        [this] { return "Disconnect " + who(arguments_) + "?"; }});
  }

  void add_close() {
    CLI::App* const app = add("close", "Throw everybody out of a channel, and forget its settings");
    add_place(app);
    const auto name = [this] {
      return "channel " + printable(arguments_.channel) + " of server " +
             printable(arguments_.server);
    };
    actions_.push_back({app,
                        [this, name](CtlCall& call) {
                          ApiRequest request;
                          request.method = "DELETE";
                          request.path = channel_path(arguments_.server, arguments_.channel);
                          return call.run(
                              request, [name](const json&) { return "closed " + name() + "\n"; });
                        },
                        [name] { return "Throw everybody out of " + name() + "?"; }});
  }

  void add_set() {
    CLI::App* const app = add("set", "Change settings of a channel, as long as the node runs");
    add_place(app);
    const auto check = [](const std::string& text) {
      const auto parsed = parse_settings({text});
      return parsed ? std::string{} : parsed.error().text;
    };
    app->add_option("KEY=VALUE", arguments_.settings,
                    "late_ms_max, speakers_max or participants_max: a number, or \"default\"")
        ->required()
        ->check(CLI::Validator(check, ""));
    actions_.push_back({app,
                        [this](CtlCall& call) {
                          const auto settings = parse_settings(arguments_.settings);
                          if (!settings) return wrong(settings.error().text);
                          ApiRequest request;
                          request.method = "PATCH";
                          request.path = channel_path(arguments_.server, arguments_.channel);
                          request.body = settings.value().dump();
                          return call.run(request, channel_text);
                        },
                        {}});
  }

  void add_join() {
    CLI::App* const app = add("join", "Make a join: what a participant needs to come in");
    add_participant(app);
    add_id(app, "--session", arguments_.session, "Session id (default: the node makes one)");
    app->add_option("--ttl-seconds", arguments_.ttl_seconds, "How long it is valid, 1 to 3600")
        ->check(CLI::Range(1, 3'600));
    actions_.push_back({app,
                        [this](CtlCall& call) {
                          json body{{"server_id", arguments_.server},
                                    {"channel_id", arguments_.channel},
                                    {"user_id", arguments_.user}};
                          if (!arguments_.session.empty()) body["session_id"] = arguments_.session;
                          if (arguments_.ttl_seconds) body["ttl_seconds"] = *arguments_.ttl_seconds;
                          ApiRequest request;
                          request.method = "POST";
                          request.path = "/v1/joins";
                          request.body = body.dump();
                          return call.run(request, join_text);
                        },
                        {}});
  }

  void add_events() {
    CLI::App* const app = add("events", "Show what happens, until interrupted");
    add_id(app, "--server", arguments_.server, "Only events of this server");
    app->add_option("--since", arguments_.since, "Begin behind the event of this id")
        ->check(CLI::Validator(check_id, "ID"));
    actions_.push_back(
        {app,
         [this](CtlCall& call) { return follow_events(call, arguments_.server, arguments_.since); },
         {}});
  }

  void add_record() {
    CLI::App* const app =
        add("record", "Keep what the flight recorder remembers; earshot replay reads it");
    app->add_option("--out", arguments_.out, "File to write (default: the recording's name)");
    actions_.push_back(
        {app, [this](CtlCall& call) { return fetch_recording(call, arguments_.out); }, {}});
  }

  void add_recordings() {
    CLI::App* const app = add("recordings", "Recordings that the node keeps");
    actions_.push_back({app,
                        [](CtlCall& call) {
                          ApiRequest request;
                          request.path = "/v1/recordings";
                          return call.run(request, recordings_text);
                        },
                        {}});
  }

  CLI::App& app_;
  Arguments& arguments_;
  std::vector<Action> actions_;
};

int run(const CtlOptions& options, const std::vector<Action>& actions) {
  for (const Action& action : actions) {
    if (!action.app->parsed()) continue;
    if (action.question && !options.is_sure) {
      if (const auto code = ask(action.question())) return *code;
    }
    auto target = find_api(options);
    if (!target) {
      std::fprintf(stderr, "earshot ctl: %s\n", target.error().text.c_str());
      return exit_failed;
    }
    CtlCall call(options, std::move(target.value()));
    return action.run(call);
  }
  return exit_usage;
}

std::string check_url(const std::string& text) {
  const auto url = parse_api_url(text);
  return url ? std::string{} : url.error().text;
}

}  // namespace

Command make_ctl_command(CLI::App& parent) {
  auto arguments = std::make_shared<Arguments>();
  CtlOptions& common = arguments->common;
  CLI::App* app = parent.add_subcommand("ctl", "Look after a running node through its HTTP API");
  app->require_subcommand(1);
  app->add_option("--api", common.api,
                  "The node's API, https://HOST:PORT (default: as the state folder's relay.toml "
                  "says, else https://127.0.0.1:8445)")
      ->check(CLI::Validator(check_url, "URL"));
  app->add_option("--ca", common.ca,
                  "PEM file with the authority to trust (default: STATE/ca.pem)");
  app->add_option("--api-key-file", common.key_file, "File with the key (default: STATE/api-key)");
  app->add_option("--state", common.state, "State folder of tools/run")->capture_default_str();
  app->add_flag("--json", common.is_json, "Print the API's answer as it is");
  app->add_flag("--yes", common.is_sure, "Do not ask before what cannot be taken back");
  auto actions = std::make_shared<const Actions>(*app, *arguments);
  return {app, [arguments, actions] { return run(arguments->common, actions->list()); }};
}

}  // namespace earshot::tools
