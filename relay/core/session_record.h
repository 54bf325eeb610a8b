// What one session needs to go on after the process has ended: ids, key, addresses, counters. Fixed
// layout with a version, in memory that the shell may hand in, so that a later process can restore
// it. Written by the owning worker. Deliberately not here: statistics, budgets, stream state,
// anything that may start anew.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "crypto/aead.h"
#include "relay/base/address.h"
#include "relay/base/ids.h"
#include "relay/core/command.h"
#include "relay/core/nonce.h"

namespace earshot {

struct SessionRecord {
  static constexpr std::uint32_t current_version = 1;

  std::uint32_t version;  // 0: no session stands here
  SlotRef slot;
  ChannelRef channel;
  Grants grants;
  bool is_muted;
  bool is_deafened;
  bool has_key;
  bool may_send;          // op 4 with this key has reached the client; a latch
  bool is_remote_proven;  // the present remote is the signalling peer's IP, loopback, or sent an
                          // authentic packet
  crypto::AeadMode mode;
  Endpoint remote;    // where datagrams go; unset until known
  IpAddress local;    // where they leave from
  Endpoint declared;  // from Select Protocol, until it is believed
  IpAddress signalling_peer;
  std::array<std::uint8_t, crypto::key_size> key;
  NonceState nonces;

  bool is_open() const { return version != 0; }
  bool may_receive() const {
    return has_key && may_send && grants.listen && !is_deafened && remote.is_set();
  }
};
static_assert(std::is_trivially_copyable_v<SessionRecord> &&
              std::is_standard_layout_v<SessionRecord>);
static_assert(sizeof(SessionRecord) <= 1024);

}  // namespace earshot
