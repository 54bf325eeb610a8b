// Captures in memory, written byte by byte, and files that are read from memory. Any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/check.h"
#include "tools/replay/trace.h"

namespace earshot::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// `value` in `size` bytes, in network order.
inline Bytes big(std::uint64_t value, std::size_t size) {
  Bytes bytes;
  for (std::size_t i = size; i > 0; --i) {
    bytes.push_back(static_cast<std::uint8_t>(value >> (8 * (i - 1))));
  }
  return bytes;
}

inline Bytes little(std::uint64_t value, std::size_t size) {
  const Bytes bytes = big(value, size);
  return {bytes.rbegin(), bytes.rend()};
}

struct RtpFields {
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 17;
  std::uint8_t payload_type = 120;
  std::uint8_t flags = 0x80;  // the first byte: version, padding, extension, count of CSRCs
};

inline Bytes rtp(const RtpFields& fields, const Bytes& rest) {
  return Bytes{fields.flags, fields.payload_type} + big(fields.sequence, 2) +
         big(fields.timestamp, 4) + big(fields.ssrc, 4) + rest;
}

// Bytes that no Opus begins with twice: as ciphertext, each one another first byte.
inline Bytes sealed(std::size_t size, std::uint32_t salt) {
  Bytes bytes(size);
  std::uint64_t state = salt;
  for (std::uint8_t& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::uint8_t>(state >> 56);
  }
  return bytes;
}

// One frame of 20 ms: valid by RFC 6716.
inline Bytes opus(std::size_t size) {
  Bytes bytes(size, 0x55);
  bytes[0] = 0x78;
  return bytes;
}

struct Route {
  std::uint16_t from_port = 50'000;
  std::uint16_t to_port = 8'444;
  std::uint8_t from_host = 1;  // 10.0.0.X or fd00::X
  std::uint8_t to_host = 2;

  Route back() const { return {to_port, from_port, to_host, from_host}; }
};

inline Bytes udp(const Route& route, const Bytes& payload) {
  return big(route.from_port, 2) + big(route.to_port, 2) + big(8 + payload.size(), 2) + big(0, 2) +
         payload;
}

// `more`: options, a multiple of four bytes. `fragment`: the field of flags and offset.
inline Bytes ipv4(const Route& route, const Bytes& payload, const Bytes& more = {},
                  std::uint16_t fragment = 0x4000) {
  const std::size_t words = 5 + more.size() / 4;
  return Bytes{static_cast<std::uint8_t>(0x40 | words), 0} + big(4 * words + payload.size(), 2) +
         big(1, 2) + big(fragment, 2) +
         Bytes{64, 17, 0, 0, 10, 0, 0, route.from_host, 10, 0, 0, route.to_host} + more + payload;
}

// `next`: the first header in `payload`.
inline Bytes ipv6(const Route& route, const Bytes& payload, std::uint8_t next = 17) {
  Bytes from(16);
  Bytes to(16);
  from[0] = to[0] = 0xFD;
  from[15] = route.from_host;
  to[15] = route.to_host;
  return Bytes{0x60, 0, 0, 0} + big(payload.size(), 2) + Bytes{next, 64} + from + to + payload;
}

inline Bytes ethernet(std::uint16_t type, const Bytes& payload) {
  return Bytes(12, 0x02) + big(type, 2) + payload;
}

struct PcapOptions {
  std::uint32_t link = 1;  // Ethernet
  bool is_swapped = false;
  bool has_nanoseconds = false;
  std::size_t snap = 65'535;
};

class PcapFile {
 public:
  explicit PcapFile(const PcapOptions& options = {}) : options_(options) {
    bytes_ = number(options.has_nanoseconds ? 0xA1B23C4D : 0xA1B2C3D4, 4) + number(2, 2) +
             number(4, 2) + number(0, 8) + number(options.snap, 4) + number(options.link, 4);
  }

  PcapFile& add(std::int64_t ns, const Bytes& frame) {
    const std::int64_t fraction = ns % 1'000'000'000;
    const std::size_t captured = std::min(frame.size(), options_.snap);
    bytes_ =
        std::move(bytes_) + number(static_cast<std::uint64_t>(ns / 1'000'000'000), 4) +
        number(static_cast<std::uint64_t>(options_.has_nanoseconds ? fraction : fraction / 1'000),
               4) +
        number(captured, 4) + number(frame.size(), 4) +
        Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(captured));
    return *this;
  }

  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes number(std::uint64_t value, std::size_t size) const {
    return options_.is_swapped ? big(value, size) : little(value, size);
  }

  PcapOptions options_;
  Bytes bytes_;
};

// A file whose contents are these bytes.
class MemoryFile {
 public:
  explicit MemoryFile(const Bytes& bytes) : bytes_(bytes) {
    // fmemopen needs a byte at least.
    file_ = bytes_.empty() ? std::fopen("/dev/null", "rb")
                           : fmemopen(bytes_.data(), bytes_.size(), "rb");
    RELAY_CHECK(file_ != nullptr);
  }
  ~MemoryFile() { std::fclose(file_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::FILE* get() const { return file_; }

 private:
  Bytes bytes_;
  std::FILE* file_ = nullptr;
};

inline Result<replay::Trace> read(const Bytes& bytes, const replay::TraceOptions& options = {}) {
  const MemoryFile file(bytes);
  return replay::read_trace(file.get(), "input", options);
}

}  // namespace earshot::test
