#include "relay/control/key_store.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "tests/support/aborts.h"

using namespace earshot;
using control::KeyStore;

namespace {

std::vector<std::uint8_t> copy(KeyStore& keys, std::uint32_t index) {
  const auto bytes = keys.bytes(index);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("keys are random, renewed, and zeroed when they end") {
  REQUIRE(crypto::initialize());
  KeyStore keys(3);
  const std::vector<std::uint8_t> zero(crypto::key_size, 0);
  std::set<std::uint32_t> places;
  std::set<std::vector<std::uint8_t>> values;
  for (int i = 0; i < 3; ++i) {
    const std::uint32_t index = keys.create();
    places.insert(index);
    values.insert(copy(keys, index));
  }
  CHECK(places.size() == 3);
  CHECK(values.size() == 3);
  CHECK(values.count(zero) == 0);

  const std::uint32_t index = *places.begin();
  const auto before = copy(keys, index);
  keys.renew(index);
  CHECK(copy(keys, index) != before);
  keys.destroy(index);
  CHECK(copy(keys, index) == zero);
  CHECK(keys.create() == index);
  CHECK(copy(keys, index) != zero);
}

TEST_CASE("there are as many keys as sessions, and one more is a bug") {
  CHECK(test::aborts([] {
    KeyStore keys(1);
    keys.create();
    keys.create();
  }));
}
