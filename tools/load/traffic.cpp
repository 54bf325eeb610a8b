#include "tools/load/traffic.h"

#include <algorithm>

#include "relay/base/check.h"
#include "relay/wire/rtp.h"
#include "tools/load/socket_address.h"

namespace earshot::load {
namespace {

constexpr Duration frame_time = milliseconds(20);
constexpr std::uint32_t frame_ticks = 960;
constexpr Duration step = microseconds(500);
// One packet in so many is opened: enough to see a wrong key, too few to matter.
constexpr std::uint32_t opened_every = 64;

enum Token : std::uint64_t { token_send, token_move };

}  // namespace

bool Traffic::Heard::insert(std::uint32_t number) {
  if (number > newest) {
    const std::uint32_t ahead = number - newest;
    window = ahead < 64 ? window << ahead | 1 : 1;
    newest = number;
    return true;
  }
  const std::uint32_t behind = newest - number;
  if (behind >= 64) return false;
  const std::uint64_t bit = std::uint64_t{1} << behind;
  return (std::exchange(window, window | bit) & bit) == 0;
}

Traffic::Traffic(Poller& poller, Board& board, Seat& seat, const TrafficOptions& options,
                 const std::vector<std::unique_ptr<LoadSession>>& sessions, OpenPort open_port)
    : poller_(poller),
      board_(board),
      seat_(seat),
      options_(options),
      sessions_(sessions),
      open_port_(std::move(open_port)) {}

void Traffic::start() {
  if (options_.speakers == 0 || is_running_) return;
  if (speakers_.empty()) {
    keys_.resize(sessions_.size());
    for (std::size_t i = 0; i < sessions_.size(); ++i) {
      LoadSession& session = *sessions_[i];
      // The relay prefers GCM and offers it first; it is what these sessions chose.
      const auto mode = crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize)
                            ? crypto::AeadMode::aes256_gcm_rtpsize
                            : crypto::AeadMode::xchacha20_poly1305_rtpsize;
      keys_[i].set(mode, session.key());
      if (i % options_.participants >= options_.speakers) continue;
      auto speaker = std::make_unique<Speaker>();
      speaker->session = &session;
      speaker->channel = i / options_.participants;
      speaker->key.set(mode, session.key());
      speaker->heard.resize(options_.participants);
      by_ssrc_[session.ssrc().value] = speaker.get();
      session.tell_speaking();
      speakers_.push_back(std::move(speaker));
    }
  }
  publish_victim();
  is_running_ = true;
  started_at_ = monotonic_now();
  next_ = 0;
  poller_.call_at(started_at_, *this, token_send);
  if (options_.move_interval > Duration{}) {
    poller_.call_at(started_at_ + options_.move_interval, *this, token_move);
  }
}

void Traffic::publish_victim() {
  const LoadSession& session = *speakers_.front()->session;
  board_.victim_ip = v4_bits(session.port()->local().ip);
  board_.victim_port = session.port()->local().port;
  board_.victim_ssrc = session.ssrc().value;
}

void Traffic::on_time(std::uint64_t token) {
  if (!is_running_) return;
  if (token == token_move) {
    move(*speakers_.front());
    poller_.call_at(monotonic_now() + options_.move_interval, *this, token_move);
    return;
  }
  send_due();
  poller_.call_at(monotonic_now() + step, *this, token_send);
}

// Packet n of all speakers is due n frame times / speakers after the start.
void Traffic::send_due() {
  const auto count = static_cast<std::int64_t>(speakers_.size());
  const Duration since = monotonic_now() - started_at_;
  const auto due = static_cast<std::uint64_t>(since.ns * count / frame_time.ns);
  if (due > next_) {
    const Duration first = frame_time * static_cast<std::int64_t>(next_) / count;
    PhaseResults& results = seat_.phases[board_.phase.load(std::memory_order_relaxed)];
    results.lag_max_ns = std::max(results.lag_max_ns, (since - first).ns);
  }
  for (; next_ < due; ++next_) send(*speakers_[next_ % speakers_.size()]);
  for (MediaPort* port : touched_) port->flush();
  touched_.clear();
}

