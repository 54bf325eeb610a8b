#include "relay/core/outbox.h"

namespace earshot {

Outbox::Outbox() : arena_(limits::outbox_bytes_max + 4 * limits::datagram_size_max) {
  datagrams_.reserve(limits::outbox_datagrams_max);
  forwards_.reserve(limits::receive_batch_max);
  hand_overs_.reserve(limits::receive_batch_max);
}

void Outbox::clear() {
  datagrams_.clear();
  forwards_.clear();
  hand_overs_.clear();
  used_ = 0;
}

std::span<std::uint8_t> Outbox::allocate(std::size_t size) {
  RELAY_CHECK(used_ + size <= arena_.size());
  std::span<std::uint8_t> bytes{arena_.data() + used_, size};
  used_ += size;
  return bytes;
}

void Outbox::push(const Endpoint& remote, const IpAddress& local,
                  std::span<const std::uint8_t> allocated) {
  RELAY_CHECK(datagrams_.size() < limits::outbox_datagrams_max);
  datagrams_.push_back({remote, local, static_cast<std::uint32_t>(allocated.data() - arena_.data()),
                        static_cast<std::uint16_t>(allocated.size()), SlotIndex{}, false});
}

void Outbox::push(const Endpoint& remote, const IpAddress& local,
                  std::span<const std::uint8_t> allocated, SlotIndex slot) {
  push(remote, local, allocated);
  datagrams_.back().slot = slot;
  datagrams_.back().has_slot = true;
}

void Outbox::push(const OutForward& forward) {
  RELAY_CHECK(forwards_.size() < forwards_.capacity());
  forwards_.push_back(forward);
}

void Outbox::push(const OutHandOver& hand_over) {
  RELAY_CHECK(hand_overs_.size() < hand_overs_.capacity());
  hand_overs_.push_back(hand_over);
}

}  // namespace earshot
