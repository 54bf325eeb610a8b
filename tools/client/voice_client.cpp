#include "tools/client/voice_client.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "crypto/keys.h"

namespace earshot::client {
namespace {

constexpr Duration tick_time = milliseconds(20);
// A process that was held up longer does not say all at once what it missed.
constexpr std::int64_t ticks_behind_max = 5;

template <typename T>
T random_number() {
  std::array<std::uint8_t, sizeof(T)> bytes;
  crypto::random_bytes(bytes);
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

}  // namespace

Result<std::unique_ptr<VoiceClient>> VoiceClient::create(uv_loop_s* loop,
                                                         const gateway::TlsContext& tls,
                                                         VoiceClientOptions options,
                                                         VoiceClientEvents events) {
  auto claims = read_claims(options.signalling.token);
  if (!claims) return claims.error();
  if (options.mode && !crypto::is_available(*options.mode)) {
    return Error{"this machine has no " + std::string(crypto::name(*options.mode))};
  }
  return std::unique_ptr<VoiceClient>(
      new VoiceClient(loop, tls, std::move(options), std::move(claims.value()), std::move(events)));
}

VoiceClient::VoiceClient(uv_loop_s* loop, const gateway::TlsContext& tls,
                         VoiceClientOptions options, TokenClaims claims, VoiceClientEvents events)
    : loop_(loop),
      options_(std::move(options)),
      claims_(std::move(claims)),
      events_(std::move(events)),
      talker_(options_.first_sequence.value_or(random_number<std::uint16_t>()),
              options_.first_timestamp.value_or(random_number<std::uint32_t>())),
      hearing_(options_.hearing),
      timer_(loop, [this] { on_timer(); }) {
  signalling_ = std::make_unique<Signalling>(loop, tls, options_.signalling, claims_,
                                             make_signalling_events());
}

VoiceClient::~VoiceClient() = default;

SignallingEvents VoiceClient::make_signalling_events() {
  SignallingEvents events;
  events.on_ready = [this](const ReadyMessage& ready) { on_ready(ready); };
  events.on_session_description = [this](const SessionDescription& description) {
    on_session_description(description);
  };
  events.on_resumed = [this] {
    if (events_.on_resumed) events_.on_resumed();
  };
  events.on_speaking = [this](const SpeakingMessage& speaking) {
    if (!speaking.user_id.empty()) hearing_.on_user(speaking.ssrc, speaking.user_id);
    if (events_.on_speaking) events_.on_speaking(speaking);
  };
  events.on_client_connect = [this](const std::string& user_id) {
    if (events_.on_client_connect) events_.on_client_connect(user_id);
  };
  events.on_client_disconnect = [this](const std::string& user_id) {
    hearing_.on_user_left(user_id);
    if (events_.on_client_disconnect) events_.on_client_disconnect(user_id);
  };
  events.on_interrupted = [this](AfterClose next, const SignallingEnd& reason) {
    on_interrupted(next, reason);
  };
  events.on_ended = [this](const SignallingEnd& reason) { on_ended(reason); };
  events.on_message = events_.on_message;
  return events;
}

void VoiceClient::start() {
  signalling_->start();
}

void VoiceClient::leave() {
  signalling_->leave();
}

void VoiceClient::vanish() {
  signalling_->vanish();
  media_.reset();
  timer_.stop();
  is_joined_ = false;
  is_ended_ = true;
}

void VoiceClient::play(std::unique_ptr<FrameSource> source) {
  talker_.play(std::move(source));
  is_playing_ = true;
  if (is_joined_) start_ticking();
}

Ssrc VoiceClient::ssrc() const {
  return media_ ? media_->ssrc() : Ssrc{};
}

Endpoint VoiceClient::media_remote() const {
  return media_ ? media_->remote() : Endpoint{};
}

MediaCounters VoiceClient::media_counters() const {
  return media_ ? media_->counters() : MediaCounters{};
}

bool VoiceClient::choose_mode(const std::vector<std::string>& offered) {
  for (const auto& text : offered) {
    const auto mode = crypto::parse_aead_mode(text);
    if (!mode || !crypto::is_available(*mode) || mode != options_.mode.value_or(*mode)) continue;
    mode_ = *mode;
    return true;
  }
  return false;
}

void VoiceClient::on_ready(const ReadyMessage& ready) {
  if (!choose_mode(ready.modes)) return fail("the relay offers no encryption mode that fits");
  const auto ip = IpAddress::parse(ready.ip);
  if (!options_.media_remote && (!ip || ready.port == 0)) {
    return fail("the relay's media address makes no sense");
  }
  const Endpoint remote =
      options_.media_remote ? *options_.media_remote : Endpoint{*ip, ready.port};
  MediaEvents events;
  events.on_discovered = [this](const Result<Endpoint>& seen) { on_discovered(seen); };
  events.on_packet = [this](const ReceivedPacket& packet) { on_packet(packet); };
  media_ = std::make_unique<MediaTransport>(loop_, options_.media, std::move(events));
  const auto opened = media_->open(remote, ready.ssrc);
  if (!opened) return fail(opened.error().text);
  media_->discover();
}

void VoiceClient::on_discovered(const Result<Endpoint>& seen) {
  if (!seen) return fail(seen.error().text);
  public_endpoint_ = seen.value();
  signalling_->select_protocol(public_endpoint_.ip.to_string(), public_endpoint_.port,
                               crypto::name(mode_));
}

void VoiceClient::on_session_description(const SessionDescription& description) {
  const auto mode = crypto::parse_aead_mode(description.mode);
  if (!media_ || !mode || !crypto::is_available(*mode) || !description.has_key) {
    return fail("the relay's session description makes no sense");
  }
  mode_ = *mode;
  media_->set_key(mode_, description.key);
  is_joined_ = true;
  if (options_.hearing.decodes || is_playing_) start_ticking();
  if (events_.on_joined) events_.on_joined();
}

void VoiceClient::on_packet(const ReceivedPacket& packet) {
  hearing_.on_packet(packet.arrival, packet.ssrc, packet.sequence, packet.timestamp, packet.frame);
  if (events_.on_packet) events_.on_packet(packet);
}

void VoiceClient::on_interrupted(AfterClose next, const SignallingEnd& reason) {
  // Over a resume media goes on; a new Identify brings another SSRC and key.
  if (next == AfterClose::identify) {
    is_joined_ = false;
    media_.reset();
    talker_.forget_session();
  }
  if (events_.on_interrupted) events_.on_interrupted(next, reason);
}

void VoiceClient::fail(std::string text) {
  failure_ = std::move(text);
  signalling_->leave();
}

void VoiceClient::on_ended(SignallingEnd reason) {
  if (!failure_.empty()) reason = {false, reason.code, failure_};
  is_joined_ = false;
  is_ended_ = true;
  timer_.stop();
  hearing_.finish(monotonic_now());
  if (events_.on_ended) events_.on_ended(reason);
}

void VoiceClient::start_ticking() {
  if (is_ticking_) return;
  is_ticking_ = true;
  next_tick_ = monotonic_now() + tick_time;
  timer_.start(tick_time);
}

void VoiceClient::on_timer() {
  const Time now = monotonic_now();
  const std::int64_t behind = (now - next_tick_).ns / tick_time.ns;
  if (behind > ticks_behind_max) {
    talker_.skip(static_cast<std::uint32_t>(behind));
    next_tick_ = next_tick_ + tick_time * behind;
  }
  while (next_tick_ <= now && !is_ended_) {
    tick(next_tick_);
    next_tick_ = next_tick_ + tick_time;
  }
  if (!is_ended_) timer_.start(next_tick_ - now);
}

void VoiceClient::tick(Time now) {
  talk();
  if (!options_.hearing.decodes) return;
  const auto mixed = hearing_.tick(now);
  if (events_.on_audio) events_.on_audio(mixed);
}

void VoiceClient::talk() {
  if (!media_ || !media_->has_key()) return talker_.skip(1);
  const Talker::Step step = talker_.tick();
  if (step.speaking) signalling_->set_speaking(media_->ssrc(), *step.speaking);
  if (step.packet) {
    const auto sent =
        media_->send(step.packet->sequence, step.packet->timestamp, step.packet->frame);
    if (sent) {
      ++frames_sent_;
      if (options_.latency_book != nullptr) {
        options_.latency_book->on_sent(media_->ssrc(), step.packet->sequence, *sent);
      }
    }
  }
  if (step.has_ended) signalling_->set_speaking(media_->ssrc(), false);
  if (is_playing_ && talker_.is_finished()) {
    is_playing_ = false;
    if (events_.on_said) events_.on_said();
  }
}

}  // namespace earshot::client
