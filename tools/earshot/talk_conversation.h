// One conversation of `earshot talk`, from its options to the summary. Main thread only.
#pragma once

#include <optional>
#include <string>

#include "tools/client/talk_gate.h"

namespace earshot::tools {

struct TalkOptions {
  std::string endpoint, ca, token, play, listen, record;
  std::string record_format = "wav";
  std::string mode;
  std::string media;
  std::optional<double> seconds;
  int version = 8;
  bool json = false;

  // Devices; empty for the default one.
  std::optional<std::string> microphone, loudspeaker;
  client::TalkMode talk_mode = client::TalkMode::toggle;
  bool has_headphones = false;
  double threshold = -50.0;
  bool lists_devices = false;
};

// The exit code.
int talk(const TalkOptions& options);
int list_devices(bool json);

}  // namespace earshot::tools
