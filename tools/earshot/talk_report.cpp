#include "tools/earshot/talk_report.h"

#include <cinttypes>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/earshot/talk_audio.h"

namespace earshot::tools {
namespace {

double to_ms(Duration duration) {
  return static_cast<double>(duration.ns) / 1e6;
}

double rounded(double value, double unit) {
  return std::round(value / unit) * unit;
}

std::string speaker_name(const client::SpeakerReport& speaker) {
  return speaker.user_id.empty() ? "ssrc " + std::to_string(speaker.ssrc.value) : speaker.user_id;
}

nlohmann::json describe(const client::SpeakerReport& speaker) {
  return {{"user_id", speaker.user_id},
          {"ssrc", speaker.ssrc.value},
          {"present", speaker.is_present},
          {"received", speaker.received},
          {"heard", speaker.heard},
          {"lost", speaker.lost},
          {"late", speaker.late},
          {"duplicates", speaker.duplicates},
          {"reordered", speaker.reordered},
          {"skipped", speaker.skipped},
          {"concealed", speaker.concealed},
          {"restored", speaker.restored},
          {"undecodable", speaker.undecodable},
          {"audible", speaker.audible},
          {"level_dbfs", rounded(speaker.level, 0.01)},
          {"tone_hz", rounded(speaker.tone.hz, 0.1)},
          {"tone_share", rounded(speaker.tone.share, 0.0001)},
          {"jitter_ms", rounded(to_ms(speaker.jitter), 0.001)},
          {"delay_ms", rounded(to_ms(speaker.playout_delay), 0.1)}};
}

template <typename Counters>
nlohmann::json describe_counters(const Counters& counters) {
  return {{"overflowed_samples", counters.overflowed},
          {"starved", counters.starved},
          {"samples_taken_out", counters.taken_out},
          {"samples_put_in", counters.put_in},
          {"frames_skipped", counters.frames_skipped}};
}

nlohmann::json describe(const TalkAudio& audio) {
  nlohmann::json devices{{"text", audio.describe()}};
  if (const auto* microphone = audio.microphone()) {
    devices["microphone"] = describe_counters(microphone->counters());
  }
  if (const auto* loudspeaker = audio.loudspeaker()) {
    devices["loudspeaker"] = describe_counters(loudspeaker->counters());
  }
  return devices;
}

}  // namespace

void print_table(std::FILE* out, const client::VoiceClient& client, const TalkReport& report) {
  const auto speakers = client.report();
  std::fprintf(out, "%.1f s in channel %s, %" PRIu64 " frames sent, %zu speakers heard\n",
               to_ms(report.time) / 1'000, client.claims().channel_id.c_str(), client.frames_sent(),
               speakers.size());
  if (speakers.empty()) return;
  std::fprintf(out, "%-24s %8s %6s %6s %6s %9s %9s %10s\n", "speaker", "heard", "lost", "late",
               "dup", "level dB", "tone Hz", "jitter ms");
  for (const auto& speaker : speakers) {
    std::fprintf(out,
                 "%-24s %8" PRIu64 " %6" PRIu64 " %6" PRIu64 " %6" PRIu64 " %9.1f %9.1f %10.2f\n",
                 speaker_name(speaker).c_str(), speaker.heard, speaker.lost, speaker.late,
                 speaker.duplicates, speaker.level, speaker.tone.hz, to_ms(speaker.jitter));
  }
}

void print_json(std::FILE* out, const client::VoiceClient& client, const TalkReport& report) {
  const auto counters = client.media_counters();
  const auto& claims = client.claims();
  nlohmann::json speakers = nlohmann::json::array();
  for (const auto& speaker : client.report()) speakers.push_back(describe(speaker));
  nlohmann::json summary{
      {"user_id", claims.user_id},
      {"server_id", claims.server_id},
      {"channel_id", claims.channel_id},
      {"session_id", claims.session_id},
      {"joined", report.was_joined},
      {"seconds", rounded(to_ms(report.time) / 1'000, 0.001)},
      {"end", {{"ok", report.end.is_ok}, {"code", report.end.code}, {"text", report.end.text}}},
      {"ssrc", client.ssrc().value},
      {"mode", crypto::name(client.mode())},
      {"media", client.media_remote().to_string()},
      {"public_address", client.public_endpoint().to_string()},
      {"identifies", client.signalling().identifies()},
      {"resumes", client.signalling().resumes()},
      {"heartbeat_ms", rounded(to_ms(client.signalling().heartbeat_round_trip()), 0.001)},
      {"frames_sent", client.frames_sent()},
      {"packets",
       {{"sent", counters.sent},
        {"received", counters.received},
        {"unauthenticated", counters.unauthenticated},
        {"unexpected", counters.unexpected}}},
      {"speakers", std::move(speakers)}};
  if (report.audio != nullptr) summary["devices"] = describe(*report.audio);
  // Ids and texts from the relay may hold anything.
  const std::string text = summary.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  std::fprintf(out, "%s\n", text.c_str());
}

}  // namespace earshot::tools
