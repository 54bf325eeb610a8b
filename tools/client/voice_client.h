// A whole voice client: signalling, media, speech and hearing for one participant. Loop thread
// only; many share a loop. Speaks only the public protocol. Everything is told through events; must
// not be destroyed from inside one of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crypto/aead.h"
#include "tools/client/claims.h"
#include "tools/client/event_loop.h"
#include "tools/client/hearing.h"
#include "tools/client/media_transport.h"
#include "tools/client/signalling.h"
#include "tools/client/talker.h"

namespace earshot::client {

struct VoiceClientOptions {
  SignallingOptions signalling;
  MediaOptions media;
  HearingOptions hearing;
  // Default: the first of the relay's modes that this machine has.
  std::optional<crypto::AeadMode> mode;
  // Instead of the address in Ready: the same relay over the other address family.
  std::optional<Endpoint> media_remote;
  // Default: random.
  std::optional<std::uint16_t> first_sequence;
  std::optional<std::uint32_t> first_timestamp;
  // Where to note what was sent when; may be null.
  LatencyBook* latency_book = nullptr;
};

struct VoiceClientEvents {
  // The key is there: packets go both ways. Again after each new Identify.
  std::function<void()> on_joined;
  std::function<void()> on_resumed;
  std::function<void(AfterClose, const SignallingEnd&)> on_interrupted;
  // The last event, after start() at least.
  std::function<void(const SignallingEnd&)> on_ended;
  std::function<void(const SpeakingMessage&)> on_speaking;
  std::function<void(const std::string& user_id)> on_client_connect;
  std::function<void(const std::string& user_id)> on_client_disconnect;
  std::function<void(const ReceivedPacket&)> on_packet;
  // 20 ms of everybody, every 20 ms from the join on (if it decodes).
  std::function<void(std::span<const std::int16_t>)> on_audio;
  // What was given to play() is said, silence frames included.
  std::function<void()> on_said;
  std::function<void(std::string_view)> on_message;
};

class VoiceClient {
 public:
  // `tls` and what the options point to must outlive the client. An error if the token cannot be
  // read.
  static Result<std::unique_ptr<VoiceClient>> create(uv_loop_s* loop,
                                                     const gateway::TlsContext& tls,
                                                     VoiceClientOptions options,
                                                     VoiceClientEvents events);
  ~VoiceClient();
  VoiceClient(const VoiceClient&) = delete;
  VoiceClient& operator=(const VoiceClient&) = delete;

  void start();
  // Ends with 1000; on_ended follows.
  void leave();
  // Speaks from the next 20 ms on, or from the join on. Replaces what is being played.
  void play(std::unique_ptr<FrameSource> source);
  bool is_talking() const { return talker_.is_speaking(); }

  bool is_joined() const { return is_joined_; }
  bool is_ended() const { return is_ended_; }
  const TokenClaims& claims() const { return claims_; }
  Ssrc ssrc() const;
  crypto::AeadMode mode() const { return mode_; }
  Endpoint media_remote() const;
  // As the relay told in the answer to IP discovery.
  const Endpoint& public_endpoint() const { return public_endpoint_; }
  std::vector<SpeakerReport> report() const { return hearing_.report(); }
  std::vector<SpeakerLevel> levels() const { return hearing_.levels(); }
  MediaCounters media_counters() const;
  std::uint64_t frames_sent() const { return frames_sent_; }
  const Signalling& signalling() const { return *signalling_; }

  // Test hooks. See Signalling and MediaTransport.
  void cut() { signalling_->cut(); }
  void vanish();
  Signalling& signalling() { return *signalling_; }
  // Null before Ready.
  MediaTransport* media() { return media_.get(); }

 private:
  VoiceClient(uv_loop_s* loop, const gateway::TlsContext& tls, VoiceClientOptions options,
              TokenClaims claims, VoiceClientEvents events);

  SignallingEvents make_signalling_events();
  void on_ready(const ReadyMessage& ready);
  void on_discovered(const Result<Endpoint>& seen);
  void on_session_description(const SessionDescription& description);
  void on_packet(const ReceivedPacket& packet);
  void on_interrupted(AfterClose next, const SignallingEnd& reason);
  void on_ended(SignallingEnd reason);
  void fail(std::string text);
  bool choose_mode(const std::vector<std::string>& offered);
  void start_ticking();
  void on_timer();
  void tick(Time now);
  void talk();

  uv_loop_s* loop_;
  VoiceClientOptions options_;
  TokenClaims claims_;
  VoiceClientEvents events_;
  std::unique_ptr<Signalling> signalling_;
  std::unique_ptr<MediaTransport> media_;
  Talker talker_;
  Hearing hearing_;
  crypto::AeadMode mode_ = crypto::AeadMode::aes256_gcm_rtpsize;
  Endpoint public_endpoint_;
  bool is_joined_ = false;
  bool is_ended_ = false;
  bool is_playing_ = false;  // on_said is owed
  std::string failure_;
  Timer timer_;
  bool is_ticking_ = false;
  Time next_tick_;
  std::uint64_t frames_sent_ = 0;
};

}  // namespace earshot::client
