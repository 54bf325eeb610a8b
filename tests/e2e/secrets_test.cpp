// What a core dump of a node holds, and what is left of a key when its session has ended.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "crypto/signature.h"
#include "tests/e2e/raw_client.h"

using namespace earshot;
using namespace earshot::test;

namespace {

namespace fs = std::filesystem;

std::string text_of(std::span<const std::uint8_t> bytes) {
  return {bytes.begin(), bytes.end()};
}

// Every form in which a key could stand in memory.
std::vector<std::string> needles_of(std::span<const std::uint8_t, crypto::key_size> key) {
  std::vector<std::string> needles;
  for (const std::size_t half : {0u, 16u}) {
    std::string bytes = text_of(key.subspan(half, 16));
    needles.push_back(bytes);
    std::reverse(bytes.begin(), bytes.end());
    needles.push_back(bytes);
  }
  // As JSON and as base64url, without the ends, which depend on what stands beside them.
  const std::string numbers = Json(std::vector<std::uint8_t>(key.begin(), key.end())).dump();
  needles.push_back(numbers.substr(1, 24));
  needles.push_back(numbers.substr(numbers.size() - 25, 24));
  needles.push_back(crypto::base64url_encode(key).substr(0, 40));
  return needles;
}

// The round keys, as the relay's own code expands them.
std::vector<std::string> round_keys_of(std::span<const std::uint8_t, crypto::key_size> key) {
  if (!crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize)) return {};
  auto expanded = std::make_unique<crypto::AeadKey>();
  std::memset(static_cast<void*>(expanded.get()), 0, sizeof *expanded);
  expanded->set(crypto::AeadMode::aes256_gcm_rtpsize, key);
  std::vector<std::string> found;
  const auto* bytes = reinterpret_cast<const char*>(expanded.get());
  // Fourteen rounds and the first; what stands behind them belongs to GCM.
  for (std::size_t at = 0; at < 15 * 16; at += 16) found.emplace_back(bytes + at, 16);
  expanded->clear();
  return found;
}

struct Mapping {
  std::uint64_t begin = 0, end = 0;
  bool is_readable = false;
  bool is_dumped = true;  // not MADV_DONTDUMP
};

std::vector<Mapping> mappings_of(pid_t process) {
  std::ifstream smaps("/proc/" + std::to_string(process) + "/smaps");
  std::vector<Mapping> mappings;
  for (std::string line; std::getline(smaps, line);) {
    Mapping mapping;
    char dash = 0;
    std::istringstream words(line);
    std::string mode;
    if (words >> std::hex >> mapping.begin >> dash >> mapping.end >> mode && dash == '-') {
      mapping.is_readable = mode[0] == 'r' && mode[1] == 'w';
      mappings.push_back(mapping);
    } else if (line.rfind("VmFlags:", 0) == 0) {
      mappings.back().is_dumped = line.find(" dd") == std::string::npos;
    }
  }
  return mappings;
}

// All writable memory of a process; the sanitizers' own reservations are left out by their size.
std::vector<std::string> memory_of(pid_t process, bool only_dumped) {
  std::ifstream memory("/proc/" + std::to_string(process) + "/mem", std::ios::binary);
  REQUIRE(memory.is_open());
  std::vector<std::string> parts;
  for (const Mapping& mapping : mappings_of(process)) {
    const std::uint64_t size = mapping.end - mapping.begin;
    if (!mapping.is_readable || size > (std::uint64_t{1} << 30)) continue;
    if (only_dumped && !mapping.is_dumped) continue;
    std::string part(size, '\0');
    memory.seekg(static_cast<std::streamoff>(mapping.begin));
    if (memory.read(part.data(), static_cast<std::streamsize>(size))) {
      parts.push_back(std::move(part));
    }
    memory.clear();
  }
  CHECK(parts.size() > 5);
  return parts;
}

std::size_t count(const std::vector<std::string>& parts, const std::vector<std::string>& needles) {
  std::size_t found = 0;
  for (const std::string& part : parts) {
    for (const std::string& needle : needles) {
      if (memmem(part.data(), part.size(), needle.data(), needle.size()) != nullptr) ++found;
    }
  }
  return found;
}

// Needles are in this process too, but that is another one.
std::vector<std::string> all_needles(const RawSession& session) {
  std::vector<std::string> needles = needles_of(session.key);
  if (session.mode == crypto::name(crypto::AeadMode::aes256_gcm_rtpsize)) {
    for (std::string& round_key : round_keys_of(session.key)) {
      needles.push_back(std::move(round_key));
    }
  }
  return needles;
}

void talk(World& world, RawSession& from, const RawSession& to) {
  for (int i = 0; i < 10; ++i) {
    from.speak();
    world.run_for(milliseconds(20));
  }
  CHECK(to.received_from(from.ssrc) > 0);
}

