// Who gets a packet: every participant of the channel who may listen on this worker, and one copy
// for every other worker that has participants. Owned by one core. It does not judge packets: what
// comes here is to be sent on.
#pragma once

#include "relay/core/channel.h"
#include "relay/core/outbox.h"
#include "relay/core/transport.h"

namespace earshot {

// To the participants on this worker, the publisher excepted.
void forward_local(Time now, const Channels& channels, Channel& channel, Transports& transports,
                   const OpenedPacket& packet, Outbox& out);

// One copy for each other worker of the channel; returns how many.
std::size_t forward_to_workers(const Channel& channel, WorkerIndex self, const OpenedPacket& packet,
                               Outbox& out);

}  // namespace earshot
