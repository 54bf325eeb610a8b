// What a replay says on a terminal: a table of policies and listeners, and what was left out of the
// input. Any thread; pure.
#pragma once

#include <span>
#include <string>

#include "tools/replay/run.h"

namespace earshot::tools {

std::string replay_text(const replay::Trace& trace, std::span<const replay::RunResult> results);

}  // namespace earshot::tools
