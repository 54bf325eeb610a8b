// Why a session ended, as the log and the application are told. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace earshot::control {

enum class LeaveReason : std::uint8_t {
  disconnected,  // the client closed
  timeout,       // not resumed in time
  taken_over,    // the same user identified again
  kicked,
  moved,
  channel_closed,
  fresh_key,  // told to identify anew, for a fresh key or a new address
  protocol_error,
  stopping,
};

constexpr std::array<std::string_view, 9> leave_reason_names{
    "disconnected",   "timeout",   "taken_over",     "kicked",  "moved",
    "channel_closed", "fresh_key", "protocol_error", "stopping"};

constexpr std::string_view name(LeaveReason reason) {
  return leave_reason_names[static_cast<std::size_t>(reason)];
}

static_assert(name(LeaveReason::stopping) == "stopping");

}  // namespace earshot::control
