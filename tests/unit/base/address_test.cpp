#include "relay/base/address.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/support/aborts.h"

using namespace earshot;

namespace {

IpAddress ip(std::string_view text) {
  const auto parsed = IpAddress::parse(text);
  REQUIRE_MESSAGE(parsed.has_value(), text);
  return *parsed;
}

}  // namespace

TEST_CASE("addresses print in the shortest form, whatever form they came in") {
  struct Row {
    std::string_view text, printed;
  };
  constexpr Row rows[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"192.0.2.1", "192.0.2.1"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"2001:db8::1", "2001:db8::1"},
      {"2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"fe80:0:0:0:1::", "fe80::1:0:0:0"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      // The longest text there is: 45 bytes.
      {"0000:0000:0000:0000:0000:ffff:255.255.255.255", "255.255.255.255"},
      {"::ffff:192.0.2.1", "192.0.2.1"},
      {"::FFFF:c000:0201", "192.0.2.1"},
      // Not the mapped prefix: these are IPv6 addresses.
      {"::192.0.2.1", "::192.0.2.1"},
      {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
      {"::fffe:192.0.2.1", "::fffe:c000:201"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const IpAddress parsed = ip(row.text);
    CHECK(parsed.to_string() == row.printed);
    CHECK(ip(parsed.to_string()) == parsed);
    char written[46];
    CHECK(std::string_view(written, parsed.write(written)) == row.printed);
  }
}

TEST_CASE("what is no address is refused") {
  constexpr std::string_view rows[] = {
      "",
      " ",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "1.2.3.-4",
      "01.2.3.4",
      "1.2.3.0x4",
      " 1.2.3.4",
      "1.2.3.4 ",
      "1.2.3.4\n",
      "1.2.3.4:5",
      "[::1]",
      "::1%lo",
      "fe80::1%eth0",
      ":",
      ":::",
      "1::2::3",
      "2001:db8::g",
      "2001:db8::12345",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "::ffff:192.0.2",
      "localhost",
      "2130706433",
      "0000:0000:0000:0000:0000:ffff:255.255.255.2555",
      std::string_view("1.2.3.4\0", 8),
      std::string_view("1.2.3.4\0005", 9),
      std::string_view("\0", 1),
  };
  for (const std::string_view row : rows) {
    CAPTURE(row);
    CHECK_FALSE(IpAddress::parse(row).has_value());
  }
  CHECK_FALSE(IpAddress::parse(std::string(10'000, '1')).has_value());
}

TEST_CASE("IPv4 has one form: the mapped one") {
  const IpAddress v4 = make_v4(192, 0, 2, 1);
  CHECK(v4.is_v4());
  CHECK(v4 == ip("192.0.2.1"));
  CHECK(v4 == ip("::ffff:192.0.2.1"));
  CHECK(hash(v4, 7) == hash(ip("::ffff:192.0.2.1"), 7));
  for (const auto* text : {"::192.0.2.1", "::fffe:192.0.2.1", "1::ffff:192.0.2.1", "::", "::1"}) {
    CAPTURE(text);
    CHECK_FALSE(ip(text).is_v4());
  }
}

TEST_CASE("loopback, unspecified and private, at their edges") {
  struct Row {
    std::string_view text;
    bool is_loopback, is_unspecified, is_private;
  };
  constexpr Row rows[] = {
      {"126.255.255.255", false, false, false},
      {"127.0.0.0", true, false, true},
      {"127.255.255.255", true, false, true},
      {"128.0.0.0", false, false, false},
      {"0.0.0.0", false, true, false},
      {"0.0.0.1", false, false, false},
      {"9.255.255.255", false, false, false},
      {"10.0.0.0", false, false, true},
      {"10.255.255.255", false, false, true},
      {"11.0.0.0", false, false, false},
      {"100.63.255.255", false, false, false},
      {"100.64.0.0", false, false, true},
      {"100.127.255.255", false, false, true},
      {"100.128.0.0", false, false, false},
      {"169.253.255.255", false, false, false},
      {"169.254.0.0", false, false, true},
      {"169.255.0.0", false, false, false},
      {"172.15.255.255", false, false, false},
      {"172.16.0.0", false, false, true},
      {"172.31.255.255", false, false, true},
      {"172.32.0.0", false, false, false},
      {"192.167.255.255", false, false, false},
      {"192.168.0.0", false, false, true},
      {"192.169.0.0", false, false, false},
      {"8.8.8.8", false, false, false},
      {"::", false, true, false},
      {"::1", true, false, true},
      {"::2", false, false, false},
      {"1::1", false, false, false},
      {"fbff::1", false, false, false},
      {"fc00::1", false, false, true},
      {"fdff:ffff::1", false, false, true},
      {"fe00::1", false, false, false},
      {"fe7f::1", false, false, false},
      {"fe80::1", false, false, true},
      {"febf:ffff::1", false, false, true},
      {"fec0::1", false, false, false},
      {"ff02::1", false, false, false},
      {"2001:db8::1", false, false, false},
      // IPv6 addresses whose last four bytes would be private or loopback as IPv4.
      {"::127.0.0.1", false, false, false},
      {"2001:db8::10.0.0.1", false, false, false},
      {"::ffff:127.0.0.1", true, false, true},
      {"::ffff:0.0.0.0", false, true, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(ip(row.text).is_loopback() == row.is_loopback);
    CHECK(ip(row.text).is_unspecified() == row.is_unspecified);
    CHECK(ip(row.text).is_private() == row.is_private);
  }
  CHECK(IpAddress{}.is_unspecified());
}

TEST_CASE("an address needs room for its text") {
  char room[7];
  CHECK(ip("1.2.3.4").write(room) == 7);
  CHECK(test::aborts([&] { (void)ip("1.2.3.44").write(room); }));
}

TEST_CASE("endpoints: address and port, IPv6 in brackets") {
  struct Row {
    std::string_view text;
    IpAddress address;
    std::uint16_t port;
    std::string_view printed;
  };
  const Row rows[] = {
      {"192.0.2.1:5", make_v4(192, 0, 2, 1), 5, "192.0.2.1:5"},
      {"0.0.0.0:0", make_v4(0, 0, 0, 0), 0, "0.0.0.0:0"},
      {"127.0.0.1:65535", make_v4(127, 0, 0, 1), 65'535, "127.0.0.1:65535"},
      {"[::]:8444", {}, 8'444, "[::]:8444"},
      {"[2001:db8::1]:443", ip("2001:db8::1"), 443, "[2001:db8::1]:443"},
      {"[::ffff:192.0.2.1]:5", make_v4(192, 0, 2, 1), 5, "192.0.2.1:5"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto parsed = Endpoint::parse(row.text);
    REQUIRE(parsed.has_value());
    CHECK(*parsed == Endpoint{row.address, row.port});
    CHECK(parsed->is_set() == (row.port != 0));
    CHECK(parsed->to_string() == row.printed);
    CHECK(Endpoint::parse(parsed->to_string()) == parsed);
  }
}

TEST_CASE("what is no endpoint is refused") {
  constexpr std::string_view rows[] = {
      "",
      ":",
      ":5",
      "1.2.3.4",
      "1.2.3.4:",
      "1.2.3.4:x",
      "1.2.3.4:5x",
      "1.2.3.4: 5",
      "1.2.3.4:+5",
      "1.2.3.4:-5",
      "1.2.3.4:65536",
      "1.2.3.4:99999999999999999999",
      "1.2.3.4:0x50",
      "[1.2.3.4]:5",
      "::1:5",
      "2001:db8::1",
      "[::1]",
      "[::1]:",
      "[::1]5",
      "[::1:5",
      "::1]:5",
      "[]:5",
      "[[::1]]:5",
      "[::1]]:5",
      "[::1%lo]:5",
      "localhost:5",
      "*:5",
      "[::1]:5 ",
      "[ ::1]:5",
  };
  for (const std::string_view row : rows) {
    CAPTURE(row);
    CHECK_FALSE(Endpoint::parse(row).has_value());
  }
}

TEST_CASE("hashes depend on every bit of the address and of the port") {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX}) {
    CAPTURE(seed);
    std::set<std::uint64_t> of_addresses{hash(IpAddress{}, seed)};
    std::set<std::uint64_t> of_endpoints{hash(Endpoint{}, seed)};
    for (std::size_t i = 0; i < 128; ++i) {
      IpAddress one;
      one.bytes[i / 8] = static_cast<std::uint8_t>(1 << i % 8);
      of_addresses.insert(hash(one, seed));
      of_endpoints.insert(hash(Endpoint{one, 0}, seed));
      of_endpoints.insert(hash(Endpoint{one, 5}, seed));
    }
    for (std::size_t bit = 0; bit < 16; ++bit) {
      of_endpoints.insert(hash(Endpoint{{}, static_cast<std::uint16_t>(1 << bit)}, seed));
    }
    CHECK(of_addresses.size() == 1 + 128);
    CHECK(of_endpoints.size() == 1 + 2 * 128 + 16);
  }
}

TEST_CASE("hashes depend on the seed") {
  const IpAddress address = ip("2001:db8::1");
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 1'000; ++seed) {
    seen.insert(hash(address, seed));
    seen.insert(hash(Endpoint{address, 5}, seed));
  }
  CHECK(seen.size() == 2'000);
}
