// From what a listener did with one stream to numbers: loss and bursts by RFC 3611, delays mouth to
// ear, R factor and MOS by ITU-T G.107. Any one thread. Is told by the caller what was sent, what
// arrived and what was played; measures nothing itself and judges no audio.
#pragma once

#include <cstdint>
#include <vector>

#include "relay/base/time.h"
#include "tools/listen/buffer.h"
#include "tools/listen/emodel.h"
#include "tools/listen/loss_bursts.h"

namespace earshot::listen {

struct QualityOptions {
  EModelOptions emodel;
  // RFC 3611 s4.7.2: this many packets that arrived between two that did not end a burst.
  int gap_packets_min = 16;
  // Of the plot, and of the mean that is the overall MOS.
  Duration window = seconds(1);
  // What is played later than this, above the path's own delay, is time spent late.
  Duration late_over = milliseconds(100);
  // The path's own delay from mouth to ear without jitter buffer: network, and nothing else.
  Duration path_delay;
  // Capture, encoder and sound card, on top of every delay. G.107 knows only the whole: 20 ms
  // frame, 6.5 ms of Opus look-ahead, and some milliseconds of device are a judgement.
  Duration terminal_delay = milliseconds(30);
};

// One time window, by the sending time of its packets.
struct QualityWindow {
  Time begin;
  std::uint32_t packets = 0;    // that should have been heard
  std::uint32_t lost = 0;       // never arrived
  std::uint32_t discarded = 0;  // arrived, and were not played
  Duration delay_mean;          // mouth to ear, of what was played
  double r = 0;
  double mos = 0;
};

struct LevelSample {
  Time at;
  Duration level;
  Duration target;
};

struct Quality {
  std::uint64_t packets = 0;
  std::uint64_t played = 0;
  std::uint64_t lost = 0;       // by the network, or dropped by the relay
  std::uint64_t discarded = 0;  // by the listener
  // Dropped on purpose, although the shadow listener played it.
  std::uint64_t dropped_but_usable = 0;
  BurstMetrics bursts;
  Duration delay_p50, delay_p95, delay_p99, delay_mean;
  // Of the time in which something was played, concealed or interrupted.
  double concealed_share = 0;
  double interrupted_share = 0;
  Duration played_time;  // frames, FEC, concealed and interrupted together
  Duration late_time;    // more than `late_over` above the path's own delay
  double r = 0;          // of the means of the whole
  // The mean over the windows' MOS, weighted by their packets: what a listener who judged every
  // second would give on average. R of the whole hides a bad second in a good hour.
  double mos = 0;
  double mos_min = 0;  // of the worst window
};

class QualityMeter {
 public:
  explicit QualityMeter(const QualityOptions& options = {}) : options_(options) {}

  // Packets are numbered 0, 1, 2 in the order of sending; silence counts too, but is no loss if a
  // listener leaves it out. Says the number, which is the Packet::id to insert.
  std::uint64_t on_sent(Time sent, bool is_silence = false);
  // It reached the listener.
  void on_arrived(std::uint64_t id);
  // The relay dropped it on purpose.
  void on_dropped(std::uint64_t id);
  // One answer of the listener's jitter buffer.
  void on_played(Time now, const Playout& playout);
  // The same of a shadow listener, who got everything.
  void on_shadow_played(const Playout& playout);
  // For a plot: sampled once per QualityOptions::window / 10 at most, whatever the caller does.
  void on_level(Time now, Duration level, Duration target);

  // Of everything so far.
  Quality result() const;
  std::vector<QualityWindow> windows() const;
  const std::vector<LevelSample>& levels() const { return levels_; }

 private:
  enum class Fate : std::uint8_t { lost, discarded, played, restored };
  struct Record {
    std::int64_t sent_ns = 0;
    std::int32_t delay_us = 0;  // mouth to ear, without the terminals
    Fate fate = Fate::lost;
    bool is_silence = false;
    bool is_dropped = false;
    bool is_usable = false;
  };

  bool counts(const Record& record) const;
  bool is_missing(const Record& record) const;
  QualityWindow rate(QualityWindow window, double loss, double burst_ratio) const;
  void fill_delays(Quality& quality) const;
  void fill_scores(Quality& quality) const;
  BurstMetrics bursts() const;
  void count_time(const Segment& segment, Duration lateness);

  QualityOptions options_;
  std::vector<Record> records_;
  std::vector<LevelSample> levels_;
  std::int64_t samples_played_ = 0;
  std::int64_t samples_concealed_ = 0;
  std::int64_t samples_interrupted_ = 0;
  std::int64_t samples_late_ = 0;
  Duration lateness_;  // of the frame played last: what is concealed after it is as late
};

}  // namespace earshot::listen
