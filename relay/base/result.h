// Result<T>: a value or an error, for the control path and start-up (g++ 12 has no std::expected).
// Any thread. The packet path does not use it: there a refusal is a DropReason.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "relay/base/check.h"

namespace earshot {

// One sentence for a person, naming the key, file or address that is wrong. Never holds a secret.
struct Error {
  std::string text;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() {
    RELAY_CHECK(ok());
    return std::get<0>(state_);
  }
  const T& value() const {
    RELAY_CHECK(ok());
    return std::get<0>(state_);
  }
  const Error& error() const {
    RELAY_CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}

  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  const Error& error() const {
    RELAY_CHECK(!ok_);
    return error_;
  }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace earshot
