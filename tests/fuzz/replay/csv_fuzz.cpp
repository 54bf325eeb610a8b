// CSV. What is understood is written as it was, but for times that ran backwards and ends of lines.
#include <cstdlib>
#include <string>

#include "tests/fuzz/replay/trace_checks.h"

using namespace earshot;
using namespace earshot::replay;

namespace {

std::string written(const Trace& trace) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* const file = open_memstream(&text, &size);
  RELAY_CHECK(file != nullptr && write_trace_csv(trace, file).ok());
  std::fclose(file);
  const std::string csv(text, size);
  std::free(text);
  return csv;
}

Result<Trace> read_bytes(const void* data, std::size_t size, const TraceOptions& options) {
  std::FILE* const file = fmemopen(const_cast<void*>(data), size, "rb");
  RELAY_CHECK(file != nullptr);
  auto trace = read_trace(file, "input", options);
  std::fclose(file);
  return trace;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  TraceOptions options;
  options.packets_max = 1'000;
  const auto trace = read_bytes(data, size, options);
  if (!trace) {
    RELAY_CHECK(trace.error().text.starts_with("input:"));
    return 0;
  }
  check_trace(trace.value(), options);
  const std::string csv = written(trace.value());
  const auto again = read_bytes(csv.data(), csv.size(), options);
  RELAY_CHECK(again.ok() && written(again.value()) == csv);
  RELAY_CHECK(again.value().notes.clamped == 0);
  return 0;
}
