// While it lives, what libraries print on standard error is kept away from people: ALSA, JACK and
// PortAudio tell dozens of lines about devices that nobody asked for, also in the middle of a
// conversation. Main thread only; one at a time. Our own messages go to messages(); what is printed
// in the moments before a crash is shown after all.
#pragma once

#include <cstdio>

namespace earshot::tools {

class QuietLibraries {
 public:
  QuietLibraries();
  ~QuietLibraries();
  QuietLibraries(const QuietLibraries&) = delete;
  QuietLibraries& operator=(const QuietLibraries&) = delete;

  // Standard error as it was.
  std::FILE* messages() const { return messages_; }
  // Throws away what was printed so far. Call it now and then.
  void discard();
  // Until the process ends, whatever becomes of this.
  void stay() { stays_ = true; }

 private:
  std::FILE* messages_;
  int pipe_ = -1;
  bool stays_ = false;
};

// What was printed and not thrown away yet. May be called at any time, also from a signal handler.
void show_library_output() noexcept;

}  // namespace earshot::tools
