// While it lives, a crash leaves the terminal as it was and shows what was said last; then it goes
// on as it would have without. Main thread only; one at a time.
#pragma once

namespace earshot::tools {

class CrashWatch {
 public:
  CrashWatch();
  ~CrashWatch();
  CrashWatch(const CrashWatch&) = delete;
  CrashWatch& operator=(const CrashWatch&) = delete;
};

}  // namespace earshot::tools
