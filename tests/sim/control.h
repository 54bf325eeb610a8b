// The controller of a simulated node: the real relay/control/membership and commands over the
// simulated workers, and a model of what relay/control's sessions and keying do with them: the
// order of a join (slot on all workers, key, op 4, start sending), restraints that are done when no
// worker has anything of before under way, ends, and what follows a worker's event. Signalling
// between it and its participants takes time and keeps its order. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "relay/control/commands.h"
#include "relay/control/membership.h"
#include "tests/sim/node.h"

namespace earshot::sim {

struct ControlOptions {
  NodeId node;
  std::size_t sessions_max = 64;  // per worker
  std::size_t channel_participants_per_worker_max = 64;
  Duration turn_max = milliseconds(3);          // until a woken controller runs
  Duration signalling_max = milliseconds(120);  // one way
  std::uint64_t seed = 0;
  Mutation mutation = Mutation::none;
};

// How somebody enters.
struct Entry {
  ChannelName channel = 0;
  Grants grants;
  bool is_muted = false;
  bool is_deafened = false;
  IpAddress signalling_peer;
};

// Of the client's side, told when it has come there.
struct ControlEvents {
  std::function<void(Life&)> on_ready;        // it knows its SSRC
  std::function<void(Life&)> on_description;  // it has its key
  std::function<void(Life&)> on_fresh_key;    // closed with 4009
};

struct KeyChoice {
  crypto::AeadMode mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  CounterHabit habit;
  bool is_near_relay = false;  // start next to the relay's own counters
};

class Control {
 public:
  Control(const ControlOptions& options, Node& node, Schedule& schedule, Lives& lives,
          Journal& journal, ControlEvents events);

  // nullptr: the node or the channel is full.
  Life* join(PersonIndex person, const Entry& entry);
  // Select Protocol: the first, or a second one with the same mode (a new address only).
  void select(Life& life, const KeyChoice& choice, const Endpoint& declared);
  void leave(Life& life, std::function<void()> left);
  void restrain(Life& life, bool is_muted, bool is_deafened);
  void set_channel(ChannelName channel, std::optional<std::uint16_t> late_ms_max,
                   std::uint16_t speakers_max);
  // It has resumed from elsewhere.
  void set_signalling_peer(Life& life, const IpAddress& peer);

  // Op 4 has come to its client, and datagrams may follow.
  bool is_live(const Life& life) const;
  std::uint64_t fresh_keys() const { return fresh_keys_; }

 private:
  // A session as relay/control knows it.
  struct Session {
    enum class Phase : std::uint8_t { opening, ready, keying, live } phase = Phase::opening;
    std::shared_ptr<ClientKey> key;
    bool is_description_delivered = false;
    std::uint32_t restraints = 0;
    struct Select {
      KeyChoice choice;
      Endpoint declared;
    };
    std::optional<Select> next_select;
    Time heard_until;  // signalling keeps its order, each way
    Time told_until;
  };

  void wake();
  void turn(std::uint64_t);
  void on_event(const Event& event);
  void on_select(Life& life, const Session::Select& select);
  void install(Life& life, const Session::Select& select);
  void send_description(Life& life);
  // Calls it unless the session has begun to leave by then.
  void tell(Life& life, std::function<void()> what);
  void hear(Life& life, std::function<void()> what);
  Duration delay();

  ControlOptions options_;
  Node& node_;
  Schedule& schedule_;
  Lives& lives_;
  Journal& journal_;
  ControlEvents events_;
  replay::Random random_;
  std::unique_ptr<WorkerGroup> workers_;
  control::Commands commands_;
  control::Membership membership_;
  std::map<LifeIndex, Session> sessions_;
  bool is_scheduled_ = false;
  std::uint64_t fresh_keys_ = 0;
};

}  // namespace earshot::sim
