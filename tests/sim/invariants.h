// Judges every call of every core of a node by what the simulation knows to be true (life.h):
// never back to the speaker, never outside the channel, once per listener, complete, unchanged, in
// order, no nonce twice, nothing after a mute, deafen or leave, nothing before op 4, bounded
// towards unproven addresses, no slot reused too early, every drop for a reason that holds, late
// frames as the reference has them, conservation. Throws Violation. One thread; it changes nothing.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "relay/core/core.h"
#include "relay/core/session_record.h"
#include "tests/sim/journal.h"
#include "tests/sim/life.h"
#include "tests/sim/packet.h"

namespace earshot::sim {

// One datagram that a core has put out.
struct Emission {
  Endpoint remote;
  SlotIndex slot;
  bool has_slot = false;
  std::span<std::uint8_t> bytes;
};

// A core from outside.
struct WatchedCore {
  WorkerIndex worker;
  const Core* core = nullptr;
  std::span<const SessionRecord> records;
  std::span<const SlotStats> stats;
};

// What happened to a datagram.
struct Outcome {
  DropReason reason = DropReason::none;
  bool is_accepted = false;
  bool is_handed_over = false;
};

// Whose packet a call has to forward: its speaker, and what its listeners must get.
struct Spoken {
  Life* speaker = nullptr;
  SentFrame* frame = nullptr;         // or:
  InjectedFrame* injected = nullptr;  // silence of the relay's own
  std::uint16_t sequence() const { return frame ? frame->sequence : injected->sequence; }
  std::uint32_t timestamp() const { return frame ? frame->timestamp : injected->timestamp; }
  std::uint64_t rank() const { return frame ? frame->rank : injected->rank; }
  std::uint64_t& listeners() const { return frame ? frame->listeners : injected->listeners; }
};

class Invariants {
 public:
  Invariants(Lives& lives, Journal& journal, std::size_t workers_count, Duration stale_max);

  // Around each call of a core.
  void before(const WatchedCore& core);
  void after_datagram(Time now, const WatchedCore& core, const Packet& packet, Time arrival,
                      bool was_handed_over, std::span<Emission> out,
                      std::span<const OutForward> forwards);
  void after_forwarded(Time now, const WatchedCore& core, const OpenedPacket& packet,
                       std::span<Emission> out);
  // A command and the silence that it led to. `before_command` comes first.
  void before_command(WorkerIndex worker, const Command& command);
  void after_command(Time now, const WatchedCore& core, const Command& command,
                     std::span<Emission> out, std::span<const OutForward> forwards);

  // Everything is still: the books of all workers together. `sum` is over all of them.
  static void at_rest(const Counters& sum);
  // The invariant does not hold.
  [[noreturn]] static void fail(const char* invariant, const std::string& text);

  const std::array<std::uint64_t, drop_reasons_count>& outcomes() const { return outcomes_; }
  std::uint64_t copies() const { return copies_; }
  // Whose slot that is on its worker now; nullptr: nobody's.
  Life* find(Ssrc ssrc) { return life_at(ssrc.worker(), ssrc); }
  // The lives that are open on a worker.
  std::span<const LifeIndex> open_on(WorkerIndex worker) const {
    return workers_[worker.value].open;
  }

 private:
  struct Worker {
    std::vector<LifeIndex> open;                   // at home here
    std::map<std::uint32_t, LifeIndex> by_ssrc;    // at home here or known here
    std::map<std::uint32_t, ChannelRef> channels;  // by index
    std::map<std::uint32_t, std::uint16_t> late_ms_max;
    std::map<std::uint32_t, bool> has_own_late_ms_max;
    std::map<std::uint32_t, std::uint16_t> speakers_max;
  };
  struct Unproven {
    std::int64_t full_at_ns = 0;
  };

  bool is_stale(Time now, Time arrival) const {
    return stale_max_.ns > 0 && now - arrival > stale_max_;
  }
  Outcome outcome(const WatchedCore& core, const Packet& packet) const;
  Life* life_at(WorkerIndex worker, Ssrc ssrc);
  void judge_voice(Time now, const WatchedCore& core, const Packet& packet, Time arrival,
                   const Outcome& outcome);
  void judge_reason(Time now, const WatchedCore& core, const Packet& packet, Life& life,
                    const SentFrame& frame, Time arrival, DropReason reason);
  void judge_lateness(const WatchedCore& core, Life& life, const SentFrame& frame, Time arrival,
                      const Outcome& outcome);
  void note_authentic(const Packet& packet, Life& life);
  bool is_floor_full(Time now, WorkerIndex worker, const Life& life) const;
  void judge_copies(Time now, const WatchedCore& core, const Spoken& spoken,
                    std::span<Emission> out);
  void judge_copy(Time now, const WatchedCore& core, const Spoken& spoken, const Emission& copy);
  void judge_complete(const WatchedCore& core, const Spoken& spoken, std::uint64_t sent_to);
  void judge_address(Time now, const Life& listener, const Endpoint& remote);
  void judge_forwards(const Spoken& spoken, std::span<const OutForward> forwards) const;
  void judge_replies(const Packet& packet, std::span<const Emission> out) const;
  void judge_slot_is_free(SlotRef slot) const;
  void take_in(WorkerIndex worker, const Command& command);
  void on_injected(Time now, const WatchedCore& core, Life& muted, std::span<Emission> out,
                   std::span<const OutForward> forwards);

  Lives& lives_;
  Journal& journal_;
  std::vector<Worker> workers_;
  Duration stale_max_;
  Counters before_;
  std::array<std::uint64_t, drop_reasons_count> outcomes_{};
  std::uint64_t copies_ = 0;
  std::uint64_t rank_ = 0;
  std::map<IpAddress, Unproven> unproven_;
  std::map<WorkerIndex, std::span<const SessionRecord>> records_;
};

}  // namespace earshot::sim
