#include "relay/control/media_address.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace earshot;
using namespace earshot::control;

namespace {

struct Row {
  std::string what;
  const char* listen;
  const char* advertise_ipv4;
  const char* advertise_ipv6;
  bool is_loopback_only;
  std::vector<const char*> interfaces;
  std::string told;
};

std::optional<IpAddress> address(const char* text) {
  return *text == '\0' ? std::nullopt : IpAddress::parse(text);
}

}  // namespace

TEST_CASE("Ready tells an address that clients can reach, IPv4 if there is one") {
  const Row rows[] = {
      {"advertised", "[::]:1", "203.0.113.1", "", false, {"10.0.0.5"}, "203.0.113.1"},
      {"advertised, bound to IPv4", "10.0.0.5:1", "203.0.113.1", "", false, {}, "203.0.113.1"},
      {"both advertised", "[::]:1", "203.0.113.1", "2001:db8::1", false, {}, "203.0.113.1"},
      {"a public interface before a private one",
       "[::]:1",
       "",
       "",
       false,
       {"127.0.0.1", "172.17.0.1", "198.51.100.7", "10.0.0.5"},
       "198.51.100.7"},
      {"the first private one", "[::]:1", "", "", false, {"10.0.0.5", "172.17.0.1"}, "10.0.0.5"},
      {"IPv4 before IPv6", "[::]:1", "", "", false, {"2001:db8::5", "10.0.0.5"}, "10.0.0.5"},
      {"IPv4 although IPv6 is advertised",
       "[::]:1",
       "",
       "2001:db8::1",
       false,
       {"10.0.0.5"},
       "10.0.0.5"},
      {"no IPv4",
       "[::]:1",
       "",
       "",
       false,
       {"127.0.0.1", "::1", "fe80::1", "2001:db8::5"},
       "2001:db8::5"},
      {"no IPv4, a public IPv6 before a private one",
       "[::]:1",
       "",
       "",
       false,
       {"fd00::1", "2001:db8::5"},
       "2001:db8::5"},
      {"no IPv4, advertised", "[::]:1", "", "2001:db8::1", false, {"2001:db8::5"}, "2001:db8::1"},
      {"link-local ones do not count",
       "[::]:1",
       "",
       "",
       false,
       {"169.254.1.1", "fe80::1"},
       "127.0.0.1"},
      {"nothing but loopback", "0.0.0.0:1", "", "", false, {"127.0.0.1"}, "127.0.0.1"},
      {"bound to one IPv4 address", "10.0.0.9:1", "", "", false, {"198.51.100.7"}, "10.0.0.9"},
      {"bound to one IPv6 address",
       "[2001:db8::9]:1",
       "",
       "",
       false,
       {"198.51.100.7"},
       "2001:db8::9"},
      {"bound to IPv6, behind something",
       "[fd00::9]:1",
       "203.0.113.1",
       "2001:db8::1",
       false,
       {},
       "2001:db8::1"},
      {"loopback only", "[::]:1", "", "", true, {"198.51.100.7"}, "127.0.0.1"},
      {"loopback only, IPv6", "[::1]:1", "", "", true, {"198.51.100.7"}, "::1"},
      {"bound to all of IPv4, IPv6 advertised",
       "0.0.0.0:1",
       "",
       "2001:db8::1",
       false,
       {"127.0.0.1"},
       "127.0.0.1"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Config config;
    config.media_listen = *Endpoint::parse(row.listen);
    config.media_advertise_ipv4 = address(row.advertise_ipv4);
    config.media_advertise_ipv6 = address(row.advertise_ipv6);
    config.media_loopback_only = row.is_loopback_only;
    std::vector<IpAddress> interfaces;
    for (const char* text : row.interfaces) interfaces.push_back(*IpAddress::parse(text));
    CHECK(media_address(config, interfaces).to_string() == row.told);
  }
}

TEST_CASE("this machine's interfaces include loopback") {
  const auto addresses = interface_addresses();
  bool has_loopback = false;
  for (const IpAddress& ip : addresses) has_loopback = has_loopback || ip.is_loopback();
  CHECK(has_loopback);
}
