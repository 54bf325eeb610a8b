// Makes a run audible: one WAV for each listener, with all streams that it hears, as it plays them.
// Any one thread. What a trace does not hold is spoken by a stand-in (voice.h). Files go to disk as
// they grow; nothing is played.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"
#include "tools/replay/run.h"
#include "tools/replay/trace.h"
#include "tools/replay/voice.h"

namespace earshot::replay {

struct RenderOptions {
  std::string folder;  // is made if its parent is there
  // For streams without readable audio; null: a computed one.
  std::shared_ptr<const VoiceRecording> recording;
};

struct Rendered {
  // Of the run that is heard. Where the stand-in speaks, listeners could use its in-band FEC, which
  // a run without payloads cannot: the numbers may be a little better than those of run().
  RunResult result;
  std::vector<std::string> files;  // paths, by listener
  bool has_stand_in = false;
};

// A run whose listeners are recorded. Second 0 of each file is the first packet of the trace: files
// of two policies can be compared by time. `options.sink` and `options.payload_of` are replaced.
Result<Rendered> render(const Trace& trace, RunOptions options, const RenderOptions& render);

// "late-120-never-skips.wav": letters, digits, dots and hyphens only.
std::string render_file_name(const Policy& policy, std::string_view listener);

}  // namespace earshot::replay
