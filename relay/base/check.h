// Assertions on Earshot's own state. They stay on in release builds. Any thread.
// Never use them on bytes that came from the network: bad input is counted, only a bug stops the
// process.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace earshot::detail {

[[noreturn]] inline void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "earshot: check failed: %s at %s:%d\n", expression, file, line);
  std::abort();
}

}  // namespace earshot::detail

#define RELAY_CHECK(expression)  \
  (static_cast<bool>(expression) \
       ? static_cast<void>(0)    \
       : ::earshot::detail::check_failed(#expression, __FILE__, __LINE__))
