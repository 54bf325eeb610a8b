// What one seed is about: how many of everything, how wild, and the rates of what goes wrong. Drawn
// from the seed alone; the rates are stated here.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "relay/base/time.h"

namespace earshot::sim {

enum class Fault : std::uint8_t {
  leave,            // and comes back after a while
  move,             // to another channel: a leave and a join
  take_over,        // a second session of the same participant
  mute,             // the other way round each time
  deafen,           //
  address_change,   // another port (NAT rebinding) or another address (Wi-Fi to LTE)
  resume,           // the signalling connection comes from elsewhere
  select_again,     // a second Select Protocol, the same mode
  rekey,            // and another one
  client_stall,     // its process stands still, then sends what is due 1 ms apart
  flood,            // 600 packets in a second
  restart,          // sequence and time stamp begin anew
  replay,           // a datagram that was sent before, from anywhere
  forge,            // somebody's SSRC under another key, or a bit changed on the way
  foreign_ssrc,     // a participant seals with another's SSRC
  garbage,          // RTCP, oversize, leftovers, anything
  spoof,            // some declare an address that is not theirs
  network_change,   // another path, of any kind
  partition,        // some hear and are heard of no more, for seconds
  worker_stall,     // up to 2 s: its socket and its inboxes fill
  clock_step,       // of the wall clock, by up to an hour
  channel_options,  // late_ms_max and speakers_max
  count
};

constexpr std::size_t faults_count = static_cast<std::size_t>(Fault::count);

struct FaultRow {
  std::string_view name;
  // For each participant and hour at intensity 1, during a storm. What befalls the whole node or a
  // channel is stated for each participant too.
  double per_hour = 0;
};
constexpr std::array<FaultRow, faults_count> fault_rows{{
    {"leave", 20},     {"move", 12},           {"take-over", 8},     {"mute", 30},
    {"deafen", 16},    {"address-change", 24}, {"resume", 6},        {"select-again", 10},
    {"rekey", 6},      {"client-stall", 40},   {"flood", 2},         {"restart", 10},
    {"replay", 60},    {"forge", 60},          {"foreign-ssrc", 10}, {"garbage", 40},
    {"spoof", 4},      {"network-change", 40}, {"partition", 3},     {"worker-stall", 12},
    {"clock-step", 6}, {"channel-options", 8},
}};
static_assert(fault_rows.back().name == "channel-options");

struct Plan {
  std::size_t workers = 1;       // 1..3
  std::size_t people = 2;        // 2..24
  std::size_t channels = 1;      // 1..4
  double intensity = 1;          // of all rates: 0.25, 1, 4 or 16
  Duration pause;                // between talk spurts, mean
  std::size_t sessions_max = 0;  // per worker: tight, so that slots are used again soon
  std::size_t channel_participants_per_worker_max = 0;
  std::size_t packet_credit = 64;  // small ones overflow
  std::size_t command_credit = 16;
  std::size_t socket_buffer = 256;
  Duration wake_max;
  Duration stale_max;
  double missteering = 0;
  double send_drops = 0;
  std::uint16_t node = 0;
};

Plan draw_plan(std::uint64_t seed);

}  // namespace earshot::sim
