// One reader for each format that read_trace understands, and what they share. Any thread. `name`
// is for sentences; the file is open at its beginning.
#pragma once

#include <cstdio>
#include <optional>
#include <span>
#include <string>

#include "relay/base/result.h"
#include "tools/replay/trace.h"

namespace earshot::replay {

Result<Trace> read_pcap_trace(std::FILE* file, const std::string& name,
                              const TraceOptions& options);
Result<Trace> read_rtpdump_trace(std::FILE* file, const std::string& name,
                                 const TraceOptions& options);
Result<Trace> read_ogg_trace(std::FILE* file, const std::string& name, const TraceOptions& options);
Result<Trace> read_csv_trace(std::FILE* file, const std::string& name, const TraceOptions& options);

// Keeps `bytes` in the arena and returns their index; no_payload if there is no room.
std::uint32_t keep_payload(Trace& trace, std::span<const std::uint8_t> bytes,
                           std::size_t payload_bytes_max);

// Raises times that ran backwards, and counts them.
void clamp_times(Trace& trace);

// Times from 0 to 200 years after 1970: sums with any delay stay far from overflow.
constexpr Time time_max{6'300'000'000'000'000'000};

Error too_many_packets(const std::string& name, const TraceOptions& options);

}  // namespace earshot::replay
