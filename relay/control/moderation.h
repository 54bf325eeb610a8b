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

  bool operator==(const Restraint&) const = default;
};

class Moderation {
 public:
  Restraint of(const ChannelKey& channel, const std::string& user_id) const {
    const auto found = restraints_.find({channel, user_id});
    return found == restraints_.end() ? Restraint{} : found->second;
  }
  // False when limits::restraints_max users are restrained already.
  [[nodiscard]] bool set(const ChannelKey& channel, const std::string& user_id,
                         Restraint restraint) {
    const std::pair key{channel, user_id};
    if (!restraint.is_muted && !restraint.is_deafened) {
      restraints_.erase(key);
      return true;
    }
    if (restraints_.size() >= limits::restraints_max && !restraints_.contains(key)) return false;
    restraints_[key] = restraint;
    return true;
  }

 private:
  std::map<std::pair<ChannelKey, std::string>, Restraint> restraints_;
};

}  // namespace earshot::control
