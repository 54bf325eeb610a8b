#include "relay/control/membership.h"

#include <algorithm>
#include <bit>

#include "relay/base/check.h"

namespace earshot::control {

struct Membership::Member {
  SlotRef slot;
  Channel* channel = nullptr;
  Grants grants;
  WorkerMask known_on = 0;  // the other workers that have a remote slot for it
  bool is_leaving = false;

  WorkerIndex worker() const { return slot.ssrc.worker(); }
};

struct Membership::Channel {
  ChannelKey key;
  ChannelRef ref;
  WorkerMask open_on = 0;                       // workers where the channel exists
  std::vector<std::size_t> participants_count;  // slots per worker, the leaving ones included
  std::vector<Member*> members;                 // in order of joining
};

namespace {

WorkerMask bit(WorkerIndex worker) {
  return WorkerMask{1} << worker.value;
}

}  // namespace

Membership::Membership(Commands& commands, const MembershipOptions& options)
    : commands_(commands),
      options_(options),
      workers_(commands.workers().size()),
      channel_generations_(limits::channels_max) {
  for (std::size_t w = 0; w < workers_.size(); ++w) {
    workers_[w].generations.resize(options.sessions_per_worker_max);
    for (std::size_t s = 0; s < options.sessions_per_worker_max; ++s) {
      const auto slot = static_cast<std::uint16_t>(s);
      if (make_ssrc(options.node, {static_cast<std::uint8_t>(w)}, {slot}).is_assignable()) {
        workers_[w].free_slots.push_back(slot);
      }
    }
  }
  for (std::uint32_t i = 0; i < limits::channels_max; ++i) free_channels_.push_back(i);
}

Membership::~Membership() = default;

Membership::Member& Membership::at(MemberId member) const {
  const auto found = members_.find(member);
  RELAY_CHECK(found != members_.end());
  return *found->second;
}

SlotRef Membership::slot(MemberId member) const {
  return at(member).slot;
}

std::optional<MemberId> Membership::find(SlotRef slot) const {
  const auto found = by_slot_.find(slot);
  if (found == by_slot_.end()) return std::nullopt;
  return found->second;
}

std::size_t Membership::capacity() const {
  return workers_.size() * options_.sessions_per_worker_max;
}

std::size_t Membership::participants_on(WorkerIndex worker) const {
  return workers_[worker.value].slots_taken;
}

// A channel's own workers first, in the order of their index; else the worker with the most free
// slots.
std::optional<WorkerIndex> Membership::place(const Channel* channel) const {
  std::optional<WorkerIndex> best;
  for (std::uint8_t w = 0; w < workers_.size(); ++w) {
    const Worker& worker = workers_[w];
    if (worker.free_slots.empty()) continue;
    const bool is_member = channel != nullptr && channel->participants_count[w] > 0;
    if (channel != nullptr &&
        channel->participants_count[w] >= options_.channel_participants_per_worker_max)
      continue;
    if (is_member) return WorkerIndex{w};
    if (!best || worker.free_slots.size() > workers_[best->value].free_slots.size())
      best = WorkerIndex{w};
  }
  return best;
}

// The channel's other workers get one remote slot more; a worker that is new to the channel gets
// everyone's.
bool Membership::has_remote_room(const Channel* channel, WorkerIndex worker) const {
  if (channel == nullptr) return true;
  for (std::uint8_t w = 0; w < workers_.size(); ++w) {
    const bool is_open = (channel->open_on >> w & 1) != 0;
    const std::size_t added =
        w == worker.value ? (is_open ? 0 : channel->members.size()) : (is_open ? 1 : 0);
    if (workers_[w].remote_slots + added > limits::remote_slots_per_worker_max) return false;
  }
  return true;
}

Membership::Channel* Membership::find_or_open_channel(const ChannelKey& key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) return found->second;
  if (free_channels_.empty()) return nullptr;
  auto channel = std::make_unique<Channel>();
  const std::uint32_t index = free_channels_.front();
  free_channels_.pop_front();
  channel->key = key;
  channel->ref = {{index}, {++channel_generations_[index]}};
  channel->participants_count.resize(workers_.size());
  Channel* raw = channel.get();
  by_key_[key] = raw;
  channels_[index] = std::move(channel);
  return raw;
}

