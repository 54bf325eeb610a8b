// What a person who talks sees: the own microphone and everybody else as level meters. Any thread;
// pure: where and how often it is shown is live_text's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "relay/base/time.h"
#include "tools/client/spectrum.h"
#include "tools/client/talk_gate.h"
#include "tools/earshot/terminal_text.h"

namespace earshot::tools {

struct MeterLevel {
  double level = client::level_silent;  // dBFS
  double peak = client::level_silent;
};

struct TalkScreen {
  enum class Microphone : std::uint8_t { none, closed, open, held_back };
  struct Participant {
    std::string user_id;
    MeterLevel level;
    bool is_speaking = false;
  };

  std::string channel_id, user_id;
  bool is_joined = false;
  Duration time;  // since the join
  Microphone microphone = Microphone::none;
  client::TalkMode mode = client::TalkMode::toggle;
  MeterLevel own;
  bool has_loudspeaker = false;
  bool is_muted = false;  // the loudspeaker, while the microphone is open
  bool has_keys = false;
  std::vector<Participant> participants;
};

// At most `lines` lines, if that is four or more; none wider than the style's columns. Those who
// speak are shown first if there is not room for all.
std::string make_talk_screen(const TalkScreen& screen, const TableStyle& style, std::size_t lines);

}  // namespace earshot::tools
