#include "relay/core/stream.h"

#include <doctest/doctest.h>

using namespace earshot;

namespace {

Time at_ms(std::int64_t ms) {
  return Time{} + milliseconds(ms);
}

}  // namespace

TEST_CASE("loss is expected minus received, and reordering repairs it") {
  Stream stream;
  stream.on_packet(at_ms(0), 65'534, 0);
  stream.on_packet(at_ms(20), 65'535, 960);
  stream.on_packet(at_ms(60), 1, 2'880);
  CHECK(stream.lost() == 1);
  stream.on_packet(at_ms(61), 0, 1'920);
  CHECK(stream.lost() == 0);
  stream.on_packet(at_ms(200), 10, 9'600);
  CHECK(stream.lost() == 8);
  CHECK(stream.highest_sequence() == 10);
}

TEST_CASE("a packet that the first one overtook counts as expected") {
  Stream stream;
  stream.on_packet(at_ms(0), 0, 960);
  stream.on_packet(at_ms(1), 65'535, 0);
  CHECK(stream.lost() == 0);
  CHECK(stream.highest_sequence() == 0);
}

TEST_CASE("a restart of the sender is no loss") {
  Stream stream;
  for (std::uint16_t i = 0; i < 10; ++i) stream.on_packet(at_ms(20 * i), i, 960u * i);
  stream.on_packet(at_ms(300), 40'000, 5);
  stream.on_packet(at_ms(320), 40'001, 965);
  CHECK(stream.lost() == 0);
  CHECK(stream.received() == 12);
}

TEST_CASE("jitter follows RFC 3550 A.8") {
  Stream stream;
  for (std::uint16_t i = 0; i < 500; ++i) stream.on_packet(at_ms(20 * i), i, 960u * i);
  CHECK(stream.jitter_ticks() == 0);
  // Alternating +-5 ms: |D| is 10 ms = 480 ticks, to which the estimate converges.
  for (std::uint16_t i = 500; i < 1'500; ++i)
    stream.on_packet(at_ms(20 * i + (i % 2 ? 5 : -5)), i, 960u * i);
  CHECK(stream.jitter_ticks() > 450);
  CHECK(stream.jitter_ticks() < 490);
}

TEST_CASE("a duplicate has the same sequence and time stamp within 128 packets") {
  Stream stream;
  for (std::uint16_t i = 0; i < 200; ++i) stream.on_packet(at_ms(20 * i), i, 960u * i);
  CHECK(stream.is_duplicate(199, 960u * 199));
  CHECK(stream.is_duplicate(72, 960u * 72));
  CHECK_FALSE(stream.is_duplicate(71, 960u * 71));
  CHECK_FALSE(stream.is_duplicate(199, 960u * 199 + 1));
  CHECK_FALSE(stream.is_duplicate(200, 960u * 200));
}
