#include "relay/core/session_record.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "relay/core/core.h"
#include "tests/support/core_rig.h"

using namespace earshot;
using namespace earshot::test;

TEST_CASE("all that a session needs to go on stands in the memory that the shell hands in") {
  CoreOptions options = CoreRig::small_options();
  crypto::SecretMemory memory(Core::session_memory_size(options.sessions_max));
  options.session_memory = memory.bytes();
  const auto* records = reinterpret_cast<const SessionRecord*>(memory.bytes().data());
  CoreRig rig(options);
  const auto channel = rig.open_channel(3);
  const auto mode = crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize)
                        ? crypto::AeadMode::aes256_gcm_rtpsize
                        : crypto::AeadMode::xchacha20_poly1305_rtpsize;
  auto a = rig.join(1, channel, {true, true, true}, mode);
  auto b = rig.join(2, channel);
  rig.speak(a);
  rig.speak(b);
  rig.command(SetDeafened{b.slot, true});
  const SessionRecord& r = records[1];
  CHECK(r.version == SessionRecord::current_version);
  CHECK(r.slot == a.slot);
  CHECK(r.channel == channel);
  CHECK(r.grants.priority);
  CHECK(r.has_key);
  CHECK(r.may_send);
  CHECK(r.mode == mode);
  CHECK(r.key == test_key(a.slot.generation.value));
  CHECK(r.remote == a.address);
  CHECK(r.signalling_peer == a.address.ip);
  CHECK(r.nonces.ranges_count == 1);
  CHECK(r.nonces.ranges[0].count == 1);
  CHECK(r.nonces.received_count == 1);
  CHECK(records[2].is_deafened);
  CHECK_FALSE(records[3].is_open());
  rig.command(CloseSlot{a.slot});
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&r);
  CHECK(std::all_of(bytes, bytes + sizeof r, [](std::uint8_t byte) { return byte == 0; }));
}

TEST_CASE("a session costs at most 4 KiB") {
  const CoreRig rig;
  MESSAGE("bytes for one slot: " << rig.core.slot_bytes());
  CHECK(rig.core.slot_bytes() <= 4'096);
}
