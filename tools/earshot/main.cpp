#include <CLI/CLI.hpp>
#include <array>
#include <csignal>

#include "tools/earshot/command.h"

int main(int argc, char** argv) {
  using namespace earshot::tools;
  // A reader that goes away is an error of the write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("Talk through an Earshot relay, and look after one.", "earshot");
  app.set_version_flag("--version", "earshot " EARSHOT_VERSION);
  app.require_subcommand(1);
  const std::array commands{make_talk_command(app),  make_token_command(app),
                            make_demo_command(app),  make_key_command(app),
                            make_ctl_command(app),   make_load_command(app),
                            make_replay_command(app)};
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_ok : exit_usage;
  }
  for (const Command& command : commands) {
    if (command.app->parsed()) return command.run();
  }
  return exit_usage;
}
