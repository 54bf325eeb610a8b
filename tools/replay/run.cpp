#include "tools/replay/run.h"

#include <algorithm>
#include <map>
#include <memory>
#include <queue>

#include "relay/core/stream.h"
#include "tools/replay/random.h"

namespace earshot::replay {
namespace {

// IPv4 and UDP: what a limited link carries beside the datagram.
constexpr std::size_t ip_udp_bytes = 28;
constexpr std::size_t uplink_overhead = ip_udp_bytes + limits::media_overhead;
// Longer than any buffer plays on after the last packet.
constexpr Duration tail = seconds(60);
constexpr std::size_t progress_every = 65'536;
constexpr std::uint32_t no_ordinal = UINT32_MAX;
constexpr std::uint64_t phase_part = 2;  // beside the two directions of path_seed()

Duration ticks_to_time(std::int64_t ticks) {
  return {ticks * 62'500 / 3};
}

struct Event {
  enum class Kind : std::uint8_t { relay_arrival, listener_arrival, tick };
  Time at;
  std::uint64_t order = 0;  // of what happens at the same time
  std::uint32_t packet = 0;
  std::uint32_t listener = 0;
  Kind kind = Kind::tick;

  bool operator>(const Event& other) const {
    return at != other.at ? at > other.at : order > other.order;
  }
};

// A packet of the trace, and what the run knows of it.
struct Sent {
  std::uint32_t stream = 0;
  std::uint32_t number = 0;            // in its stream, duplicates included
  std::uint32_t ordinal = no_ordinal;  // the same without them: the id for quality
};

struct Publisher {
  explicit Publisher(const PathModel& model, std::uint64_t seed, Time origin)
      : uplink(model, seed, origin) {}

  Path uplink;
  Stream seen;             // finds duplicates
  LatenessState lateness;  // of a capture: when it was sent, at the earliest
  std::uint32_t packets = 0;
  std::uint32_t ordinals = 0;
};

struct Ear {
  std::unique_ptr<listen::JitterBuffer> buffer;
  listen::QualityMeter meter;
  std::vector<bool> played;
};

struct Audience {
  Audience(const PathModel& model, std::uint64_t seed, Time origin)
      : downlink(model, seed, origin) {}

  Path downlink;
  std::vector<Ear> ears;  // by stream
  Duration phase;         // of its sound card
  bool is_ticking = false;
};

class Run {
 public:
  Run(const Trace& trace, const RunOptions& options, const std::vector<Ssrc>& streams);
  RunResult result();

 private:
  void send_next();
  void on_relay_arrival(Time now, std::uint32_t index);
  void forward(Time now, std::uint32_t index, std::size_t listener, std::size_t bytes);
  void note_verdict(std::uint32_t index, const Judged& judged);
  void replay_log(const LiveLog& log);
  void on_listener_arrival(Time now, std::uint32_t index, std::uint32_t listener);
  void on_tick(Time now, std::uint32_t listener);
  Time next_sending() const;
  Time sending_time(Publisher& publisher, const TracePacket& packet);
  void push(Time at, Event::Kind kind, std::uint32_t packet, std::uint32_t listener);
  void start_ticking(Time now, std::uint32_t listener);
  void note_shadow(std::size_t listener, std::size_t stream, Ear& ear) const;
  HeardStream describe(std::size_t listener, std::size_t stream, Ear& ear) const;

  const Trace& trace_;
  const RunOptions& options_;
  RunResult result_;
  VirtualRelay relay_;
  std::map<Ssrc, std::uint32_t> stream_of_;
  std::vector<Publisher> publishers_;
  std::vector<Audience> audiences_;
  std::vector<Sent> sent_;
  std::vector<bool> is_judged_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  std::size_t next_ = 0;  // packet to send
  Time next_at_ = Time::never();
  std::vector<Time> arrivals_;
  listen::Playout playout_;
};

Run::Run(const Trace& trace, const RunOptions& options, const std::vector<Ssrc>& streams)
    : trace_(trace),
      options_(options),
      relay_(options.policy, streams.size(), options.listeners.size(),
             trace.packets.front().arrival),
      sent_(trace.packets.size()),
      is_judged_(trace.packets.size()) {
  const Time origin = trace.packets.front().arrival;
  result_.policy = options.policy;
  result_.begin = result_.end = origin;
  if (options.keeps_verdicts) result_.verdicts.resize(trace.packets.size(), {Verdict::lost});
  for (std::size_t i = 0; i < streams.size(); ++i) {
    stream_of_[streams[i]] = static_cast<std::uint32_t>(i);
    publishers_.emplace_back(options.uplink, path_seed(options.seed, i, Direction::uplink), origin);
    result_.streams.push_back({streams[i], 0, {}});
  }
  listen::QualityOptions quality = options.quality;
  quality.path_delay = options.uplink.delay + options.downlink.delay;
  for (std::size_t i = 0; i < options.listeners.size(); ++i) {
    Audience& audience = audiences_.emplace_back(
        options.downlink, path_seed(options.seed, i, Direction::downlink), origin);
    Random random(derive_seed(options.seed, i, phase_part));
    audience.phase = {
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(listen::slot_time.ns)))};
    for (std::size_t s = 0; s < streams.size(); ++s) {
      audience.ears.push_back({listen::make_jitter_buffer(options.listeners[i].buffer),
                               listen::QualityMeter(quality),
                               {}});
    }
  }
  next_at_ = next_sending();
  if (options.live != nullptr) replay_log(*options.live);
}

void Run::push(Time at, Event::Kind kind, std::uint32_t packet, std::uint32_t listener) {
  events_.push({at, order_++, packet, listener, kind});
}

Time Run::next_sending() const {
  if (next_ == trace_.packets.size()) return Time::never();
  const TracePacket& packet = trace_.packets[next_];
  return publishers_[stream_of_.at(packet.ssrc)].uplink.sent_at(packet.arrival);
}

// The trace of a sender tells it. A capture tells when it arrived: it was sent no later than what
// the fastest packet of the last seconds took.
Time Run::sending_time(Publisher& publisher, const TracePacket& packet) {
  if (trace_.is_sending_time) return next_at_;
  const LatenessInput input{rtp_ticks(packet.arrival), packet.sequence, packet.timestamp,
                            packet.size <= listen::silence_size_max};
  return next_at_ - ticks_to_time(lateness(publisher.lateness, input, 0).ticks);
}

void Run::send_next() {
  const auto index = static_cast<std::uint32_t>(next_);
  const TracePacket& packet = trace_.packets[next_];
  Sent& sent = sent_[next_];
  sent.stream = stream_of_.at(packet.ssrc);
  Publisher& publisher = publishers_[sent.stream];
  sent.number = publisher.packets++;
  ++result_.streams[sent.stream].packets;
  if (!publisher.seen.is_duplicate(packet.sequence, packet.timestamp)) {
    publisher.seen.on_packet(packet.arrival, packet.sequence, packet.timestamp);
    sent.ordinal = publisher.ordinals++;
    const Time at = sending_time(publisher, packet);
    const bool is_silence = packet.size <= listen::silence_size_max;
    for (Audience& audience : audiences_) audience.ears[sent.stream].meter.on_sent(at, is_silence);
  }
  if (options_.live != nullptr) {
    note_verdict(index, options_.live->verdicts[index]);
  } else {
    arrivals_.clear();
    publisher.uplink.send(next_at_, packet.size + uplink_overhead, arrivals_);
    for (const Time at : arrivals_) push(at, Event::Kind::relay_arrival, index, 0);
  }
  result_.end = std::max(result_.end, next_at_);
  ++next_;
  next_at_ = next_sending();
}

void Run::on_relay_arrival(Time now, std::uint32_t index) {
  const TracePacket& packet = trace_.packets[index];
  const Sent& sent = sent_[index];
  const Judged judged = relay_.on_packet(
      now,
      {sent.stream, sent.number, packet.sequence, packet.timestamp,
       std::max<std::uint16_t>(packet.size, 1)},
      [&](std::size_t listener, std::size_t bytes) { forward(now, index, listener, bytes); });
  // A copy that the network made changes nothing of what became of the packet.
  if (is_judged_[index]) return;
  is_judged_[index] = true;
  note_verdict(index, judged);
}

void Run::forward(Time now, std::uint32_t index, std::size_t listener, std::size_t bytes) {
  arrivals_.clear();
  audiences_[listener].downlink.send(now, bytes + ip_udp_bytes, arrivals_);
  for (const Time at : arrivals_) {
    push(at, Event::Kind::listener_arrival, index, static_cast<std::uint32_t>(listener));
  }
}

void Run::replay_log(const LiveLog& log) {
  for (const LiveLog::Reception& r : log.receptions) {
    forward(r.at, r.packet, r.listener, trace_.packets[r.packet].size + limits::media_overhead);
  }
}

void Run::note_verdict(std::uint32_t index, const Judged& judged) {
  const Sent& sent = sent_[index];
  if (options_.keeps_verdicts) result_.verdicts[index] = judged;
  ++result_.streams[sent.stream].verdicts[static_cast<std::size_t>(judged.verdict)];
  if (judged.has_lateness) {
    const auto ms = static_cast<std::size_t>(judged.lateness_ticks / 48);
    ++result_.lateness_ms[std::min(ms, result_.lateness_ms.size() - 1)];
  }
  if (judged.verdict != Verdict::late || sent.ordinal == no_ordinal) return;
  for (Audience& audience : audiences_) audience.ears[sent.stream].meter.on_dropped(sent.ordinal);
}

void Run::start_ticking(Time now, std::uint32_t listener) {
  Audience& audience = audiences_[listener];
  if (audience.is_ticking) return;
  audience.is_ticking = true;
  const std::int64_t slot = listen::slot_time.ns;
  const std::int64_t since = (now - result_.begin).ns - audience.phase.ns;
  const std::int64_t slots = since <= 0 ? 0 : (since + slot - 1) / slot;
  push(result_.begin + audience.phase + Duration{slots * slot}, Event::Kind::tick, 0, listener);
}

void Run::on_listener_arrival(Time now, std::uint32_t index, std::uint32_t listener) {
  const TracePacket& packet = trace_.packets[index];
  const Sent& sent = sent_[index];
  Ear& ear = audiences_[listener].ears[sent.stream];
  if (sent.ordinal != no_ordinal) ear.meter.on_arrived(sent.ordinal);
  listen::Packet in;
  in.arrival = now;
  in.sequence = packet.sequence;
  in.timestamp = packet.timestamp;
  in.payload = options_.payload_of ? options_.payload_of(index) : trace_.payload(packet);
  in.size = packet.size;
  in.samples = packet.samples;
  in.id = sent.ordinal;
  const listen::Inserted inserted = ear.buffer->insert(in);
  if (options_.sink != nullptr) options_.sink->on_inserted(listener, sent.stream, index, inserted);
  start_ticking(now, listener);
}

void Run::on_tick(Time now, std::uint32_t listener) {
  Audience& audience = audiences_[listener];
  bool is_idle = true;
  for (std::size_t s = 0; s < audience.ears.size(); ++s) {
    Ear& ear = audience.ears[s];
    if (ear.buffer->is_idle()) continue;
    ear.buffer->play(now, playout_);
    ear.meter.on_played(now, playout_);
    ear.meter.on_level(now, ear.buffer->level(), ear.buffer->target());
    for (const listen::Segment& segment : playout_.list()) {
      const bool is_heard = segment.kind == listen::Segment::Kind::frame ||
                            segment.kind == listen::Segment::Kind::fec;
      if (!is_heard || segment.packet >= no_ordinal) continue;
      const auto id = static_cast<std::size_t>(segment.packet);
      if (ear.played.size() <= id) ear.played.resize(id + 1);
      ear.played[id] = true;
    }
    if (options_.sink != nullptr) options_.sink->on_played(listener, s, now, playout_);
    is_idle = is_idle && ear.buffer->is_idle();
  }
  audience.is_ticking = !is_idle;
  if (!is_idle) push(now + listen::slot_time, Event::Kind::tick, 0, listener);
}

// What a listener to whom everything was forwarded has played.
void Run::note_shadow(std::size_t listener, std::size_t stream, Ear& ear) const {
  if (options_.shadow == nullptr) return;
  const std::vector<bool>& played = options_.shadow->listeners[listener].streams[stream].played;
  listen::Playout playout;
  playout.count = 1;
  playout.segments[0].kind = listen::Segment::Kind::frame;
  for (std::size_t id = 0; id < played.size(); ++id) {
    if (!played[id]) continue;
    playout.segments[0].packet = id;
    ear.meter.on_shadow_played(playout);
  }
}

HeardStream Run::describe(std::size_t listener, std::size_t stream, Ear& ear) const {
  note_shadow(listener, stream, ear);
  return {ear.meter.result(),     ear.meter.windows(),   ear.meter.levels(),
          ear.buffer->counters(), std::move(ear.played), ear.meter.missing_runs()};
}

// Weighted by `weights`, which are not all zero.
template <typename Get>
double mean(const std::vector<HeardStream>& streams, const Get& get) {
  double sum = 0;
  double weight = 0;
  for (const HeardStream& s : streams) {
    sum += get(s.quality) * static_cast<double>(s.quality.packets);
    weight += static_cast<double>(s.quality.packets);
  }
  return weight > 0 ? sum / weight : 0;
}

listen::Quality total_of(const std::vector<HeardStream>& streams) {
  using listen::Quality;
  Quality total;
  bool is_first = true;
  double heard = 0;
  double concealed = 0;
  double interrupted = 0;
  for (const HeardStream& stream : streams) {
    const Quality& q = stream.quality;
    if (q.packets == 0) continue;
    total.packets += q.packets;
    total.played += q.played;
    total.restored += q.restored;
    total.lost += q.lost;
    total.dropped += q.dropped;
    total.discarded += q.discarded;
    total.dropped_but_usable += q.dropped_but_usable;
    total.bursts.bursts += q.bursts.bursts;
    total.delay_p50 = std::max(total.delay_p50, q.delay_p50);
    total.delay_p95 = std::max(total.delay_p95, q.delay_p95);
    total.delay_p99 = std::max(total.delay_p99, q.delay_p99);
    total.heard_time = total.heard_time + q.heard_time;
    total.late_time = total.late_time + q.late_time;
    const auto ns = static_cast<double>(q.heard_time.ns);
    heard += ns;
    concealed += ns * q.concealed_share;
    interrupted += ns * q.interrupted_share;
    total.mos_min = is_first ? q.mos_min : std::min(total.mos_min, q.mos_min);
    is_first = false;
  }
  total.concealed_share = heard > 0 ? concealed / heard : 0;
  total.interrupted_share = heard > 0 ? interrupted / heard : 0;
  total.r = mean(streams, [](const Quality& q) { return q.r; });
  total.mos = mean(streams, [](const Quality& q) { return q.mos; });
  total.delay_mean = {static_cast<std::int64_t>(
      mean(streams, [](const Quality& q) { return static_cast<double>(q.delay_mean.ns); }))};
  const auto bursts = [&](double listen::BurstMetrics::*member) {
    return mean(streams, [member](const Quality& q) { return q.bursts.*member; });
  };
  total.bursts.loss_rate = bursts(&listen::BurstMetrics::loss_rate);
  total.bursts.discard_rate = bursts(&listen::BurstMetrics::discard_rate);
  total.bursts.burst_density = bursts(&listen::BurstMetrics::burst_density);
  total.bursts.gap_density = bursts(&listen::BurstMetrics::gap_density);
  total.bursts.burst_ratio = bursts(&listen::BurstMetrics::burst_ratio);
  return total;
}

RunResult Run::result() {
  std::size_t steps = 0;
  while (next_at_ != Time::never() || !events_.empty()) {
    if (options_.on_progress && ++steps % progress_every == 0) {
      options_.on_progress(static_cast<double>(next_) / static_cast<double>(trace_.packets.size()));
    }
    // What arrives at the moment of a sending was sent before.
    if (events_.empty() || next_at_ < events_.top().at) {
      send_next();
      continue;
    }
    const Event event = events_.top();
    events_.pop();
    if (next_at_ == Time::never() && event.at > result_.end + tail) continue;
    switch (event.kind) {
      case Event::Kind::relay_arrival:
        on_relay_arrival(event.at, event.packet);
        break;
      case Event::Kind::listener_arrival:
        on_listener_arrival(event.at, event.packet, event.listener);
        break;
      case Event::Kind::tick:
        on_tick(event.at, event.listener);
        break;
    }
  }
  for (StreamResult& stream : result_.streams) {
    std::uint64_t& lost = stream.verdicts[static_cast<std::size_t>(Verdict::lost)];
    lost = 0;
    std::uint64_t arrived = 0;
    for (const std::uint64_t n : stream.verdicts) arrived += n;
    lost = stream.packets - arrived;
  }
  for (std::size_t i = 0; i < audiences_.size(); ++i) {
    ListenerResult& listener = result_.listeners.emplace_back();
    listener.name = options_.listeners[i].name;
    for (std::size_t s = 0; s < result_.streams.size(); ++s) {
      listener.streams.push_back(describe(i, s, audiences_[i].ears[s]));
    }
    listener.total = total_of(listener.streams);
  }
  return std::move(result_);
}

}  // namespace

std::vector<Ssrc> streams_of(const Trace& trace) {
  std::vector<Ssrc> streams;
  std::map<Ssrc, bool> seen;
  for (const TracePacket& packet : trace.packets) {
    if (seen.try_emplace(packet.ssrc, true).second) streams.push_back(packet.ssrc);
  }
  return streams;
}

Result<RunResult> run(const Trace& trace, const RunOptions& options) {
  if (trace.packets.empty()) return Error{"there is no packet to replay"};
  if (options.listeners.empty()) return Error{"nobody listens"};
  if (options.policy.kind == Policy::Kind::recorded && options.live == nullptr) {
    return Error{"the policy recorded is for recordings: the input is none"};
  }
  const std::vector<Ssrc> streams = streams_of(trace);
  const std::size_t participants = streams.size() + options.listeners.size();
  if (participants > VirtualRelay::participants_max) {
    return Error{std::to_string(streams.size()) + " streams and " +
                 std::to_string(options.listeners.size()) +
                 " listeners are more than one channel has room for (" +
                 std::to_string(VirtualRelay::participants_max) + "): choose streams with --ssrc"};
  }
  return Run(trace, options, streams).result();
}

}  // namespace earshot::replay
