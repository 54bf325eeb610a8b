// Bytes as the text that standards print their vectors in. Tests only; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace earshot::test {

// Blanks, colons and newlines between the bytes are skipped; aborts on anything else.
std::vector<std::uint8_t> from_hex(std::string_view text);
std::string to_hex(std::span<const std::uint8_t> bytes);

}  // namespace earshot::test