// The channel, and everyone who is in it already.
void Membership::open_on_worker(Channel& channel, WorkerIndex worker, Commands::Batch& batch) {
  if ((channel.open_on & bit(worker)) != 0) return;
  channel.open_on |= bit(worker);
  batch.send(worker, OpenChannel{channel.ref, speakers_max(channel.key), late_ms_max(channel.key),
                                 has_own_late_ms_max(channel.key)});
  for (Member* member : channel.members) {
    if (member->is_leaving) continue;
    member->known_on |= bit(worker);
    ++workers_[worker.value].remote_slots;
    batch.send(worker, OpenRemoteSlot{member->slot, channel.ref, member->grants.priority});
  }
}

// Each worker of the channel passes packets on to those that have participants.
void Membership::update_workers(Channel& channel, Commands::Batch& batch) {
  WorkerMask with_participants = 0;
  for (const Member* member : channel.members) {
    if (!member->is_leaving) with_participants |= bit(member->worker());
  }
  if (std::popcount(channel.open_on) > 1)
    batch.send(channel.open_on, SetChannelWorkers{channel.ref, with_participants});
}

std::optional<MemberId> Membership::join(const Join& join, std::function<void()> on_open) {
  const auto bound = settings(join.channel).participants_max;
  if (bound && participants_count(join.channel) >= *bound) return std::nullopt;
  const auto existing = by_key_.find(join.channel);
  const auto worker = place(existing == by_key_.end() ? nullptr : existing->second);
  if (!worker) return std::nullopt;
  if (!has_remote_room(existing == by_key_.end() ? nullptr : existing->second, *worker))
    return std::nullopt;
  Channel* channel = find_or_open_channel(join.channel);
  if (channel == nullptr) return std::nullopt;

  Worker& home = workers_[worker->value];
  auto owned = std::make_unique<Member>();
  Member& member = *owned;
  const std::uint16_t index = home.free_slots.front();
  home.free_slots.pop_front();
  ++home.slots_taken;
  member.slot = {make_ssrc(options_.node, *worker, {index}), {++home.generations[index]}};
  member.channel = channel;
  member.grants = join.grants;

  // First the others learn of the participant, and its worker of the channel; only then packets
  // cross.
  auto first = commands_.batch();
  open_on_worker(*channel, *worker, first);
  first.send(*worker, OpenSlot{member.slot, channel->ref, join.grants, join.is_muted,
                               join.is_deafened, join.signalling_peer});
  member.known_on = channel->open_on & ~bit(*worker);
  for (std::uint8_t w = 0; w < workers_.size(); ++w)
    workers_[w].remote_slots += member.known_on >> w & 1;
  first.send(member.known_on, OpenRemoteSlot{member.slot, channel->ref, join.grants.priority});
  channel->members.push_back(&member);
  ++channel->participants_count[worker->value];

  const MemberId id = next_member_++;
  by_slot_[member.slot] = id;
  members_[id] = std::move(owned);
  const ChannelRef ref = channel->ref;
  first.then([this, ref, on_open = std::move(on_open)]() mutable {
    const auto found = channels_.find(ref.index.value);
    auto second = commands_.batch();
    if (found != channels_.end() && found->second->ref == ref)
      update_workers(*found->second, second);
    second.then(std::move(on_open));
  });
  return id;
}

void Membership::leave(MemberId id, std::function<void()> done) {
  Member& member = at(id);
  RELAY_CHECK(!member.is_leaving);
  member.is_leaving = true;
  by_slot_.erase(member.slot);
  // Its own worker first; then the others, which handle what it had passed on before.
  auto home = commands_.batch();
  home.send(member.worker(), CloseSlot{member.slot});
  home.then([this, id, done = std::move(done)]() mutable {
    Member& leaving = at(id);
    auto others = commands_.batch();
    others.send(leaving.known_on, CloseSlot{leaving.slot});
    update_workers(*leaving.channel, others);
    others.then([this, id, done = std::move(done)] { finish_leave(id, done); });
  });
}

