// Who may open a connection: bounds on unidentified sockets per address, and a growing delay for
// addresses that keep presenting bad tokens. Controller thread; time comes in as an argument. IPv6
// addresses count by /64.
#pragma once

#include <cstddef>
#include <map>

#include "relay/base/address.h"
#include "relay/base/time.h"

namespace earshot::control {

class Admission {
 public:
  Admission(std::size_t unidentified_per_address_max, std::size_t bad_tokens_per_address_max)
      : unidentified_max_(unidentified_per_address_max),
        bad_tokens_max_(bad_tokens_per_address_max) {}

  // A new connection: counts it if it may come in.
  [[nodiscard]] bool admit(Time now, const IpAddress& peer);
  // It has identified itself, and no longer counts; or an identified one has become a mere socket
  // again.
  void on_identified(const IpAddress& peer);
  void on_unidentified(const IpAddress& peer);
  // It has ended.
  void on_released(const IpAddress& peer);

  // Beyond that many bad tokens, each within a minute of the last, the address waits before its
  // next connection.
  void on_bad_token(Time now, const IpAddress& peer);
  // Forgets addresses of which nothing is left to remember. Call it every few seconds.
  void sweep(Time now);

  std::size_t addresses_count() const { return addresses_.size(); }

 private:
  struct Address {
    std::size_t unidentified = 0;
    std::size_t bad_tokens = 0;
    Time last_bad_token;
    Time refused_until;
  };

  std::size_t unidentified_max_;
  std::size_t bad_tokens_max_;
  std::map<IpAddress, Address> addresses_;
};

}  // namespace earshot::control
