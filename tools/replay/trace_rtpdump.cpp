// The binary format of rtptools: a line of text, a header, and records of length, RTP length and
// milliseconds, all in network order.
#include <array>
#include <vector>

#include "tools/replay/rtp_collector.h"
#include "tools/replay/trace_readers.h"

namespace earshot::replay {
namespace {

constexpr std::size_t header_size = 16;
constexpr std::size_t record_header_size = 8;

std::uint32_t read_number(std::span<const std::uint8_t> bytes, std::size_t at, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | bytes[at + i];
  return value;
}

bool read_exactly(std::FILE* file, std::span<std::uint8_t> bytes) {
  return std::fread(bytes.data(), 1, bytes.size(), file) == bytes.size();
}

bool skip_first_line(std::FILE* file) {
  for (int i = 0; i < 256; ++i) {
    const int c = std::fgetc(file);
    if (c == '\n') return true;
    if (c == EOF) return false;
  }
  return false;
}

// When the recording began.
Time read_start(std::span<const std::uint8_t> header) {
  return Time{} + seconds(read_number(header, 0, 4)) + microseconds(read_number(header, 4, 4));
}

// There is one flow only, and every record is RTP or RTCP.
TraceOptions without_ports(TraceOptions options) {
  options.port = std::nullopt;
  options.to = std::nullopt;
  return options;
}

}  // namespace

Result<Trace> read_rtpdump_trace(std::FILE* file, const std::string& name,
                                 const TraceOptions& options) {
  std::array<std::uint8_t, header_size> header;
  if (!skip_first_line(file) || !read_exactly(file, header)) {
    return Error{name + ": ends before the rtpdump header does"};
  }
  const Time start = read_start(header);
  RtpCollector collector(without_ports(options), RtpCollector::Certainty::known);
  std::array<std::uint8_t, record_header_size> record;
  std::vector<std::uint8_t> bytes;
  for (std::size_t count = 1; std::fread(record.data(), 1, 1, file) == 1; ++count) {
    const std::string where = "breaks off at record " + std::to_string(count);
    if (!read_exactly(file, std::span(record).subspan(1))) {
      collector.notes().remarks.push_back(where);
      break;
    }
    const std::size_t size = read_number(record, 0, 2);
    const std::size_t rtp_size = read_number(record, 2, 2);
    bytes.resize(size < record_header_size ? 0 : size - record_header_size);
    if (size < record_header_size || !read_exactly(file, bytes)) {
      collector.notes().remarks.push_back(where);
      break;
    }
    if (rtp_size == 0) {
      ++collector.notes()[Skip::rtcp];
      continue;
    }
    const Time arrival = start + milliseconds(read_number(record, 4, 4));
    if (!collector.take(arrival, {}, bytes, rtp_size)) return too_many_packets(name, options);
  }
  if (std::ferror(file) != 0) return Error{name + ": cannot be read to its end"};
  return collector.finish();
}

}  // namespace earshot::replay
