#include "tests/sim/control.h"

#include <algorithm>
#include <string>

namespace earshot::sim {
namespace {

// As in relay/control/keying.cpp.
constexpr Duration description_settles = milliseconds(20);

control::ChannelKey key_of(ChannelName channel) {
  return {"server", "channel " + std::to_string(channel)};
}

}  // namespace

Control::Control(const ControlOptions& options, Node& node, Schedule& schedule, Lives& lives,
                 Journal& journal, ControlEvents events)
    : options_(options),
      node_(node),
      schedule_(schedule),
      lives_(lives),
      journal_(journal),
      events_(std::move(events)),
      random_(options.seed),
      workers_(make_worker_group(node)),
      commands_(*workers_),
      membership_(commands_, [&] {
        control::MembershipOptions o;
        o.node = options.node;
        o.channel_participants_per_worker_max = options.channel_participants_per_worker_max;
        o.sessions_per_worker_max = options.sessions_max;
        return o;
      }()) {
  commands_.on_ready([this] { wake(); });
  node_.on_wake([this] { wake(); });
}

void Control::wake() {
  if (is_scheduled_) return;
  is_scheduled_ = true;
  const Duration delay{static_cast<std::int64_t>(
      random_.below(static_cast<std::uint64_t>(options_.turn_max.ns) + 1))};
  schedule_.at<&Control::turn>(schedule_.now() + delay, this);
}

void Control::turn(std::uint64_t) {
  is_scheduled_ = false;
  commands_.poll();
  Event event;
  while (node_.poll_event(event)) on_event(event);
}

void Control::on_event(const Event& event) {
  const auto member = membership_.find(event.slot);
  if (!member) return;
  Life& life = *lives_.find(event.slot);
  journal_.note(schedule_.now(), "event %llu of session %llu",
                static_cast<std::uint64_t>(event.kind), life.index);
  if (event.kind == EventKind::address_changed) {
    workers_->send(WorkerIndex{0}, TrackAddress{event.slot, event.remote});
    return;
  }
  ++fresh_keys_;
  if (life.at_home.key) life.at_home.key->is_fresh_key_asked = true;
  events_.on_fresh_key(life);
}

// --- Signalling ---------------------------------------------------------------------------------

Duration Control::delay() {
  return Duration{static_cast<std::int64_t>(
      random_.below(static_cast<std::uint64_t>(options_.signalling_max.ns)) + 200'000)};
}

void Control::tell(Life& life, std::function<void()> what) {
  Session& session = sessions_[life.index];
  session.told_until = std::max(session.told_until, schedule_.now() + delay());
  schedule_.call(session.told_until, [&life, what = std::move(what)] {
    if (!life.is_leaving) what();
  });
}

void Control::hear(Life& life, std::function<void()> what) {
  Session& session = sessions_[life.index];
  session.heard_until = std::max(session.heard_until, schedule_.now() + delay());
  schedule_.call(session.heard_until, [&life, what = std::move(what)] {
    if (!life.is_leaving) what();
  });
}

// --- From join to op 4 --------------------------------------------------------------------------

Life* Control::join(PersonIndex person, const Entry& entry) {
  Life& life = lives_.add(person);
  life.channel = entry.channel;
  life.grants = entry.grants;
  life.signalling_peer = entry.signalling_peer;
  life.began = schedule_.now();
  const auto member = membership_.join({key_of(entry.channel), entry.grants, entry.is_muted,
                                        entry.is_deafened, entry.signalling_peer},
                                       [this, &life] {
                                         if (life.is_leaving) return;
                                         sessions_[life.index].phase = Session::Phase::ready;
                                         tell(life, [this, &life] { events_.on_ready(life); });
                                       });
  if (!member) {
    lives_.take_back(life);
    return nullptr;
  }
  life.member = *member;
  lives_.name(life, membership_.slot(*member));
  life.mute = {entry.is_muted, entry.is_muted};
  life.deafen = {entry.is_deafened, entry.is_deafened};
  sessions_[life.index];
  journal_.note(schedule_.now(), "participant %llu joins channel %llu: session %llu, SSRC %llu",
                person, entry.channel, life.index, life.slot.ssrc.value);
  return &life;
}

void Control::select(Life& life, const KeyChoice& choice, const Endpoint& declared) {
  hear(life, [this, &life, choice, declared] { on_select(life, {choice, declared}); });
}

void Control::on_select(Life& life, const Session::Select& select) {
  Session& session = sessions_[life.index];
  if (session.phase == Session::Phase::keying) {
    session.next_select = select;
  } else if (session.phase == Session::Phase::live && session.key->mode() == select.choice.mode) {
    membership_.send(life.member, SetDeclaredAddress{life.slot, select.declared});
    send_description(life);
  } else if (session.phase != Session::Phase::opening) {
    install(life, select);
  }
}

void Control::install(Life& life, const Session::Select& select) {
  Session& session = sessions_[life.index];
  InstallKey command;
  command.slot = life.slot;
  command.mode = select.choice.mode;
  for (std::size_t i = 0; i < command.key.size(); i += 8) {
    const std::uint64_t word = random_.next();
    for (std::size_t k = 0; k < 8; ++k)
      command.key[i + k] = static_cast<std::uint8_t>(word >> (8 * k));
  }
  command.declared = select.declared;
  command.nonce_start = static_cast<std::uint32_t>(random_.below(limits::nonce_space));
  CounterHabit habit = select.choice.habit;
  if (select.choice.is_near_relay) {
    habit.is_near_relay = true;
    const std::uint32_t value = to_nonce(relay_counter(command.nonce_start));
    habit.start = value + static_cast<std::uint32_t>(random_.below(1u << 17)) - (1u << 16);
  }
  session.key = std::make_shared<ClientKey>(command.mode, command.key, habit);
  session.phase = Session::Phase::keying;
  session.is_description_delivered = false;
  life.keys[command.key] = session.key;
  journal_.note(schedule_.now(), "session %llu gets a key, mode %llu, order %llu, start %llu",
                life.index, static_cast<std::uint64_t>(command.mode),
                static_cast<std::uint64_t>(habit.order), habit.start);
  membership_.install_key(life.member, command, [this, &life] {
    if (life.is_leaving) return;
    Session& installed = sessions_[life.index];
    installed.phase = Session::Phase::live;
    send_description(life);
    if (auto next = std::exchange(installed.next_select, std::nullopt)) on_select(life, *next);
  });
}

// Op 4; when it is with the client, and the client had time to read it, datagrams may follow.
void Control::send_description(Life& life) {
  const auto key = sessions_[life.index].key;
  if (options_.mutation == Mutation::send_early)
    membership_.send(life.member, StartSending{life.slot});
  tell(life, [this, &life, key] {
    life.key = key;
    events_.on_description(life);
    const Duration acknowledged = delay() + description_settles;
    schedule_.call(schedule_.now() + acknowledged, [this, &life, key] {
      if (life.is_leaving) return;
      Session& session = sessions_[life.index];
      if (session.phase != Session::Phase::live || session.key != key ||
          std::exchange(session.is_description_delivered, true))
        return;
      membership_.send(life.member, StartSending{life.slot});
    });
  });
}

bool Control::is_live(const Life& life) const {
  const auto found = sessions_.find(life.index);
  return found != sessions_.end() && found->second.phase == Session::Phase::live &&
         found->second.is_description_delivered && life.at_home.may_send;
}

// --- What the application does ------------------------------------------------------------------

void Control::leave(Life& life, std::function<void()> left) {
  if (std::exchange(life.is_leaving, true)) return;
  journal_.note(schedule_.now(), "session %llu leaves", life.index);
  life.leave.is_asked = true;
  sessions_.erase(life.index);
  workers_->send(WorkerIndex{0}, TrackAddress{life.slot, {}});
  membership_.leave(life.member, [this, &life, left = std::move(left)] {
    life.leave.is_done = true;
    journal_.note(schedule_.now(), "session %llu has left", life.index);
    left();
  });
}

void Control::restrain(Life& life, bool is_muted, bool is_deafened) {
  if (life.is_leaving) return;
  Session& session = sessions_[life.index];
  const std::uint32_t number = ++session.restraints;
  journal_.note(schedule_.now(), "session %llu: muted %llu, deafened %llu", life.index, is_muted,
                is_deafened);
  life.mute.is_asked = is_muted;
  life.deafen.is_asked = is_deafened;
  life.mute.is_done = life.mute.is_done && is_muted;
  life.deafen.is_done = life.deafen.is_done && is_deafened;
  membership_.send(life.member, SetDeafened{life.slot, is_deafened});
  membership_.send_and_settle(
      life.member, SetMuted{life.slot, is_muted}, [this, &life, number, is_muted, is_deafened] {
        const auto found = sessions_.find(life.index);
        if (found == sessions_.end() || found->second.restraints != number) return;
        life.mute.is_done = is_muted;
        life.deafen.is_done = is_deafened;
        journal_.note(schedule_.now(), "session %llu: restraint %llu is done", life.index, number);
      });
}

void Control::set_channel(ChannelName channel, std::optional<std::uint16_t> late_ms_max,
                          std::uint16_t speakers_max) {
  journal_.note(schedule_.now(), "channel %llu: late_ms_max %llu, speakers_max %llu", channel,
                late_ms_max.value_or(no_late_ms_max), speakers_max);
  control::ChannelSettings settings;
  settings.late_ms_max = late_ms_max;
  settings.speakers_max = speakers_max;
  if (!membership_.set_settings(key_of(channel), settings, [] {}))
    Invariants::fail("settings", "refused");
}

void Control::set_signalling_peer(Life& life, const IpAddress& peer) {
  if (life.is_leaving) return;
  // What it was proven by stays true of it.
  life.proven.push_back(life.signalling_peer);
  life.signalling_peer = peer;
  membership_.send(life.member, SetSignallingPeer{life.slot, peer});
}

}  // namespace earshot::sim
