// Whether everyone heard everyone, in one line. Any thread; pure.
#pragma once

#include <span>
#include <string>

#include "tools/earshot/demo_pair.h"

namespace earshot::tools {

struct DemoVerdict {
  bool is_ok = false;
  std::string text;
};

DemoVerdict judge(std::span<const DemoPair> pairs);

}  // namespace earshot::tools
