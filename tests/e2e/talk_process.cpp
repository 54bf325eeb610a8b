#include "tests/e2e/talk_process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <numbers>

#include "codec/wav.h"
#include "tools/client/spectrum.h"

namespace earshot::test {

Pipe::Pipe() {
  REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
}

Pipe::~Pipe() {
  close_end(0);
  close_end(1);
}

void Pipe::close_end(std::size_t i) {
  if (ends[i] >= 0) close(ends[i]);
  ends[i] = -1;
}

Talk::Talk(World& world, const std::string& user, std::vector<std::string> arguments, int input,
           int output)
    : Talk(world, world.relay.gateway().to_string(), world.relay.ca_path(), world.relay.sign(user),
           std::move(arguments), input, output) {}

Talk::Talk(World& world, const std::string& endpoint, const std::string& ca,
           const std::string& token, std::vector<std::string> arguments, int input, int output)
    : world_(world) {
  std::vector<std::string> command{earshot_path(), "talk",    "--endpoint",
                                   endpoint,       "--token", token};
  if (!ca.empty()) command.insert(command.end(), {"--ca", ca});
  command.insert(command.end(), arguments.begin(), arguments.end());
  static int number = 0;
  const std::string prefix = world.relay.state_folder() + "/talk" + std::to_string(++number);
  process_ = std::make_unique<Process>(command, prefix, input, output);
}

int Talk::wait(Duration limit) {
  REQUIRE(world_.run_until([&] { return !process_->is_running(); }, limit));
  return process_->wait({})->code;
}

void Talk::wait_until_joined() {
  REQUIRE(world_.run_until([&] { return errors().find(" joined channel ") != std::string::npos; }));
}

std::vector<std::uint8_t> tone_bytes(double hz, double duration) {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < static_cast<int>(48'000 * duration); ++i) {
    const auto sample =
        static_cast<std::int16_t>(9'000 * std::sin(2 * std::numbers::pi * hz * i / 48'000));
    bytes.push_back(static_cast<std::uint8_t>(sample & 0xFF));
    bytes.push_back(static_cast<std::uint8_t>(sample >> 8 & 0xFF));
  }
  return bytes;
}

std::vector<std::int16_t> to_samples(const std::vector<std::uint8_t>& bytes) {
  std::vector<std::int16_t> samples;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    samples.push_back(static_cast<std::int16_t>(bytes[i] | bytes[i + 1] << 8));
  }
  return samples;
}

std::vector<std::int16_t> load_wav(const std::string& path) {
  std::string error;
  const auto bytes = codec::read_file(path, error);
  REQUIRE_MESSAGE(bytes, error);
  const auto samples = codec::parse_wav(*bytes, error);
  REQUIRE_MESSAGE(samples, error);
  return *samples;
}

bool has_tone(const std::vector<std::int16_t>& samples, double hz) {
  client::ToneMeter meter(true);
  for (std::size_t at = 0; at + 960 <= samples.size(); at += 960) {
    meter.add(std::span(samples).subspan(at, 960));
  }
  CAPTURE(meter.dominant().hz);
  CHECK(meter.audible_frames() > 20);
  CHECK(meter.dominant().share > 0.9);
  CHECK(std::abs(meter.dominant().hz - hz) < 0.02 * hz);
  return true;
}

}  // namespace earshot::test
