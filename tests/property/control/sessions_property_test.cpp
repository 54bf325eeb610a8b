// Random clients against the sessions of a node: whatever they do, everybody who is connected knows
// exactly who is there, and nothing is left of those who have gone.
#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <random>
#include <set>

#include "tests/property/control/model_client.h"
#include "tests/support/control_rig.h"

using namespace earshot;
using namespace earshot::test;

namespace {

constexpr int versions[] = {0, 4, 7, 8, 8, 8};
constexpr std::size_t users_count = 7;
constexpr std::size_t unidentified_max = 12;

struct User {
  std::string name;
  Person person;
  std::unique_ptr<ModelClient> client;  // of its present session, if there is one
  std::optional<Time> cut_at;           // its connection is gone, the session waits
  // Since the last Select Protocol on this connection; op 4 counts as delivered 25 ms after it
  // came.
  bool has_selected = false;
  std::size_t descriptions_before = 0;
  std::optional<Time> described_at;
};

class World {
 public:
  // `part`: how many a newcomer is introduced to at a time.
  World(std::uint64_t seed, std::size_t workers, std::size_t part)
      : random_(seed), rig_(options(workers, part)), users_(users_count) {
    for (std::size_t i = 0; i < users_.size(); ++i) {
      users_[i].name = "user" + std::to_string(i);
      move(users_[i]);
    }
  }

  void act() {
    User& user = users_[pick(users_.size())];
    switch (pick(20)) {
      case 0:
      case 1:
        return identify(user);
      case 2:
      case 3:
      case 4:
      case 5:
        return select(user);
      case 6:
      case 7:
        return speak(user);
      case 8:
        return heartbeat(user);
      case 9:
      case 10:
        return cut(user, 1006);
      case 11:
        return chance(2) ? cut(user, 1000) : break_rules(user);
      case 12:
      case 13:
      case 14:
        return resume(user);
      case 15:
        return resume_wrongly(user);
      case 16:
        return resume_as_somebody_else(user);
      case 17:
        return mute(user);
      case 18:
        return pass_time(milliseconds(static_cast<std::int64_t>(pick(400))));
      default:
        return pass_time(chance(8) ? seconds(65) : seconds(static_cast<std::int64_t>(pick(20))));
    }
  }

  void settle_and_check() {
    // Some of the time connections take nothing: introductions wait, and what happens, happens.
    rig_.are_queues_drained = !chance(3);
    if (chance(4)) return;
    rig_.settle();
    note_settled();
    if (rig_.are_queues_drained) return check();
    for (User& user : users_) {
      if (is_connected(user)) user.client->read_all();
    }
  }

  // Everybody goes; the node is as new.
  void finish() {
    rig_.are_queues_drained = true;
    for (User& user : users_) {
      if (chance(2)) cut(user, chance(2) ? 1000 : 1006);
    }
    pass_time(seconds(130), false);
    pass_time(seconds(1), false);
    CHECK(rig_.sessions.sessions_count() == 0);
    CHECK(rig_.sessions.clients_count() == 0);
    CHECK(rig_.membership.participants_count() == 0);
    CHECK(rig_.membership.channels_count() == 0);
    CHECK(mutes_asked_ == mutes_done_);
    std::size_t admitted = 0;
    while (rig_.sessions.admits(peer)) ++admitted;
    CHECK(admitted == unidentified_max);
    while (admitted-- > 0) rig_.sessions.on_released(peer);
    // Every slot and every key can be had again.
    for (std::size_t i = 1; i < rig_.membership.capacity(); ++i) {
      const std::string name = std::to_string(i);
      CHECK(rig_.join(rig_.person(name, name)).count(4) == 1);
    }
  }

  std::uint64_t resumed() const { return rig_.sessions.counters().resumed; }
  std::uint64_t identified() const { return rig_.sessions.counters().identified; }
  std::uint64_t checked() const { return checked_; }

 private:
  static constexpr IpAddress peer{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, 1}};

  static ControlRigOptions options(std::size_t workers, std::size_t part) {
    ControlRigOptions o;
    o.introductions_per_part = part;
    o.workers = workers;
    o.sessions_per_worker_max = 10;
    o.channel_participants_per_worker_max = workers == 1 ? 8 : 3;
    o.unidentified_per_address_max = unidentified_max;
    o.bad_tokens_per_address_max = 1'000'000;
    return o;
  }

