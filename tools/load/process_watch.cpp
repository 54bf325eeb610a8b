#include "tools/load/process_watch.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "tools/load/poller.h"

namespace earshot::load {
namespace {

// proc(5): the first number of schedstat is the time on a CPU, in nanoseconds.
std::int64_t cpu_ns(const std::filesystem::path& task) {
  std::ifstream file(task / "schedstat");
  std::int64_t ns = 0;
  file >> ns;
  return ns;
}

}  // namespace

ProcessSample sample_process(pid_t process) {
  ProcessSample sample;
  sample.at = monotonic_now();
  if (process <= 0) return sample;
  const std::string id = std::to_string(process);
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + id + "/task", error)) {
    (task.path().filename() == id ? sample.controller_ns : sample.workers_ns) +=
        cpu_ns(task.path());
  }
  std::ifstream status("/proc/" + id + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) sample.resident_bytes = std::stoll(line.substr(6)) * 1'024;
  }
  return sample;
}

}  // namespace earshot::load
