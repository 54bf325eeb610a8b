#include "tools/client/hearing.h"

#include <algorithm>
#include <utility>

namespace earshot::client {
namespace {

constexpr std::size_t frame_samples = codec::frame_samples_20ms;
// Five seconds: who is not named by then is recorded without a name.
constexpr std::size_t unrecorded_slots_max = 250;

}  // namespace

Hearing::Player::Player(const HearingOptions& options) : pcm(frame_samples) {
  listen::BufferOptions buffer_options;
  buffer_options.delay_min = options.delay_min;
  buffer_options.delay_max = options.delay_max;
  buffer = listen::make_jitter_buffer(buffer_options);
}

Hearing::Stream::Stream(const HearingOptions& options) : meter(options.finds_tones) {}

Hearing::Stream& Hearing::stream(Ssrc ssrc) {
  auto& entry = streams_[ssrc];
  if (!entry) {
    entry = std::make_unique<Stream>(options_);
    const auto user = users_.find(ssrc);
    if (user != users_.end()) entry->user_id = user->second;
  }
  return *entry;
}

void Hearing::on_packet(Time arrival, Ssrc ssrc, std::uint16_t sequence, std::uint32_t timestamp,
                        std::span<const std::uint8_t> frame) {
  Stream& target = stream(ssrc);
  const auto verdict = target.statistics.on_packet(arrival, sequence, timestamp);
  if (verdict == StreamStatistics::Verdict::duplicate) return;
  if (options_.latency_book != nullptr) {
    const auto sent = options_.latency_book->sent_at(ssrc, sequence);
    if (sent) target.latency.add(arrival - *sent);
  }
  if (!options_.decodes) return;
  if (!target.player) target.player = std::make_unique<Player>(options_);
  Player& player = *target.player;
  listen::Packet packet;
  packet.arrival = arrival;
  packet.sequence = sequence;
  packet.timestamp = timestamp;
  packet.payload = frame;
  player.renderer.store(player.buffer->insert(packet), frame);
}

void Hearing::on_user(Ssrc ssrc, const std::string& user_id) {
  users_[ssrc] = user_id;
  const auto found = streams_.find(ssrc);
  if (found == streams_.end()) return;
  found->second->user_id = user_id;
  found->second->is_present = true;
}

void Hearing::on_user_left(const std::string& user_id) {
  std::erase_if(users_, [&user_id](const auto& entry) { return entry.second == user_id; });
  for (auto& [ssrc, stream] : streams_) {
    if (stream->user_id == user_id) stream->is_present = false;
  }
}

// What the renderer has just decoded, counted and measured.
Hearing::RecordedSlot Hearing::decoded_slot(Stream& stream) {
  const Player& player = *stream.player;
  RecordedSlot slot{tick_, player.pcm, {}};
  for (const listen::DecodedPacket& packet : player.renderer.decoded()) {
    ++stream.heard;
    stream.meter.add(packet.pcm);
    if (options_.recorder == nullptr) continue;
    const auto payload = player.renderer.payload(packet.segment);
    slot.packets.emplace_back(payload.begin(), payload.end());
  }
  return slot;
}

void Hearing::play(Ssrc ssrc, Stream& stream, Time now) {
  if (!stream.player) return stream.level_meter.add({});
  Player& player = *stream.player;
  player.buffer->play(now, player.playout);
  const bool is_active = player.renderer.render(player.playout, player.pcm);
  // Behind the last frame the sound still goes down to silence.
  for (std::size_t i = 0; i < frame_samples; ++i) sum_[i] += player.pcm[i];
  if (!is_active) return stream.level_meter.add({});
  stream.level_meter.add(player.pcm);
  RecordedSlot slot = decoded_slot(stream);
  if (options_.recorder == nullptr) return;
  stream.unrecorded.push_back(std::move(slot));
  const bool waits = stream.user_id.empty() && stream.unrecorded.size() < unrecorded_slots_max;
  if (!waits) record(ssrc, stream);
}

void Hearing::record(Ssrc ssrc, Stream& stream) {
  const std::string& id = stream.user_id;
  const std::string name = id.empty() ? "ssrc-" + std::to_string(ssrc.value) : id;
  for (const RecordedSlot& slot : stream.unrecorded) {
    options_.recorder->write(name, slot.tick, slot.pcm, slot.packets);
  }
  stream.unrecorded.clear();
}

std::span<const std::int16_t> Hearing::tick(Time now) {
  sum_.assign(frame_samples, 0);
  mixed_.resize(frame_samples);
  for (auto& [ssrc, stream] : streams_) play(ssrc, *stream, now);
  limiter_.process(sum_, mixed_);
  if (options_.recorder != nullptr) options_.recorder->write_mixed(mixed_);
  ++tick_;
  return mixed_;
}

void Hearing::finish(Time now) {
  if (!options_.decodes) return;
  // Longer than the deepest buffer: 256 packets of 20 ms.
  constexpr int ticks_max = 300;
  for (int i = 0; i < ticks_max; ++i) {
    const bool is_empty = std::all_of(streams_.begin(), streams_.end(), [](const auto& entry) {
      const auto& player = entry.second->player;
      return !player || (player->buffer->packets() == 0 && player->renderer.pending() == 0);
    });
    if (is_empty) break;
    now = now + milliseconds(20);
    tick(now);
  }
  if (options_.recorder == nullptr) return;
  for (auto& [ssrc, stream] : streams_) record(ssrc, *stream);
  options_.recorder->finish();
}

void Hearing::describe(const Player& player, SpeakerReport& report) {
  const listen::BufferCounters& counters = player.buffer->counters();
  report.late = counters.late;
  report.skipped =
      counters.samples_taken_out / frame_samples + counters.silence_skipped + counters.overflowed;
  report.undecodable = player.renderer.undecodable();
  report.concealed = counters.samples_concealed / frame_samples + report.undecodable;
  report.restored = counters.fec;
  report.playout_delay = player.buffer->target();
}

SpeakerReport Hearing::describe(Ssrc ssrc, const Stream& stream, bool decodes) {
  SpeakerReport report;
  report.ssrc = ssrc;
  report.user_id = stream.user_id;
  report.is_present = stream.is_present;
  report.received = stream.statistics.received();
  report.heard = decodes ? stream.heard : report.received;
  report.lost = stream.statistics.lost();
  report.duplicates = stream.statistics.duplicates();
  report.reordered = stream.statistics.reordered();
  report.jitter = stream.statistics.jitter();
  if (stream.player) describe(*stream.player, report);
  report.level = stream.meter.level();
  report.recent_level = stream.meter.recent_level();
  report.audible = stream.meter.audible_frames();
  report.tone = stream.meter.dominant();
  report.latency_count = stream.latency.count();
  report.latency_p50 = stream.latency.percentile(0.50);
  report.latency_p99 = stream.latency.percentile(0.99);
  report.latency_max = stream.latency.max();
  return report;
}

std::vector<SpeakerLevel> Hearing::levels() const {
  std::vector<SpeakerLevel> levels;
  for (const auto& [ssrc, stream] : streams_) {
    if (!stream->is_present) continue;
    levels.push_back(
        {ssrc, stream->user_id, stream->level_meter.level(), stream->level_meter.peak()});
  }
  return levels;
}

std::vector<SpeakerReport> Hearing::report() const {
  std::vector<SpeakerReport> reports;
  for (const auto& [ssrc, stream] : streams_) {
    reports.push_back(describe(ssrc, *stream, options_.decodes));
  }
  return reports;
}

}  // namespace earshot::client
