// What the relay does with late frames in a replay: the policy `late` with a bound, nothing, or a
// plain deadline, which is here for comparisons only. Any thread; pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"

namespace earshot::replay {

struct Policy {
  enum class Kind : std::uint8_t {
    late,      // relay/core/lateness.h
    deadline,  // drops what is later than the bound, whatever is behind it: known to do harm
    recorded   // what a flight recorder's dump says; of dumps only
  };
  Kind kind = Kind::late;
  std::uint16_t ms = 200;  // 20..2000; 0 with `late`: off; nothing with `recorded`

  bool operator==(const Policy&) const = default;
};

// "off", "late=200", "deadline=80", "recorded".
std::string name(const Policy& policy);
Result<Policy> parse_policy(std::string_view text);
// The same, separated by commas: at least one, none twice.
Result<std::vector<Policy>> parse_policies(std::string_view text);

}  // namespace earshot::replay
