#include "tests/e2e/relay_process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

#include "crypto/keys.h"
#include "crypto/signature.h"
#include "tests/support/hex.h"

namespace earshot::test {
namespace {

// The slowest machine that should pass, with sanitizers.
constexpr int ready_time_max_ms = 20'000;
constexpr Duration stop_time_max = seconds(10);

std::string read_whole(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string required_path(const std::string& variable) {
  const char* path = std::getenv(variable.c_str());
  REQUIRE_MESSAGE(path != nullptr, variable, " names no program");
  return path;
}

// Takes the prefix off.
bool cut(std::string& text, const std::string& prefix) {
  if (text.rfind(prefix, 0) != 0) return false;
  text.erase(0, prefix.size());
  return true;
}

std::string make_key_file(const std::string& folder, std::vector<std::uint8_t>& key) {
  key.resize(32);
  crypto::random_bytes(key);
  std::ofstream(folder + "/token.key") << crypto::base64url_encode(key) << "\n";
  return folder + "/token.key";
}

std::string make_api_key(const std::string& folder) {
  std::vector<std::uint8_t> bytes(32);
  crypto::random_bytes(bytes);
  const std::string key = crypto::base64url_encode(bytes);
  const auto hash = crypto::sha256({reinterpret_cast<const std::uint8_t*>(key.data()), key.size()});
  std::ofstream(folder + "/api-keys.toml")
      << "[[keys]]\nname = \"test\"\nscopes = [\"read\", \"admin\"]\nsha256 = \"" << to_hex(hash)
      << "\"\n";
  return key;
}

}  // namespace

std::string relay_path() {
  return required_path("EARSHOT_RELAY");
}

std::string earshot_path() {
  return required_path("EARSHOT");
}

bool has_ipv6() {
  const int descriptor = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  const bool is_there = descriptor >= 0 && bind(descriptor, generic, sizeof address) == 0;
  if (descriptor >= 0) close(descriptor);
  return is_there;
}

Process::Process(std::vector<std::string> command, const std::string& output_prefix, int input,
                 int output, const std::string& folder)
    : output_prefix_(output_prefix) {
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
  const int errors = open((output_prefix_ + ".err").c_str(), flags, 0600);
  const int in = input >= 0 ? input : open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = output >= 0 ? output : open((output_prefix_ + ".out").c_str(), flags, 0600);
  REQUIRE(errors >= 0);
  REQUIRE(in >= 0);
  REQUIRE(out >= 0);
  const pid_t parent = getpid();
  pid_ = fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    if (!folder.empty() && chdir(folder.c_str()) != 0) _exit(127);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(errors);
  close(in);
  close(out);
}

Process::~Process() {
  if (!is_running()) return;
  send_signal(SIGKILL);
  wait(seconds(10));
}

void Process::send_signal(int number) const {
  kill(pid_, number);
}

std::optional<ExitStatus> Process::wait(Duration limit) {
  for (std::int64_t waited = 0; !status_; waited += 5) {
    int status = 0;
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) {
      status_ = WIFSIGNALED(status) ? ExitStatus{-1, WTERMSIG(status)}
                                    : ExitStatus{WEXITSTATUS(status), 0};
      break;
    }
    if (waited >= limit.ms()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return status_;
}

bool Process::is_running() {
  return !wait({});
}

std::string Process::output() const {
  return read_whole(output_prefix_ + ".out");
}

std::string Process::errors() const {
  return read_whole(output_prefix_ + ".err");
}

gateway::Claims make_claims(const std::string& user, const std::string& channel,
                            const std::string& server, const std::string& session) {
  gateway::Claims claims;
  claims.user_id = user;
  claims.server_id = server;
  claims.channel_id = channel;
  claims.session_id = session.empty() ? "session-of-" + user : session;
  return claims;
}

RelayProcess::RelayProcess(std::vector<std::string> settings,
                           const std::vector<std::string>& options) {
  const std::string folder = state_folder();
  REQUIRE(crypto::initialize());
  make_key_file(folder, key_);
  api_key_ = make_api_key(folder);
  const char* loopback = has_ipv6() ? R"(["127.0.0.1:0", "[::1]:0"])" : R"(["127.0.0.1:0"])";
  std::ofstream config(config_path());
  config << "[media]\n"
         << "listen = \"" << (has_ipv6() ? "[::]:0" : "0.0.0.0:0") << "\"\n"
         << "loopback_only = true\npin_workers = false\nworkers = 1\n"
         << "sessions_per_worker_max = 64\n"
         // Test machines stall, and nothing shall be lost by it unless a test asks for that.
         << "late_ms_max = 0\nstale_ms_max = 0\n"
         << "[gateway]\nlisten = " << loopback << "\n"
         << "tls_cert = \"certificate.pem\"\ntls_key = \"key.pem\"\n"
         << "unidentified_per_address_max = 4096\nbad_tokens_per_address_max = 1000\n"
         << "[admin]\nlisten = " << loopback << "\nkeys_file = \"api-keys.toml\"\n"
         << "[tokens]\nkeys = [{ id = \"dev\", alg = \"HS256\", file = \"token.key\" }]\n";
  config.close();
  command_ = {relay_path(), "--config", config_path(), "--announce-ca", ca_path()};
  command_.insert(command_.end(), options.begin(), options.end());
  for (const std::string& setting : settings) {
    command_.insert(command_.end(), {"--set", setting});
  }
  std::array<int, 2> ends{};
  REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
  process_ = std::make_unique<Process>(command_, folder + "/relay", -1, ends[1], folder);
  read_ready_line(ends[0]);
  close(ends[0]);
}

void RelayProcess::read_ready_line(int descriptor) {
  pollfd ready{descriptor, POLLIN, 0};
  char byte = 0;
  while (poll(&ready, 1, ready_time_max_ms) == 1 && read(descriptor, &byte, 1) == 1) {
    if (byte == '\n') break;
    ready_line_ += byte;
  }
  std::istringstream words(ready_line_);
  std::string ready_word, gateway, udp, api, ca, more;
  words >> ready_word >> gateway >> udp >> api >> ca;
  const bool is_whole = !(words >> more) && ready_word == "ready" && cut(gateway, "gateway=") &&
                        cut(udp, "udp=") && cut(api, "api=https://") && cut(ca, "ca=");
  REQUIRE_MESSAGE(is_whole, "\"", ready_line_, "\"\n", log());
  const auto parse = [](const std::string& text) {
    const auto endpoint = Endpoint::parse(text);
    REQUIRE_MESSAGE((endpoint && endpoint->is_set()), text);
    return *endpoint;
  };
  gateway_ = parse(gateway);
  media_ = parse(udp);
  admin_ = parse(api);
  CHECK(ca == ca_path());
}

std::optional<ExitStatus> RelayProcess::stop(int number, Duration limit) {
  was_stopped_ = true;
  process_->send_signal(number);
  return process_->wait(limit);
}

RelayProcess::~RelayProcess() {
  if (!process_ || is_forgiven_) return;
  if (!was_stopped_) stop(SIGTERM, stop_time_max);
  const auto status = process_->wait({});
  const std::string text = log();
  CHECK_MESSAGE((status && *status == ExitStatus{0, 0}), "the relay did not end well:\n", text);
  // Sanitizers and assertions end it; this finds what only warned.
  CHECK_MESSAGE(text.find("runtime error") == std::string::npos, text);
}

std::string RelayProcess::sign(gateway::Claims claims) const {
  if (claims.expires == 0) claims.expires = std::time(nullptr) + 600;
  return gateway::make_token("earshot", claims, "dev", gateway::TokenAlgorithm::hs256, key_);
}

std::string RelayProcess::sign(const std::string& user, const std::string& channel,
                               const std::string& server, const std::string& session) const {
  return sign(make_claims(user, channel, server, session));
}

}  // namespace earshot::test
