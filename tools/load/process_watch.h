// CPU time and memory of the relay process, read from /proc. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "relay/base/time.h"

namespace earshot::load {

struct ProcessSample {
  Time at;
  std::int64_t controller_ns = 0;  // of its first thread
  std::int64_t workers_ns = 0;     // of all others
  std::int64_t resident_bytes = 0;
};

// Zeros if there is no such process.
ProcessSample sample_process(pid_t process);

}  // namespace earshot::load
