// A dump of rtptools.
#include "tests/fuzz/replay/trace_checks.h"

using namespace earshot;
using namespace earshot::replay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  TraceOptions options;
  options.packets_max = 1'000;
  options.payload_bytes_max = 10'000;
  read_and_check(data, size, options);
  return 0;
}
