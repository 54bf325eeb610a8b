// What is heard, as s16le to a descriptor (a pipe, a file, a terminal). Loop thread only. A reader
// that is too slow loses audio in whole frames; it never holds up the conversation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace earshot::client {

class AudioOutput {
 public:
  explicit AudioOutput(int descriptor) : descriptor_(descriptor) {}

  // False once nothing can be written any more: error() says why, and is empty if the reader just
  // went away.
  bool write(std::span<const std::int16_t> pcm);
  const std::string& error() const { return error_; }

 private:
  bool flush();

  int descriptor_;
  std::vector<std::uint8_t> pending_;  // the rest of a frame that was taken in part
  std::string error_;
};

}  // namespace earshot::client
