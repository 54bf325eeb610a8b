// Why a packet was not sent on: a closed enum, one counter each. Any thread.
// The order is the order of the steps of a packet's life (ARCHITECTURE.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace earshot {

enum class DropReason : std::uint8_t {
  none,                // go on
  stale,               // waited too long in our own socket buffer
  oversize,            // larger than limits::datagram_size_max
  not_loopback,        // sent to a public local address of a node that serves loopback only
  unknown_kind,        // neither RTP, RTCP, IP discovery nor a keep-alive
  malformed,           // RTP, RTCP or discovery that does not parse
  unknown_ssrc,        // no slot of this node has that SSRC
  no_key,              // the slot has no key yet
  foreign_budget,      // too many packets from a source that is not the slot's
  not_authentic,       // AEAD refused it
  replayed,            // a nonce counter that was seen before, or is too old to tell
  nonce_collision,     // the client used a nonce that the relay had used
  wrong_payload_type,  // authenticated, but not Opus as agreed
  not_allowed,         // the grant does not let it speak
  muted,               // muted by the server, or behind the silence injected by a mute
  rate,                // more packets a second than a voice needs
  duplicate,           // same sequence and time stamp within the last 128 packets
  speakers,            // channel_speakers_max others speak
  late,                // behind fresher frames (the late-frame policy)
  generation,          // from another worker, about a slot or channel that has ended
  discovery_budget,    // too many IP discovery requests
  inbox_full,          // no credit towards another worker
  count
};

constexpr std::size_t drop_reasons_count = static_cast<std::size_t>(DropReason::count);

constexpr std::array<std::string_view, drop_reasons_count> drop_reason_names{"none",
                                                                             "stale",
                                                                             "oversize",
                                                                             "not_loopback",
                                                                             "unknown_kind",
                                                                             "malformed",
                                                                             "unknown_ssrc",
                                                                             "no_key",
                                                                             "foreign_budget",
                                                                             "not_authentic",
                                                                             "replayed",
                                                                             "nonce_collision",
                                                                             "wrong_payload_type",
                                                                             "not_allowed",
                                                                             "muted",
                                                                             "rate",
                                                                             "duplicate",
                                                                             "speakers",
                                                                             "late",
                                                                             "generation",
                                                                             "discovery_budget",
                                                                             "inbox_full"};
static_assert(drop_reason_names.back() == "inbox_full");

constexpr std::string_view name(DropReason reason) {
  return drop_reason_names[static_cast<std::size_t>(reason)];
}

}  // namespace earshot
