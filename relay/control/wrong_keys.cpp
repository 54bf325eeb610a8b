#include "relay/control/wrong_keys.h"

#include "relay/base/limits.h"

namespace earshot::control {

bool WrongKeys::add(Time now, const IpAddress& peer) {
  const auto is_over = [now](const Address& address) {
    return now - address.since >= limits::wrong_keys_memory;
  };
  if (addresses_.size() >= limits::wrong_keys_addresses_max && !addresses_.contains(peer)) {
    std::erase_if(addresses_, [&](const auto& entry) { return is_over(entry.second); });
    // Guesses from so many places at once: nobody is worth remembering.
    if (addresses_.size() >= limits::wrong_keys_addresses_max) addresses_.clear();
  }
  Address& address = addresses_[peer];
  if (address.count == 0 || is_over(address)) address = {now, 0};
  return ++address.count > limits::wrong_keys_per_address_max;
}

}  // namespace earshot::control