void Traffic::send(Speaker& speaker) {
  MediaPort& port = *speaker.session->port();
  if (!port.has_queued()) touched_.push_back(&port);
  const std::uint32_t number = speaker.number++;
  const std::size_t size = options_.frame_size + limits::media_overhead;
  const auto datagram = port.queue(size);
  const auto header = datagram.first<wire::rtp_header_size>();
  wire::write_rtp_header(header, static_cast<std::uint16_t>(number), number * frame_ticks,
                         speaker.session->ssrc());
  const auto body = datagram.subspan(header.size(), options_.frame_size + crypto::tag_size);
  std::fill(body.begin(), body.end(), static_cast<std::uint8_t>(number));
  crypto::Counter counter;
  for (std::size_t i = 0; i < counter.size(); ++i) {
    counter[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  }
  speaker.key.seal(body, options_.frame_size, header, counter);
  std::copy(counter.begin(), counter.end(), datagram.end() - crypto::counter_size);
  const auto phase = static_cast<std::uint8_t>(board_.phase.load(std::memory_order_relaxed));
  PhaseResults& results = seat_.phases[phase];
  ++results.packets_sent;
  results.packets_expected += options_.participants - 1;
  const Time now = realtime_now();
  speaker.sent[number % remembered] = {now, number, phase};
  if (speaker.moved_at.ns == 1) {
    speaker.moved_at = now;
    speaker.moved_number = number;
  }
}

// As after a NAT rebinding: the next packet comes from another port.
void Traffic::move(Speaker& speaker) {
  MediaPort* port = open_port_(speaker.session->port()->index());
  if (port == nullptr) return;
  speaker.session->set_port(*port);
  ++seat_.phases[board_.phase.load(std::memory_order_relaxed)].moves;
  speaker.moved_at = {1};  // with its next packet
  publish_victim();
}

bool Traffic::opens(std::size_t listener, std::span<const std::uint8_t> datagram) {
  static std::array<std::uint8_t, limits::datagram_size_max> copy;
  if (datagram.size() < limits::media_overhead || datagram.size() > copy.size()) return false;
  std::copy(datagram.begin(), datagram.end(), copy.begin());
  crypto::Counter counter;
  std::copy(datagram.end() - crypto::counter_size, datagram.end(), counter.begin());
  const auto all = std::span(copy).first(datagram.size() - crypto::counter_size);
  return keys_[listener].open(all.subspan(wire::rtp_header_size), all.first(wire::rtp_header_size),
                              counter);
}

void Traffic::on_packet(const MediaPort& port, std::span<std::uint8_t> datagram, Time arrival) {
  const auto header = wire::parse_rtp(datagram);
  if (!header) return;
  const auto found = by_ssrc_.find(header->ssrc.value);
  if (found == by_ssrc_.end()) return;
  Speaker& speaker = *found->second;
  const auto behind = static_cast<std::uint16_t>(speaker.number - 1 - header->sequence);
  const std::uint32_t number = speaker.number - 1 - behind;
  const Sent& sent = speaker.sent[number % remembered];
  if (sent.number != number) return;
  PhaseResults& results = seat_.phases[sent.phase];
  const std::size_t listener = speaker.channel * options_.participants + port.index();
  if (number % opened_every == 0 && !opens(listener, datagram)) {
    ++results.packets_not_authentic;
    return;
  }
  if (!speaker.heard[port.index()].insert(number)) {
    ++results.packets_repeated;
    return;
  }
  ++results.packets_received;
  results.latency.record(arrival - sent.at);
  if (speaker.moved_at.ns > 1 && number >= speaker.moved_number) {
    results.moved.record(arrival - speaker.moved_at);
    speaker.moved_at = {};
  }
}

}  // namespace earshot::load
