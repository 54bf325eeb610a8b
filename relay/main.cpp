// The daemon: reads its configuration, runs a node until it is told to stop. No logic.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <uv.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "crypto/keys.h"
#include "relay/control/config.h"
#include "relay/control/controller.h"
#include "relay/control/log.h"

namespace {

using namespace earshot;

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

struct Arguments {
  bool allows_core_dumps = false;
  control::ConfigSource source;
  std::string announced_ca;
  bool only_checks = false;
  bool only_prints = false;
};

int fail(const std::string& text) {
  std::fprintf(stderr, "earshot-relay: %s\n", text.c_str());
  return exit_failed;
}

// One descriptor a session: as many as the system lets us have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Nobody else reads this process: no core dumps, no debugger, no /proc of other users; and nothing
// that it starts gains privileges.
class Hardening {
 public:
  explicit Hardening(bool allows_core_dumps) : allows_core_dumps_(allows_core_dumps) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (allows_core_dumps) return;
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }
  ~Hardening() {
#ifdef __SANITIZE_ADDRESS__
    // LeakSanitizer traces its own process at the end.
    if (!allows_core_dumps_) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
#endif
  }
  Hardening(const Hardening&) = delete;
  Hardening& operator=(const Hardening&) = delete;

 private:
  [[maybe_unused]] bool allows_core_dumps_;
};

void print_ready(const control::NodeEndpoints& at, const std::string& ca) {
  std::printf("ready gateway=%s udp=%s api=https://%s", at.gateway.to_string().c_str(),
              at.media.to_string().c_str(), at.admin.to_string().c_str());
  if (!ca.empty()) std::printf(" ca=%s", std::filesystem::absolute(ca).c_str());
  std::printf("\n");
  std::fflush(stdout);
}

// Until SIGINT or SIGTERM.
int run(const control::Config& config, const std::string& announced_ca) {
  control::log::start(config.log_level, config.log_addresses);
  raise_descriptor_limit();
  std::signal(SIGPIPE, SIG_IGN);
  uv_loop_t* const loop = uv_default_loop();
  auto created = control::Controller::create(loop, config);
  if (!created) return fail(created.error().text);
  control::Controller& controller = *created.value();

  uv_signal_t signals[3];
  for (auto& handle : signals) {
    uv_signal_init(loop, &handle);
    handle.data = &controller;
  }
  const auto on_signal = [](uv_signal_t* handle, int) {
    static_cast<control::Controller*>(handle->data)->stop();
  };
  uv_signal_start(&signals[0], on_signal, SIGINT);
  uv_signal_start(&signals[1], on_signal, SIGTERM);
  uv_signal_start(
      &signals[2],
      [](uv_signal_t* handle, int) { static_cast<control::Controller*>(handle->data)->reload(); },
      SIGHUP);
  for (auto& handle : signals) uv_unref(reinterpret_cast<uv_handle_t*>(&handle));

  print_ready(controller.endpoints(), announced_ca);
  uv_run(loop, UV_RUN_DEFAULT);
  for (auto& handle : signals) uv_close(reinterpret_cast<uv_handle_t*>(&handle), nullptr);
  uv_run(loop, UV_RUN_DEFAULT);
  control::log::info("node_stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("A relay node: forwards encrypted voice between the participants of a channel.",
               "earshot-relay");
  Arguments arguments;
  app.set_version_flag("--version", "earshot-relay " EARSHOT_VERSION);
  app.add_option("--config", arguments.source.file, "Configuration file (TOML)");
  app.add_option("--set", arguments.source.settings,
                 "KEY=VALUE over the file, for example media.workers=2; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--announce-ca", arguments.announced_ca,
                 "Name this file in the ready line, for clients that have to trust it");
  app.add_flag("--allow-core-dumps", arguments.allows_core_dumps,
               "For debugging: let the system write a core, and debuggers attach");
  app.add_flag("--check-config", arguments.only_checks,
               "Check the configuration and the files that it names, then end");
  app.add_flag("--print-config", arguments.only_prints, "Print the configuration, then end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_usage;
  }

  const Hardening hardening(arguments.allows_core_dumps);
  if (!crypto::initialize()) return fail("libsodium does not work here");
  const auto config = control::load_config(arguments.source);
  if (!config) return fail(config.error().text);
  if (arguments.only_prints) {
    std::fputs(control::print_config(config.value()).c_str(), stdout);
    return 0;
  }
  if (auto complete = control::check_complete(arguments.source, config.value()); !complete) {
    return fail(complete.error().text);
  }
  if (auto checked = control::check_files(config.value()); !checked) {
    return fail(checked.error().text);
  }
  if (arguments.only_checks) {
    std::puts("the configuration is fine");
    return 0;
  }
  return run(config.value(), arguments.announced_ca);
}
