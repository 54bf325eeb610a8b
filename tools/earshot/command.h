// One subcommand of the command line: its options and what it runs. Main thread only.
// Exit codes: 0 it worked, 1 it failed, 2 it was called wrongly, 130 it was told to stop before it
// knew.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace earshot::tools {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_interrupted = 130;

struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;
};

Command make_ctl_command(CLI::App& parent);
Command make_demo_command(CLI::App& parent);
Command make_key_command(CLI::App& parent);
Command make_load_command(CLI::App& parent);
Command make_replay_command(CLI::App& parent);
Command make_talk_command(CLI::App& parent);
Command make_token_command(CLI::App& parent);

}  // namespace earshot::tools
