#include "tools/listen/buffer.h"

#include "tools/listen/adaptive_buffer.h"
#include "tools/listen/fixed_buffer.h"
#include "tools/listen/never_skip_buffer.h"

namespace earshot::listen {

std::unique_ptr<JitterBuffer> make_jitter_buffer(const BufferOptions& options) {
  if (options.kind == BufferKind::fixed) return std::make_unique<FixedBuffer>(options);
  if (options.kind == BufferKind::never_skips) return std::make_unique<NeverSkipBuffer>(options);
  return std::make_unique<AdaptiveBuffer>(options);
}

}  // namespace earshot::listen
