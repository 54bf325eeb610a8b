// What was on the wire: RTP packets of one or more streams with their times, from a capture, a file
// or a seed. Any thread. Payloads are kept where they are known and readable; nothing is decoded.
// Bad input is one sentence or a counted skip; memory is bounded by TraceOptions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/ids.h"
#include "relay/base/result.h"
#include "relay/base/time.h"

namespace earshot::replay {

constexpr std::uint32_t no_payload = UINT32_MAX;

// There are millions of these.
struct TracePacket {
  Time arrival;  // or when it was sent: Trace::is_sending_time
  Ssrc ssrc;
  std::uint32_t timestamp = 0;
  std::uint32_t payload = no_payload;  // index for Trace::payload
  std::uint16_t sequence = 0;
  std::uint16_t size = 0;     // bytes of Opus, without the AEAD's overhead
  std::uint16_t samples = 0;  // its length at 48 kHz; 0: not known
};
static_assert(sizeof(TracePacket) <= 32);

// Why a packet of the input is not in the trace.
enum class Skip : std::uint8_t {
  not_udp,
  fragment,   // of a fragmented IP packet
  cut,        // the capture holds too little of it
  malformed,  // breaks its own format
  discovery,  // IP discovery
  rtcp,
  not_rtp,          // no RTP header, or an SSRC that does not behave like a stream
  payload_type,     // RTP, but of a type that Opus does not use
  other_port,       // --port
  other_ssrc,       // --ssrc
  other_direction,  // --to, or what was chosen by itself
  too_small,        // smaller than its AEAD's overhead
  loopback_copy,    // seen a second time on its way out of the loopback device
  too_many,         // more streams than a capture may have
  count
};

constexpr std::array<std::string_view, static_cast<std::size_t>(Skip::count)> skip_names{
    "not_udp",       "fragment",     "cut",        "malformed",  "discovery",       "rtcp",
    "not_rtp",       "payload_type", "other_port", "other_ssrc", "other_direction", "too_small",
    "loopback_copy", "too_many"};

struct TraceNotes {
  std::array<std::uint64_t, static_cast<std::size_t>(Skip::count)> skipped{};
  std::uint64_t clamped = 0;         // time ran backwards: raised to the packet before
  std::vector<std::string> remarks;  // sentences: what was chosen, where the input broke off

  std::uint64_t& operator[](Skip reason) { return skipped[static_cast<std::size_t>(reason)]; }
  std::uint64_t operator[](Skip reason) const { return skipped[static_cast<std::size_t>(reason)]; }
};

struct Trace {
  std::vector<TracePacket> packets;  // in the order of the input; times never decrease
  // True: the times are when packets were sent (Ogg, synthetic). False: when they arrived at the
  // relay, or wherever it was captured.
  bool is_sending_time = false;
  TraceNotes notes;

  // Empty if it is not known.
  std::span<const std::uint8_t> payload(const TracePacket& packet) const {
    if (packet.payload == no_payload) return {};
    return std::span(arena).subspan(payload_offsets[packet.payload], packet.size);
  }

  std::vector<std::uint8_t> arena;
  std::vector<std::size_t> payload_offsets;  // in the arena
};

// Where packets go: "PORT", "ADDRESS:PORT" or "[ADDRESS]:PORT".
struct Destination {
  std::optional<IpAddress> ip;
  std::uint16_t port = 0;

  static std::optional<Destination> parse(std::string_view text);
};

struct TraceOptions {
  // Captures: UDP packets from or to this port are RTP.
  std::optional<std::uint16_t> port{};
  // Captures: these are the streams. Without both: what behaves like a stream of Opus.
  std::vector<Ssrc> ssrcs{};
  // Captures: keep what goes there. Without: if one port forwards streams, or most streams go to
  // it, keep what goes to that port; a remark says so.
  std::optional<Destination> to{};
  // Captures: bytes of AEAD in each packet. Without: for each stream, 0 if its payloads are
  // readable Opus, otherwise 20 (rtp_collector.h says how).
  std::optional<std::size_t> overhead{};
  Ssrc ogg_ssrc{1};
  std::size_t packets_max = 20'000'000;                  // 40 bytes each, while it is read
  std::size_t payload_bytes_max = std::size_t{1} << 30;  // what is beyond is not kept
};

// pcap, pcapng, rtpdump, Ogg Opus or CSV: which one, the content says.
Result<Trace> read_trace(const std::string& path, const TraceOptions& options = {});
// The same for a file that is open at its beginning, and can be rewound. `name` is for sentences.
Result<Trace> read_trace(std::FILE* file, const std::string& name, const TraceOptions& options);

// arrival_ns,ssrc,seq,timestamp,size: what read_trace understands.
Result<void> write_trace_csv(const Trace& trace, std::FILE* file);

enum class TalkMode : std::uint8_t {
  one_at_a_time,  // turns, with a short silence in between
  free            // everybody talks and pauses as they like
};

struct SynthOptions {
  std::uint64_t seed = 1;
  std::size_t participants = 2;  // SSRCs 1 to N
  Duration duration = seconds(60);
  TalkMode mode = TalkMode::one_at_a_time;
  // RTP time runs on in pauses, as with native clients; otherwise it counts packets only, as with
  // many bot libraries.
  bool rtp_time_runs = true;
  bool has_dtx = false;  // a small packet every 400 ms in pauses, as with Opus' DTX
  std::size_t packets_max = 20'000'000;
};

// Speech-like talk spurts: 20 ms frames of 60 to 160 bytes, and five silence frames (F8 FF FE)
// at the end of each spurt. The same options give the same trace.
Trace synthesize(const SynthOptions& options);

}  // namespace earshot::replay
