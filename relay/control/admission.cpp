#include "relay/control/admission.h"

#include <algorithm>

namespace earshot::control {
namespace {

constexpr Duration bad_token_memory = seconds(60);
constexpr Duration delay_max = seconds(30);

// A household or a host gets a whole /64 (RFC 6177), so that is what counts as one address.
IpAddress key_of(const IpAddress& peer) {
  IpAddress key = peer;
  if (!peer.is_v4()) std::fill(key.bytes.begin() + 8, key.bytes.end(), std::uint8_t{0});
  return key;
}

}  // namespace

bool Admission::admit(Time now, const IpAddress& peer) {
  Address& address = addresses_[key_of(peer)];
  if (address.unidentified >= unidentified_max_ || now < address.refused_until) return false;
  ++address.unidentified;
  return true;
}

void Admission::on_identified(const IpAddress& peer) {
  Address& address = addresses_[key_of(peer)];
  if (address.unidentified > 0) --address.unidentified;
}

void Admission::on_unidentified(const IpAddress& peer) {
  ++addresses_[key_of(peer)].unidentified;
}

void Admission::on_released(const IpAddress& peer) {
  const auto found = addresses_.find(key_of(peer));
  if (found != addresses_.end() && found->second.unidentified > 0) --found->second.unidentified;
}

void Admission::on_bad_token(Time now, const IpAddress& peer) {
  Address& address = addresses_[key_of(peer)];
  if (now - address.last_bad_token > bad_token_memory) address.bad_tokens = 0;
  address.last_bad_token = now;
  if (++address.bad_tokens <= bad_tokens_max_) return;
  const auto excess = static_cast<std::int64_t>(address.bad_tokens - bad_tokens_max_);
  address.refused_until = now + std::min(milliseconds(100) * excess, delay_max);
}

void Admission::sweep(Time now) {
  std::erase_if(addresses_, [now](const auto& entry) {
    const Address& a = entry.second;
    return a.unidentified == 0 && now >= a.refused_until &&
           (a.bad_tokens == 0 || now - a.last_bad_token > bad_token_memory);
  });
}

}  // namespace earshot::control
