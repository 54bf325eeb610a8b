// Numbers and foreign text for the report: without a locale, and safe inside HTML. Any thread;
// pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "relay/base/time.h"

namespace earshot::replay::report {

// For text and attributes; control characters become a sign for "not readable".
std::string escape(std::string_view text);

// With so many digits behind the point; a dash if it is no number.
std::string number(double value, int digits);
// As short as one digit behind the point allows: "12", "12.3". For coordinates.
std::string coordinate(double value);
// "180,000".
std::string grouped(std::uint64_t count);
// 0.0123 is "1.2 %".
std::string percent(double share);
// "82 ms", "1,234 ms".
std::string in_ms(Duration duration);
// "5.9 s", above ten minutes "12:05 min".
std::string in_seconds(Duration duration);

}  // namespace earshot::replay::report
