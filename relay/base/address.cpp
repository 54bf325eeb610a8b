#include "relay/base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "relay/base/check.h"

namespace earshot {
namespace {

constexpr std::array<std::uint8_t, 12> v4_mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

// A finaliser with good avalanche (the constants of SplitMix64).
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

bool is_private_v4(const std::uint8_t* v4) {
  return v4[0] == 10 || (v4[0] == 172 && (v4[1] & 0xF0) == 16) || (v4[0] == 192 && v4[1] == 168) ||
         (v4[0] == 169 && v4[1] == 254) || (v4[0] == 100 && (v4[1] & 0xC0) == 64) || v4[0] == 127;
}

}  // namespace

bool IpAddress::is_v4() const {
  return std::equal(v4_mapped_prefix.begin(), v4_mapped_prefix.end(), bytes.begin());
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes[12] == 127;
  return bytes[15] == 1 &&
         std::all_of(bytes.begin(), bytes.end() - 1, [](auto b) { return b == 0; });
}

bool IpAddress::is_unspecified() const {
  const auto first = is_v4() ? bytes.begin() + 12 : bytes.begin();
  return std::all_of(first, bytes.end(), [](auto b) { return b == 0; });
}

bool IpAddress::is_private() const {
  if (is_v4()) return is_private_v4(bytes.data() + 12);
  return is_loopback() || (bytes[0] & 0xFE) == 0xFC ||
         (bytes[0] == 0xFE && (bytes[1] & 0xC0) == 0x80);
}

std::size_t IpAddress::write(std::span<char> out) const {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4()) {
    inet_ntop(AF_INET, bytes.data() + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  }
  const std::size_t size = std::strlen(text);
  RELAY_CHECK(size <= out.size());
  std::memcpy(out.data(), text, size);
  return size;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  return {text, write(text)};
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN + 1] = {};
  if (text.empty() || text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  text.copy(buffer, text.size());
  std::uint8_t v4[4];
  if (inet_pton(AF_INET, buffer, v4) == 1) return make_v4(v4[0], v4[1], v4[2], v4[3]);
  IpAddress ip;
  if (inet_pton(AF_INET6, buffer, ip.bytes.data()) == 1) return ip;
  return std::nullopt;
}

IpAddress make_v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  IpAddress ip;
  std::copy(v4_mapped_prefix.begin(), v4_mapped_prefix.end(), ip.bytes.begin());
  ip.bytes[12] = a;
  ip.bytes[13] = b;
  ip.bytes[14] = c;
  ip.bytes[15] = d;
  return ip;
}

std::string Endpoint::to_string() const {
  const std::string host = ip.is_v4() ? ip.to_string() : "[" + ip.to_string() + "]";
  return host + ":" + std::to_string(port);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool has_brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (has_brackets) host = host.substr(1, host.size() - 2);
  const auto ip = IpAddress::parse(host);
  if (!ip || has_brackets == (host.find(':') == std::string_view::npos)) return std::nullopt;
  Endpoint endpoint{*ip, 0};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
  if (port.empty() || error != std::errc{} || end != port.data() + port.size()) return std::nullopt;
  return endpoint;
}

std::uint64_t hash(const IpAddress& ip, std::uint64_t seed) {
  std::uint64_t halves[2];
  std::memcpy(halves, ip.bytes.data(), sizeof halves);
  return mix(mix(seed ^ halves[0]) ^ halves[1]);
}

std::uint64_t hash(const Endpoint& endpoint, std::uint64_t seed) {
  return mix(hash(endpoint.ip, seed) ^ endpoint.port);
}

}  // namespace earshot
