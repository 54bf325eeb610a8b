// What a listener does with one stream's packets: packets in as they arrive, one answer every 20 ms
// that says what the next 960 samples consist of. Any one thread. Sans-IO: time is an argument.
// Decodes nothing (renderer.h does) and decides nothing by what audio sounds like, so that a trace
// without audio plays the same schedule as one with it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "relay/base/time.h"

namespace earshot::listen {

constexpr int slot_samples = 960;  // 20 ms at 48 kHz: what one call of play() answers for
constexpr Duration slot_time = milliseconds(20);
// Opus at rest: the frames that end a talk spurt, and DTX.
constexpr std::size_t silence_size_max = 3;

struct Packet {
  Time arrival{};
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  // May be empty: a capture of encrypted audio. Is not kept.
  std::span<const std::uint8_t> payload{};
  // Where `payload` is empty: how many bytes it had.
  std::size_t size = 0;
  // Where `payload` is empty: its duration at 48 kHz, a multiple of 120. 0: is learnt from the time
  // stamps, 20 ms until then.
  int samples = 0;
  // The caller's own name for it; comes back in the segment that plays it.
  std::uint64_t id = 0;
};

enum class Verdict : std::uint8_t {
  accepted,
  restarted,  // accepted, as the first of a stream that began anew
  duplicate,
  late,      // its turn is over
  stray,     // far from the rest, and alone so far
  overflow,  // no room
};

struct Inserted {
  Verdict verdict = Verdict::accepted;
  // If it was accepted: where the audio side keeps its payload, below packets_max(). Valid until
  // the play() that plays it is followed by an insert().
  std::uint32_t place = 0;

  bool is_accepted() const { return verdict == Verdict::accepted || verdict == Verdict::restarted; }
};

struct Segment {
  enum class Kind : std::uint8_t {
    idle,       // nobody speaks, or there is nothing to play
    frame,      // a packet
    concealed,  // made up: lost, too late, or overdue
    fec,        // a lost packet, from what `packet`, the one behind it, says about it
  };

  Kind kind = Kind::idle;
  // Idle although the speaker had not come to an end: an interruption that concealment gave up on.
  bool is_interruption = false;
  // Where it begins, in samples from the start of these 20 ms.
  int offset = 0;
  // How long it sounds. The last segment of an answer may reach into the next 20 ms; that answer
  // then begins with its own first segment at an offset above zero, or has none.
  int samples = 0;
  // Of them put in (above zero) or taken out (below) by time stretching.
  int stretched = 0;
  // Of the packet; idle and concealed: zero.
  std::uint32_t timestamp = 0;
  std::uint64_t packet = 0;  // Packet::id
  std::uint32_t place = 0;   // Inserted::place
};

// The segments that begin in 20 ms, in order, without gaps.
struct Playout {
  // 2.5 ms is the shortest packet.
  static constexpr std::size_t segments_max = 10;

  std::array<Segment, segments_max> segments{};
  std::size_t count = 0;

  std::span<const Segment> list() const { return {segments.data(), count}; }
};

struct BufferCounters {
  std::uint64_t accepted = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t late = 0;
  std::uint64_t strays = 0;
  std::uint64_t overflowed = 0;  // refused, or thrown away to make room
  std::uint64_t restarts = 0;
  std::uint64_t played = 0;           // packets
  std::uint64_t silence_skipped = 0;  // silence packets left out, to shorten the delay
  std::uint64_t fec = 0;              // packets
  std::uint64_t samples_taken_out = 0;
  std::uint64_t samples_put_in = 0;
  std::uint64_t samples_concealed = 0;
  std::uint64_t samples_interrupted = 0;  // idle in the middle of speech
};

enum class BufferKind : std::uint8_t {
  adaptive,     // follows the network's jitter, by stretching time
  fixed,        // one delay for a talk spurt; what comes later than that is not played
  never_skips,  // a queue: whatever it got late it stays late
};

struct BufferOptions {
  BufferKind kind = BufferKind::adaptive;

  // Adaptive: the target stays between these.
  Duration delay_min = milliseconds(20);
  Duration delay_max = milliseconds(1'000);
  // This share of half-second peaks of relative delay shall be waited for.
  double quantile = 0.95;
  // What a half second weighs against the one before it, once the histogram is warm.
  double forget_factor = 0.983;

  // Fixed: of the first packet of a talk spurt.
  Duration delay = milliseconds(60);
  // Never skips: of the first packet that finds an empty queue.
  Duration queue_delay = milliseconds(20);

  // Adaptive, fixed: a longer gap is an interruption.
  Duration conceal_max = milliseconds(100);
  // Adaptive, fixed: packets behind a gap are used for their in-band FEC, if their payload is
  // known.
  bool uses_fec = true;
};

class JitterBuffer {
 public:
  virtual ~JitterBuffer() = default;

  virtual Inserted insert(const Packet& packet) = 0;
  // What is heard in the 20 ms that begin at `now`. Call it once per 20 ms, as a sound card would;
  // while is_idle() it may be left out.
  virtual void play(Time now, Playout& out) = 0;

  // Nothing is buffered, and nothing is being concealed or finished.
  virtual bool is_idle() const = 0;
  // Audio that is there and not played yet, without what play() has already given out.
  virtual Duration level() const = 0;
  // What the delay should be: of the adaptive kind; else its constant.
  virtual Duration target() const = 0;
  virtual std::size_t packets() const = 0;
  // Places are below this.
  virtual std::uint32_t packets_max() const = 0;

  const BufferCounters& counters() const { return counters_; }

 protected:
  BufferCounters counters_;
};

std::unique_ptr<JitterBuffer> make_jitter_buffer(const BufferOptions& options = {});

}  // namespace earshot::listen
