// Deliberate breakages between the relay and the invariants: each must be caught by the invariant
// of its name, or that invariant says nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace earshot::sim {

enum class Mutation : std::uint8_t {
  none,
  corrupt_copy,       // a bit of a sealed copy
  change_payload,     // sealed anew with another payload
  change_sequence,    // and with another sequence number
  forward_back,       // a copy for the speaker
  forward_outside,    // a copy for another channel
  forward_twice,      // a second copy for a listener
  lose_copy,          // a listener gets none
  swap_passed,        // two packets change places between workers
  repeat_nonce,       // a copy under a nonce that was used before
  ignore_mute,        // a worker acknowledges and does nothing
  ignore_deafen,      //
  ignore_close,       //
  send_early,         // StartSending before op 4
  acknowledge_early,  // a worker acknowledges a leave and forgets it
  miscount_accepted,  // conservation, per worker
  miscount_refused,   // and over all
  separate_caps,      // each worker has caps of its own for unproven addresses
  keep_late,          // a frame that came late is said to have come in time
  drop_in_time,       // and the other way round
  accept_forged,      // a forged packet is counted as accepted
  drop_unreasoned,    // a good packet is counted as not authentic
  stay_deaf,          // the network heals for all but one
  count
};

constexpr std::size_t mutations_count = static_cast<std::size_t>(Mutation::count);

struct MutationName {
  std::string_view name;
  std::string_view invariant;  // that must catch it
};
constexpr std::array<MutationName, mutations_count> mutation_names{
    MutationName{"none", ""},
    {"corrupt_copy", "opens"},
    {"change_payload", "unchanged"},
    {"change_sequence", "unchanged"},
    {"forward_back", "never-back"},
    {"forward_outside", "in-channel"},
    {"forward_twice", "once"},
    {"lose_copy", "complete"},
    {"swap_passed", "order"},
    {"repeat_nonce", "nonce"},
    {"ignore_mute", "mute"},
    {"ignore_deafen", "deafen"},
    {"ignore_close", "leave"},
    {"send_early", "op-4"},
    {"acknowledge_early", "slot-reuse"},
    {"miscount_accepted", "conservation"},
    {"miscount_refused", "conservation-over-all"},
    {"separate_caps", "unproven"},
    {"keep_late", "late"},
    {"drop_in_time", "late"},
    {"accept_forged", "authentic"},
    {"drop_unreasoned", "reason"},
    {"stay_deaf", "liveness"},
};

}  // namespace earshot::sim
