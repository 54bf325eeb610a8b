// The table of the demonstration as text. Any thread; pure: where and how often it is shown is
// live_text's business.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "relay/base/time.h"
#include "tools/earshot/demo_pair.h"
#include "tools/earshot/terminal_text.h"

namespace earshot::tools {

struct DemoSpeaker {
  std::string name;
  std::string saying;  // empty while it is silent
};

struct DemoState {
  std::string title;
  Duration elapsed, total;
  std::vector<DemoSpeaker> speakers;
  std::vector<DemoPair> pairs;  // those of one listener together
};

// What is said is shown whole up to this length.
inline constexpr std::size_t saying_length_max = 67;

// No line is wider than `columns`.
std::string make_table(const DemoState& state, const TableStyle& style);

// "0.12 ms", "123 ms"
std::string to_ms_text(Duration duration);

}  // namespace earshot::tools
