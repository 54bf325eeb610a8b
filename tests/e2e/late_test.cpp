// Late frames over real sockets: a client whose frames are held up and come in one burst. Machines
// that run tests stall on their own, so that bounds are wide; what a listener gets is exact.
#include <doctest/doctest.h>

#include "tests/e2e/api_connection.h"
#include "tests/e2e/raw_client.h"

using namespace earshot;
using namespace earshot::test;
using nlohmann::json;

namespace {

constexpr int steady_frames = 75;
constexpr int held_frames = 30;  // 600 ms

class Stalled {
 public:
  explicit Stalled(const std::string& late_ms_max)
      : world({"media.late_ms_max=" + late_ms_max}),
        speaker(world, make_claims("alice")),
        listener(world.join("bob")),
        api(world.relay, world.tls) {
    world.settle();  // the listener gets packets from now on
  }

  void say() {
    speaker.media->send(sequence_++, timestamp_, std::vector<std::uint8_t>(80, 0x55));
    timestamp_ += 960;
    ++sent;
  }
  // Speech, then nothing for 600 ms, then all of it at once.
  void talk_and_stall() {
    for (int i = 0; i < steady_frames; ++i) {
      say();
      world.run_for(milliseconds(20));
    }
    world.run_for(milliseconds(20 * held_frames));
    for (int i = 0; i <= held_frames; ++i) say();
    world.settle();
  }
  json ask(const std::string& method, const std::string& path, const json& body = {}) {
    api.send(method, path, body);
    REQUIRE(world.run_until([&] {
      api.pump();
      return api.answer().has_value();
    }));
    CHECK(api.answer()->status == 200);
    return api.answer()->body;
  }
  std::string channel() const {
    return "/v1/servers/" + speaker.claims.server_id + "/channels/" + speaker.claims.channel_id;
  }
  std::uint64_t late() {
    return ask("GET", channel() + "/participants/alice").at("statistics").at("packets_late");
  }

  World world;
  RawSession speaker;
  Participant& listener;
  ApiConnection api;
  std::uint64_t sent = 0;

 private:
  std::uint16_t sequence_ = 65'500;
  std::uint32_t timestamp_ = 4'294'900'000;
};

}  // namespace

TEST_CASE("the backlog of a stall is dropped, counted and shown, as far as the bound says") {
  Stalled s("200");
  s.talk_and_stall();
  // 600 ms in one burst: about 19 of 31 are later than 200 ms.
  const std::uint64_t late = s.late();
  CHECK(late >= 12);
  CHECK(late <= 31);
  CHECK(s.listener.received_from(s.speaker.ssrc) == s.sent - late);
  const json statistics = s.ask("GET", s.channel() + "/participants/alice").at("statistics");
  CHECK(statistics.at("packets_received") == s.sent);
  CHECK(statistics.at("packets_forwarded") == s.sent - late);
}

TEST_CASE("the bound of a channel is changed while somebody speaks") {
  Stalled s("0");
  s.talk_and_stall();
  CHECK(s.late() == 0);
  CHECK(s.listener.received_from(s.speaker.ssrc) == s.sent);
  s.ask("PATCH", s.channel(), {{"late_ms_max", 120}});
  s.talk_and_stall();
  const std::uint64_t late = s.late();
  CHECK(late >= 15);
  s.ask("PATCH", s.channel(), {{"late_ms_max", 0}});
  s.talk_and_stall();
  CHECK(s.late() == late);
  CHECK(s.listener.received_from(s.speaker.ssrc) == s.sent - late);
}
