// A recording as a node would write it, from the rings of its workers.
#pragma once

#include <cstdio>
#include <memory>
#include <span>
#include <vector>

#include "relay/core/flight_dump.h"
#include "relay/core/flight_recorder.h"

namespace earshot::test {

using Bytes = std::vector<std::uint8_t>;

inline void append(Bytes& out, std::span<const std::uint8_t> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

inline void append_section(Bytes& out, const FlightSnapshot& snapshot) {
  append(out, flight::dump_section(snapshot.covered_from, snapshot.words.size()));
  Bytes scratch;
  append(out, flight::dump_words(snapshot.words, scratch));
}

inline Bytes recording_bytes(NodeId node, Time taken_at,
                             const std::vector<const FlightRecorder*>& workers) {
  Bytes out;
  append(out, flight::dump_header({node, static_cast<std::uint16_t>(workers.size()),
                                   nanoseconds(1'700'000'000'000'000'000), taken_at}));
  for (const FlightRecorder* recorder : workers) append_section(out, recorder->snapshot());
  return out;
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// An empty one has a byte too many for fmemopen.
inline std::unique_ptr<std::FILE, CloseFile> as_file(const Bytes& bytes) {
  std::FILE* const file = std::tmpfile();
  if (file != nullptr && !bytes.empty()) {
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::rewind(file);
  }
  return std::unique_ptr<std::FILE, CloseFile>(file);
}

}  // namespace earshot::test
