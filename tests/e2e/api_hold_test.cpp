// What the API has answered holds from that moment on, for every worker: not one packet more comes
// from who is muted, goes to who is deafened, or either way from and to who was sent away. Answers
// and packets carry the kernel's stamps, so that it does not matter when this test reads them.
#include <doctest/doctest.h>

#include "relay/base/time.h"
#include "tests/e2e/api_connection.h"
#include "tests/e2e/world.h"

using namespace earshot;
using namespace earshot::test;

namespace {

constexpr std::size_t victims_count = 16;
constexpr int rounds = 125;  // each restrains or sends away 8 + 8 victims: 1,000 of each kind
// Speakers at 25 and 50 packets/s meet it several times.
constexpr Duration hold_time = milliseconds(12);
constexpr std::array<std::uint8_t, 3> silence{0xF8, 0xFF, 0xFE};

struct Heard {
  Time at;
  Ssrc from;
  bool is_silence;
};

// A participant that speaks all the time, and what it heard in this round.
struct Voice {
  Participant* participant = nullptr;
  std::string channel;
  Duration pace;
  Time next;
  std::uint16_t sequence = 0;
  std::vector<Heard> heard;

  Ssrc ssrc() const { return participant->ssrc(); }
  const std::string& user() const { return participant->user; }
  void say() {
    static const std::vector<std::uint8_t> frame(60, 0x78);
    const Time now = client::monotonic_now();
    client::MediaTransport* media = participant->client->media();
    if (media == nullptr || !media->has_key()) return;
    media->send(sequence++, static_cast<std::uint32_t>(rtp_ticks(now)), frame);
    next = now + pace;
  }
};

struct Held {
  Voice* voice;
  ApiConnection* api;
  Time from = Time::never();  // the answer
  bool is_answered() const { return from < Time::never(); }
};

class Rig {
 public:
  Rig() : world_({"media.workers=2", "media.channel_participants_per_worker_max=9"}) {
    for (std::size_t i = 0; i < victims_count; ++i) {
      apis_.push_back(std::make_unique<ApiConnection>(world_.relay, world_.tls));
    }
    for (const char* channel : {"a", "b"}) {
      for (const char* name : {"fixed-1-", "fixed-2-"}) {
        fixed_.push_back(add(start(std::string(name) + channel, channel), channel));
        fixed_.back()->pace = milliseconds(20);
      }
    }
    for (std::size_t i = 0; i < victims_count; ++i) {
      victims_.push_back(add(start("victim-" + std::to_string(i), "a"), "a"));
    }
    REQUIRE(run_until([&] { return are_all_joined(); }));
    REQUIRE(run_until([&] { return do_all_hear(); }));
    int on_first = 0;
    for (const Voice* victim : victims_) on_first += victim->ssrc().worker().value == 0 ? 1 : 0;
    REQUIRE(on_first > 4);
    REQUIRE(on_first < 12);
  }

  // Half of the victims are muted, half deafened.
  void restrain(int round) {
    std::vector<Held> muted, deafened;
    for (std::size_t i = 0; i < victims_count; ++i) {
      const bool is_muted = (i + static_cast<std::size_t>(round)) % 2 == 0;
      auto& group = is_muted ? muted : deafened;
      group.push_back({victims_[i], apis_[i].get()});
      patch(group.back(), is_muted ? "mute" : "deafen", true);
      victims_[i]->say();
    }
    wait_for_answers({&muted, &deafened}, 200);
    run_for(hold_time);
    const Time until = client::monotonic_now();
    lift(muted, "mute");
    lift(deafened, "deafen");
    for (const Held& held : muted) check_silent(held, until);
    for (const Held& held : deafened) check_deaf(*held.voice, held.from, until);
    forget();
    for (const Held& held : muted) held.voice->say();
    REQUIRE(run_until([&] { return do_all_hear(); }));
  }

