// A relay process and any number of clients on one loop: what most tests here are made of. The
// clients are those of tools/client, with everything that happens to them written down. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/relay_process.h"
#include "tools/client/voice_client.h"

namespace earshot::test {

struct PacketLog {
  std::uint64_t count = 0;
  std::uint64_t repeated = 0;  // the same sequence number again
  std::set<std::uint16_t> sequences;
  Time first, last;
  Duration gap_max;
};

// A client and what it has seen.
struct Participant {
  std::string user;
  std::unique_ptr<client::VoiceClient> client;

  int joins = 0;
  int resumes = 0;
  int said = 0;
  std::vector<std::pair<client::AfterClose, client::SignallingEnd>> interruptions;
  std::optional<client::SignallingEnd> end;
  std::vector<client::SpeakingMessage> speaking;
  std::vector<std::string> came, left;
  std::vector<std::string> messages;
  std::map<Ssrc, PacketLog> packets;
  // Every packet too, if a test wants to see more of it.
  std::function<void(const client::ReceivedPacket&)> on_packet;

  bool is_joined() const { return client->is_joined(); }
  Ssrc ssrc() const { return client->ssrc(); }
  std::uint64_t received_from(const Participant& other) const;
  std::uint64_t received_from(Ssrc ssrc) const;
  std::uint64_t received() const;
  // The report of one speaker, as a listener of tools would read it.
  std::optional<client::SpeakerReport> heard(const std::string& other) const;
  // Op 5 of that user, if any came.
  std::optional<client::SpeakingMessage> last_speaking(const std::string& other) const;
  // Positions in `messages` of the messages with that opcode.
  std::vector<std::size_t> positions_of(int op) const;
  void forget_packets() { packets.clear(); }
};

using Change = std::function<void(client::VoiceClientOptions&)>;

class World {
 public:
  explicit World(std::vector<std::string> settings = {},
                 const std::vector<std::string>& options = {});
  ~World();

  // Makes a client with a token of its own and starts it.
  Participant& start(const std::string& user, const std::string& channel = "channel",
                     const Change& change = {});
  Participant& start_with_token(const std::string& user, const std::string& token,
                                const Change& change = {});
  // And waits until it has joined.
  Participant& join(const std::string& user, const std::string& channel = "channel",
                    const Change& change = {});
  Participant& join_with_token(const std::string& user, const std::string& token,
                               const Change& change = {});
  // It is gone without a word.
  void drop(Participant& participant);

  void speak(Participant& participant, double hz = 440);
  // After the five silence frames.
  void fall_silent(Participant& participant);
  // For that long, with everybody in `speakers` speaking; then everything has arrived.
  void talk(const std::vector<Participant*>& speakers, Duration duration);

  bool run_until(const std::function<bool()>& done, Duration limit = seconds(10));
  void run_for(Duration duration) { loop.run_for(duration); }
  // Nothing more is under way.
  void settle() { run_for(milliseconds(150)); }

  client::SocketTarget target() const;

  RelayProcess relay;
  gateway::TlsContext tls;
  client::Loop loop;
  std::vector<std::unique_ptr<Participant>> participants;
};

// Hears as a test does: no decoding, only packets.
Change counting();
// Of a tone at `hz` from `speaker` the listener must have 98 % of the frames, and hear the tone.
void check_hears(const Participant& listener, const Participant& speaker, double hz);
void check_hears_nothing(const Participant& listener);

}  // namespace earshot::test
