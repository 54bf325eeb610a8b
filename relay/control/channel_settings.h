// What the application has set for a channel, over the configuration. Controller thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace earshot::control {

// Nothing: the configuration's value holds.
struct ChannelSettings {
  std::optional<std::uint16_t> late_ms_max;       // 0 off, 20..2000
  std::optional<std::uint16_t> speakers_max;      // 1..limits::channel_speakers_max
  std::optional<std::size_t> participants_max{};  // one more is refused; nothing: no bound

  bool operator==(const ChannelSettings&) const = default;
};

}  // namespace earshot::control
