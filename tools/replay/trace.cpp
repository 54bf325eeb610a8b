#include "tools/replay/trace.h"

#include <algorithm>
#include <charconv>
#include <memory>

#include "tools/replay/trace_readers.h"

namespace earshot::replay {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

using Reader = Result<Trace> (*)(std::FILE*, const std::string&, const TraceOptions&);

// What a file of this format begins with.
struct Format {
  std::string_view magic;
  Reader read;
};

using namespace std::string_view_literals;

constexpr std::array<Format, 10> formats{{
    {"\xD4\xC3\xB2\xA1"sv, read_pcap_trace},  // microseconds, both byte orders
    {"\xA1\xB2\xC3\xD4"sv, read_pcap_trace},
    {"\x4D\x3C\xB2\xA1"sv, read_pcap_trace},  // nanoseconds
    {"\xA1\xB2\x3C\x4D"sv, read_pcap_trace},
    {"\x34\xCD\xB2\xA1"sv, read_pcap_trace},  // with Kuznetzov's longer records
    {"\xA1\xB2\xCD\x34"sv, read_pcap_trace},
    {"\x0A\x0D\x0D\x0A"sv, read_pcap_trace},  // pcapng
    {"#!rtpplay1.0 "sv, read_rtpdump_trace},
    {"OggS"sv, read_ogg_trace},
    {"arrival_ns"sv, read_csv_trace},
}};

constexpr std::size_t magic_size_max = 16;

bool is_text(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) {
    return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t';
  });
}

Error unknown_format(const std::string& name, std::string_view front) {
  if (front.empty()) return {name + ": is empty"};
  if (front.starts_with("\x1F\x8B")) return {name + ": is compressed; unpack it first"};
  if (is_text(front)) {
    return {name + ":1: must be the header arrival_ns,ssrc,seq,timestamp,size, if it is CSV"};
  }
  return {name + ": is no pcap, pcapng, rtpdump, Ogg Opus or CSV file"};
}

// "has no packets", and why those that it has are none.
Error no_packets(const std::string& name, const TraceNotes& notes) {
  std::string reasons;
  for (std::size_t i = 0; i < notes.skipped.size(); ++i) {
    if (notes.skipped[i] == 0) continue;
    reasons += (reasons.empty() ? "" : ", ") + std::to_string(notes.skipped[i]) + " " +
               std::string(skip_names[i]);
  }
  return {name + ": has no packets of a stream" + (reasons.empty() ? "" : "; skipped: " + reasons)};
}

}  // namespace

std::optional<Destination> Destination::parse(std::string_view text) {
  Destination destination;
  if (const auto endpoint = Endpoint::parse(text); endpoint && endpoint->port != 0) {
    destination.ip = endpoint->ip;
    destination.port = endpoint->port;
    return destination;
  }
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, destination.port);
  if (parsed.ec != std::errc{} || parsed.ptr != end || destination.port == 0) return std::nullopt;
  return destination;
}

Result<Trace> read_trace(const std::string& path, const TraceOptions& options) {
  const std::unique_ptr<std::FILE, FileCloser> file(std::fopen(path.c_str(), "rb"));
  if (!file) return Error{path + ": cannot be read"};
  return read_trace(file.get(), path, options);
}

Result<Trace> read_trace(std::FILE* file, const std::string& name, const TraceOptions& options) {
  std::array<char, magic_size_max> bytes;
  const std::string_view front(bytes.data(), std::fread(bytes.data(), 1, bytes.size(), file));
  if (std::ferror(file) != 0) return Error{name + ": cannot be read"};
  for (const Format& format : formats) {
    if (!front.starts_with(format.magic)) continue;
    if (std::fseek(file, 0, SEEK_SET) != 0) {
      return Error{name + ": cannot be rewound; save it to a file first"};
    }
    auto trace = format.read(file, name, options);
    if (trace && trace.value().packets.empty()) return no_packets(name, trace.value().notes);
    return trace;
  }
  return unknown_format(name, front);
}

std::uint32_t keep_payload(Trace& trace, std::span<const std::uint8_t> bytes,
                           std::size_t payload_bytes_max) {
  if (bytes.size() > payload_bytes_max - std::min(trace.arena.size(), payload_bytes_max)) {
    return no_payload;
  }
  const auto index = static_cast<std::uint32_t>(trace.payload_offsets.size());
  if (index == no_payload) return no_payload;
  trace.payload_offsets.push_back(trace.arena.size());
  trace.arena.insert(trace.arena.end(), bytes.begin(), bytes.end());
  return index;
}

void clamp_times(Trace& trace) {
  Time last{INT64_MIN};
  for (TracePacket& packet : trace.packets) {
    if (packet.arrival < last) {
      packet.arrival = last;
      ++trace.notes.clamped;
    }
    last = packet.arrival;
  }
}

Error too_many_packets(const std::string& name, const TraceOptions& options) {
  return {name + ": has more than " + std::to_string(options.packets_max) +
          " packets; choose some with --port or --ssrc, or cut the file"};
}

}  // namespace earshot::replay
