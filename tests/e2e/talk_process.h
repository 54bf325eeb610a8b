// `earshot talk` as a process beside the clients of a World, and what its audio sounds like. One
// thread.
#pragma once

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/raw_client.h"
#include "tests/e2e/world.h"

namespace earshot::test {

struct Pipe {
  Pipe();
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_end(std::size_t i);
  // For a child, which closes it.
  int give(std::size_t i) { return std::exchange(ends[i], -1); }
  std::array<int, 2> ends{};
};

class Talk {
 public:
  Talk(World& world, const std::string& user, std::vector<std::string> arguments, int input = -1,
       int output = -1);
  Talk(World& world, const std::string& endpoint, const std::string& ca, const std::string& token,
       std::vector<std::string> arguments, int input = -1, int output = -1);

  // The clients in this process go on meanwhile.
  int wait(Duration limit = seconds(20));
  void wait_until_joined();
  void interrupt() { process_->send_signal(SIGINT); }
  std::string output() const { return process_->output(); }
  std::string errors() const { return process_->errors(); }
  Json report() const { return Json::parse(output()); }

 private:
  World& world_;
  std::unique_ptr<Process> process_;
};

// s16le mono.
std::vector<std::uint8_t> tone_bytes(double hz, double duration);
std::vector<std::int16_t> to_samples(const std::vector<std::uint8_t>& bytes);
std::vector<std::int16_t> load_wav(const std::string& path);
// The speaker's tone in a recording that has silence around it.
bool has_tone(const std::vector<std::int16_t>& samples, double hz);

}  // namespace earshot::test
