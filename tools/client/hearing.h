// Everything a client hears: one jitter buffer, decoder and set of statistics per stream, and the
// mix. Loop thread only. Sans-IO but for the recorder: packets in, 20 ms of audio out per tick.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codec/opus.h"
#include "relay/base/ids.h"
#include "relay/base/time.h"
#include "tools/client/level_meter.h"
#include "tools/client/recorder.h"
#include "tools/client/spectrum.h"
#include "tools/client/statistics.h"
#include "tools/listen/buffer.h"
#include "tools/listen/limiter.h"
#include "tools/listen/renderer.h"

namespace earshot::client {

struct HearingOptions {
  // Without decoding only packets are counted: for hundreds of listeners in one process.
  bool decodes = true;
  bool finds_tones = false;
  // The delay follows the network's jitter between these.
  Duration delay_min = milliseconds(20);
  Duration delay_max = milliseconds(200);
  // Both may be null; they must outlive the hearing.
  Recorder* recorder = nullptr;
  const LatencyBook* latency_book = nullptr;
};

struct SpeakerReport {
  Ssrc ssrc;
  std::string user_id;         // empty if the relay never told
  bool is_present = true;      // until the relay says that the participant left
  std::uint64_t received = 0;  // packets, without duplicates
  std::uint64_t heard = 0;     // frames played; without decoding the same as received
  std::uint64_t lost = 0;      // never came
  std::uint64_t late = 0;      // came after their turn
  std::uint64_t duplicates = 0;
  std::uint64_t reordered = 0;
  std::uint64_t skipped = 0;    // frames' worth left out or played faster, to shorten the delay
  std::uint64_t concealed = 0;  // frames' worth made up by the decoder
  std::uint64_t restored = 0;   // lost frames that were played from in-band FEC
  std::uint64_t undecodable = 0;
  Duration jitter;
  Duration playout_delay;
  double level = level_silent;         // dBFS, over the audible frames
  double recent_level = level_silent;  // dBFS, over the last second
  std::uint64_t audible = 0;           // frames above -60 dBFS
  ToneMeter::Tone tone;
  std::uint64_t latency_count = 0;
  Duration latency_p50, latency_p99, latency_max;
};

// How loud somebody is right now.
struct SpeakerLevel {
  Ssrc ssrc;
  std::string user_id;  // empty if the relay never told
  double level = level_silent;
  double peak = level_silent;
};

class Hearing {
 public:
  explicit Hearing(const HearingOptions& options) : options_(options) {}

  void on_packet(Time arrival, Ssrc ssrc, std::uint16_t sequence, std::uint32_t timestamp,
                 std::span<const std::uint8_t> frame);
  void on_user(Ssrc ssrc, const std::string& user_id);
  void on_user_left(const std::string& user_id);

  // 20 ms of everybody, valid until the next tick. Also advances the recording.
  std::span<const std::int16_t> tick(Time now);
  // Plays what is still buffered into recording and statistics.
  void finish(Time now);

  std::vector<SpeakerReport> report() const;
  // Of those who are there and have spoken: cheap enough to ask ten times a second.
  std::vector<SpeakerLevel> levels() const;

 private:
  struct RecordedSlot {
    std::uint64_t tick = 0;
    std::vector<std::int16_t> pcm;
    std::vector<std::vector<std::uint8_t>> packets;
  };
  // Decoding needs memory: only who decodes has it.
  struct Player {
    explicit Player(const HearingOptions& options);

    std::unique_ptr<listen::JitterBuffer> buffer;
    listen::Renderer renderer;
    listen::Playout playout;
    std::vector<std::int16_t> pcm;  // 20 ms
  };
  struct Stream {
    explicit Stream(const HearingOptions& options);

    std::string user_id;
    bool is_present = true;
    StreamStatistics statistics;
    std::unique_ptr<Player> player;  // made by the first packet, if at all
    ToneMeter meter;
    LevelMeter level_meter;
    LatencyHistogram latency;
    // What was played before anybody said whose it is: it belongs into that speaker's file.
    std::vector<RecordedSlot> unrecorded;
    std::uint64_t heard = 0;
  };

  Stream& stream(Ssrc ssrc);
  void play(Ssrc ssrc, Stream& stream, Time now);
  RecordedSlot decoded_slot(Stream& stream);
  void record(Ssrc ssrc, Stream& stream);
  static void describe(const Player& player, SpeakerReport& report);
  static SpeakerReport describe(Ssrc ssrc, const Stream& stream, bool decodes);

  HearingOptions options_;
  std::map<Ssrc, std::unique_ptr<Stream>> streams_;
  std::map<Ssrc, std::string> users_;
  std::uint64_t tick_ = 0;
  std::vector<std::int32_t> sum_;
  listen::Limiter limiter_;
  std::vector<std::int16_t> mixed_;
};

}  // namespace earshot::client
