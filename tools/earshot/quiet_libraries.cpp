#include "tools/earshot/quiet_libraries.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace earshot::tools {
namespace {

// For a crash, on any thread: where standard error was, and what took its place; -1 for none.
std::atomic<int> original{-1};
std::atomic<int> kept{-1};

// What a sanitizer finds is never noise.
void report_to([[maybe_unused]] int descriptor) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<std::intptr_t>(descriptor)));
#endif
}

}  // namespace

void show_library_output() noexcept {
  if (kept < 0) return;
  std::array<char, 512> block;
  for (;;) {
    const ssize_t got = read(kept, block.data(), block.size());
    if (got <= 0) return;
    if (write(original, block.data(), static_cast<std::size_t>(got)) < 0) return;
  }
}

QuietLibraries::QuietLibraries() : messages_(stderr) {
  std::array<int, 2> ends{};
  // Full, it takes no more: nobody waits for it.
  if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return;
  const int copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  std::FILE* const stream = copy >= 0 ? fdopen(copy, "w") : nullptr;
  if (stream != nullptr) {
    std::setvbuf(stream, nullptr, _IONBF, 0);
    messages_ = stream;
    pipe_ = ends[0];
    report_to(copy);
    dup2(ends[1], STDERR_FILENO);
    original = copy;
    kept = pipe_;
  } else {
    close(ends[0]);
    if (copy >= 0) close(copy);
  }
  close(ends[1]);
}

QuietLibraries::~QuietLibraries() {
  if (pipe_ < 0 || stays_) return;
  kept = original = -1;
  report_to(STDERR_FILENO);
  dup2(fileno(messages_), STDERR_FILENO);
  std::fclose(messages_);
  close(pipe_);
}

void QuietLibraries::discard() {
  std::array<char, 4'096> block;
  while (pipe_ >= 0 && read(pipe_, block.data(), block.size()) > 0) continue;
}

}  // namespace earshot::tools
