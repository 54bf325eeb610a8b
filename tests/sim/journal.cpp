#include "tests/sim/journal.h"

#include <cstdio>
#include <cstring>

namespace earshot::sim {

void Journal::note(Time when, const char* text, std::uint64_t a, std::uint64_t b, std::uint64_t c,
                   std::uint64_t d) {
  events_.push({when, text, {a, b, c, d}});
  mix(static_cast<std::uint64_t>(when.ns));
  mix(a ^ b << 16 ^ c << 32 ^ d << 48);
}

void Journal::note_packet(Time when, const char* text, std::uint64_t a, std::uint64_t b,
                          std::uint64_t c, std::uint64_t d) {
  packets_.push({when, text, {a, b, c, d}});
}

void Journal::mix(std::span<const std::uint8_t> bytes) {
  std::uint64_t word = bytes.size();
  std::size_t i = 0;
  for (; i + sizeof word <= bytes.size(); i += sizeof word) {
    mix(word);
    std::memcpy(&word, bytes.data() + i, sizeof word);
  }
  mix(word);
  word = 0;
  if (i < bytes.size()) std::memcpy(&word, bytes.data() + i, bytes.size() - i);
  mix(word);
}

std::string Journal::Ring::tell(Time since) const {
  std::string told;
  for (std::uint64_t i = count < kept ? 0 : count - kept; i < count; ++i) {
    const Entry& e = entries[i % kept];
    std::array<char, 256> line;
    int size = std::snprintf(line.data(), line.size(), "  %12.6f s  ",
                             static_cast<double>((e.when - since).ns) * 1e-9);
    told.append(line.data(), static_cast<std::size_t>(size));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size = std::snprintf(line.data(), line.size(), e.text, e.values[0], e.values[1], e.values[2],
                         e.values[3]);
#pragma GCC diagnostic pop
    told.append(line.data(), static_cast<std::size_t>(size));
    told += '\n';
  }
  return told;
}

std::string Journal::tell(Time since) const {
  return "last events:\n" + events_.tell(since) + "last packets:\n" + packets_.tell(since);
}

}  // namespace earshot::sim
