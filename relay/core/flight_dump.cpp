#include "relay/core/flight_dump.h"

#include <algorithm>
#include <bit>

#include "relay/base/limits.h"

namespace earshot::flight {
namespace {

void put(std::uint8_t* out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

std::uint64_t take(const std::uint8_t* in, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value |= std::uint64_t{in[i]} << (8 * i);
  return value;
}

}  // namespace

std::array<std::uint8_t, dump_header_size> dump_header(const DumpHeader& header) {
  std::array<std::uint8_t, dump_header_size> out{};
  std::copy(dump_magic.begin(), dump_magic.end(), out.begin());
  put(&out[8], dump_version, 2);
  put(&out[10], header.node.value, 2);
  put(&out[12], header.workers_count, 2);
  put(&out[16], static_cast<std::uint64_t>(header.wall_offset.ns), 8);
  put(&out[24], static_cast<std::uint64_t>(header.taken_at.ns), 8);
  return out;
}

std::array<std::uint8_t, dump_section_size> dump_section(Time covered_from,
                                                         std::uint64_t words_count) {
  std::array<std::uint8_t, dump_section_size> out{};
  put(&out[0], static_cast<std::uint64_t>(covered_from.ns), 8);
  put(&out[8], words_count, 8);
  return out;
}

std::span<const std::uint8_t> dump_words(std::span<const std::uint64_t> words,
                                         std::vector<std::uint8_t>& scratch) {
  if constexpr (std::endian::native == std::endian::little)
    return {reinterpret_cast<const std::uint8_t*>(words.data()), words.size_bytes()};
  scratch.resize(words.size_bytes());
  for (std::size_t i = 0; i < words.size(); ++i) put(&scratch[8 * i], words[i], 8);
  return scratch;
}

bool read_dump_header(std::span<const std::uint8_t, dump_header_size> bytes, DumpHeader& header) {
  if (!std::equal(dump_magic.begin(), dump_magic.end(), bytes.begin()) ||
      take(&bytes[8], 2) != dump_version || take(&bytes[14], 2) != 0) {
    return false;
  }
  header.node = {static_cast<std::uint16_t>(take(&bytes[10], 2))};
  header.workers_count = static_cast<std::uint16_t>(take(&bytes[12], 2));
  header.wall_offset = {static_cast<std::int64_t>(take(&bytes[16], 8))};
  header.taken_at = {static_cast<std::int64_t>(take(&bytes[24], 8))};
  return header.node.value <= 1'023 && header.workers_count >= 1 &&
         header.workers_count <= limits::workers_max && header.taken_at.ns >= 0;
}

std::uint64_t read_dump_word(std::span<const std::uint8_t> bytes, std::size_t index) {
  return take(&bytes[8 * index], 8);
}

}  // namespace earshot::flight
