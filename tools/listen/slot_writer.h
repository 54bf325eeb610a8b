// Lays segments end to end over slots of 20 ms, and remembers what reaches into the next one. Any
// one thread.
#pragma once

#include "relay/base/check.h"
#include "tools/listen/buffer.h"

namespace earshot::listen {

class SlotWriter {
 public:
  void begin(Playout& out) {
    out_ = &out;
    out.count = 0;
  }
  // In samples from the start of the slot: where the next segment begins.
  int position() const { return position_; }
  bool is_full() const { return position_ >= slot_samples; }
  // Whole steps of 120 samples: so that a slot never has more than eight segments.
  void add(Segment segment) {
    RELAY_CHECK(!is_full() && segment.samples > 0 && segment.samples % 120 == 0);
    segment.offset = position_;
    position_ += segment.samples;
    out_->segments[out_->count++] = segment;
  }
  void end() {
    RELAY_CHECK(position_ >= slot_samples);
    position_ -= slot_samples;
  }

 private:
  Playout* out_ = nullptr;
  int position_ = 0;
};

}  // namespace earshot::listen
