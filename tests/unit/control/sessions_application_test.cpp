// What the application does to sessions, and what an observer hears of it.
#include <doctest/doctest.h>

#include "relay/control/session_observer.h"
#include "tests/support/control_rig.h"

using namespace earshot;
using namespace earshot::test;
using control::EndReason;

namespace {

const control::ChannelKey channel{"1", "100"};

struct Log final : control::SessionObserver {
  void on_joined(const control::Session& session) override {
    lines.push_back("joined " + session.claims.user_id);
  }
  void on_left(const control::Session& session, EndReason reason,
               std::optional<gateway::CloseCode> code) override {
    lines.push_back("left " + session.claims.user_id + " " + std::string(name(reason)) + " " +
                    std::to_string(code ? static_cast<int>(*code) : 0));
  }
  void on_speaking(const control::Session& session) override {
    lines.push_back("speaking " + session.claims.user_id + " " +
                    std::to_string(session.speaking_flags));
  }
  std::vector<std::string> take() { return std::exchange(lines, {}); }
  std::vector<std::string> lines;
};

using Lines = std::vector<std::string>;

struct Rig : ControlRig {
  explicit Rig(const ControlRigOptions& options = {}) : ControlRig(options) {
    sessions.set_observer(&log);
  }
  bool disconnect(const std::string& user) {
    bool is_done = false;
    const bool was_there = sessions.disconnect(channel, user, [&] { is_done = true; });
    if (was_there) workers.wait_until([&] { return is_done; });
    settle();
    return was_there;
  }
  Log log;
};

}  // namespace

TEST_CASE("who is disconnected is closed with 4014, and its session id does not come back") {
  Rig rig;
  auto& a = rig.join(rig.person("a"));
  auto& b = rig.join(rig.person("b"));
  CHECK(rig.disconnect("a"));
  CHECK(a.close_code == 4014);
  CHECK(rig.log.take() == Lines{"joined a", "joined b", "left a kicked 4014"});
  CHECK(b.count(13) == 1);
  CHECK(rig.membership.participants_count() == 1);
  CHECK_FALSE(rig.disconnect("a"));
  // Neither with the same token, nor with a fresh one for the same session, nor by a resume.
  auto& again = rig.connect(a.person);
  again.identify();
  CHECK(again.close_code == 4004);
  rig.renew(a.person);
  auto& renewed = rig.connect(a.person);
  renewed.identify();
  CHECK(renewed.close_code == 4004);
  auto& resumed = rig.connect(a.person);
  resumed.resume(0);
  CHECK(resumed.close_code == 4006);
  // Another session of the same user does.
  auto claims = a.person.claims;
  claims.session_id = "another";
  auto& other = rig.join(rig.person(claims));
  CHECK(other.is_open());
  CHECK(rig.log.take() == Lines{"joined a"});
}

TEST_CASE("a revoked session id is forgotten when no token of it can be valid any more") {
  Rig rig;
  auto& a = rig.join(rig.person("a"));
  CHECK(rig.disconnect("a"));
  const std::int64_t life = a.person.claims.expires - rig.unix_now;
  rig.are_heartbeats_sent = true;
  rig.advance(seconds(life + 89));
  rig.unix_now += life + 89;
  rig.renew(a.person);
  auto& early = rig.connect(a.person);
  early.identify();
  CHECK(early.close_code == 4004);
  rig.advance(seconds(10));
  rig.unix_now += 10;
  CHECK(rig.identify(a.person).is_open());
}

TEST_CASE("only who is in that channel of that server is disconnected") {
  Rig rig;
  auto& a = rig.join(rig.person("a"));
  bool is_done = false;
  const auto done = [&] { is_done = true; };
  CHECK_FALSE(rig.sessions.disconnect({"1", "200"}, "a", done));
  CHECK_FALSE(rig.sessions.disconnect({"2", "100"}, "a", done));
  CHECK_FALSE(rig.sessions.disconnect(channel, "b", done));
  rig.settle();
  CHECK_FALSE(is_done);
  CHECK(a.is_open());
}

TEST_CASE("who has no slot yet, or no connection any more, is disconnected too") {
  Rig rig;
  auto& waiting = rig.connect(rig.person("waiting"));
  waiting.identify();  // the slot is on its way
  auto& gone = rig.join(rig.person("gone"));
  gone.cut();
  CHECK(rig.disconnect("waiting"));
  CHECK(rig.disconnect("gone"));
  CHECK(waiting.close_code == 4014);
  CHECK(rig.sessions.sessions_count() == 0);
  CHECK(rig.membership.participants_count() == 0);
}

