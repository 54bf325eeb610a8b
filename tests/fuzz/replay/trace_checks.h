// What every trace promises, whatever it was read from. Shared by the targets of the readers.
#pragma once

#include <algorithm>
#include <cstdio>

#include "relay/base/check.h"
#include "tools/replay/trace.h"

namespace earshot::replay {

inline void check_trace(const Trace& trace, const TraceOptions& options) {
  RELAY_CHECK(!trace.packets.empty());
  RELAY_CHECK(trace.packets.size() <= options.packets_max);
  RELAY_CHECK(trace.arena.size() <= options.payload_bytes_max);
  Time last{};
  for (const TracePacket& packet : trace.packets) {
    RELAY_CHECK(packet.arrival >= last);
    last = packet.arrival;
    const auto payload = trace.payload(packet);
    RELAY_CHECK(payload.empty() || payload.size() == packet.size);
    RELAY_CHECK(payload.empty() ||
                payload.data() + payload.size() <= trace.arena.data() + trace.arena.size());
  }
}

// Reads bytes as the file that they begin like, and checks what comes out.
inline void read_and_check(const std::uint8_t* data, std::size_t size,
                           const TraceOptions& options) {
  if (size == 0) return;
  std::FILE* const file = fmemopen(const_cast<std::uint8_t*>(data), size, "rb");
  RELAY_CHECK(file != nullptr);
  const auto trace = read_trace(file, "input", options);
  std::fclose(file);
  if (trace) return check_trace(trace.value(), options);
  RELAY_CHECK(trace.error().text.starts_with("input:"));
}

}  // namespace earshot::replay