  // Half of the victims are disconnected and come again, half are moved to the other channel.
  void send_away(int round) {
    std::vector<Held> disconnected, moved;
    for (std::size_t i = 0; i < victims_count; ++i) {
      const bool is_move = (i + static_cast<std::size_t>(round)) % 2 == 0;
      (is_move ? moved : disconnected).push_back({victims_[i], apis_[i].get()});
      const std::string path = path_of(*victims_[i]);
      if (is_move) {
        apis_[i]->send("POST", path + "/move", {{"channel_id", other(victims_[i]->channel)}});
      } else {
        apis_[i]->send("DELETE", path);
      }
      victims_[i]->say();
    }
    std::vector<Voice*> fresh;
    wait_for_answers({&disconnected}, 204);
    for (const Held& held : disconnected) {
      fresh.push_back(add(start(held.voice->user(), held.voice->channel), held.voice->channel));
    }
    wait_for_answers({&moved}, 200);
    for (const Held& held : moved) {
      const std::string token = held.api->answer()->body.at("token");
      fresh.push_back(add(world_.start_with_token(held.voice->user(), token, counting()),
                          other(held.voice->channel)));
    }
    REQUIRE(run_until([&] { return are_all_ended(disconnected) && are_all_ended(moved); }));
    // What is said of somebody who has left is answered when every worker knows that.
    for (Held& held : moved) {
      held.from = Time::never();
      patch(held, "deafen", false);
      held.voice->say();
    }
    wait_for_answers({&moved}, 200);
    REQUIRE(run_until([&] { return are_all_joined(fresh); }));
    run_for(hold_time);
    const Time until = client::monotonic_now();
    run_for(milliseconds(1));
    for (const auto* group : {&disconnected, &moved}) {
      for (const Held& held : *group) {
        check_unheard(held, until);
        check_deaf(*held.voice, held.from, until);
        CHECK(held.voice->participant->end->code == 4'014);
        replace(held.voice, fresh);
      }
    }
    forget();
    REQUIRE(run_until([&] { return do_all_hear(); }));
  }

  std::uint64_t said_while_held() const { return said_while_held_; }
  std::uint64_t heard_in_all() const { return heard_in_all_; }

 private:
  static std::string other(const std::string& channel) { return channel == "a" ? "b" : "a"; }
  static std::string path_of(const Voice& voice) {
    return "/v1/servers/server/channels/" + voice.channel + "/participants/" + voice.user();
  }
  void patch(Held& held, const char* what, bool value) {
    held.api->send("PATCH", path_of(*held.voice), {{what, value}});
  }

  Participant& start(const std::string& user, const std::string& channel) {
    const std::string session = "s" + std::to_string(++sessions_);
    return world_.start_with_token(user, world_.relay.sign(user, channel, "server", session),
                                   counting());
  }

  Voice* add(Participant& participant, const std::string& channel) {
    Voice* voice = voices_.emplace_back(std::make_unique<Voice>()).get();
    voice->participant = &participant;
    voice->channel = channel;
    voice->pace = milliseconds(40);
    participant.on_packet = [this, voice](const client::ReceivedPacket& packet) {
      const bool is_silence = std::ranges::equal(packet.frame, silence);
      voice->heard.push_back({packet.arrival, packet.ssrc, is_silence});
      ++heard_in_all_;
    };
    return voice;
  }

  // The one that has come in the place of `old`.
  void replace(Voice* old, const std::vector<Voice*>& fresh) {
    const auto same_user = [&](const Voice* voice) { return voice->user() == old->user(); };
    const auto place = std::ranges::find(victims_, old);
    *place = *std::ranges::find_if(fresh, same_user);
    std::erase_if(world_.participants,
                  [&](const auto& participant) { return participant.get() == old->participant; });
    std::erase_if(voices_, [&](const auto& voice) { return voice.get() == old; });
  }

  void turn() {
    const Time now = client::monotonic_now();
    for (const auto& voice : voices_) {
      if (now >= voice->next) voice->say();
    }
    for (const auto& api : apis_) api->pump();
    world_.run_for(milliseconds(1));
  }
  bool run_until(const std::function<bool()>& done) {
    const Time limit = client::monotonic_now() + seconds(20);
    while (!done()) {
      if (client::monotonic_now() > limit) return false;
      turn();
    }
    return true;
  }
  void run_for(Duration duration) {
    const Time end = client::monotonic_now() + duration;
    run_until([&] { return client::monotonic_now() >= end; });
  }

  // Whoever has an answer says something at once: nobody may hear it.
  void wait_for_answers(const std::vector<std::vector<Held>*>& groups, int status) {
    std::size_t missing = 0;
    for (const auto* group : groups) missing += group->size();
    REQUIRE(run_until([&] {
      for (auto* group : groups) {
        for (Held& held : *group) {
          if (held.is_answered() || !held.api->answer()) continue;
          CHECK(held.api->answer()->status == status);
          held.from = held.api->answer()->at;
          held.voice->say();
          ++said_while_held_;
          --missing;
        }
      }
      return missing == 0;
    }));
  }

  void lift(std::vector<Held>& group, const char* what) {
    std::vector<Held> again = group;
    for (Held& held : again) patch(held, what, false);
    REQUIRE(run_until([&] {
      return std::ranges::all_of(again,
                                 [](const Held& held) { return held.api->answer().has_value(); });
    }));
  }

  void check_unheard(const Held& held, Time until) {
    const Ssrc ssrc = held.voice->ssrc();
    for (const auto& listener : voices_) {
      const auto count = std::ranges::count_if(listener->heard, [&](const Heard& heard) {
        return heard.from == ssrc && heard.at > held.from && heard.at < until;
      });
      CHECK_MESSAGE(count == 0, listener->user(), " still hears ", held.voice->user());
    }
  }

  // And its speech had ended as a client's does.
  void check_silent(const Held& held, Time until) {
    check_unheard(held, until);
    const Ssrc ssrc = held.voice->ssrc();
    for (const Voice* listener : fixed_) {
      if (listener->channel != held.voice->channel) continue;
      std::vector<bool> all;
      for (const Heard& heard : listener->heard) {
        if (heard.from == ssrc && heard.at < until) all.push_back(heard.is_silence);
      }
      REQUIRE(all.size() >= 5);
      CHECK(std::all_of(all.end() - 5, all.end(), [](bool is_silence) { return is_silence; }));
    }
  }

  static void check_deaf(const Voice& voice, Time from, Time until) {
    const auto count = std::ranges::count_if(
        voice.heard, [&](const Heard& heard) { return heard.at > from && heard.at < until; });
    CHECK_MESSAGE(count == 0, voice.user(), " still hears");
  }

  bool are_all_joined() const {
    return std::ranges::all_of(voices_,
                               [](const auto& voice) { return voice->participant->is_joined(); });
  }
  static bool are_all_joined(const std::vector<Voice*>& voices) {
    return std::ranges::all_of(voices,
                               [](const Voice* voice) { return voice->participant->is_joined(); });
  }
  static bool are_all_ended(const std::vector<Held>& group) {
    return std::ranges::all_of(
        group, [](const Held& held) { return held.voice->participant->end.has_value(); });
  }

  // Everybody hears everybody in its channel, silence aside.
  bool do_all_hear() const {
    for (const auto& listener : voices_) {
      std::set<Ssrc> speakers;
      for (const Heard& heard : listener->heard) {
        if (!heard.is_silence) speakers.insert(heard.from);
      }
      const auto others = std::ranges::count_if(voices_, [&](const auto& voice) {
        return voice != listener && voice->channel == listener->channel;
      });
      if (static_cast<std::ptrdiff_t>(speakers.size()) < others) return false;
    }
    return true;
  }

  void forget() {
    for (const auto& voice : voices_) {
      voice->heard.clear();
      voice->participant->forget_packets();
    }
  }

  World world_;
  std::vector<std::unique_ptr<ApiConnection>> apis_;  // one for each victim
  std::vector<std::unique_ptr<Voice>> voices_;
  std::vector<Voice*> fixed_, victims_;
  int sessions_ = 0;
  std::uint64_t said_while_held_ = 0;
  std::uint64_t heard_in_all_ = 0;
};

}  // namespace

TEST_CASE("1,000 mutes and 1,000 deafens over two workers hold from their answers on") {
  Rig rig;
  for (int round = 0; round < rounds; ++round) rig.restrain(round);
  CHECK(rig.said_while_held() == 2'000);
  CHECK(rig.heard_in_all() > 10'000);
}

TEST_CASE("1,000 disconnects and 1,000 moves over two workers hold from their answers on") {
  Rig rig;
  for (int round = 0; round < rounds; ++round) rig.send_away(round);
  CHECK(rig.said_while_held() >= 2'000);
}