TEST_CASE("a channel that closes sends everybody away with 4022, and waits for all of them") {
  for (const std::size_t workers : {1, 2}) {
    ControlRigOptions options;
    options.workers = workers;
    options.channel_participants_per_worker_max = 2;
    if (workers == 1) options.channel_participants_per_worker_max = 64;
    Rig rig(options);
    auto& a = rig.join(rig.person("a"));
    auto& b = rig.join(rig.person("b"));
    auto& c = rig.join(rig.person("c"));
    auto& elsewhere = rig.join(rig.person("d", "200"));
    bool is_done = false;
    REQUIRE(rig.sessions.close_channel(channel, [&] { is_done = true; }));
    rig.workers.wait_until([&] { return is_done; });
    CHECK(rig.membership.participants_count() == 1);
    rig.settle();
    CHECK(a.close_code == 4022);
    CHECK(b.close_code == 4022);
    CHECK(c.close_code == 4022);
    CHECK(elsewhere.is_open());
    CHECK_FALSE(rig.sessions.close_channel(channel, [] { FAIL("nobody was there"); }));
    auto& again = rig.connect(a.person);
    again.identify();
    CHECK(again.close_code == 4004);
  }
}

TEST_CASE("who is moved stays until it identifies for the new channel") {
  Rig rig;
  auto& old = rig.join(rig.person("a"));
  auto& other = rig.join(rig.person("b"));
  rig.log.take();
  CHECK_FALSE(rig.sessions.begin_move(channel, "nobody", "200"));
  CHECK(rig.sessions.begin_move(channel, "a", "200"));
  rig.advance(seconds(5));
  CHECK(old.is_open());
  auto claims = old.person.claims;
  claims.channel_id = "200";
  claims.session_id = "moved";
  auto& moved = rig.join(rig.person(claims));
  CHECK(old.close_code == 4014);
  CHECK(moved.is_open());
  CHECK(other.count(13) == 1);
  CHECK(rig.log.take() == Lines{"left a moved 4014", "joined a"});
  // The deadline was the old session's.
  rig.are_heartbeats_sent = true;
  rig.advance(seconds(20));
  CHECK(moved.is_open());
}

TEST_CASE("who is moved and does not come ends after ten seconds, and its old token is void") {
  for (const bool is_connected : {true, false}) {
    Rig rig;
    auto& old = rig.join(rig.person("a"));
    CHECK(rig.sessions.begin_move(channel, "a", "200"));
    if (!is_connected) old.cut();
    rig.advance(milliseconds(9'700));
    CHECK(rig.sessions.sessions_count() == 1);
    rig.advance(milliseconds(600));
    if (is_connected) CHECK(old.close_code == 4014);
    CHECK(rig.sessions.sessions_count() == 0);
    auto& again = rig.connect(old.person);
    again.identify();
    CHECK(again.close_code == 4004);
  }
}

TEST_CASE("an observer hears of speaking, of take-over, of time-outs and of farewells") {
  Rig rig;
  auto& a = rig.join(rig.person("a"));
  a.speak(1);
  a.speak(1);
  a.speak(0);
  auto& taker = rig.join(a.person);
  CHECK(rig.log.take() ==
        Lines{"joined a", "speaking a 1", "speaking a 0", "left a taken_over 4014", "joined a"});
  taker.leave();
  CHECK(rig.log.take() == Lines{"left a disconnected 0"});
  rig.join(a.person).cut();
  rig.advance(seconds(61));
  CHECK(rig.log.take() == Lines{"joined a", "left a timeout 0"});
  auto& rude = rig.join(a.person);
  rude.send_text("{");
  CHECK(rig.log.take() == Lines{"joined a", "left a protocol_error 4002"});
  // Who was never in has not left either.
  rig.identify(a.person).leave();
  CHECK(rig.log.take().empty());
}

TEST_CASE("sessions of a channel are listed in the order of their users, in parts") {
  Rig rig;
  for (const char* user : {"c", "a", "b", "d"}) rig.join(rig.person(user));
  rig.join(rig.person("bb", "200"));
  const auto users = [&](const std::string& after, std::size_t count_max) {
    std::string text;
    for (const auto* session : rig.sessions.list(channel, after, count_max))
      text += session->claims.user_id;
    return text;
  };
  CHECK(users("", 10) == "abcd");
  CHECK(users("", 2) == "ab");
  CHECK(users("b", 2) == "cd");
  CHECK(users("d", 2).empty());
}

TEST_CASE("for an observer everybody leaves when the node stops, and nobody twice") {
  Rig rig;
  auto& a = rig.join(rig.person("a"));
  rig.join(rig.person("b", "200"));
  rig.log.take();
  rig.sessions.tell_stopping();
  a.leave();
  rig.sessions.tell_stopping();
  CHECK(rig.log.take() == Lines{"left a stopping 1001", "left b stopping 1001"});
}
