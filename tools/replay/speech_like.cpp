#include "tools/replay/speech_like.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace earshot::replay {
namespace {

constexpr double rate = 48'000;
constexpr int step_samples = 240;  // 5 ms: how often the mouth moves
constexpr double golden = 0.6180339887498949;
constexpr std::uint64_t voice_seed = 0x5EEC;
// Mean formants of men's vowels by Peterson and Barney (1952): a, e, i, o, u, er.
constexpr std::array<std::array<double, 3>, 6> vowels{{{730, 1090, 2440},
                                                       {530, 1840, 2480},
                                                       {270, 2290, 3010},
                                                       {570, 840, 2410},
                                                       {300, 870, 2240},
                                                       {490, 1350, 1690}}};
constexpr std::array<double, 3> formant_widths{80, 110, 160};
constexpr std::array<double, 3> formant_gains{1.0, -0.7, 0.45};
// Together with the filters: speech of about -24 dBFS, peaks below -6.
constexpr double voiced_gain = 1'250'000;
constexpr double noise_gain = 11'000;

double between(Random& random, double low, double high) {
  return low + (high - low) * random.uniform();
}

int samples_between(Random& random, double low_ms, double high_ms) {
  return static_cast<int>(between(random, low_ms, high_ms) * rate / 1'000);
}

// The next of values that are spread evenly over 0 to 1, however many there are.
double spread(std::size_t index) {
  const double turns = golden * static_cast<double>(index) + 0.15;
  return turns - std::floor(turns);
}

}  // namespace

void SpeechLike::BandPass::tune(double hertz, double width) {
  const double angle = 2 * std::numbers::pi * hertz / rate;
  const double alpha = std::sin(angle) * width / (2 * hertz);
  gain_ = alpha / (1 + alpha);
  feedback1_ = -2 * std::cos(angle) / (1 + alpha);
  feedback2_ = (1 - alpha) / (1 + alpha);
}

double SpeechLike::BandPass::run(double sample) {
  const double out = gain_ * (sample - in2_) - feedback1_ * out1_ - feedback2_ * out2_;
  in2_ = in1_;
  in1_ = sample;
  out2_ = out1_;
  out1_ = out;
  return out;
}

SpeechLike::SpeechLike(std::size_t stream)
    : random_(derive_seed(voice_seed, stream)),
      pitch_base_(95 + 125 * spread(stream)),
      size_(0.97 + 0.2 * spread(stream)),
      formants_(vowels[0]),
      pitch_(pitch_base_) {
  begin_syllable();
  move_on();
}

void SpeechLike::begin_syllable() {
  Syllable next;
  if (left_in_phrase_ == 0) {
    phrase_length_ = left_in_phrase_ = 4 + static_cast<int>(random_.below(6));
    next.pause = samples_between(random_, 120, 300);
  } else {
    next.pause = samples_between(random_, 10, 40);
  }
  --left_in_phrase_;
  next.noise = random_.chance(0.6) ? samples_between(random_, 35, 75) : 0;
  next.vowel = samples_between(random_, 100, 190);
  next.noise_hertz = between(random_, 2'600, 5'200);
  for (std::size_t i = 0; const double hertz : vowels[random_.below(vowels.size())]) {
    next.formants[i++] = hertz * size_;
  }
  const double said = 1 - static_cast<double>(left_in_phrase_) / phrase_length_;
  next.pitch = pitch_base_ * (1.18 - 0.32 * said) * between(random_, 0.94, 1.1);
  next.loudness = between(random_, 0.65, 1.0) * (1.1 - 0.3 * said);
  syllable_ = next;
  position_ = 0;
}

// The mouth takes some 20 ms from one vowel to the next.
void SpeechLike::move_on() {
  for (std::size_t i = 0; i < mouth_.size(); ++i) {
    formants_[i] += (syllable_.formants[i] - formants_[i]) * 0.22;
    mouth_[i].tune(formants_[i], formant_widths[i]);
  }
  pitch_ += (syllable_.pitch - pitch_) * 0.12;
  teeth_.tune(syllable_.noise_hertz, 1'800);
}

// The change of the air flow, by the shape of Rosenberg (1971): opens slowly, closes fast.
double SpeechLike::glottis() {
  phase_ += pitch_ / rate;
  phase_ -= std::floor(phase_);
  double flow = 0;
  if (phase_ < 0.42) {
    flow = 0.5 - 0.5 * std::cos(std::numbers::pi * phase_ / 0.42);
  } else if (phase_ < 0.6) {
    flow = std::cos(std::numbers::pi / 2 * (phase_ - 0.42) / 0.18);
  }
  const double change = flow - flow_;
  flow_ = flow;
  return change;
}

double SpeechLike::sample() {
  if (position_ >= syllable_.samples()) begin_syllable();
  if (position_ % step_samples == 0) move_on();
  const bool is_noise =
      position_ >= syllable_.pause && position_ < syllable_.pause + syllable_.noise;
  const bool is_vowel = position_ >= syllable_.pause + syllable_.noise;
  ++position_;
  // 12 ms up, and down.
  voiced_ += ((is_vowel ? syllable_.loudness : 0) - voiced_) / 580;
  noisy_ += ((is_noise ? syllable_.loudness : 0) - noisy_) / 380;
  // A low voice changes more slowly, and is not quieter for it.
  const double air = glottis() * voiced_gain * voiced_ * 150 / pitch_base_;
  double sum = teeth_.run((random_.uniform() - 0.5) * noise_gain * noisy_);
  for (std::size_t i = 0; i < mouth_.size(); ++i) sum += formant_gains[i] * mouth_[i].run(air);
  return sum;
}

void SpeechLike::read(std::span<std::int16_t> out) {
  for (std::int16_t& value : out) {
    value = static_cast<std::int16_t>(std::clamp(std::nearbyint(sample()), -32'768.0, 32'767.0));
  }
}

}  // namespace earshot::replay