  std::size_t pick(std::size_t count) { return static_cast<std::size_t>(random_() % count); }
  bool chance(std::size_t of) { return pick(of) == 0; }

  void move(User& user) { user.person = rig_.person(user.name, chance(3) ? "200" : "100"); }

  void forget(User& user) {
    user.client.reset();
    user.cut_at.reset();
    user.has_selected = false;
    user.described_at.reset();
  }
  bool is_connected(const User& user) const { return user.client && !user.cut_at; }
  bool is_delivered(const User& user) const {
    if (!user.has_selected) return user.client->connection->count(9) > 0;
    return user.described_at && rig_.now - *user.described_at >= milliseconds(25);
  }

  // --- What clients do ---

  void identify(User& user) {
    if (chance(4)) move(user);
    GatewayClient* connection = rig_.try_connect(user.person, versions[pick(std::size(versions))]);
    if (connection == nullptr) return;
    GatewayClient* const old = is_connected(user) ? user.client->connection : nullptr;
    connection->identify();
    if (old != nullptr) CHECK(old->close_code == 4014);
    forget(user);
    if (connection->close_code == 4021) return;  // the channel is full
    user.client = std::make_unique<ModelClient>(*connection);
  }

  void select(User& user) {
    if (!is_connected(user)) return;
    ModelClient& client = *user.client;
    if (client.connection->count(2) == 0 && client.connection->count(9) == 0) return;
    user.has_selected = true;
    user.described_at.reset();
    user.descriptions_before = client.connection->count(4);
    client.connection->select(crypto::name(rig_.modes[pick(rig_.modes.size())]));
  }

  void speak(User& user) {
    if (is_connected(user)) user.client->connection->speak(static_cast<int>(pick(3)));
  }

  // Says that everything so far was read.
  void heartbeat(User& user) {
    if (!is_connected(user)) return;
    user.client->read_all();
    if (user.client->version == 8) {
      user.client->connection->heartbeat(user.client->last_seq.value_or(-1));
    } else {
      user.client->connection->heartbeat();
    }
  }

  // Some of what was on its way arrives, the rest does not.
  void cut(User& user, std::uint16_t code) {
    if (!is_connected(user)) return;
    const std::size_t before = rig_.sessions.sessions_count();
    user.client->read(pick(user.client->unread() + 1));
    user.client->connection->leave(code);
    note_connection_lost(user, rig_.sessions.sessions_count() < before);
  }

  void note_connection_lost(User& user, bool is_ended) {
    if (is_ended) return forget(user);
    user.cut_at = rig_.now;
  }

  void break_rules(User& user) {
    if (!is_connected(user)) return;
    user.client->connection->send_text("{");
    CHECK(user.client->connection->close_code == 4002);
    forget(user);
  }

  void resume(User& user) {
    if (!user.client || user.client->connection->count(4) + user.client->connection->count(9) == 0)
      return;
    ModelClient& client = *user.client;
    const bool was_connected = is_connected(user);
    const bool may_be_refused = (was_connected && !is_delivered(user)) || client.has_op_4_unread();
    GatewayClient* const old = client.connection;
    // Over a live socket too, what it had not read is lost with it.
    GatewayClient* next = rig_.try_connect(user.person, client.version);
    if (next == nullptr) return;
    next->resume(client.version == 8 ? std::optional(client.last_seq.value_or(-1)) : std::nullopt);
    if (!next->is_open()) {
      CHECK(next->close_code == 4006);
      CHECK(may_be_refused);
      CHECK(old->is_open() == was_connected);
      return;
    }
    if (was_connected) CHECK(old->close_code == 4014);
    client.resume_on(*next);
    user.cut_at.reset();
    user.has_selected = false;
  }

