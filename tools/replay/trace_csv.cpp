#include <array>
#include <charconv>
#include <cstring>

#include "tools/replay/trace_readers.h"

namespace earshot::replay {
namespace {

constexpr std::string_view header = "arrival_ns,ssrc,seq,timestamp,size";
// The longest line has 20 + 10 + 5 + 10 + 5 digits.
constexpr std::size_t line_size_max = 128;

// Takes a decimal number and the mark behind it from the front.
template <typename T>
bool take_number(std::string_view& text, bool is_last, T& number) {
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  if (is_last) return text.empty();
  if (!text.starts_with(',')) return false;
  text.remove_prefix(1);
  return true;
}

// The column that is wrong, or nothing.
const char* read_line(std::string_view text, TracePacket& packet) {
  if (!take_number(text, false, packet.arrival.ns) || packet.arrival.ns < 0 ||
      packet.arrival > time_max) {
    return "arrival_ns must be an integer from 0 to 6300000000000000000";
  }
  if (!take_number(text, false, packet.ssrc.value)) return "ssrc must be an integer of 32 bits";
  if (!take_number(text, false, packet.sequence)) return "seq must be an integer of 16 bits";
  if (!take_number(text, false, packet.timestamp)) {
    return "timestamp must be an integer of 32 bits";
  }
  if (!take_number(text, true, packet.size)) {
    return "size must be an integer of 16 bits, and the last column";
  }
  return nullptr;
}

struct Line {
  std::array<char, line_size_max> bytes;
  std::size_t size = 0;
  bool is_too_long = false;

  std::string_view text() const { return {bytes.data(), size}; }
};

// Without the end of the line. False at the end of the file.
bool next_line(std::FILE* file, Line& line) {
  line.size = 0;
  line.is_too_long = false;
  int c = EOF;
  while ((c = std::getc(file)) != EOF && c != '\n') {
    line.is_too_long = line.is_too_long || line.size == line.bytes.size();
    if (line.is_too_long) break;
    line.bytes[line.size++] = static_cast<char>(c);
  }
  if (c == EOF && line.size == 0) return false;
  if (line.text().ends_with('\r')) --line.size;
  return true;
}

Error wrong_line(const std::string& name, std::size_t number, std::string_view what) {
  return {name + ":" + std::to_string(number) + ": " + std::string(what)};
}

}  // namespace

Result<Trace> read_csv_trace(std::FILE* file, const std::string& name,
                             const TraceOptions& options) {
  Trace trace;
  Line line;
  if (!next_line(file, line) || line.text() != header) {
    return wrong_line(name, 1, "must be the header " + std::string(header));
  }
  for (std::size_t number = 2; next_line(file, line); ++number) {
    TracePacket packet;
    const char* const wrong =
        line.is_too_long ? "the line is too long" : read_line(line.text(), packet);
    if (wrong != nullptr) return wrong_line(name, number, wrong);
    if (trace.packets.size() == options.packets_max) return too_many_packets(name, options);
    trace.packets.push_back(packet);
  }
  if (std::ferror(file) != 0) return Error{name + ": cannot be read to its end"};
  clamp_times(trace);
  return trace;
}

Result<void> write_trace_csv(const Trace& trace, std::FILE* file) {
  bool is_good = std::fprintf(file, "%s\n", std::string(header).c_str()) > 0;
  for (const TracePacket& packet : trace.packets) {
    is_good = is_good &&
              std::fprintf(file, "%lld,%u,%u,%u,%u\n", static_cast<long long>(packet.arrival.ns),
                           packet.ssrc.value, unsigned{packet.sequence}, packet.timestamp,
                           unsigned{packet.size}) > 0;
  }
  if (!is_good || std::fflush(file) != 0) return Error{"the CSV cannot be written"};
  return {};
}

}  // namespace earshot::replay
