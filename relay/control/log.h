// The log, on standard error: one line an event, logfmt. Controller thread only: nothing on the
// packet path logs. What must never be an argument: tokens, keys, what participants say or write.
// Clients' addresses are shortened unless the configuration asks for them in full, and the ids of
// people are written only at level debug. docs/operations.md, "The log", lists the events.
#pragma once

#include <unistd.h>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "relay/base/address.h"
#include "relay/base/time.h"

namespace earshot::control::log {

enum class Level : std::uint8_t { debug, info, warn, error, off };

std::optional<Level> parse_level(std::string_view name);

struct Options {
  Level level = Level::info;
  bool has_full_addresses = false;
  int descriptor = STDERR_FILENO;
};

// Nothing is written before.
void start(Options options);
// "debug", "info", "warn" or "error"; "short" or "full".
void start(std::string_view level, std::string_view addresses);

// Who a person is: an id that the application gave out. Written only if the level is debug.
struct Person {
  std::string_view id;
};

// An address of this node, which is nobody's secret.
struct Own {
  Endpoint endpoint;
};

// A value of one line. It holds no copy of a text: make it where it is logged.
class Value {
 public:
  Value(std::string_view text) : value_(text) {}
  Value(const std::string& text) : value_(std::string_view(text)) {}
  Value(const char* text) : value_(std::string_view(text)) {}
  Value(std::same_as<bool> auto flag) : value_(flag) {}
  template <std::signed_integral T>
  Value(T number) : value_(static_cast<std::int64_t>(number)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Value(T number) : value_(static_cast<std::uint64_t>(number)) {}
  // A client's: IPv4 as its /24, IPv6 as its /48, and no port, unless addresses are logged in full.
  Value(const IpAddress& peer) : value_(peer) {}
  Value(const Endpoint& peer) : value_(peer) {}
  Value(Own own) : value_(own) {}
  Value(Person person) : value_(person) {}

 private:
  friend class Line;
  std::variant<std::string_view, bool, std::int64_t, std::uint64_t, IpAddress, Endpoint, Own,
               Person>
      value_;
};

struct Field {
  std::string_view name;
  Value value;
};

// `event` and the names of fields are snake_case literals. A value may be any bytes: it is quoted
// and escaped, so that it can neither end the line nor look like another field, and cut at 256
// bytes.
void debug(std::string_view event, std::initializer_list<Field> fields = {});
void info(std::string_view event, std::initializer_list<Field> fields = {});
void warn(std::string_view event, std::initializer_list<Field> fields = {});
void error(std::string_view event, std::initializer_list<Field> fields = {});

// "192.0.2.0/24", "2001:db8:1::/48".
std::string shortened(const IpAddress& address);

// For events that strangers can cause: lets a few through in every interval, and counts the rest.
class Throttle {
 public:
  // How many were held back since the last one, if this one may be logged.
  std::optional<std::uint64_t> admit(Time now);

 private:
  std::optional<Time> since_;
  int admitted_ = 0;
  std::uint64_t held_back_ = 0;
};

}  // namespace earshot::control::log
