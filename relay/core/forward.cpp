#include "relay/core/forward.h"

#include <bit>
#include <cstring>

namespace earshot {

void forward_local(Time now, const Channels& channels, Channel& channel, Transports& transports,
                   const OpenedPacket& packet, Outbox& out) {
  std::uint32_t i = channels.take_turn(channel);
  for (std::uint32_t left = channel.participants_count; left > 0; --left) {
    const SlotIndex slot{static_cast<std::uint16_t>(i)};
    if (transports.record(slot).slot.ssrc != packet.publisher.ssrc) {
      transports.send(now, slot, packet.publisher.ssrc, packet.sequence, packet.timestamp,
                      packet.frame, out);
    }
    i = channels.next_slot(i);
    if (i == no_slot) i = channel.first_slot;
  }
}

std::size_t forward_to_workers(const Channel& channel, WorkerIndex self, const OpenedPacket& packet,
                               Outbox& out) {
  const WorkerMask targets = channel.workers & ~(WorkerMask{1} << self.value);
  if (targets == 0) return 0;
  // The frame may stand in a receive buffer that is gone before the copies are made.
  const auto frame = out.allocate(packet.frame.size());
  std::memcpy(frame.data(), packet.frame.data(), frame.size());
  OutForward forward{targets, packet};
  forward.packet.frame = frame;
  out.push(forward);
  return static_cast<std::size_t>(std::popcount(targets));
}

}  // namespace earshot