void Membership::finish_leave(MemberId id, const std::function<void()>& done) {
  Member& member = at(id);
  Channel& channel = *member.channel;
  for (std::uint8_t w = 0; w < workers_.size(); ++w)
    workers_[w].remote_slots -= member.known_on >> w & 1;
  Worker& home = workers_[member.worker().value];
  home.free_slots.push_back(member.slot.ssrc.slot().value);
  --home.slots_taken;
  --channel.participants_count[member.worker().value];
  std::erase(channel.members, &member);
  members_.erase(id);
  if (channel.members.empty()) close_channel(channel);
  done();
}

// The name is free at once: whoever joins it now gets a new index.
void Membership::close_channel(Channel& channel) {
  by_key_.erase(channel.key);
  const std::uint32_t index = channel.ref.index.value;
  auto batch = commands_.batch();
  batch.send(channel.open_on, CloseChannel{channel.ref});
  batch.then([this, index] {
    channels_.erase(index);
    free_channels_.push_back(index);
  });
}

// --- What the application sets and sees ---------------------------------------------------------

ChannelSettings Membership::settings(const ChannelKey& key) const {
  const auto found = settings_.find(key);
  return found == settings_.end() ? ChannelSettings{} : found->second;
}

std::uint16_t Membership::speakers_max(const ChannelKey& key) const {
  return settings(key).speakers_max.value_or(options_.channel_speakers_max);
}

std::uint16_t Membership::late_ms_max(const ChannelKey& key) const {
  return settings(key).late_ms_max.value_or(options_.late_ms_max);
}

bool Membership::has_own_late_ms_max(const ChannelKey& key) const {
  return settings(key).late_ms_max.has_value();
}

bool Membership::set_settings(const ChannelKey& key, const ChannelSettings& settings,
                              std::function<void()> done) {
  if (settings == ChannelSettings{}) {
    settings_.erase(key);
  } else {
    if (settings_.size() >= limits::channels_max && !settings_.contains(key)) return false;
    settings_[key] = settings;
  }
  auto batch = commands_.batch();
  if (const auto open = by_key_.find(key); open != by_key_.end()) {
    const Channel& channel = *open->second;
    batch.send(channel.open_on, SetChannelOptions{channel.ref, speakers_max(key), late_ms_max(key),
                                                  has_own_late_ms_max(key)});
  }
  batch.then(std::move(done));
  return true;
}

std::size_t Membership::participants_count(const ChannelKey& key) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return 0;
  return static_cast<std::size_t>(std::ranges::count_if(
      found->second->members, [](const Member* m) { return !m->is_leaving; }));
}

std::optional<Membership::Listed> Membership::find_channel(const ChannelKey& key) const {
  const std::size_t count = participants_count(key);
  if (count == 0 && !settings_.contains(key)) return std::nullopt;
  return Listed{key, count};
}

// Both maps are in the same order: a merge.
std::vector<Membership::Listed> Membership::list(const std::optional<ChannelKey>& after,
                                                 const std::optional<std::string>& server_id,
                                                 std::size_t count_max) const {
  const ChannelKey first = after.value_or(ChannelKey{server_id.value_or(""), ""});
  auto open = by_key_.upper_bound(first);
  auto set = settings_.upper_bound(first);
  std::vector<Listed> listed;
  while (listed.size() < count_max && (open != by_key_.end() || set != settings_.end())) {
    const bool is_open_next =
        set == settings_.end() || (open != by_key_.end() && open->first <= set->first);
    const ChannelKey key = is_open_next ? open->first : set->first;
    if (server_id && key.server_id != *server_id) break;
    if (open != by_key_.end() && open->first == key) ++open;
    if (set != settings_.end() && set->first == key) ++set;
    if (auto channel = find_channel(key)) listed.push_back(std::move(*channel));
  }
  return listed;
}

// --- For Keying and Sessions --------------------------------------------------------------------

void Membership::install_key(MemberId member, const InstallKey& key, std::function<void()> done) {
  commands_.batch().send(at(member).worker(), key).then(std::move(done));
}

void Membership::send(MemberId member, const Command& command) {
  commands_.batch().send(at(member).worker(), command);
}

void Membership::send_and_settle(MemberId id, const Command& command, std::function<void()> done) {
  const WorkerMask others = at(id).known_on;
  commands_.batch()
      .send(at(id).worker(), command)
      .then([this, others, done = std::move(done)]() mutable {
        commands_.batch().send(others, Fence{}).then(std::move(done));
      });
}

}  // namespace earshot::control