  void resume_wrongly(User& user) {
    GatewayClient* connection = rig_.try_connect(user.person, 8);
    if (connection == nullptr) return;
    const bool is_numbered = user.client && user.client->version == 8;
    if (chance(2)) connection->person.token += "x";
    if (!is_numbered || chance(2)) connection->person.claims.session_id += "x";
    connection->resume(30'000);
    CHECK(connection->close_code == 4006);
  }

  void resume_as_somebody_else(User& user) {
    const User& victim = users_[pick(users_.size())];
    if (&victim == &user) return;
    GatewayClient* connection = rig_.try_connect(user.person, 8);
    if (connection == nullptr) return;
    connection->person.claims.session_id = victim.person.claims.session_id;
    connection->resume(victim.client ? victim.client->last_seq.value_or(-1) : -1);
    CHECK(connection->close_code == 4006);
  }

  void mute(User& user) {
    ++mutes_asked_;
    const control::ChannelKey channel{"1", user.person.claims.channel_id};
    CHECK(rig_.sessions.restrain(channel, user.name, {chance(2), {}}, [this] { ++mutes_done_; }));
  }

  void pass_time(Duration duration, bool has_heartbeats = true) {
    has_heartbeats = has_heartbeats && !chance(4);
    for (const Time end = rig_.now + duration; rig_.now < end;) {
      const std::size_t before = rig_.sessions.sessions_count();
      std::size_t lost = 0;
      rig_.step(std::min(limits::sweep_interval, end - rig_.now));
      for (User& user : users_) {
        if (user.cut_at && rig_.now - *user.cut_at >= limits::resume_window) {
          forget(user);
          ++lost;
        }
      }
      for (User& user : users_) {
        if (!is_connected(user) || user.client->connection->is_open()) continue;
        // Aborted for missing heartbeats, or closed because it never selected.
        const bool is_ended =
            user.client->connection->close_code.has_value() || !is_delivered(user);
        lost += is_ended ? 1 : 0;
        user.client->read(pick(user.client->unread() + 1));
        note_connection_lost(user, is_ended);
      }
      CHECK(before - rig_.sessions.sessions_count() == lost);
      if (has_heartbeats && (rig_.now - beat_at_) >= limits::heartbeat_interval) {
        beat_at_ = rig_.now;
        for (User& user : users_) heartbeat(user);
      }
    }
    rig_.settle();
    note_settled();
  }

  // What has happened while the workers came to rest: a node that is full says so when the slot is
  // asked for, and op 4 follows the key.
  void note_settled() {
    for (User& user : users_) {
      if (!is_connected(user)) continue;
      const GatewayClient& connection = *user.client->connection;
      if (connection.close_code == 4021) {
        forget(user);
      } else if (user.has_selected && !user.described_at &&
                 connection.count(4) > user.descriptions_before) {
        user.described_at = rig_.now;
      }
    }
  }

  // --- What must be so when all is quiet ---

  void check() {
    ++checked_;
    std::map<std::string, std::map<std::string, std::uint32_t>> live;  // channel -> user -> SSRC
    std::size_t sessions = 0;
    for (User& user : users_) {
      if (!user.client) continue;
      ++sessions;
      if (is_connected(user)) {
        CHECK(user.client->connection->is_open());
        user.client->read_all();
      }
      if (!user.client->has_description) continue;
      live[user.client->connection->person.claims.channel_id][user.name] = user.client->ssrc;
    }
    CHECK(rig_.sessions.sessions_count() == sessions);
    CHECK(rig_.membership.participants_count() == sessions);
    std::set<std::uint32_t> ssrcs;
    for (const auto& [channel, people] : live) {
      for (const auto& [name, ssrc] : people) CHECK(ssrcs.insert(ssrc).second);
    }
    for (const User& user : users_) {
      if (!is_connected(user) || !user.client->has_description) continue;
      auto others = live[user.client->connection->person.claims.channel_id];
      others.erase(user.name);
      CAPTURE(user.name);
      CHECK(user.client->present == others);
    }
  }

  std::mt19937_64 random_;
  ControlRig rig_;
  std::vector<User> users_;
  Time beat_at_;
  std::size_t mutes_asked_ = 0;
  std::size_t mutes_done_ = 0;
  std::uint64_t checked_ = 0;
};

}  // namespace

TEST_CASE("whatever clients do, they know who is there, and nothing stays behind") {
  std::uint64_t resumed = 0;
  std::uint64_t identified = 0;
  std::uint64_t checked = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    World world(seed, seed % 3 == 0 ? 2 : 1, seed % 4 == 0 ? 128 : seed % 4);
    for (int i = 0; i < 400; ++i) {
      world.act();
      world.settle_and_check();
    }
    world.finish();
    resumed += world.resumed();
    identified += world.identified();
    checked += world.checked();
  }
  // It was about something.
  CHECK(identified > 1'000);
  CHECK(resumed > 200);
  CHECK(checked > 5'000);
}
