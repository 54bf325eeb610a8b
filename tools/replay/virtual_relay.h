// A relay node of one channel for replays: the same core as in a worker, with one participant for
// each stream of a trace and one for each listener, in virtual time. Any one thread. No sockets; a
// packet is sealed, opened, judged and sealed again as in a node, but what listeners get is not
// opened: sizes and headers are all that a replay needs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "crypto/aead.h"
#include "relay/core/core.h"
#include "relay/core/lateness.h"
#include "tools/replay/policy.h"

namespace earshot::replay {

// Why a packet of the input was not forwarded; the names are those of the verdicts in CSV.
enum class Verdict : std::uint8_t {
  keep,
  late,
  duplicate,
  stale,
  rate,
  speakers,
  muted,
  lost,  // never reached the relay: the uplink's model lost it
  count
};

constexpr std::array<std::string_view, static_cast<std::size_t>(Verdict::count)> verdict_names{
    "keep", "late", "duplicate", "stale", "rate", "speakers", "muted", "lost"};
constexpr std::string_view name(Verdict verdict) {
  return verdict_names[static_cast<std::size_t>(verdict)];
}
// `replayed`, what the network delivered twice, is a duplicate too, and who may not speak is muted.
// Other reasons have no verdict and stop the process.
Verdict verdict_of(DropReason reason);

struct Judged {
  Verdict verdict = Verdict::keep;
  bool has_lateness = false;  // it reached the late step
  std::int32_t lateness_ticks = 0;
};

class VirtualRelay {
 public:
  static constexpr std::size_t participants_max = limits::channel_participants_per_worker_max;

  VirtualRelay(const Policy& policy, std::size_t streams, std::size_t listeners, Time now);

  struct Arrived {
    std::size_t stream = 0;
    std::uint32_t nonce = 0;  // the same for copies that the network made
    std::uint16_t sequence = 0;
    std::uint32_t timestamp = 0;
    std::uint16_t size = 0;  // of the payload, at least 1
  };
  // The packet reaches the relay now. `forward` is called with each listener it goes to, and the
  // size of the datagram. Times never decrease.
  Judged on_packet(Time now, const Arrived& packet,
                   const std::function<void(std::size_t listener, std::size_t bytes)>& forward);

  const Counters& counters() const { return core_.counters(); }

 private:
  struct Speaker {
    Ssrc ssrc;
    crypto::AeadKey key{};
    LatenessState lateness;  // what the core's state must be, too
  };

  void join(std::size_t slot, bool speaks, Time now);
  std::span<std::uint8_t> seal(const Arrived& packet);
  DropReason feed(Time now, const Arrived& packet);
  void command(Time now, const Command& command);

  Policy policy_;
  std::vector<Speaker> speakers_;
  Core core_;
  std::unique_ptr<Outbox> out_;
  std::vector<std::uint8_t> datagram_;
};

}  // namespace earshot::replay
