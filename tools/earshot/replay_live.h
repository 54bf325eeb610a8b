// A replay through a real relay: a participant for each stream and each listener, the packets at
// their own times, and what the relay's flight recorder says of them. Main thread only. Only the
// sending is bound to the clock; listeners' buffers play afterwards what reached their sockets, and
// when.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "tools/replay/run.h"

namespace earshot::tools {

struct LiveOptions {
  std::string endpoint;    // of the voice gateway
  std::string ca;          // PEM
  std::string state;       // a node's state folder, to sign tokens with; or
  std::string token_file;  // one token a line, streams first, then listeners
  std::string cluster = "earshot";
  std::string api;  // https://HOST:PORT of the node's API; empty: no recording is asked for
  std::string api_key_file;  // empty: STATE/api-key
  std::string recording;     // where to keep the flight recorder's dump; empty: nowhere
  // How long the network and the relay may take for the last packet.
  Duration settle = seconds(1);
};

struct LiveStream {
  Ssrc ssrc;        // in the input
  Ssrc relay_ssrc;  // at the relay
};

struct LiveResult {
  replay::RunResult result;
  replay::Trace trace;  // as it was sent: the input's packets that the uplink's model let through
  std::vector<replay::Judged> verdicts;  // for each packet of the input
  std::vector<LiveStream> streams;
  bool has_recording = false;
  std::uint64_t reproduced = 0;  // verdicts that the policy came to again from the recording
  std::uint64_t different = 0;   // that it did not
};

// Why a live replay ended without a result, and the exit code that says so.
struct LiveFailure {
  std::string text;
  int exit_code = 1;
};

// `options.policy` is what tokens signed here grant; a token file brings its own.
std::optional<LiveFailure> run_live(const replay::Trace& trace, const replay::RunOptions& options,
                                    const LiveOptions& live, LiveResult& out);

}  // namespace earshot::tools
