// Decides when a microphone is open: while a key says so, or by itself while somebody speaks into
// it; and, where a loudspeaker stands beside it, never while others can be heard from that. Any one
// thread; sans-IO: asked every 20 ms. Knows levels only, not the audio.
#pragma once

#include <cstdint>

#include "relay/base/time.h"

namespace earshot::client {

enum class TalkMode : std::uint8_t {
  toggle,  // a key opens, the next one closes
  hold,    // open while the key repeats
  open,    // open while the microphone is louder than a threshold
};

struct TalkGateOptions {
  TalkMode mode = TalkMode::toggle;
  // What others say is played where the microphone picks it up.
  bool has_echo_path = true;
  double threshold = -50.0;  // dBFS, for TalkMode::open
};

class TalkGate {
 public:
  explicit TalkGate(const TalkGateOptions& options) : options_(options) {}

  // The key was pressed, or repeats itself.
  void on_key(Time now);
  // The key counts no more: the program was stopped.
  void close();

  // Every 20 ms: how loud the microphone is, and the mix of all others. Is the microphone open?
  bool step(Time now, double own_level, double others_level);

  bool is_open() const { return is_open_; }
  // It would be open, but others are heard.
  bool is_held_back() const { return is_held_back_; }
  // Nothing must be played now.
  bool mutes_others() const;
  TalkMode mode() const { return options_.mode; }

 private:
  bool is_wanted(Time now, double own_level);

  TalkGateOptions options_;
  bool is_open_ = false;
  bool is_held_back_ = false;
  bool is_toggled_ = false;
  Time key_until_;
  Time voice_until_;
  Time others_until_;
};

}  // namespace earshot::client
