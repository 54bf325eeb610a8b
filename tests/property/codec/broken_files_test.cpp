// Files that are damaged at random: whatever comes out is valid, bounded, and no more than went in.
#include <doctest/doctest.h>

#include <random>

#include "codec/ogg_reader.h"
#include "codec/ogg_writer.h"
#include "codec/opus.h"
#include "codec/toc.h"
#include "codec/wav.h"
#include "tests/support/tone.h"

using namespace earshot;
using namespace earshot::codec;

namespace {

using Bytes = std::vector<std::uint8_t>;

std::size_t below(std::mt19937_64& random, std::size_t bound) {
  return random() % bound;
}

// A few bytes changed, a piece cut out, or a piece repeated.
Bytes damage(Bytes bytes, std::mt19937_64& random) {
  switch (random() % 4) {
    case 0: {
      const std::size_t from = below(random, bytes.size());
      const std::size_t size = below(random, bytes.size() - from);
      bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                  bytes.begin() + static_cast<std::ptrdiff_t>(from + size));
      break;
    }
    case 1: {
      const std::size_t from = below(random, bytes.size());
      const Bytes piece(
          bytes.begin() + static_cast<std::ptrdiff_t>(from),
          bytes.begin() + static_cast<std::ptrdiff_t>(from + below(random, bytes.size() - from)));
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(random, bytes.size())),
                   piece.begin(), piece.end());
      break;
    }
    default:
      for (std::size_t i = 1 + below(random, 4); i > 0; --i) {
        // Headers stand in front: damage them more often than their share.
        const std::size_t at = below(random, random() % 2 == 0 ? bytes.size() : 200);
        bytes[at % bytes.size()] = static_cast<std::uint8_t>(random());
      }
  }
  return bytes;
}

Bytes ogg_file() {
  Encoder encoder({.bitrate = 16'000});
  const auto pcm = test::tone(440, 60 * 960);
  OggPacketWriter writer;
  Bytes file;
  for (std::size_t at = 0; at < pcm.size(); at += 960) {
    const Bytes pages = writer.write(encoder.encode(std::span(pcm).subspan(at, 960)));
    file.insert(file.end(), pages.begin(), pages.end());
  }
  const Bytes rest = writer.finish();
  file.insert(file.end(), rest.begin(), rest.end());
  return file;
}

}  // namespace

TEST_CASE("damaged Ogg Opus files") {
  const std::uint64_t seed = 7'845;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const Bytes whole = ogg_file();
  std::string error;
  const std::size_t packets_count = read_ogg_opus(whole, error)->packets.size();
  REQUIRE(packets_count == 60);
  int readable = 0;
  for (int round = 0; round < 150; ++round) {
    CAPTURE(round);
    const Bytes bytes = damage(whole, random);
    error.clear();
    const auto read = read_ogg_opus(bytes, error);
    REQUIRE(read.has_value() == error.empty());
    if (read) {
      ++readable;
      std::size_t size = 0;
      for (const Bytes& packet : read->packets) {
        REQUIRE(describe_packet(packet).has_value());
        size += packet.size();
      }
      REQUIRE(size <= bytes.size());
    }
    error.clear();
    const auto pcm = decode_ogg_opus(bytes, error);
    REQUIRE(pcm.has_value() == error.empty());
    if (pcm) REQUIRE(pcm->size() <= 2 * packets_count * frame_samples_max);
  }
  CHECK(readable > 40);
  CHECK(readable < 150);
}

TEST_CASE("damaged WAV files") {
  const std::uint64_t seed = 991;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  Bytes whole = {'R', 'I', 'F', 'F', 0xFF, 0xFF, 0xFF, 0x7F, 'W',  'A',  'V',  'E', 'L', 'I',
                 'S', 'T', 4,   0,   0,    0,    'a',  'b',  'c',  'd',  'f',  'm', 't', ' ',
                 16,  0,   0,   0,   1,    0,    2,    0,    0x80, 0xBB, 0,    0,   0,   0xEE,
                 2,   0,   4,   0,   16,   0,    'd',  'a',  't',  'a',  0xE8, 3,   0,   0};
  whole.resize(whole.size() + 1'000, 0x21);
  std::string error;
  REQUIRE(parse_wav(whole, error)->size() == 250);
  int readable = 0;
  for (int round = 0; round < 4'000; ++round) {
    CAPTURE(round);
    const Bytes bytes = damage(whole, random);
    error.clear();
    const auto pcm = parse_wav(bytes, error);
    REQUIRE(pcm.has_value() == error.empty());
    if (!pcm) continue;
    ++readable;
    // One byte a sample at 1,000 Hz is the most that a byte can stand for.
    REQUIRE(pcm->size() <= 48 * bytes.size());
  }
  CHECK(readable > 500);
  CHECK(readable < 4'000);
}
