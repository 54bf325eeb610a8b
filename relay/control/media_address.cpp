#include "relay/control/media_address.h"

#include <uv.h>

#include <cstring>

namespace earshot::control {
namespace {

bool is_link_local(const IpAddress& ip) {
  if (ip.is_v4()) return ip.bytes[12] == 169 && ip.bytes[13] == 254;
  return ip.bytes[0] == 0xFE && (ip.bytes[1] & 0xC0) == 0x80;
}

// The first that others can reach; public ones before private ones.
std::optional<IpAddress> best(std::span<const IpAddress> interfaces, bool is_v4) {
  std::optional<IpAddress> found;
  for (const IpAddress& ip : interfaces) {
    if (ip.is_v4() != is_v4 || ip.is_loopback() || is_link_local(ip)) continue;
    if (!found || (found->is_private() && !ip.is_private())) found = ip;
  }
  return found;
}

}  // namespace

IpAddress media_address(const Config& config, std::span<const IpAddress> interfaces) {
  const IpAddress& bound = config.media_listen.ip;
  const bool is_bound_to_v6 = !bound.is_v4() && !bound.is_unspecified();
  if (config.media_advertise_ipv4 && !is_bound_to_v6) return *config.media_advertise_ipv4;
  if (is_bound_to_v6) return config.media_advertise_ipv6.value_or(bound);
  if (!bound.is_unspecified()) return bound;
  if (config.media_loopback_only) return make_v4(127, 0, 0, 1);
  if (const auto v4 = best(interfaces, true)) return *v4;
  if (bound.is_v4()) return make_v4(127, 0, 0, 1);
  if (config.media_advertise_ipv6) return *config.media_advertise_ipv6;
  return best(interfaces, false).value_or(make_v4(127, 0, 0, 1));
}

std::vector<IpAddress> interface_addresses() {
  std::vector<IpAddress> addresses;
  uv_interface_address_t* list = nullptr;
  int count = 0;
  if (uv_interface_addresses(&list, &count) != 0) return addresses;
  for (int i = 0; i < count; ++i) {
    if (list[i].address.address4.sin_family == AF_INET) {
      std::uint8_t b[4];
      std::memcpy(b, &list[i].address.address4.sin_addr, sizeof b);
      addresses.push_back(make_v4(b[0], b[1], b[2], b[3]));
    } else if (list[i].address.address6.sin6_family == AF_INET6) {
      IpAddress ip;
      std::memcpy(ip.bytes.data(), &list[i].address.address6.sin6_addr, ip.bytes.size());
      addresses.push_back(ip);
    }
  }
  uv_free_interface_addresses(list, count);
  return addresses;
}

}  // namespace earshot::control
