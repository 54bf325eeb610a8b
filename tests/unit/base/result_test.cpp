#include "relay/base/result.h"

#include <doctest/doctest.h>

#include <memory>

#include "tests/support/aborts.h"

using namespace earshot;

TEST_CASE("a result is a value or an error") {
  Result<int> good = 5;
  CHECK(good.ok());
  CHECK(static_cast<bool>(good));
  CHECK(good.value() == 5);
  good.value() = 6;
  CHECK(std::as_const(good).value() == 6);

  const Result<int> bad = Error{"media.listen: port in use"};
  CHECK_FALSE(bad.ok());
  CHECK_FALSE(static_cast<bool>(bad));
  CHECK(bad.error().text == "media.listen: port in use");
}

TEST_CASE("values need no copy, and an error may itself be text") {
  Result<std::unique_ptr<int>> owned = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = std::move(owned.value());
  CHECK(*taken == 7);

  const Result<std::string> text = std::string("value");
  CHECK(text.ok());
  const Result<std::string> error = Error{"text"};
  CHECK_FALSE(error.ok());
}

TEST_CASE("a result without a value is fine until it holds an error") {
  const Result<void> good;
  CHECK(good.ok());
  const Result<void> bad = Error{"no"};
  CHECK_FALSE(bad.ok());
  CHECK(bad.error().text == "no");
}

TEST_CASE("asking for what is not there stops the process") {
  const Result<int> good = 5;
  const Result<int> bad = Error{"no"};
  const Result<void> fine;
  CHECK(test::aborts([&] { (void)good.error(); }));
  CHECK(test::aborts([&] { (void)bad.value(); }));
  CHECK(test::aborts([&] { (void)fine.error(); }));
  CHECK_FALSE(test::aborts([&] { (void)good.value(); }));
}
