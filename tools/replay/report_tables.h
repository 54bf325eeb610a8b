// The tables of a report, and what their columns mean, as HTML. Any thread; pure.
#pragma once

#include <string>

#include "tools/replay/report.h"

namespace earshot::replay::report {

// Every listener under every policy.
std::string summary_table(const ReportInput& input);
// The same in sentences, if there is something to compare.
std::string findings(const ReportInput& input);
// What the columns mean, and what the numbers cannot say.
std::string words(const ReportInput& input);
// What the relay did with the packets of each stream.
std::string verdict_table(const ReportInput& input);
// One listener's quality by stream; empty if there is only one.
std::string stream_table(const ReportInput& input, std::size_t listener);

}  // namespace earshot::replay::report
