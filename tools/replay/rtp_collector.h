// Finds the streams of voice among the UDP datagrams of a capture. Any thread. It looks at headers
// and sizes, and at payloads only to tell readable Opus from ciphertext.
//
// A stream is one SSRC of one flow (addresses and ports). Without --port or --ssrc it counts if it
// took three steps like a stream: sequence numbers close to each other.
// Direction: a capture made at a relay holds each packet once on its way in, and once for each
// listener. The port that streams go to, and come back from under the same SSRC, is the relay's;
// without such a port it is the one that more streams go to than to any other.
// Overhead: a stream is readable Opus if 90 % of its packets are valid by RFC 6716 and begin with
// one of few bytes: ciphertext begins with any byte. Otherwise a packet carries 20 bytes of AEAD
// (tag and counter of the rtpsize modes). An RTP extension's body is taken off either way.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "tools/replay/trace.h"
#include "tools/replay/udp_frame.h"

namespace earshot::replay {

class RtpCollector {
 public:
  // How sure it is that what looks like RTP is RTP: not at all; chosen by port or SSRC; the format
  // of the file says so.
  enum class Certainty : std::uint8_t { none, chosen, known };

  RtpCollector(const TraceOptions& options, Certainty certainty);

  // `captured` may be shorter than the datagram was. False if there are too many packets.
  bool take(Time arrival, const Flow& flow, std::span<const std::uint8_t> captured,
            std::size_t size);
  TraceNotes& notes() { return trace_.notes; }
  Trace finish();

 private:
  struct Key {
    Flow flow;
    Ssrc ssrc;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  // How often a first byte came; the rest of the 256 are not told apart.
  struct FirstByte {
    std::uint8_t value = 0;
    std::uint32_t count = 0;
  };
  struct Stream {
    Key key;
    std::uint32_t packets = 0;
    std::uint32_t steps = 0;  // that a stream would take
    std::uint16_t last_sequence = 0;
    std::uint32_t whole = 0;     // packets that were captured to their end
    std::uint32_t readable = 0;  // of those
    std::array<FirstByte, 8> first_bytes{};
    // Decided at the end.
    bool is_kept = false;
    Skip reason = Skip::not_rtp;
    std::size_t overhead = 0;
  };
  // What only matters until the end; one for each packet of the trace.
  struct Draft {
    std::uint32_t stream = 0;
    std::uint8_t padding = 0;
  };
  struct Header;

  Skip refuse(const Flow& flow, std::span<const std::uint8_t> captured, std::size_t size,
              Header& header) const;
  std::optional<std::uint32_t> find_stream(const Key& key);
  void look_at_payload(Stream& stream, std::span<const std::uint8_t> payload, TracePacket& packet);
  static bool is_readable(const Stream& stream);
  void forget_noise();
  bool is_stream(const Stream& stream) const;
  std::optional<std::uint16_t> relay_port() const;
  void choose_direction();
  void choose_overhead();
  void keep_chosen();

  TraceOptions options_;
  Certainty certainty_;
  Trace trace_;
  std::vector<Draft> drafts_;
  std::vector<Stream> streams_;
  std::unordered_map<Key, std::uint32_t, KeyHash> index_;
  bool is_full_ = false;
};

}  // namespace earshot::replay
