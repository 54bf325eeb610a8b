// Something like speech without words: syllables of six vowels and a little noise, phrases that
// fall in pitch, pauses for breath. For StandInVoice, so that loss and stretching are heard as they
// are on speech. Any one thread; the same stream gives the same samples.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tools/replay/random.h"
#include "tools/replay/voice.h"

namespace earshot::replay {

class SpeechLike : public VoiceSource {
 public:
  explicit SpeechLike(std::size_t stream);
  void read(std::span<std::int16_t> out) override;

 private:
  // A resonance with a gain of 1 at its middle.
  class BandPass {
   public:
    void tune(double hertz, double width);
    double run(double sample);

   private:
    double gain_ = 0, feedback1_ = 0, feedback2_ = 0;
    double in1_ = 0, in2_ = 0, out1_ = 0, out2_ = 0;
  };

  struct Syllable {
    int pause = 0, noise = 0, vowel = 0;  // samples, in this order
    std::array<double, 3> formants{};
    double noise_hertz = 0, pitch = 0, loudness = 0;
    int samples() const { return pause + noise + vowel; }
  };

  void begin_syllable();
  void move_on();
  double glottis();
  double sample();

  Random random_;
  double pitch_base_;
  double size_;  // of the mouth: scales the formants
  Syllable syllable_;
  int position_ = 0;  // in the syllable
  int left_in_phrase_ = 0;
  int phrase_length_ = 1;
  // What moves slowly towards the syllable's.
  std::array<double, 3> formants_;
  double pitch_;
  double voiced_ = 0;
  double noisy_ = 0;
  double phase_ = 0;  // of the glottis, 0 to 1
  double flow_ = 0;
  std::array<BandPass, 3> mouth_;
  BandPass teeth_;
};

}  // namespace earshot::replay
