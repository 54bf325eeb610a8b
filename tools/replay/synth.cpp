#include <algorithm>
#include <cmath>

#include "tools/replay/random.h"
#include "tools/replay/trace.h"

namespace earshot::replay {
namespace {

constexpr Duration frame = milliseconds(20);
constexpr std::uint32_t frame_samples = 960;
constexpr std::size_t silence_frames = 5;
constexpr std::array<std::uint8_t, 3> silence{0xF8, 0xFF, 0xFE};
constexpr std::int64_t dtx_frames = 20;  // Opus sends at least every 400 ms
constexpr std::uint16_t dtx_size = 4;

// Spurts and pauses of a conversation as ITU-T P.59 measured them, rounded: spurts of 1.0 s on
// average, log-normal because hardly any word is shorter than 200 ms, and exponential pauses of
// 1.6 s. A turn is a few spurts long.
constexpr Duration spurt_median = milliseconds(800);
constexpr double spurt_sigma = 0.65;
constexpr Duration pause_mean = milliseconds(1'600);
constexpr Duration turn_median = milliseconds(2'200);
constexpr double turn_sigma = 0.7;
constexpr Duration turn_gap_mean = milliseconds(300);
constexpr Duration shortest = milliseconds(200);

Duration log_normal(Random& random, Duration median, double sigma) {
  return std::max(scale(median, std::exp(sigma * random.normal())), shortest);
}

// One participant's sender, whose frames begin at times of its own.
class Talker {
 public:
  Talker(const SynthOptions& options, std::size_t index, Trace& trace)
      : options_(options),
        trace_(trace),
        random_(derive_seed(options.seed, index)),
        ssrc_{static_cast<std::uint32_t>(index + 1)},
        phase_{static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(frame.ns)))},
        sequence_(static_cast<std::uint16_t>(random_.next())),
        timestamp_(static_cast<std::uint32_t>(random_.next())) {}

  Random& random() { return random_; }

  // Talks from `begin` to `end`, later than before; what came in between was a pause.
  void talk(Time begin, Time end) {
    const std::int64_t first = std::max(frame_at(begin), next_frame_);
    const std::int64_t last = std::max(frame_at(end), first + 1);
    pause_until(first);
    for (std::int64_t i = first; i < last; ++i) send(i, voice_size(), no_payload);
    for (std::size_t i = 0; i < silence_frames; ++i) {
      send(last + static_cast<std::int64_t>(i), silence.size(), 0);
    }
  }

 private:
  std::int64_t frame_at(Time time) const { return (time.ns - phase_.ns + frame.ns - 1) / frame.ns; }

  void pause_until(std::int64_t index) {
    if (!options_.has_dtx || next_frame_ == 0) return;
    for (std::int64_t i = next_frame_ - 1 + dtx_frames; i < index; i += dtx_frames) {
      send(i, dtx_size, no_payload);
    }
  }

  // Sizes of neighbouring frames are alike, as those of speech are.
  std::uint16_t voice_size() {
    level_ = 0.8 * level_ + 0.6 * random_.normal();
    return static_cast<std::uint16_t>(std::clamp(110 + 22 * level_, 60.0, 160.0));
  }

  void send(std::int64_t index, std::size_t size, std::uint32_t payload) {
    const Time at = Time{} + phase_ + frame * index;
    const bool is_over = at >= Time{} + options_.duration;
    if (is_over || trace_.packets.size() >= options_.packets_max) return;
    const std::int64_t passed = options_.rtp_time_runs ? index - (next_frame_ - 1) : 1;
    timestamp_ += frame_samples * static_cast<std::uint32_t>(passed);
    TracePacket packet;
    packet.arrival = at;
    packet.ssrc = ssrc_;
    packet.timestamp = timestamp_;
    packet.sequence = sequence_++;
    packet.size = static_cast<std::uint16_t>(size);
    packet.samples = frame_samples;
    packet.payload = payload;
    trace_.packets.push_back(packet);
    next_frame_ = index + 1;
  }

  const SynthOptions& options_;
  Trace& trace_;
  Random random_;
  Ssrc ssrc_;
  Duration phase_;
  std::uint16_t sequence_;
  std::uint32_t timestamp_;
  std::int64_t next_frame_ = 0;
  double level_ = 0;
};

void talk_freely(const SynthOptions& options, Talker& talker) {
  Time now;
  while (now < Time{} + options.duration) {
    now = now + scale(pause_mean, talker.random().exponential());
    const Time end = now + log_normal(talker.random(), spurt_median, spurt_sigma);
    talker.talk(now, end);
    now = end;
  }
}

void talk_in_turns(const SynthOptions& options, std::vector<Talker>& talkers) {
  Random random(derive_seed(options.seed, talkers.size(), 1));
  Time now;
  std::size_t turn = random.below(talkers.size());
  while (now < Time{} + options.duration) {
    now = now + scale(turn_gap_mean, random.exponential());
    const Time end = now + log_normal(random, turn_median, turn_sigma);
    talkers[turn].talk(now, end);
    now = end;
    // Anybody but the one who talked last.
    if (talkers.size() > 1) turn = (turn + 1 + random.below(talkers.size() - 1)) % talkers.size();
  }
}

}  // namespace

Trace synthesize(const SynthOptions& options) {
  Trace trace;
  trace.is_sending_time = true;
  trace.arena.assign(silence.begin(), silence.end());
  trace.payload_offsets = {0};
  std::vector<Talker> talkers;
  for (std::size_t i = 0; i < options.participants; ++i) talkers.emplace_back(options, i, trace);
  if (options.mode == TalkMode::one_at_a_time) {
    if (!talkers.empty()) talk_in_turns(options, talkers);
  } else {
    for (Talker& talker : talkers) talk_freely(options, talker);
  }
  // Stable: the packets of one sender are in their order already.
  std::stable_sort(trace.packets.begin(), trace.packets.end(),
                   [](const TracePacket& a, const TracePacket& b) {
                     return std::pair(a.arrival, a.ssrc) < std::pair(b.arrival, b.ssrc);
                   });
  if (trace.packets.size() >= options.packets_max) {
    trace.notes.remarks.push_back("broke off after " + std::to_string(options.packets_max) +
                                  " packets: not everybody is complete");
  }
  return trace;
}

}  // namespace earshot::replay
