// What happened lately in a world, kept as numbers and written out only when something fails; and
// one hash over everything, by which two runs of a seed are compared. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "relay/base/time.h"

namespace earshot::sim {

// An invariant does not hold. `invariant` is its short name, for the tests that break it.
struct Violation : std::runtime_error {
  Violation(std::string name, const std::string& text)
      : std::runtime_error(text), invariant(std::move(name)) {}
  std::string invariant;
};

class Journal {
 public:
  static constexpr std::size_t kept = 50;

  // `text` is a literal with up to four %llu.
  void note(Time when, const char* text, std::uint64_t a = 0, std::uint64_t b = 0,
            std::uint64_t c = 0, std::uint64_t d = 0);
  // The same for what happens to single packets: a ring of its own.
  void note_packet(Time when, const char* text, std::uint64_t a = 0, std::uint64_t b = 0,
                   std::uint64_t c = 0, std::uint64_t d = 0);
  void mix(std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9E3779B97F4A7C15;
    hash_ ^= hash_ >> 29;
  }
  void mix(std::span<const std::uint8_t> bytes);

  std::uint64_t hash() const { return hash_; }
  // The last 50 events and the last 50 packets.
  std::string tell(Time since) const;

 private:
  struct Entry {
    Time when;
    const char* text = nullptr;
    std::array<unsigned long long, 4> values{};
  };
  struct Ring {
    std::array<Entry, kept> entries;
    std::uint64_t count = 0;
    void push(const Entry& entry) { entries[count++ % kept] = entry; }
    std::string tell(Time since) const;
  };

  Ring events_;
  Ring packets_;
  std::uint64_t hash_ = 0xE5C0DE;
};

}  // namespace earshot::sim
