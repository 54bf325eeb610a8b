// What a worker tells the controller about a slot. Kept as flags in the slot and offered until
// accepted: none is lost, and several of one kind may become one.
#pragma once

#include <cstdint>

#include "relay/base/address.h"
#include "relay/base/ids.h"

namespace earshot {

enum class EventKind : std::uint8_t {
  address_changed,   // `remote` is the participant's media address now
  fresh_key_needed,  // counters or nonces meet soon, or met: the session must be closed with 4009
};

struct Event {
  EventKind kind = EventKind::address_changed;
  SlotRef slot;
  Endpoint remote;  // address_changed only
};

}  // namespace earshot
