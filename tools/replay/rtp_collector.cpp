#include "tools/replay/rtp_collector.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "codec/toc.h"
#include "relay/wire/rtp.h"
#include "tools/replay/trace_readers.h"

namespace earshot::replay {
namespace {

using View = std::span<const std::uint8_t>;

constexpr std::size_t streams_max = 65'536;
constexpr std::uint32_t steps_min = 2;                 // between three packets
constexpr int sequence_step_max = 200;                 // four seconds of loss
constexpr std::uint8_t dynamic_payload_type_min = 96;  // RFC 3551 s3
constexpr std::size_t aead_overhead = 20;              // a tag of 16 bytes, a counter of 4

std::uint32_t read_number(View bytes, std::size_t at, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | bytes[at + i];
  return value;
}

// IP discovery, a request or a reply.
bool is_discovery(View bytes, std::size_t size) {
  return size == 74 && bytes.size() >= 2 && bytes[0] == 0 && (bytes[1] == 1 || bytes[1] == 2);
}

std::string in_words(std::uint64_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace

// As wire::RtpHeader, but of a datagram whose end may be missing.
struct RtpCollector::Header {
  Ssrc ssrc;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint8_t payload_type = 0;
  bool has_padding = false;
  std::size_t size = 0;  // with CSRCs and extension
};

std::size_t RtpCollector::KeyHash::operator()(const Key& key) const {
  const std::uint64_t from = hash(key.flow.from, 1);
  return hash(key.flow.to, from ^ key.ssrc.value);
}

RtpCollector::RtpCollector(const TraceOptions& options, Certainty certainty)
    : options_(options), certainty_(certainty) {}

// --- One datagram -------------------------------------------------------------------------------

// RFC 3550 s5.1. Skip::count: it is wanted.
Skip RtpCollector::refuse(const Flow& flow, View captured, std::size_t size, Header& header) const {
  if (options_.port && flow.from.port != *options_.port && flow.to.port != *options_.port) {
    return Skip::other_port;
  }
  if (is_discovery(captured, size)) return Skip::discovery;
  if (size < wire::rtp_header_size) return Skip::not_rtp;
  if (captured.size() < wire::rtp_header_size) return Skip::cut;
  if (captured[0] >> 6 != 2) return Skip::not_rtp;
  if (captured[1] >= 200 && captured[1] <= 207) return Skip::rtcp;  // RFC 5761 s4
  header.payload_type = captured[1] & 0x7F;
  header.sequence = static_cast<std::uint16_t>(read_number(captured, 2, 2));
  header.timestamp = read_number(captured, 4, 4);
  header.ssrc = {read_number(captured, 8, 4)};
  header.has_padding = (captured[0] & 0x20) != 0;
  header.size = wire::rtp_header_size + std::size_t{4} * (captured[0] & 0x0Fu);
  if ((captured[0] & 0x10) != 0) {
    header.size += 4;
    if (header.size <= size && captured.size() < header.size) return Skip::cut;
    if (header.size <= size)
      header.size += std::size_t{4} * read_number(captured, header.size - 2, 2);
  }
  if (header.size > size) return certainty_ == Certainty::none ? Skip::not_rtp : Skip::malformed;
  if (!options_.ssrcs.empty()) {
    const bool is_wanted = std::find(options_.ssrcs.begin(), options_.ssrcs.end(), header.ssrc) !=
                           options_.ssrcs.end();
    return is_wanted ? Skip::count : Skip::other_ssrc;
  }
  return header.payload_type < dynamic_payload_type_min ? Skip::payload_type : Skip::count;
}

bool RtpCollector::take(Time arrival, const Flow& flow, View captured, std::size_t size) {
  captured = captured.first(std::min(captured.size(), size));
  Header header;
  if (const Skip skip = refuse(flow, captured, size, header); skip != Skip::count) {
    ++trace_.notes[skip];
    return true;
  }
  if (trace_.packets.size() >= options_.packets_max) forget_noise();
  if (trace_.packets.size() >= options_.packets_max) return false;
  const auto index = find_stream({flow, header.ssrc});
  if (!index) {
    ++trace_.notes[Skip::too_many];
    return true;
  }
  Stream& stream = streams_[*index];
  const int step = std::abs(static_cast<std::int16_t>(header.sequence - stream.last_sequence));
  if (stream.packets > 0 && step != 0 && step <= sequence_step_max) ++stream.steps;
  ++stream.packets;
  stream.last_sequence = header.sequence;

  TracePacket packet;
  packet.arrival = arrival;
  packet.ssrc = header.ssrc;
  packet.timestamp = header.timestamp;
  packet.sequence = header.sequence;
  packet.size = static_cast<std::uint16_t>(std::min<std::size_t>(size - header.size, UINT16_MAX));
  Draft draft{*index, 0};
  if (captured.size() == size) {
    View payload = captured.subspan(header.size);
    // Of readable payloads; in a ciphertext it is hidden.
    if (header.has_padding && !payload.empty() && payload.back() <= payload.size()) {
      draft.padding = payload.back();
      payload = payload.first(payload.size() - draft.padding);
    }
    look_at_payload(stream, payload, packet);
  }
  trace_.packets.push_back(packet);
  drafts_.push_back(draft);
  return true;
}

std::optional<std::uint32_t> RtpCollector::find_stream(const Key& key) {
  if (const auto found = index_.find(key); found != index_.end()) return found->second;
  if (streams_.size() == streams_max && !is_full_) {
    forget_noise();
    // Most of them are real: looking again would cost more than it frees.
    is_full_ = streams_.size() > streams_max / 2;
  }
  if (streams_.size() == streams_max) return std::nullopt;
  const auto index = static_cast<std::uint32_t>(streams_.size());
  streams_.emplace_back().key = key;
  index_.emplace(key, index);
  return index;
}

void RtpCollector::look_at_payload(Stream& stream, View payload, TracePacket& packet) {
  ++stream.whole;
  const auto description = codec::describe_packet(payload);
  if (!description) return;
  ++stream.readable;
  for (FirstByte& known : stream.first_bytes) {
    if (known.count > 0 && known.value != payload[0]) continue;
    known.value = payload[0];
    ++known.count;
    break;
  }
  packet.samples = static_cast<std::uint16_t>(description->samples());
  // The first few are kept before it is known what they are.
  constexpr std::uint32_t trial = 16;
  if (options_.overhead.value_or(0) == 0 && (stream.whole <= trial || is_readable(stream))) {
    packet.payload = keep_payload(trace_, payload, options_.payload_bytes_max);
  }
}

// Of n random first bytes, n / 4 different ones (up to eight) would hardly ever cover 90 %.
bool RtpCollector::is_readable(const Stream& stream) {
  auto counts = stream.first_bytes;
  std::sort(counts.begin(), counts.end(),
            [](const FirstByte& a, const FirstByte& b) { return a.count > b.count; });
  const std::size_t kinds = std::clamp<std::size_t>(stream.whole / 4, 1, counts.size());
  std::uint64_t covered = 0;
  for (std::size_t i = 0; i < kinds; ++i) covered += counts[i].count;
  const std::uint64_t enough = (std::uint64_t{stream.whole} * 9 + 9) / 10;
  return stream.whole > 0 && stream.readable >= enough && covered >= enough;
}

bool RtpCollector::is_stream(const Stream& stream) const {
  return certainty_ != Certainty::none || stream.steps >= steps_min;
}

// Random bytes that look like RTP would fill every table: what took no step yet makes room.
void RtpCollector::forget_noise() {
  constexpr std::uint32_t forgotten = UINT32_MAX;
  std::vector<std::uint32_t> moved(streams_.size(), forgotten);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (!is_stream(streams_[i])) continue;
    moved[i] = static_cast<std::uint32_t>(kept);
    streams_[kept++] = streams_[i];
  }
  streams_.resize(kept);
  index_.clear();
  for (std::size_t i = 0; i < kept; ++i) {
    index_.emplace(streams_[i].key, static_cast<std::uint32_t>(i));
  }
  std::size_t packets = 0;
  for (std::size_t i = 0; i < drafts_.size(); ++i) {
    if (moved[drafts_[i].stream] == forgotten) continue;
    trace_.packets[packets] = trace_.packets[i];
    drafts_[packets++] = {moved[drafts_[i].stream], drafts_[i].padding};
  }
  trace_.notes[Skip::not_rtp] += drafts_.size() - packets;
  trace_.packets.resize(packets);
  drafts_.resize(packets);
}

// --- All of them --------------------------------------------------------------------------------

Trace RtpCollector::finish() {
  for (Stream& stream : streams_) stream.is_kept = is_stream(stream);
  choose_direction();
  choose_overhead();
  keep_chosen();
  clamp_times(trace_);
  return std::move(trace_);
}

std::optional<std::uint16_t> RtpCollector::relay_port() const {
  struct Tally {
    std::size_t forwarded = 0;
    std::size_t streams = 0;
  };
  std::multimap<std::uint32_t, const Stream*> by_ssrc;
  for (const Stream& stream : streams_) {
    if (stream.is_kept) by_ssrc.emplace(stream.key.ssrc.value, &stream);
  }
  std::map<std::uint16_t, Tally> ports;
  for (const auto& entry : by_ssrc) {
    const Stream* const stream = entry.second;
    const std::uint16_t port = stream->key.flow.to.port;
    const auto [first, last] = by_ssrc.equal_range(entry.first);
    const bool comes_back = std::any_of(first, last, [&](const auto& other) {
      return other.second != stream && other.second->key.flow.from.port == port;
    });
    Tally& tally = ports[port];
    ++tally.streams;
    tally.forwarded += comes_back ? 1 : 0;
  }
  std::optional<std::uint16_t> best;
  Tally best_tally;
  bool is_tied = false;
  for (const auto& [port, tally] : ports) {
    const auto rank = [](const Tally& t) { return std::pair(t.forwarded, t.streams); };
    if (best && rank(tally) < rank(best_tally)) continue;
    is_tied = best && rank(tally) == rank(best_tally);
    best = port;
    best_tally = tally;
  }
  const bool is_common = best_tally.forwarded > 0 || best_tally.streams > 1;
  return is_tied || !is_common ? std::nullopt : best;
}

void RtpCollector::choose_direction() {
  std::optional<Destination> to = options_.to;
  if (!to && certainty_ != Certainty::known) {
    if (const auto port = relay_port()) to = Destination{std::nullopt, *port};
  }
  if (!to) return;
  std::size_t kept = 0;
  std::size_t left_out = 0;
  std::uint64_t packets = 0;
  for (Stream& stream : streams_) {
    if (!stream.is_kept) continue;
    const Endpoint& there = stream.key.flow.to;
    const bool goes_there = there.port == to->port && (!to->ip || there.ip == *to->ip);
    kept += goes_there ? 1 : 0;
    if (goes_there) continue;
    stream.is_kept = false;
    stream.reason = Skip::other_direction;
    ++left_out;
    packets += stream.packets;
  }
  if (left_out == 0 || options_.to) return;
  trace_.notes.remarks.push_back("kept the " + in_words(kept, "stream", "streams") + " to port " +
                                 std::to_string(to->port) + " and left out " +
                                 in_words(left_out, "other", "others") + " with " +
                                 in_words(packets, "packet", "packets") + "; --to chooses");
}

void RtpCollector::choose_overhead() {
  std::size_t sealed = 0;
  std::size_t readable = 0;
  for (Stream& stream : streams_) {
    const bool is_plain = is_readable(stream);
    stream.overhead = options_.overhead.value_or(is_plain ? 0 : aead_overhead);
    (is_plain ? readable : sealed) += stream.is_kept ? 1 : 0;
  }
  auto& remarks = trace_.notes.remarks;
  if (options_.overhead) return;
  if (readable > 0) {
    remarks.push_back(in_words(readable, "stream is", "streams are") + " readable Opus");
  }
  if (sealed > 0) {
    remarks.push_back(in_words(sealed, "stream is", "streams are") +
                      " taken to carry 20 bytes of AEAD in each packet; --overhead says otherwise");
  }
}

void RtpCollector::keep_chosen() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < drafts_.size(); ++i) {
    const Stream& stream = streams_[drafts_[i].stream];
    if (!stream.is_kept) {
      ++trace_.notes[stream.reason];
      continue;
    }
    TracePacket packet = trace_.packets[i];
    const bool is_plain = stream.overhead == 0 && is_readable(stream);
    const std::size_t overhead = stream.overhead + (is_plain ? drafts_[i].padding : 0);
    if (packet.size <= overhead) {
      ++trace_.notes[Skip::too_small];
      continue;
    }
    packet.size = static_cast<std::uint16_t>(packet.size - overhead);
    if (!is_plain) {
      packet.payload = no_payload;
      packet.samples = 0;
    }
    trace_.packets[kept++] = packet;
  }
  trace_.packets.resize(kept);
  drafts_ = {};
}

}  // namespace earshot::replay
