#include "tools/client/talk_gate.h"

#include <algorithm>

namespace earshot::client {
namespace {

// Keyboards repeat after 250 to 660 ms, and then every 30 to 40 ms.
constexpr Duration first_key_time = milliseconds(750);
constexpr Duration repeated_key_time = milliseconds(250);
// Over the pauses between words.
constexpr Duration voice_hangover = milliseconds(500);
// What was played needs some 100 ms through both devices and the air; then the room must settle.
constexpr Duration others_hangover = milliseconds(400);
constexpr double others_threshold = -50.0;

}  // namespace

void TalkGate::on_key(Time now) {
  is_toggled_ = !is_toggled_;
  const Duration time = key_until_ > now ? repeated_key_time : first_key_time;
  key_until_ = std::max(key_until_, now + time);
}

void TalkGate::close() {
  is_toggled_ = false;
  key_until_ = {};
  voice_until_ = {};
}

bool TalkGate::is_wanted(Time now, double own_level) {
  switch (options_.mode) {
    case TalkMode::toggle:
      return is_toggled_;
    case TalkMode::hold:
      return now < key_until_;
    case TalkMode::open:
      break;
  }
  if (own_level > options_.threshold) voice_until_ = now + voice_hangover;
  return now < voice_until_;
}

bool TalkGate::step(Time now, double own_level, double others_level) {
  const bool is_half_duplex = options_.mode == TalkMode::open && options_.has_echo_path;
  if (others_level > others_threshold) others_until_ = now + others_hangover;
  const bool are_others_heard = is_half_duplex && now < others_until_;
  // What the microphone picks up then is not its owner's voice.
  if (are_others_heard) voice_until_ = {};
  const bool is_loud = own_level > options_.threshold;
  is_open_ = !are_others_heard && is_wanted(now, own_level);
  is_held_back_ = are_others_heard && is_loud;
  return is_open_;
}

bool TalkGate::mutes_others() const {
  return options_.mode != TalkMode::open && options_.has_echo_path && is_open_;
}

}  // namespace earshot::client
