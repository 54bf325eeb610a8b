#include "relay/control/mapping_watch.h"

#include <doctest/doctest.h>

#include <memory>

#include "tests/support/fake_connection.h"

using namespace earshot;
using namespace earshot::control;

namespace {

constexpr Duration jitter_max = seconds(5);

// A live session that was attached at 100 s. Its client beats whenever the test says so.
struct Listener {
  explicit Listener(std::uint64_t id = 1) : client(1, connection, 8, Time{seconds(100).ns}) {
    session.id = id;
    session.claims.server_id = "1";
    session.claims.user_id = "u" + std::to_string(id);
    session.client = &client;
    session.attached_at = Time{seconds(100).ns};
    client.rules.on_text(
        session.attached_at,
        R"({"op":0,"d":{"server_id":"1","user_id":"u","session_id":"s","token":"t"}})");
  }
  void beat(Time now) {
    client.rules.on_text(now, R"({"op":3,"d":1})");
    REQUIRE(client.rules.last_heartbeat() == now);
  }
  void keep_alive(Time at) { set(stats.keep_alive_ns, static_cast<std::uint64_t>(at.ns)); }

  test::FakeConnection connection;
  Client client;
  Session session;
  SlotStats stats;
};

Time at(std::int64_t s) {
  return {seconds(s).ns};
}

// Looks every 250 ms; answers when the watch says so, or Time::never().
Time first_lost(MappingWatch& watch, Listener& listener, Time from, Time to) {
  for (Time now = from; now <= to; now = now + milliseconds(250)) {
    if ((now - from).ns % seconds(5).ns == 0) listener.beat(now);
    if (watch.is_lost(now, listener.session, listener.stats)) return now;
  }
  return Time::never();
}

}  // namespace

TEST_CASE("keep-alives that stop for 15 s are noticed, with jitter") {
  Time earliest = Time::never();
  Time latest;
  for (std::uint64_t id = 1; id <= 50; ++id) {
    MappingWatch watch;
    Listener listener(id);
    listener.keep_alive(at(105));
    const Time lost = first_lost(watch, listener, at(106), at(200));
    CHECK(lost >= at(120));
    CHECK(lost <= at(120) + jitter_max + milliseconds(250));
    earliest = std::min(earliest, lost);
    latest = std::max(latest, lost);
  }
  CHECK(latest - earliest >= seconds(4));
}

TEST_CASE("who never sent a keep-alive is never lost") {
  MappingWatch watch;
  Listener listener;
  CHECK(first_lost(watch, listener, at(101), at(1'000)) == Time::never());
}

TEST_CASE("who still speaks is not lost") {
  MappingWatch watch;
  Listener listener;
  listener.keep_alive(at(105));
  for (std::int64_t s = 106; s < 200; ++s) {
    set(listener.stats.last_packet_ns, static_cast<std::uint64_t>(at(s).ns));
    listener.beat(at(s));
    CHECK_FALSE(watch.is_lost(at(s), listener.session, listener.stats));
  }
}

TEST_CASE("it counts from a resume, if that came later") {
  MappingWatch watch;
  Listener listener;
  listener.keep_alive(at(105));
  listener.session.attached_at = at(118);
  CHECK(first_lost(watch, listener, at(119), at(200)) >= at(133));
}

TEST_CASE("without heartbeats, or without a connection, it is gone and not deaf") {
  MappingWatch watch;
  Listener listener;
  listener.keep_alive(at(105));
  listener.beat(at(104));
  CHECK_FALSE(watch.is_lost(at(150), listener.session, listener.stats));
  listener.beat(at(106));
  listener.session.client = nullptr;
  CHECK_FALSE(watch.is_lost(at(150), listener.session, listener.stats));
  listener.session.client = &listener.client;
  CHECK(watch.is_lost(at(150), listener.session, listener.stats));
}

TEST_CASE("a client that sends them rarely is given two of its own intervals") {
  MappingWatch watch;
  Listener listener;
  for (std::int64_t s = 100; s <= 140; s += 13) {
    listener.keep_alive(at(s));
    listener.beat(at(s) + milliseconds(1));
    CHECK_FALSE(watch.is_lost(at(s) + milliseconds(250), listener.session, listener.stats));
  }
  const Time lost = first_lost(watch, listener, at(140), at(300));
  CHECK(lost >= at(139 + 26));
  CHECK(lost <= at(139 + 30) + jitter_max);
}

TEST_CASE("one user is lost at most once a minute, whatever its sessions") {
  MappingWatch watch;
  Listener first;
  first.keep_alive(at(100));
  first.beat(at(130));
  REQUIRE(watch.is_lost(at(130), first.session, first.stats));
  Listener second;  // the same user, identified anew
  second.keep_alive(at(131));
  second.session.attached_at = at(131);
  const Time lost = first_lost(watch, second, at(132), at(400));
  CHECK(lost == at(190));
  Listener another(2);
  another.keep_alive(at(100));
  another.beat(at(191));
  CHECK(watch.is_lost(at(191), another.session, another.stats));
  // The memory of it is given up when it no longer matters.
  watch.sweep(at(249));
  second.beat(at(249));
  CHECK_FALSE(watch.is_lost(at(249), second.session, second.stats));
  watch.sweep(at(250));
  CHECK(watch.is_lost(at(250), second.session, second.stats));
}
