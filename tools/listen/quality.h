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
  // RFC 3611 s4.7.2 recommends 16: so many heard in a row end a burst.
  std::uint64_t gap_packets_min = 16;
  // What a packet stands for, to give bursts a duration.
  Duration packet_time = milliseconds(20);
  // Of the plot, and of the mean that is the overall MOS. At least one millisecond.
  Duration window = seconds(1);
  // The path's own delay, from sending to arrival: the caller knows, or takes the least one seen.
  Duration path_delay;
  // What is played later than this, above the path's own delay, is time spent late.
  Duration late_over = milliseconds(100);
  // Capture, encoder and devices, which E-model and delays count in. A judgement: 20 ms of frame,
  // 6.5 ms of look-ahead (libopus at 48 kHz) and a few of device.
  Duration terminal_delay = milliseconds(30);
  // The E-model knows loss, not waiting. With this, a window's loss is at least the share of its
  // time that was made up or silent in the middle of speech, also if the packet came in the end.
  bool counts_waiting = false;
};

// One time window, by the sending time of its packets.
struct QualityWindow {
  Time begin;
  std::uint32_t packets = 0;    // of speech
  std::uint32_t lost = 0;       // never arrived
  std::uint32_t discarded = 0;  // arrived, and were not played
  std::uint32_t delays = 0;     // packets that were played
  Duration delay_mean;          // theirs, mouth to ear
  Duration made_up;             // concealed, or silent in the middle of speech, while it was played
  double r = 0;
  double mos = 0;
};

struct LevelSample {
  Time at;
  Duration level;
  Duration target;
};

struct Quality {
  std::uint64_t packets = 0;  // of speech; silence is nobody's loss
  std::uint64_t played = 0;
  std::uint64_t restored = 0;   // by in-band FEC
  std::uint64_t lost = 0;       // by the network, or dropped by the relay
  std::uint64_t dropped = 0;    // of the lost: by the relay, on purpose
  std::uint64_t discarded = 0;  // by the listener
  // Of the dropped: what the shadow listener, who got everything, has played.
  std::uint64_t dropped_but_usable = 0;
  BurstMetrics bursts;
  // Mouth to ear, of what was played.
  Duration delay_mean, delay_p50, delay_p95, delay_p99;
  Duration heard_time;         // frames, FEC, concealed and interrupted together
  Duration late_time;          // of frames and FEC more than `late_over` above the path's own delay
  double concealed_share = 0;  // of heard_time
  double interrupted_share = 0;  // of heard_time
  // Of the whole: mean delay, loss and burst ratio. A bad second in a good hour hardly shows.
  double r = 0;
  // The mean of the windows, weighted by their packets: what a listener who judged every second
  // would say on average. This is the overall MOS.
  double mos = 0;
  double mos_min = 0;  // of the worst window
};

// What became of one packet; for plots.
struct PacketRecord {
  enum class Fate : std::uint8_t { lost, discarded, played, restored };

  Time sent;
  std::int32_t delay_us = 0;  // from sending to being heard, if it was; without terminals
  Fate fate = Fate::lost;
  bool is_silence = false;
  bool is_dropped = false;  // by the relay, on purpose
  bool is_usable = false;   // the shadow listener has played it
};

class QualityMeter {
 public:
  explicit QualityMeter(const QualityOptions& options = {}) : options_(options) {}

  // Packets are numbered from 0 in the order of sending. Says the number: the Packet::id to insert.
  std::uint64_t on_sent(Time sent, bool is_silence = false);
  // It reached the listener. One that did not was lost.
  void on_arrived(std::uint64_t id);
  // The relay dropped it on purpose.
  void on_dropped(std::uint64_t id);
  // One answer of the listener's jitter buffer. Ids that on_sent() never gave out are left alone.
  void on_played(Time now, const Playout& playout);
  // The same of a shadow listener, who got everything.
  void on_shadow_played(const Playout& playout);
  // For a plot: kept ten times per window at most.
  void on_level(Time now, Duration level, Duration target);

  // Of everything so far.
  Quality result() const;
  // In order of time; without those in which nothing was sent.
  std::vector<QualityWindow> windows() const;
  const std::vector<LevelSample>& levels() const { return levels_; }
  // How many runs of packets of speech in a row were not heard: of one packet, of two, and so on
  // up to `missing_run_max`, where longer ones are counted too.
  std::vector<std::uint64_t> missing_runs() const;

  static constexpr std::size_t missing_run_max = 1'000;
  // By number.
  const std::vector<PacketRecord>& packets() const { return records_; }

 private:
  using Fate = PacketRecord::Fate;

  struct MadeUp {
    Time at;
    int samples = 0;
    bool is_silent = false;
  };

  std::size_t window_of(Time at) const;
  bool is_missing(const PacketRecord& record) const;
  void hear(PacketRecord& record, Fate fate, Time heard);
  void count(Time at, const Segment& segment);
  void count_made_up(const MadeUp& piece);
  BurstMetrics bursts() const;
  // All but the ratings.
  std::vector<QualityWindow> count_windows() const;
  void fill_delays(Quality& quality) const;
  void fill_scores(Quality& quality) const;

  QualityOptions options_;
  std::vector<PacketRecord> records_;
  std::vector<LevelSample> levels_;
  std::vector<MadeUp> made_up_;  // since the last frame: counts if another one follows
  std::vector<std::int64_t> made_up_per_window_;  // samples
  std::int64_t samples_heard_ = 0;
  std::int64_t samples_concealed_ = 0;
  std::int64_t samples_interrupted_ = 0;
  std::int64_t samples_late_ = 0;
};

}  // namespace earshot::listen
