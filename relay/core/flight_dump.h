// A recording as bytes: the flight recorders' rings of one node, worker by worker
// (docs/operations.md, "Recordings"). Pure, any thread. tools/replay/recording.* reads it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/time.h"

namespace earshot::flight {

constexpr std::array<std::uint8_t, 8> dump_magic{'E', 'A', 'R', 'S', 'H', 'O', 'T', 'R'};
constexpr std::uint16_t dump_version = 1;
constexpr std::size_t dump_header_size = 32;
constexpr std::size_t dump_section_size = 16;

struct DumpHeader {
  NodeId node;
  std::uint16_t workers_count = 0;
  Duration wall_offset;  // wall clock minus the clock of the arrivals, at taken_at
  Time taken_at;
};

// Little-endian, like everything in it: magic 8, version 2, node 2, workers 2, zero 2, wall offset
// 8, taken at 8. Behind it one section for each worker, in order.
std::array<std::uint8_t, dump_header_size> dump_header(const DumpHeader& header);
// covered from 8, number of words 8; the words stand behind it.
std::array<std::uint8_t, dump_section_size> dump_section(Time covered_from,
                                                         std::uint64_t words_count);
// Words as they stand in the file; on little-endian machines nothing is copied.
std::span<const std::uint8_t> dump_words(std::span<const std::uint64_t> words,
                                         std::vector<std::uint8_t>& scratch);

// False: not one of this version. The workers' number is 1 to limits::workers_max.
[[nodiscard]] bool read_dump_header(std::span<const std::uint8_t, dump_header_size> bytes,
                                    DumpHeader& header);
std::uint64_t read_dump_word(std::span<const std::uint8_t> bytes, std::size_t index);

}  // namespace earshot::flight
