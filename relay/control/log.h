// The log, on standard error. Controller thread only: nothing on the packet path logs. No secret,
// token or key is ever an argument.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace earshot::control {

// `level`: debug, info, warn or error.
void start_log(const std::string& level);

}  // namespace earshot::control
