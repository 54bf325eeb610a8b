#include "tools/client/signalling.h"

#include <doctest/doctest.h>

#include <optional>

#include "tests/unit/client/scripted_gateway.h"

using namespace earshot;
using namespace earshot::client;
using test::ScriptedGateway;

namespace {

constexpr Duration patience = seconds(5);

struct Rig {
  explicit Rig(int version = 8) { options.version = version; }

  void start() {
    options.target = gateway.target();
    options.token = test::unchecked_token();
    SignallingEvents events;
    events.on_ready = [this](const ReadyMessage& ready) {
      last_ready = ready;
      if (selects) signalling->select_protocol("192.0.2.1", 5'000, ready.modes.front());
    };
    events.on_session_description = [this](const SessionDescription&) { ++joined; };
    events.on_resumed = [this] { ++resumed; };
    events.on_speaking = [this](const SpeakingMessage& speaking) { spoken.push_back(speaking); };
    events.on_client_connect = [this](const std::string& user) { came.push_back(user); };
    events.on_client_disconnect = [this](const std::string& user) { gone.push_back(user); };
    events.on_interrupted = [this](AfterClose next, const SignallingEnd& reason) {
      interruptions.emplace_back(next, reason);
    };
    events.on_ended = [this](const SignallingEnd& reason) {
      CHECK_FALSE(end);
      end = reason;
    };
    signalling = std::make_unique<Signalling>(loop.get(), gateway.tls, options,
                                              read_claims(options.token).value(), events);
    signalling->start();
  }
  void join() {
    start();
    REQUIRE(run_until([&] { return joined == 1; }));
  }
  bool run_until(const std::function<bool()>& done) { return loop.run_until(done, patience); }

  Loop loop;
  ScriptedGateway gateway{loop};
  SignallingOptions options;
  bool selects = true;
  std::unique_ptr<Signalling> signalling;

  std::optional<ReadyMessage> last_ready;
  int joined = 0;
  int resumed = 0;
  std::vector<SpeakingMessage> spoken;
  std::vector<std::string> came, gone;
  std::vector<std::pair<AfterClose, SignallingEnd>> interruptions;
  std::optional<SignallingEnd> end;
};

}  // namespace

TEST_CASE("every close code has its consequence and a sentence") {
  struct Row {
    std::uint16_t code;
    AfterClose next;
  };
  for (const auto& row :
       {Row{1'000, AfterClose::stop}, Row{1'001, AfterClose::resume},
        Row{1'005, AfterClose::resume}, Row{1'006, AfterClose::resume},
        Row{1'011, AfterClose::resume}, Row{4'001, AfterClose::stop}, Row{4'004, AfterClose::stop},
        Row{4'006, AfterClose::identify}, Row{4'009, AfterClose::identify},
        Row{4'014, AfterClose::stop}, Row{4'015, AfterClose::resume}, Row{4'021, AfterClose::stop},
        Row{4'022, AfterClose::stop}}) {
    CAPTURE(row.code);
    CHECK(after_close(row.code) == row.next);
    CHECK_FALSE(explain_close(row.code).empty());
  }
  CHECK(explain_close(4'321) == "closed with code 4321");
}

TEST_CASE("Identify to op 4, in every version, and a leave with 1000") {
  for (const int version : {version_none, 4, 5, 6, 7, 8}) {
    CAPTURE(version);
    Rig rig(version);
    rig.join();
    CHECK(
        rig.gateway.paths ==
        std::vector<std::string>{version == version_none ? "/" : "/?v=" + std::to_string(version)});
    const auto identify = rig.gateway.messages(0);
    REQUIRE(identify.size() == 1);
    CHECK(identify[0]["user_id"] == "alice");
    CHECK(identify[0]["server_id"] == "server");
    CHECK(identify[0]["session_id"] == "session");
    CHECK(identify[0]["token"] == rig.options.token);
    const auto select = rig.gateway.messages(1);
    REQUIRE(select.size() == 1);
    CHECK(select[0]["data"]["address"] == "192.0.2.1");
    CHECK(rig.last_ready->ssrc == rig.gateway.ssrc);
    rig.signalling->leave();
    REQUIRE(rig.run_until([&] { return rig.end.has_value(); }));
    CHECK(rig.end->is_ok);
    CHECK(rig.end->text == "left");
    CHECK(rig.signalling->is_ended());
    REQUIRE(rig.run_until([&] { return rig.gateway.closings.size() == 1; }));
    CHECK(rig.gateway.closings[0] == 1'000);
    CHECK(rig.interruptions.empty());
  }
}

TEST_CASE("heartbeats have the version's shape, and their round trip is measured") {
  for (const int version : {4, 8}) {
    CAPTURE(version);
    Rig rig(version);
    rig.gateway.heartbeat_interval = milliseconds(100);
    rig.join();
    rig.gateway.send(R"({"op":5,"seq":9,"d":{"user_id":"bob","ssrc":5,"speaking":1}})");
    REQUIRE(rig.run_until([&] { return rig.gateway.count(3) == 2; }));
    const auto beats = rig.gateway.messages(3);
    CHECK(beats[1].is_object() == (version == 8));
    if (version == 8) CHECK(beats[1]["seq_ack"] == 9);
    REQUIRE(rig.run_until([&] { return rig.signalling->heartbeat_round_trip() > Duration{}; }));
    CHECK(rig.signalling->heartbeat_round_trip() < seconds(1));
  }
}

TEST_CASE("what the relay tells about others is passed on") {
  Rig rig;
  rig.join();
  for (const char* text :
       {R"({"op":11,"seq":1,"d":{"user_ids":["bob","carol"]}})",
        R"({"op":12,"d":{"user_id":"dave","audio_ssrc":7}})",
        R"({"op":5,"seq":2,"d":{"user_id":"bob","ssrc":5,"speaking":1}})",
        R"({"op":5,"d":{"user_id":"bob","ssrc":5,"speaking":true}})", R"({"op":77,"d":null})",
        "no JSON", R"({"op":13,"seq":3,"d":{"user_id":"bob"}})"}) {
    rig.gateway.send(text);
  }
  REQUIRE(rig.run_until([&] { return rig.gone.size() == 1; }));
  CHECK(rig.came == std::vector<std::string>{"bob", "carol", "dave"});
  CHECK(rig.gone == std::vector<std::string>{"bob"});
  REQUIRE(rig.spoken.size() == 3);
  CHECK(rig.spoken[0].ssrc == Ssrc{7});
  CHECK(rig.spoken[1].is_speaking);
  CHECK(rig.spoken[2].is_speaking);
}

TEST_CASE("a refusal before the join is the end, with the relay's reason") {
  Rig rig;
  rig.gateway.close_at_identify = 4'004;
  rig.start();
  REQUIRE(rig.run_until([&] { return rig.end.has_value(); }));
  CHECK_FALSE(rig.end->is_ok);
  CHECK(rig.end->code == 4'004);
  CHECK(rig.end->text ==
        "the relay refused the token (wrong key, expired, or for another cluster) (because)");
  CHECK(rig.interruptions.empty());
}

TEST_CASE("a break before the join is the end too, and so is an answer that never comes") {
  Rig rig;
  rig.options.step_time_max = milliseconds(200);
  SUBCASE("closed when it opens") {
    rig.gateway.close_at_open = 1'001;
    rig.start();
    REQUIRE(rig.run_until([&] { return rig.end.has_value(); }));
    CHECK(rig.end->code == 1'001);
  }
  SUBCASE("Identify is not answered") {
    rig.gateway.answers_identify = false;
    rig.start();
    REQUIRE(rig.run_until([&] { return rig.end.has_value(); }));
    CHECK(rig.end->text == "the relay did not answer in time");
  }
  SUBCASE("Select Protocol is not answered") {
    rig.gateway.answers_select = false;
    rig.start();
    REQUIRE(rig.run_until([&] { return rig.end.has_value(); }));
    CHECK(rig.end->text == "the relay did not answer in time");
  }
  SUBCASE("our own impatience: leaving before it is up") {
    rig.gateway.answers_identify = false;
    rig.start();
    rig.signalling->leave();
    CHECK_FALSE(rig.end);
    REQUIRE(rig.run_until([&] { return rig.end.has_value(); }));
    CHECK(rig.end->is_ok);
    CHECK(rig.end->text == "left");
    return;
  }
  CHECK_FALSE(rig.end->is_ok);
}

TEST_CASE("after a break the session is resumed, with what was received last") {
  for (const int version : {4, 8}) {
    CAPTURE(version);
    Rig rig(version);
    rig.join();
    rig.gateway.send(R"({"op":5,"seq":41,"d":{"user_id":"bob","ssrc":5,"speaking":1}})");
    rig.gateway.connections.back()->send_binary(std::string("\0\x2A\x19", 3));
    REQUIRE(rig.run_until([&] { return rig.spoken.size() == 1; }));
    rig.loop.run_for(milliseconds(20));
    SUBCASE("the relay's side") {
      rig.gateway.abort();
    }
    SUBCASE("our side") {
      rig.signalling->cut();
    }
    SUBCASE("a restart of the relay") {
      rig.gateway.close(1'001);
    }
    SUBCASE("a crash of the relay") {
      rig.gateway.close(4'015);
    }
    REQUIRE(rig.run_until([&] { return rig.resumed == 1; }));
    const auto resumes = rig.gateway.messages(7);
    REQUIRE(resumes.size() == 1);
    CHECK(resumes[0]["server_id"] == "server");
    CHECK(resumes[0]["session_id"] == "session");
    CHECK(resumes[0]["token"] == rig.options.token);
    CHECK(resumes[0].contains("seq_ack") == (version == 8));
    if (version == 8) CHECK(resumes[0]["seq_ack"] == 42);
    REQUIRE(rig.interruptions.size() == 1);
    CHECK(rig.interruptions[0].first == AfterClose::resume);
    CHECK(rig.signalling->resumes() == 1);
    CHECK(rig.signalling->identifies() == 1);
    CHECK(rig.joined == 1);
  }
}

TEST_CASE("a session that is over is begun anew") {
  Rig rig;
  rig.join();
  SUBCASE("a fresh key is needed") {
    rig.gateway.close(4'009);
  }
  SUBCASE("the resume is refused") {
    rig.gateway.close_at_resume = 4'006;
    rig.gateway.abort();
  }
  SUBCASE("the relay takes several attempts") {
    rig.gateway.close_at_identify = 4'006;
    rig.gateway.close(4'009);
    REQUIRE(rig.run_until([&] { return rig.interruptions.size() == 3; }));
    rig.gateway.close_at_identify.reset();
  }
  REQUIRE(rig.run_until([&] { return rig.joined == 2; }));
  CHECK(rig.interruptions.back().first == AfterClose::identify);
  CHECK(rig.gateway.messages(0).back()["session_id"] == "session");
  CHECK(rig.signalling->identifies() >= 2);
  CHECK_FALSE(rig.end);
}

TEST_CASE("a break before the new key came leads to Identify, not to a resume of nothing") {
  Rig rig;
  rig.join();
  rig.selects = false;
  rig.last_ready.reset();
  rig.gateway.close(4'009);
  REQUIRE(rig.run_until([&] { return rig.last_ready.has_value(); }));
  rig.selects = true;
  rig.gateway.abort();
  REQUIRE(rig.run_until([&] { return rig.joined == 2; }));
  REQUIRE(rig.interruptions.size() == 2);
  CHECK(rig.interruptions[1].first == AfterClose::identify);
  CHECK(rig.gateway.count(7) == 0);
  CHECK(rig.gateway.count(0) == 3);
}

TEST_CASE("thrown out for good: no attempt to come back") {
  using Code = std::uint16_t;
  for (const Code code : {Code{1'000}, Code{4'014}, Code{4'022}, Code{4'004}}) {
    CAPTURE(code);
    Rig rig;
    rig.join();
    rig.gateway.close(code);
    REQUIRE(rig.run_until([&] { return rig.end.has_value(); }));
    CHECK(rig.end->code == code);
    CHECK_FALSE(rig.end->is_ok);
    CHECK(rig.interruptions.empty());
  }
}

TEST_CASE("whoever cannot come back gives up") {
  Rig rig;
  rig.options.reconnect_time_max = milliseconds(300);
  rig.join();
  rig.gateway.close_at_open = 1'001;
  rig.gateway.abort();
  REQUIRE(rig.run_until([&] { return rig.end.has_value(); }));
  CHECK(rig.end->text.starts_with("could not come back: "));
  CHECK(rig.interruptions.size() >= 3);
  CHECK(rig.interruptions.size() <= 5);
}

TEST_CASE("thrown out right after every join it comes back ever more slowly") {
  Rig rig;
  rig.join();
  std::vector<Time> joins;
  int seen = 1;
  rig.gateway.close(4'009);
  REQUIRE(rig.run_until([&] {
    if (rig.joined > seen) {
      seen = rig.joined;
      joins.push_back(monotonic_now());
      rig.gateway.close(4'009);
    }
    return joins.size() == 4;
  }));
  CHECK(joins[3] - joins[2] >= milliseconds(390));
}

TEST_CASE("unanswered heartbeats mean that the connection is dead") {
  Rig rig;
  rig.gateway.heartbeat_interval = milliseconds(100);
  rig.gateway.acknowledges_heartbeats = false;
  rig.join();
  REQUIRE(rig.run_until([&] { return rig.resumed == 1; }));
  CHECK(rig.gateway.count(3) == 3);
}

TEST_CASE("a hostile heartbeat interval does not make a flood") {
  for (const Duration interval : {Duration{}, milliseconds(1)}) {
    Rig rig;
    rig.gateway.heartbeat_interval = interval;
    rig.join();
    rig.loop.run_for(milliseconds(300));
    CHECK(rig.gateway.count(3) == 0);
  }
}

TEST_CASE("speaking is told again after a break that may have swallowed it") {
  Rig rig;
  rig.gateway.heartbeat_interval = milliseconds(100);
  rig.join();
  const auto speaking = [&] {
    std::vector<int> flags;
    for (const auto& message : rig.gateway.messages(5)) flags.push_back(message["speaking"]);
    return flags;
  };
  SUBCASE("told into the break") {
    rig.gateway.abort();
    REQUIRE(rig.run_until([&] { return rig.interruptions.size() == 1; }));
    rig.signalling->set_speaking({77}, true);
    REQUIRE(rig.run_until([&] { return rig.gateway.count(5) == 1; }));
    CHECK(speaking() == std::vector{1});
    CHECK(rig.gateway.messages(5)[0]["ssrc"] == 77);
  }
  SUBCASE("told just before it") {
    rig.signalling->set_speaking({77}, true);
    rig.signalling->cut();
    REQUIRE(rig.run_until([&] { return rig.gateway.count(5) == 1; }));
    CHECK(rig.resumed == 1);
  }
  SUBCASE("only the newest state counts") {
    rig.signalling->cut();
    rig.signalling->set_speaking({77}, true);
    rig.signalling->set_speaking({77}, false);
    REQUIRE(rig.run_until([&] { return rig.gateway.count(5) == 1; }));
    CHECK(speaking() == std::vector{0});
  }
  SUBCASE("what the relay has is not repeated") {
    rig.signalling->set_speaking({77}, true);
    REQUIRE(rig.run_until([&] { return rig.gateway.count(5) == 1 && rig.gateway.count(3) == 2; }));
    rig.loop.run_for(milliseconds(50));
    rig.gateway.abort();
    REQUIRE(rig.run_until([&] { return rig.resumed == 1; }));
    rig.loop.run_for(milliseconds(50));
    CHECK(speaking() == std::vector{1});
  }
}

TEST_CASE("a client that vanishes says nothing and does not come back") {
  Rig rig;
  rig.join();
  rig.signalling->vanish();
  REQUIRE(rig.run_until([&] { return rig.gateway.closings.size() == 1; }));
  CHECK(rig.gateway.closings[0] == 1'006);
  rig.loop.run_for(milliseconds(100));
  CHECK(rig.gateway.paths.size() == 1);
  CHECK_FALSE(rig.end);
}
