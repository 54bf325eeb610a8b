// Who keeps presenting keys that open nothing: counted by address, for a minute. Controller thread;
// time comes in as an argument. It refuses nobody who has a key: what it bounds is how often others
// are looked at, not how long a guess takes, which 256 bits make hopeless anyway.
#pragma once

#include <cstddef>
#include <map>

#include "relay/base/address.h"
#include "relay/base/time.h"

namespace earshot::control {

class WrongKeys {
 public:
  // One more from there. True: they were too many, limits::wrong_keys_per_address_max.
  bool add(Time now, const IpAddress& peer);

  std::size_t addresses_count() const { return addresses_.size(); }

 private:
  struct Address {
    Time since;
    std::size_t count = 0;
  };

  std::map<IpAddress, Address> addresses_;
};

}  // namespace earshot::control