// Where the kernel writes a core by its own name into the working folder of the process.
bool writes_core_files() {
  std::ifstream file("/proc/sys/kernel/core_pattern");
  std::string pattern;
  std::getline(file, pattern);
  return pattern == "core" || pattern == "core.%p";
}

std::string status_line(pid_t process, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":", 0) == 0) return line.substr(name.size() + 2);
  }
  return {};
}

rlimit core_limit(pid_t process) {
  rlimit limit{};
  REQUIRE(prlimit(process, RLIMIT_CORE, nullptr, &limit) == 0);
  return limit;
}

}  // namespace

TEST_CASE("no core dumps, no new privileges") {
  World world;
  world.join("alice");
  const pid_t process = world.relay.process().id();
  CHECK(core_limit(process).rlim_cur == 0);
  CHECK(core_limit(process).rlim_max == 0);
  CHECK(status_line(process, "NoNewPrivs") == "1");
}

// Not met yet: a copy of a media key is left in ordinary memory (docs/threat-model.md).
TEST_CASE("media keys stay out of a core, and are gone when their sessions are" * doctest::skip()) {
  World world({"media.workers=2"}, {"--allow-core-dumps"});
  const pid_t process = world.relay.process().id();
  std::vector<std::string> needles;
  {
    const char* gcm = "aead_aes256_gcm_rtpsize";
    const bool has_gcm = crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize);
    RawSession alice(world, make_claims("alice"));
    RawSession bob(world, make_claims("bob"), 8, has_gcm ? gcm : alice.mode);
    talk(world, alice, bob);
    talk(world, bob, alice);
    for (const RawSession* session : {&alice, &bob}) {
      for (std::string& needle : all_needles(*session)) needles.push_back(std::move(needle));
    }
    // The keys are there: this test finds what it looks for.
    CHECK(count(memory_of(process, false), needles) > 0);
    CHECK(count(memory_of(process, true), needles) == 0);
    alice.gateway->close(1'000);
    bob.gateway->close(1'000);
    CHECK(alice.gateway->close_code() != 0);
    CHECK(bob.gateway->close_code() != 0);
  }
  // Both slots are closed, and other packets have gone through the same code since.
  world.settle();
  world.settle();
  CHECK(count(memory_of(process, false), needles) == 0);
}

// AddressSanitizer keeps copies of its own.
#ifdef __SANITIZE_ADDRESS__
constexpr bool is_asan = true;
#else
constexpr bool is_asan = false;
#endif

TEST_CASE("the key that signs tokens stays out of a core" * doctest::skip(is_asan)) {
  World world({}, {"--allow-core-dumps"});
  world.join("alice");
  const pid_t process = world.relay.process().id();
  std::span<const std::uint8_t, crypto::key_size> key(world.relay.token_key().data(),
                                                      crypto::key_size);
  const std::vector<std::string> needles = needles_of(key);
  CHECK(count(memory_of(process, false), needles) > 0);
  CHECK(count(memory_of(process, true), needles) == 0);
}

// The same.
TEST_CASE("the kernel's own core of a node has no key in it, and a hardened node leaves none" *
          doctest::skip()) {
  if (!writes_core_files()) {
    MESSAGE("cores go elsewhere here: only the model of a core is looked at");
    return;
  }
  for (const bool is_allowed : {true, false}) {
    CAPTURE(is_allowed);
    // The tests may run without a limit of their own.
    World world({}, is_allowed ? std::vector<std::string>{"--allow-core-dumps"}
                               : std::vector<std::string>{});
    const pid_t process = world.relay.process().id();
    const fs::path folder = world.relay.state_folder();
    RawSession alice(world, make_claims("alice"));
    RawSession bob(world, make_claims("bob"));
    talk(world, alice, bob);
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    if (prlimit(process, RLIMIT_CORE, &unlimited, nullptr) != 0) {
      MESSAGE("the limit of cores cannot be raised here");
      return;
    }
    world.relay.forgive();
    world.relay.process().send_signal(SIGABRT);
    const auto status = world.relay.process().wait(seconds(30));
    REQUIRE(status);
    CHECK(status->signal == SIGABRT);
    std::vector<std::string> cores;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().rfind("core", 0) != 0) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::ostringstream content;
      content << file.rdbuf();
      cores.push_back(content.str());
      fs::remove(entry.path());
    }
    CHECK(cores.size() == (is_allowed ? 1 : 0));
    if (cores.empty()) continue;
    CHECK(cores[0].size() > 100'000);
    CHECK(count(cores, {"session-of-alice"}) > 0);
    CHECK(count(cores, needles_of(alice.key)) == 0);
    CHECK(count(cores, needles_of(bob.key)) == 0);
  }
}
