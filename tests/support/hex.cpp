#include "tests/support/hex.h"

#include "relay/base/check.h"

namespace earshot::test {

std::vector<std::uint8_t> from_hex(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::vector<std::uint8_t> bytes;
  bool is_half = false;
  for (const char c : text) {
    if (c == ' ' || c == ':' || c == '\n') continue;
    const auto digit = digits.find(c);
    RELAY_CHECK(digit != std::string_view::npos);
    if (is_half) {
      bytes.back() = static_cast<std::uint8_t>(bytes.back() * 16u + digit);
    } else {
      bytes.push_back(static_cast<std::uint8_t>(digit));
    }
    is_half = !is_half;
  }
  RELAY_CHECK(!is_half);
  return bytes;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

}  // namespace earshot::test
