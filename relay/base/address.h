// Addresses as values: IPv6, with IPv4 kept as v4-mapped (::ffff:a.b.c.d), so that a remote has one
// form only. Any thread. Parsing and printing use inet_pton/inet_ntop only; nothing here resolves
// names.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace earshot {

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const IpAddress&) const = default;
  // Two words: every packet's source is compared.
  bool operator==(const IpAddress& other) const {
    std::array<std::uint64_t, 2> a, b;
    std::memcpy(a.data(), bytes.data(), sizeof a);
    std::memcpy(b.data(), other.bytes.data(), sizeof b);
    return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
  }
  bool is_v4() const;             // v4-mapped
  bool is_loopback() const;       // 127.0.0.0/8 or ::1
  bool is_unspecified() const;    // 0.0.0.0 or ::
  bool is_private() const;        // RFC 1918, RFC 4193, RFC 6598, link-local or loopback
  std::string to_string() const;  // "192.0.2.1", "2001:db8::1"; v4-mapped prints as IPv4
  // The same text without an allocation and without a NUL; returns its size. `out` holds at least
  // 46 bytes.
  std::size_t write(std::span<char> out) const;

  static std::optional<IpAddress> parse(std::string_view text);  // without brackets, port or zone
};

// IPv4 address from its four bytes in network order.
IpAddress make_v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);

// A UDP or TCP endpoint. Port in host order.
struct Endpoint {
  IpAddress ip;
  std::uint16_t port = 0;

  auto operator<=>(const Endpoint&) const = default;
  bool is_set() const { return port != 0; }
  std::string to_string() const;  // "192.0.2.1:5", "[2001:db8::1]:5"

  static std::optional<Endpoint> parse(std::string_view text);  // the form that to_string prints
};

// 64-bit mix of the bytes, for hash tables that the process seeds with `seed`.
std::uint64_t hash(const IpAddress& ip, std::uint64_t seed);
std::uint64_t hash(const Endpoint& endpoint, std::uint64_t seed);

}  // namespace earshot
