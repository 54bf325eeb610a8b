#include "tools/load/crowd.h"

#include "relay/wire/discovery.h"
#include "tools/load/socket_address.h"

namespace earshot::load {
namespace {

// What is under way when speakers fall silent has arrived by then.
constexpr Duration drain_time = milliseconds(400);

}  // namespace

Crowd::Crowd(Poller& poller, const Target& target, const gateway::TlsContext& tls,
             std::function<std::string(const gateway::Claims&)> sign, Board& board, Seat& seat,
             CrowdOptions options)
    : poller_(poller),
      board_(board),
      seat_(seat),
      options_(std::move(options)),
      shared_{
          poller,
          target,
          tls,
          std::move(sign),
          options_.heartbeat_interval,
          options_.asks_for_address,
          board,
          seat,
          [this](LoadSession&) {
            if (under_way_ > 0) --under_way_;
          },
          [](LoadSession&) {},
          [this](LoadSession& session, const Endpoint& media) { return port_for(session, media); }},
      ports_by_participant_(options_.traffic.participants),
      traffic_(poller, board, seat, options_.traffic, sessions_,
               [this](std::size_t index) { return open_port(index); }) {
  for (std::size_t i = 0; i < options_.sessions; ++i) {
    gateway::Claims claims;
    claims.user_id = claims.session_id = user_id(i);
    claims.server_id = "load";
    claims.channel_id = options_.name + "-" + std::to_string(i / options_.traffic.participants);
    sessions_.push_back(std::make_unique<LoadSession>(shared_, std::move(claims)));
  }
}

std::string Crowd::user_id(std::size_t index) const {
  return options_.name + "-" + std::to_string(generation_) + "-" + std::to_string(index);
}

void Crowd::begin(Order order) {
  order_ = order;
  done_at_ = monotonic_now();
  switch (order) {
    case Order::join:
    case Order::come_back:
      next_ = under_way_ = 0;
      return start_some();
    case Order::cut:
      for (const auto& session : sessions_) session->cut();
      return;
    case Order::vanish:
      ++generation_;
      for (std::size_t i = 0; i < sessions_.size(); ++i) {
        sessions_[i]->cut();
        sessions_[i]->rename(user_id(i));
      }
      return;
    case Order::start:
      return traffic_.start();
    case Order::stop:
      traffic_.stop();
      done_at_ = done_at_ + drain_time;
      return;
    case Order::quit:
      traffic_.stop();
      for (const auto& session : sessions_) session->leave();
      return;
    case Order::none:
      return;
  }
}

bool Crowd::is_done() {
  if (order_ == Order::join || order_ == Order::come_back) {
    start_some();
    return seat_.live.load(std::memory_order_relaxed) == sessions_.size();
  }
  return monotonic_now() >= done_at_;
}

// Who comes back: every other one has lost its state and identifies anew.
void Crowd::start_some() {
  for (; next_ < sessions_.size() && under_way_ < options_.at_once; ++next_, ++under_way_) {
    LoadSession& session = *sessions_[next_];
    if (order_ == Order::come_back && next_ % 2 == 0) {
      session.resume();
    } else {
      session.begin();
    }
  }
}

MediaPort* Crowd::open_port(std::size_t index) {
  auto opened = MediaPort::open(poller_, media_, options_.media_source, index,
                                [this](MediaPort& port, std::span<std::uint8_t> datagram,
                                       Time arrival) { on_datagram(port, datagram, arrival); });
  if (!opened) return nullptr;
  ports_.push_back(std::move(opened.value()));
  return ports_.back().get();
}

MediaPort* Crowd::port_for(LoadSession& session, const Endpoint& media) {
  media_ = media;
  board_.media_ip = v4_bits(media.ip);
  board_.media_port = media.port;
  by_ssrc_[session.ssrc().value] = &session;
  // Two participants of a channel hear the same SSRCs, so they need two sockets.
  const std::string& user = session.claims().user_id;
  const std::size_t number = std::stoull(user.substr(user.rfind('-') + 1));
  MediaPort*& port = ports_by_participant_[number % options_.traffic.participants];
  if (port == nullptr) port = open_port(number % options_.traffic.participants);
  return port;
}

void Crowd::on_datagram(const MediaPort& port, std::span<std::uint8_t> datagram, Time arrival) {
  if (const auto reply = wire::parse_discovery_reply(datagram)) {
    const auto found = by_ssrc_.find(reply->ssrc.value);
    if (found != by_ssrc_.end()) found->second->on_discovered(reply->seen);
    return;
  }
  traffic_.on_packet(port, datagram, arrival);
}

}  // namespace earshot::load
