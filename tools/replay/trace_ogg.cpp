#include "codec/ogg_reader.h"
#include "codec/toc.h"
#include "tools/replay/trace_readers.h"

namespace earshot::replay {
namespace {

// Two hours, which the codec reads at most, at 500 kbit/s.
constexpr std::size_t file_size_max = std::size_t{512} << 20;

// All of the file, or nothing if it is too large.
std::optional<std::vector<std::uint8_t>> read_all(std::FILE* file) {
  std::vector<std::uint8_t> bytes;
  constexpr std::size_t block_size = 1 << 16;
  while (true) {
    const std::size_t size = bytes.size();
    bytes.resize(size + block_size);
    const std::size_t got = std::fread(bytes.data() + size, 1, block_size, file);
    bytes.resize(size + got);
    if (got == 0) return bytes;
    if (bytes.size() > file_size_max) return std::nullopt;
  }
}

Time sent_after(std::int64_t samples) {
  return {samples * 62'500 / 3};
}

}  // namespace

Result<Trace> read_ogg_trace(std::FILE* file, const std::string& name,
                             const TraceOptions& options) {
  const auto bytes = read_all(file);
  if (!bytes) return Error{name + ": is larger than 512 MB"};
  if (std::ferror(file) != 0) return Error{name + ": cannot be read to its end"};
  std::string error;
  const auto ogg = codec::read_ogg_opus(*bytes, error);
  if (!ogg) return Error{name + ": " + error};
  Trace trace;
  trace.is_sending_time = true;
  trace.notes[Skip::malformed] = ogg->malformed;
  if (ogg->gaps > 0) {
    trace.notes.remarks.push_back("the file has " + std::to_string(ogg->gaps) +
                                  " gaps, which were closed");
  }
  std::int64_t samples = 0;
  for (const auto& payload : ogg->packets) {
    const auto description = codec::describe_packet(payload);
    // Padding can make a packet larger than any datagram.
    if (!description || payload.size() > UINT16_MAX) {
      ++trace.notes[Skip::malformed];
      continue;
    }
    if (trace.packets.size() == options.packets_max) return too_many_packets(name, options);
    TracePacket packet;
    packet.arrival = sent_after(samples);
    packet.ssrc = options.ogg_ssrc;
    packet.timestamp = static_cast<std::uint32_t>(samples);
    packet.sequence = static_cast<std::uint16_t>(trace.packets.size());
    packet.size = static_cast<std::uint16_t>(payload.size());
    packet.samples = static_cast<std::uint16_t>(description->samples());
    packet.payload = keep_payload(trace, payload, options.payload_bytes_max);
    trace.packets.push_back(packet);
    samples += description->samples();
  }
  return trace;
}

}  // namespace earshot::replay
