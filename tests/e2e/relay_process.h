// An earshot-relay of a test's own: a process with a temporary state folder, free ports on loopback
// and its own token key. Ends with the test; an end that is not clean fails it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/time.h"
#include "relay/gateway/token.h"
#include "tests/support/test_certificate.h"

namespace earshot::test {

// How a process ended.
struct ExitStatus {
  int code = -1;   // of exit()
  int signal = 0;  // that killed it
  bool operator==(const ExitStatus&) const = default;
};

// Any program with its output in files. The child dies with the test.
class Process {
 public:
  // `input` becomes its standard input (closed here when it has started); -1: /dev/null.
  // It runs in `folder`, if one is named.
  Process(std::vector<std::string> command, const std::string& output_prefix, int input = -1,
          int output = -1, const std::string& folder = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send_signal(int number) const;
  // Nothing if it still runs when `limit` has passed.
  std::optional<ExitStatus> wait(Duration limit);
  bool is_running();
  pid_t id() const { return pid_; }

  std::string output() const;
  std::string errors() const;

 private:
  std::string output_prefix_;
  pid_t pid_ = -1;
  std::optional<ExitStatus> status_;
};

class RelayProcess {
 public:
  // "KEY=VALUE" over a configuration for tests: loopback only, any free ports, generous limits.
  explicit RelayProcess(std::vector<std::string> settings = {},
                        const std::vector<std::string>& options = {});
  ~RelayProcess();
  RelayProcess(const RelayProcess&) = delete;
  RelayProcess& operator=(const RelayProcess&) = delete;

  // From the ready line.
  const Endpoint& gateway() const { return gateway_; }
  const Endpoint& media() const { return media_; }
  const Endpoint& admin() const { return admin_; }
  const std::string& ready_line() const { return ready_line_; }

  std::string ca_path() const { return state_.certificate_path(); }
  std::string state_folder() const { return state_.directory().string(); }
  std::string config_path() const { return state_folder() + "/relay.toml"; }

  // Ten minutes from now unless `claims.expires` is set.
  std::string sign(gateway::Claims claims) const;
  std::string sign(const std::string& user, const std::string& channel = "channel",
                   const std::string& server = "server", const std::string& session = "") const;

  const std::vector<std::uint8_t>& token_key() const { return key_; }
  // Opens everything on the admin port.
  const std::string& api_key() const { return api_key_; }

  // For tests that end it themselves.
  std::optional<ExitStatus> stop(int number, Duration limit);
  // It was killed by the test: its end is not looked at.
  void forgive() { is_forgiven_ = true; }
  std::string log() const { return process_->errors(); }
  Process& process() { return *process_; }

  // What it was started with, for a second one on the same state or ports.
  std::vector<std::string> command() const { return command_; }

 private:
  void read_ready_line(int descriptor);

  TestCertificate state_;
  std::vector<std::uint8_t> key_;
  std::string api_key_;
  std::vector<std::string> command_;
  std::unique_ptr<Process> process_;
  bool was_stopped_ = false;
  bool is_forgiven_ = false;
  std::string ready_line_;
  Endpoint gateway_, media_, admin_;
};

// Claims with everything allowed.
gateway::Claims make_claims(const std::string& user, const std::string& channel = "channel",
                            const std::string& server = "server", const std::string& session = "");

bool has_ipv6();
// The command line under test.
std::string relay_path();
std::string earshot_path();

}  // namespace earshot::test
