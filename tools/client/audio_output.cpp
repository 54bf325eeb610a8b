#include "tools/client/audio_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace earshot::client {

bool AudioOutput::write(std::span<const std::int16_t> pcm) {
  if (!flush()) return false;
  // Half a frame more would shift every sample behind it.
  if (!pending_.empty()) return true;
  for (const std::int16_t sample : pcm) {
    pending_.push_back(static_cast<std::uint8_t>(sample & 0xFF));
    pending_.push_back(static_cast<std::uint8_t>(sample >> 8 & 0xFF));
  }
  const std::size_t size = pending_.size();
  if (!flush()) return false;
  if (pending_.size() == size) pending_.clear();
  return true;
}

// Writes what the descriptor takes at once.
bool AudioOutput::flush() {
  if (pending_.empty()) return true;
  pollfd ready{descriptor_, POLLOUT, 0};
  // A frame is less than PIPE_BUF: a pipe that is writable takes it whole.
  if (poll(&ready, 1, 0) != 1) return true;
  const ssize_t written = ::write(descriptor_, pending_.data(), pending_.size());
  if (written >= 0) {
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(written));
    return true;
  }
  if (errno == EAGAIN || errno == EINTR) return true;
  if (errno != EPIPE)
    error_ = std::string("cannot write to standard output: ") + std::strerror(errno);
  return false;
}

}  // namespace earshot::client
