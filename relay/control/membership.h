// Channels and slots as the controller keeps them, and the order of commands that makes a join or a
// leave safe on every worker (ARCHITECTURE.md, "Joins and leaves"). Controller thread. It knows
// nothing of signalling.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/limits.h"
#include "relay/control/channel_settings.h"
#include "relay/control/commands.h"

namespace earshot::control {

// A channel's name.
struct ChannelKey {
  std::string server_id;
  std::string channel_id;
  auto operator<=>(const ChannelKey&) const = default;
};

struct MembershipOptions {
  NodeId node;
  std::size_t channel_participants_per_worker_max = limits::channel_participants_per_worker_max;
  std::uint16_t channel_speakers_max = 32;
  std::uint16_t late_ms_max = 200;
  std::size_t sessions_per_worker_max = limits::sessions_per_worker_max;
};

// A participant's place: valid from join() until the `done` of leave().
using MemberId = std::uint64_t;

class Membership {
 public:
  Membership(Commands& commands, const MembershipOptions& options);
  ~Membership();

  struct Join {
    ChannelKey channel;
    Grants grants;
    bool is_muted = false;
    bool is_deafened = false;
    IpAddress signalling_peer;
  };
  // `on_open` is called when every worker of the channel knows the participant. Nothing when the
  // node or the channel is full.
  std::optional<MemberId> join(const Join& join, std::function<void()> on_open);
  // Silent in both directions when `done` is called; the slot is reused as late as possible.
  void leave(MemberId member, std::function<void()> done);

  SlotRef slot(MemberId member) const;
  // The member whose slot that is, if it has not begun to leave.
  std::optional<MemberId> find(SlotRef slot) const;

  void install_key(MemberId member, const InstallKey& key, std::function<void()> done);
  // A command for the participant's own worker.
  void send(MemberId member, const Command& command);
  // The same, done when no worker has anything of before under way.
  void send_and_settle(MemberId member, const Command& command, std::function<void()> done);

  // What the application has set; it outlives the channel's participants.
  ChannelSettings settings(const ChannelKey& key) const;
  // `done`: every worker of the channel goes by them. False (and `done` is not called) when
  // limits::channels_max channels have settings.
  [[nodiscard]] bool set_settings(const ChannelKey& key, const ChannelSettings& settings,
                                  std::function<void()> done);

  // Channels with participants or settings of their own, in the order of their keys.
  struct Listed {
    ChannelKey key;
    std::size_t participants_count = 0;  // without those who are leaving
  };
  std::vector<Listed> list(const std::optional<ChannelKey>& after,
                           const std::optional<std::string>& server_id,
                           std::size_t count_max) const;
  std::optional<Listed> find_channel(const ChannelKey& key) const;

  std::size_t participants_count() const { return members_.size(); }
  std::size_t channels_count() const { return by_key_.size(); }
  std::size_t capacity() const;
  // Slots of one worker that are taken.
  std::size_t participants_on(WorkerIndex worker) const;

 private:
  struct Channel;
  struct Member;

  Channel* find_or_open_channel(const ChannelKey& key);
  bool has_remote_room(const Channel* channel, WorkerIndex worker) const;
  std::optional<WorkerIndex> place(const Channel* channel) const;
  void open_on_worker(Channel& channel, WorkerIndex worker, Commands::Batch& batch);
  void update_workers(Channel& channel, Commands::Batch& batch);
  void finish_leave(MemberId id, const std::function<void()>& done);
  void close_channel(Channel& channel);
  std::size_t participants_count(const ChannelKey& key) const;
  std::uint16_t speakers_max(const ChannelKey& key) const;
  std::uint16_t late_ms_max(const ChannelKey& key) const;
  bool has_own_late_ms_max(const ChannelKey& key) const;
  Member& at(MemberId member) const;

  Commands& commands_;
  MembershipOptions options_;
  struct Worker {
    std::deque<std::uint16_t> free_slots;  // FIFO: reused as late as possible
    std::vector<std::uint32_t> generations;
    std::size_t slots_taken = 0;
    std::size_t remote_slots = 0;
  };
  std::vector<Worker> workers_;
  std::deque<std::uint32_t> free_channels_;
  std::vector<std::uint32_t> channel_generations_;
  std::map<ChannelKey, Channel*> by_key_;
  std::map<ChannelKey, ChannelSettings> settings_;
  std::map<std::uint32_t, std::unique_ptr<Channel>> channels_;  // by index
  std::map<MemberId, std::unique_ptr<Member>> members_;
  std::map<SlotRef, MemberId> by_slot_;
  MemberId next_member_ = 1;
};

}  // namespace earshot::control
