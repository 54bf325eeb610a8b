#include "tests/sim/world.h"

#include <algorithm>
#include <string>

#include "relay/base/check.h"
#include "relay/wire/discovery.h"
#include "tests/sim/world_site.h"

namespace earshot::sim {
namespace {

constexpr Duration storm_max = seconds(60);
constexpr std::uint32_t roll_frames = 25;
// Of a roll call's frames so many may fall to the late step: the first after a pause in which RTP
// time stood still.
constexpr std::uint32_t roll_frames_min = 20;
constexpr Duration roll_length = milliseconds(25 * 60 + 700);

NodeOptions node_options(const Plan& plan, const WorldOptions& options) {
  NodeOptions o;
  o.id = {plan.node};
  o.workers_count = plan.workers;
  o.sessions_max = plan.sessions_max;
  o.packet_credit = plan.packet_credit;
  o.command_credit = plan.command_credit;
  o.socket_buffer = plan.socket_buffer;
  o.wake_max = plan.wake_max;
  o.stale_max = plan.stale_max;
  o.seed = replay::derive_seed(options.seed, 2);
  o.mutation = options.mutation;
  return o;
}

ControlOptions control_options(const Plan& plan, const WorldOptions& options) {
  ControlOptions o;
  o.node = {plan.node};
  o.sessions_max = plan.sessions_max;
  o.channel_participants_per_worker_max = plan.channel_participants_per_worker_max;
  o.seed = replay::derive_seed(options.seed, 3);
  o.mutation = options.mutation;
  return o;
}

}  // namespace

void Totals::add(const Totals& other) {
  participant_ns += other.participant_ns;
  for (std::size_t i = 0; i < faults_count; ++i) faults[i] += other.faults[i];
  for (std::size_t i = 0; i < counters_count; ++i) counters.values[i] += other.counters.values[i];
  for (std::size_t i = 0; i < drop_reasons_count; ++i) {
    counters.drops[i] += other.counters.drops[i];
    counters.forward_drops[i] += other.counters.forward_drops[i];
  }
  node.cycles += other.node.cycles;
  node.stalls += other.node.stalls;
  node.clock_steps += other.node.clock_steps;
  node.missteered += other.node.missteered;
  copies += other.copies;
  roll_calls += other.roll_calls;
  fresh_keys += other.fresh_keys;
  uplinks.sent += other.uplinks.sent;
  uplinks.lost += other.uplinks.lost;
  uplinks.outage += other.uplinks.outage;
  uplinks.queue_full += other.uplinks.queue_full;
  uplinks.duplicated += other.uplinks.duplicated;
  uplinks.held += other.uplinks.held;
  hash = hash * 31 + other.hash;
}

World::Site::Site(World& world)
    : invariants(world.lives_, world.journal_, world.plan_.workers, world.plan_.stale_max),
      node(node_options(world.plan_, world.options_), world.schedule_, world.lives_, invariants,
           [&world](const Emission& e, WorkerIndex worker) { world.transmit(e, worker); }),
      control(control_options(world.plan_, world.options_), node, world.schedule_, world.lives_,
              world.journal_,
              {[&world](Life& life) { world.on_ready(life); },
               [&world](Life& life) { world.on_description(life); },
               [&world](Life& life) {
                 Person& person = *world.people_[life.person];
                 world.go(person, milliseconds(300), person.channel);
               }}) {}

World::World(const WorldOptions& options)
    : options_(options),
      plan_(draw_plan(options.seed)),
      random_(replay::derive_seed(options.seed, 4)),
      began_(schedule_.now()) {
  RELAY_CHECK(crypto::initialize() && plan_.people <= people_max);
  site_ = std::make_unique<Site>(*this);
  for (const FaultRow& row : fault_rows) fault_rate_ += row.per_hour;
  fault_rate_ *= plan_.intensity * static_cast<double>(plan_.people) / 3'600;
  for (PersonIndex i = 0; i < plan_.people; ++i) {
    Person& person = *people_.emplace_back(std::make_unique<Person>());
    person.index = i;
    person.habits = draw_habits(random_, plan_.pause);
    person.channel = static_cast<ChannelName>(random_.below(plan_.channels));
    person.grants.speak = random_.chance(0.95);
    person.grants.listen = random_.chance(0.95);
    person.grants.priority = random_.chance(0.1);
    if (random_.chance(0.2)) person.grants.late_ms_max = 120;
    person.is_never_healed = options.mutation == Mutation::stay_deaf && i == 0;
    take_address(person, new_address(person, true));
    set_network(person, false);
    schedule_.call(began_ + between(random_, {}, seconds(2)), [this, &person] { enter(person); });
  }
  called_.resize(plan_.people);
}

World::~World() = default;

// --- Rounds -------------------------------------------------------------------------------------

void World::run() {
  const Time end = began_ + options_.length;
  const Duration calm_length = recovery_max + roll_length;
  do {
    const Duration length = std::min(storm_max, end - schedule_.now() - calm_length);
    storm(schedule_.now() + std::max(length, seconds(5)));
    calm();
  } while (schedule_.now() + calm_length + seconds(5) < end);
}

void World::run_until(Time when) {
  while (schedule_.step(when)) {
  }
}

void World::storm(Time until) {
  journal_.note(schedule_.now(), "a storm begins");
  is_storm_ = true;
  ++round_;
  site_->node.harm(plan_.missteering, plan_.send_drops);
  for (auto& person : people_) {
    set_network(*person, false);
    if (person->life != nullptr && person->life->key) pause(*person);
  }
  plan_fault();
  run_until(until);
}

// Everything heals; whoever is away comes back; within recovery_max all hear all.
void World::calm() {
  journal_.note(schedule_.now(), "everything heals");
  is_storm_ = false;
  calm_at_ = schedule_.now();
  site_->node.heal();
  for (ChannelName c = 0; c < plan_.channels; ++c) {
    site_->control.set_channel(c, 200, 32);
  }
  for (auto& person : people_) {
    ++person->speech;
    person->cut_off_until = person->stalled_until = {};
    set_network(*person, true);
    if (person->life == nullptr) enter(*person);
  }
  run_until(calm_at_ + recovery_max / 3);
  announce();
  run_until(calm_at_ + recovery_max / 3 * 2);
  announce();
  run_until(calm_at_ + recovery_max);
  call_roll();
  run_until(schedule_.now() + roll_length);
  judge_roll();
}

// Whoever has moved meanwhile is found by what it sends.
void World::announce() {
  for (auto& person : people_) {
    if (person->life == nullptr || !person->life->key) continue;
    for (int i = 0; i < 3; ++i) {
      schedule_.call(schedule_.now() + milliseconds(60 * i), [this, p = person.get()] {
        if (p->life != nullptr && p->life->key) say(*p, false);
      });
    }
  }
}

void World::call_roll() {
  is_roll_call_ = true;
  lost_before_roll_ = lost_by_node();
  ++totals_.roll_calls;
  for (auto& person : people_) {
    Called& called = called_[person->index];
    called = {};
    const bool is_new = person->life != nullptr && person->life->began > calm_at_ + seconds(1);
    if (is_new) continue;
    if (person->life == nullptr || person->is_away) {
      // Asked for a fresh key meanwhile; it comes back, and is heard the next time.
      if (site_->control.fresh_keys() > 0) continue;
      Invariants::fail("liveness", "participant " + std::to_string(person->index) +
                                       " has no session although all is calm");
    }
    if (!site_->control.is_live(*person->life)) {
      Invariants::fail("liveness", "session " + std::to_string(person->life->index) +
                                       " is not live although all is calm");
    }
    called = {person->life, person->life->frames_count, roll_frames};
    for (std::uint32_t i = 0; i < roll_frames; ++i) {
      schedule_.call(schedule_.now() + person->habits.frame * i, [this, p = person.get()] {
        if (p->life != nullptr && p->life->key) say(*p, false);
      });
    }
  }
}

std::uint64_t World::lost_by_node() const {
  const Counters sum = site_->node.sum();
  return sum[Counter::forwards_refused] + sum[Counter::hand_overs_refused] +
         sum[Counter::kernel_drops] + sum[Counter::send_drops];
}

void World::judge_roll() {
  while (!site_->node.is_quiet()) schedule_.step(schedule_.now() + milliseconds(1));
  is_roll_call_ = false;
  const std::uint64_t lost = lost_by_node() - lost_before_roll_;
  unheard_left_ = lost * people_.size();
  for (const auto& person : people_) judge_roll_of(*person);
  Invariants::at_rest(site_->node.sum());
}

void World::judge_roll_of(const Person& person) {
  const Called& called = called_[person.index];
  if (called.life == nullptr || called.life != person.life || called.life->is_leaving) return;
  Life& speaker = *called.life;
  if (!speaker.grants.speak || speaker.at_home.is_muted) return;
  std::uint32_t accepted = 0;
  for (std::uint32_t i = 0; i < called.frames_count; ++i) {
    const SentFrame* frame = speaker.frame(called.first_frame + i);
    if (frame == nullptr || frame->rank == 0) continue;
    ++accepted;
    for (const Called& other : called_) {
      const Life* listener = other.life;
      if (listener == nullptr || listener == &speaker || listener->is_leaving ||
          people_[listener->person]->life != listener || listener->channel != speaker.channel ||
          !listener->grants.listen || listener->at_home.is_deafened)
        continue;
      if ((frame->arrivals >> listener->person & 1) != 0) continue;
      // No credit, or no room: that is counted, and all that may be missing.
      if (unheard_left_ > 0) {
        --unheard_left_;
        continue;
      }
      Invariants::fail("liveness", "session " + std::to_string(listener->index) + " at " +
                                       people_[listener->person]->address.to_string() +
                                       " does not hear frame " + std::to_string(i) +
                                       " of session " + std::to_string(speaker.index));
    }
  }
  if (accepted < roll_frames_min)
    Invariants::fail("liveness", "of session " + std::to_string(speaker.index) + " only " +
                                     std::to_string(accepted) + " frames were taken");
}

Totals World::totals() const {
  Totals t = totals_;
  for (const auto& person : people_) {
    if (person->life != nullptr) t.participant_ns += (schedule_.now() - person->life->began).ns;
  }
  t.counters = site_->node.sum();
  t.node = site_->node.counts();
  t.copies = site_->invariants.copies();
  t.fresh_keys = site_->control.fresh_keys();
  t.hash = journal_.hash();
  return t;
}

// --- Speech -------------------------------------------------------------------------------------

namespace {

// A person and the count of its spurts: a timer of an earlier spurt does nothing.
std::uint64_t to_argument(const Person& person) {
  return person.speech << 8 | person.index;
}

}  // namespace

void World::pause(Person& person) {
  ++person.speech;
  const Time when = schedule_.now() + exponential(random_, person.habits.pause);
  schedule_.at<&World::begin_spurt>(when, this, to_argument(person));
}

void World::begin_spurt(std::uint64_t argument) {
  Person& person = *people_[argument & 0xFF];
  if (person.speech != argument >> 8 || !is_storm_) return;
  if (person.life == nullptr || !person.life->key) return pause(person);
  const Duration length = exponential(random_, person.habits.spurt);
  person.frames_left = 1 + static_cast<int>(length.ns / person.habits.frame.ns);
  person.silence_left = person.habits.ends_with_silence ? 5 : 0;
  speak(argument);
}

void World::speak(std::uint64_t argument) {
  Person& person = *people_[argument & 0xFF];
  if (person.speech != argument >> 8 || !is_storm_) return;
  if (person.life == nullptr || !person.life->key) return pause(person);
  const bool is_silence = person.frames_left == 0;
  --(is_silence ? person.silence_left : person.frames_left);
  say(person, is_silence);
  if (person.frames_left == 0 && person.silence_left == 0) return pause(person);
  const Duration step{person.habits.frame.ns / 1'000'000 * (1'000'000 - person.habits.clock_ppm)};
  schedule_.at<&World::speak>(schedule_.now() + step, this, argument);
}

// One frame. RTP time has run since the last one, or stood still.
void World::say(Person& person, bool is_silence, PacketKind kind) {
  const Time now = schedule_.now();
  const auto frame_ticks = static_cast<std::uint32_t>(person.habits.frame.ns * 3 / 62'500);
  std::uint32_t step = frame_ticks;
  const Duration since = now - person.frame_at;
  if (person.habits.is_rtp_running && person.frame_at != Time{} && since > person.habits.frame * 2)
    step = static_cast<std::uint32_t>(since.ns / person.habits.frame.ns) * frame_ticks;
  person.timestamp += step;
  person.frame_at = now;
  Packet packet;
  seal_frame(person, random_, is_silence, kind, packet);
  send(person, packet);
}

void World::keep_alive(std::uint64_t index) {
  Person& person = *people_[index];
  person.keep_alive_until = {};
  if (person.life == nullptr || !person.life->key) return;
  Packet packet;
  packet.from = person.address;
  packet.bytes.assign(8, static_cast<std::uint8_t>(index));
  packet.origin.kind = PacketKind::keep_alive;
  send(person, packet);
  person.keep_alive_until = schedule_.now() + seconds(5);
  schedule_.at<&World::keep_alive>(person.keep_alive_until, this, index);
}

// --- The network --------------------------------------------------------------------------------

void World::set_network(Person& person, bool is_calm) {
  const auto draw = [&] { return is_calm ? calm_path(random_) : draw_path(random_); };
  if (person.up) {
    const replay::PathCounts& c = person.up->counts();
    totals_.uplinks.sent += c.sent;
    totals_.uplinks.lost += c.lost;
    totals_.uplinks.outage += c.outage;
    totals_.uplinks.queue_full += c.queue_full;
    totals_.uplinks.duplicated += c.duplicated;
    totals_.uplinks.held += c.held;
  }
  const Time now = schedule_.now();
  person.up.emplace(draw(), random_.next(), now);
  person.down.emplace(draw(), random_.next(), now);
  person.sent_at = now;
}

void World::send(Person& person, const Packet& packet) {
  const Time now = schedule_.now();
  // What a process that stood still owes, it sends 1 ms apart.
  const bool is_behind = person.stalled_until > now || person.sent_at > now;
  const Time at =
      is_behind ? std::max(person.stalled_until, person.sent_at + milliseconds(1)) : now;
  person.sent_at = at;
  if (now < person.cut_off_until) return;
  arrivals_.clear();
  person.up->send(at, packet.bytes.size(), arrivals_);
  for (const Time arrival : arrivals_) {
    const std::size_t index = packets_.take();
    packets_[index] = packet;
    schedule_.at<&World::arrive>(arrival, this, index);
  }
}

void World::send_from_anywhere(const Packet& packet) {
  const std::size_t index = packets_.take();
  packets_[index] = packet;
  schedule_.at<&World::arrive>(schedule_.now() + between(random_, {}, milliseconds(200)), this,
                               index);
}

void World::arrive(std::uint64_t index) {
  site_->node.receive(std::move(packets_[index]));
  packets_.give(index);
}

// What the relay sends has been judged; what becomes of it on the way concerns nobody but the
// clients' answers, so a storm takes only those further.
void World::transmit(const Emission& datagram, WorkerIndex worker) {
  const auto holder = by_address_.find(datagram.remote);
  if (holder == by_address_.end()) {
    if (!is_storm_ || !random_.chance(0.05)) return;
    schedule_.call(schedule_.now() + between(random_, {}, milliseconds(100)),
                   [this, remote = datagram.remote] {
                     if (!by_address_.contains(remote)) site_->node.unreachable(remote);
                   });
    return;
  }
  Person& person = *people_[holder->second];
  if (!datagram.has_slot) return transmit_reply(person, datagram);
  if (!is_roll_call_) return;
  Life* listener = site_->invariants.find(make_ssrc(site_->node.id(), worker, datagram.slot));
  if (listener != nullptr && listener->person == person.index) hear(person, *listener, datagram);
}

void World::transmit_reply(Person& person, const Emission& datagram) {
  if (schedule_.now() < person.cut_off_until) return;
  arrivals_.clear();
  person.down->send(schedule_.now(), datagram.bytes.size(), arrivals_);
  const auto reply = wire::parse_discovery_reply(datagram.bytes);
  for (const Time arrival : arrivals_) {
    schedule_.call(arrival, [this, &person, reply] {
      const bool is_waiting = person.life != nullptr && person.life->slot.ssrc == reply->ssrc &&
                              person.discoveries_left > 0;
      if (!is_waiting) return;
      person.seen_as = reply->seen;
      person.discoveries_left = 0;
      select(person);
    });
  }
}

void World::hear(Person& person, Life& listener, const Emission& datagram) {
  const auto opened = listener.key ? listener.key->open(datagram.bytes) : std::nullopt;
  if (!opened || person.is_never_healed) return;
  arrivals_.clear();
  person.down->send(schedule_.now(), datagram.bytes.size(), arrivals_);
  // Too small a frame does not bear its name.
  std::optional<FrameName> named = read_frame_name(opened->frame);
  if (!named) {
    Life* speaker = site_->invariants.find(opened->ssrc);
    SentFrame* frame =
        speaker != nullptr ? speaker->find_silence(opened->sequence, opened->timestamp) : nullptr;
    if (frame == nullptr) return;
    named = FrameName{speaker->index, frame->number};
  }
  for (const Time arrival : arrivals_) {
    schedule_.call(arrival, [this, &person, name = *named, to = datagram.remote] {
      SentFrame* frame = lives_[name.life].frame(name.number);
      if (frame != nullptr && person.address == to)
        frame->arrivals |= std::uint64_t{1} << person.index;
    });
  }
}

}  // namespace earshot::sim
