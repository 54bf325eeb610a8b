// Who is muted or deafened by the server. It sticks to (channel, user), whatever sessions that user
// has meanwhile. Controller thread.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "relay/control/membership.h"

namespace earshot::control {

struct Restraint {
  bool is_muted = false;
  bool is_deafened = false;
};

class Moderation {
 public:
  Restraint of(const ChannelKey& channel, const std::string& user_id) const {
    const auto found = restraints_.find({channel, user_id});
    return found == restraints_.end() ? Restraint{} : found->second;
  }
  void set(const ChannelKey& channel, const std::string& user_id, Restraint restraint) {
    if (restraint.is_muted || restraint.is_deafened) {
      restraints_[{channel, user_id}] = restraint;
    } else {
      restraints_.erase({channel, user_id});
    }
  }

 private:
  std::map<std::pair<ChannelKey, std::string>, Restraint> restraints_;
};

}  // namespace earshot::control
