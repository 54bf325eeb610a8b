// Notices a silent listener whose NAT mapping has changed: its keep-alives stop while its
// heartbeats go on, and nothing that it sends says where it is now. Controller thread; time comes
// in as an argument.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "relay/base/time.h"
#include "relay/control/session.h"
#include "relay/core/slot_stats.h"

namespace earshot::control {

class MappingWatch {
 public:
  // Must this session identify anew, so that its media is found again? At most once a minute for
  // one user; a true answer counts.
  bool is_lost(Time now, Session& session, const SlotStats& stats);
  // Forgets what is over. Call it every few seconds.
  void sweep(Time now);

 private:
  using UserKey = std::pair<std::string, std::string>;  // server, user
  std::map<UserKey, Time> lost_at_;
};

}  // namespace earshot::control
