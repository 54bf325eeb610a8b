// The summary of one conversation, for people and for machines. Main thread only.
#pragma once

#include <cstdio>

#include "relay/base/time.h"
#include "tools/client/voice_client.h"

namespace earshot::tools {

class TalkAudio;

struct TalkReport {
  bool was_joined = false;
  Duration time;  // since the first join
  client::SignallingEnd end;
  const TalkAudio* audio = nullptr;  // null without sound devices
};

void print_table(std::FILE* out, const client::VoiceClient& client, const TalkReport& report);
void print_json(std::FILE* out, const client::VoiceClient& client, const TalkReport& report);

}  // namespace earshot::tools
