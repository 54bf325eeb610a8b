// A capture, behind a byte that chooses how streams are picked.
#include "tests/fuzz/replay/trace_checks.h"

using namespace earshot;
using namespace earshot::replay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  TraceOptions options;
  options.packets_max = 100;
  options.payload_bytes_max = 5'000;
  const std::uint8_t choice = data[0];
  if ((choice & 1) != 0) options.port = 8'444;
  if ((choice & 2) != 0) options.ssrcs = {Ssrc{17}};
  if ((choice & 4) != 0) options.to = Destination{std::nullopt, 8'444};
  if ((choice & 8) != 0) options.overhead = choice >> 4;
  read_and_check(data + 1, size - 1, options);
  return 0;
}
