// The sessions of one process, what they do together, and the sockets that they share. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "relay/base/address.h"
#include "tools/load/board.h"
#include "tools/load/load_session.h"
#include "tools/load/media_port.h"
#include "tools/load/poller.h"
#include "tools/load/traffic.h"

namespace earshot::load {

struct CrowdOptions {
  std::string name;  // in front of every user and channel
  std::size_t sessions = 1;
  std::size_t at_once = SIZE_MAX;  // on their way in at a time
  Duration heartbeat_interval{};   // zero: as the relay says
  IpAddress media_source;          // unspecified: whatever leads to the relay
  bool asks_for_address = true;    // IP discovery, as real clients do
  TrafficOptions traffic;
};

class Crowd {
 public:
  Crowd(Poller& poller, const Target& target, const gateway::TlsContext& tls,
        std::function<std::string(const gateway::Claims&)> sign, Board& board, Seat& seat,
        CrowdOptions options);

  void begin(Order order);
  // Of the last begin(). To be asked after every turn.
  bool is_done();

 private:
  std::string user_id(std::size_t index) const;
  void start_some();
  MediaPort* port_for(LoadSession& session, const Endpoint& media);
  MediaPort* open_port(std::size_t index);
  void on_datagram(const MediaPort& port, std::span<std::uint8_t> datagram, Time arrival);

  Poller& poller_;
  Board& board_;
  Seat& seat_;
  CrowdOptions options_;
  SessionShared shared_;
  std::vector<std::unique_ptr<LoadSession>> sessions_;
  std::vector<std::unique_ptr<MediaPort>> ports_;  // all that were ever opened
  std::vector<MediaPort*> ports_by_participant_;
  std::unordered_map<std::uint32_t, LoadSession*> by_ssrc_;
  Traffic traffic_;
  Endpoint media_;
  Order order_ = Order::none;
  Time done_at_;
  std::size_t next_ = 0;  // to be started
  std::size_t under_way_ = 0;
  int generation_ = 0;  // of names
};

}  // namespace earshot::load
