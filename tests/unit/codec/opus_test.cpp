#include "codec/opus.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "codec/toc.h"
#include "tests/support/tone.h"

using namespace earshot;
using namespace earshot::codec;

namespace {

using Pcm = std::vector<std::int16_t>;
using Bytes = std::vector<std::uint8_t>;

Pcm part(const Pcm& pcm, std::size_t from, std::size_t size) {
  return {pcm.begin() + static_cast<std::ptrdiff_t>(from),
          pcm.begin() + static_cast<std::ptrdiff_t>(from + size)};
}

Pcm interleave(const Pcm& left, const Pcm& right) {
  Pcm both;
  for (std::size_t i = 0; i < left.size(); ++i) {
    both.push_back(left[i]);
    both.push_back(right[i]);
  }
  return both;
}

Pcm every_second(const Pcm& pcm, std::size_t first) {
  Pcm one;
  for (std::size_t i = first; i < pcm.size(); i += 2) one.push_back(pcm[i]);
  return one;
}

// All frames of `pcm`, one packet each.
std::vector<Bytes> encode_all(Encoder& encoder, const Pcm& pcm, std::size_t frame) {
  std::vector<Bytes> packets;
  for (std::size_t at = 0; at + frame <= pcm.size(); at += frame)
    packets.push_back(encoder.encode(part(pcm, at, frame)));
  return packets;
}

void append(Pcm& to, const Pcm& from) {
  to.insert(to.end(), from.begin(), from.end());
}

double loudness(const Pcm& pcm) {
  return test::power(std::span<const std::int16_t>(pcm));
}

double part_at(const Pcm& pcm, double hertz) {
  return test::part_at(std::span<const std::int16_t>(pcm), hertz);
}

}  // namespace

TEST_CASE("a tone comes through at every frame size, as loud as it was") {
  for (const std::size_t frame : {120u, 240u, 480u, 960u, 1'920u, 2'880u}) {
    CAPTURE(frame);
    Encoder encoder;
    Decoder decoder;
    const Pcm pcm = test::tone(440, 48'000 / 2);
    Pcm heard;
    for (const Bytes& packet : encode_all(encoder, pcm, frame)) {
      REQUIRE_FALSE(packet.empty());
      CHECK(packet.size() <= packet_size_max);
      const auto described = describe_packet(packet);
      REQUIRE(described.has_value());
      CHECK(described->samples() == static_cast<int>(frame));
      const Pcm decoded = decoder.decode(packet);
      REQUIRE(decoded.size() == frame);
      append(heard, decoded);
    }
    // The first 100 ms are the coder's beginning.
    const Pcm steady = part(heard, 4'800, heard.size() - 4'800);
    CHECK(part_at(steady, 440) > 0.97);
    CHECK(loudness(steady) / loudness(pcm) > 0.8);
    CHECK(loudness(steady) / loudness(pcm) < 1.25);
  }
}

TEST_CASE("left and right stay apart") {
  Encoder encoder({.audio_channels = 2, .bitrate = 96'000});
  Decoder decoder(2);
  const Pcm pcm = interleave(test::tone(440, 24'000), test::tone(1'500, 24'000));
  Pcm heard;
  for (const Bytes& packet : encode_all(encoder, pcm, 2 * 960)) {
    const Pcm decoded = decoder.decode(packet);
    REQUIRE(decoded.size() == 2 * 960);
    append(heard, decoded);
  }
  const Pcm steady = part(heard, 9'600, heard.size() - 9'600);
  CHECK(part_at(every_second(steady, 0), 440) > 0.95);
  CHECK(part_at(every_second(steady, 1), 1'500) > 0.95);
  CHECK(part_at(every_second(steady, 0), 1'500) < 0.02);
}

TEST_CASE("the bit rate is what was asked for") {
  for (const int bitrate : {16'000, 48'000, 128'000}) {
    CAPTURE(bitrate);
    Encoder encoder({.bitrate = bitrate});
    std::size_t bytes = 0;
    for (const Bytes& packet : encode_all(encoder, test::tone(440, 48'000), 960))
      bytes += packet.size();
    CHECK(static_cast<double>(bytes) * 8 > 0.5 * bitrate);
    CHECK(static_cast<double>(bytes) * 8 < 1.3 * bitrate);
  }
  // Even 60 ms at the highest rate fit into one frame's maximum.
  Encoder encoder({.bitrate = 510'000});
  for (const Bytes& packet : encode_all(encoder, test::tone(440, 48'000), 2'880)) {
    CHECK_FALSE(packet.empty());
    CHECK(packet.size() <= packet_size_max);
  }
}

TEST_CASE("what is no frame is not encoded") {
  Encoder mono;
  for (const std::size_t size : {0u, 1u, 119u, 121u, 959u, 961u, 5'760u, 48'000u}) {
    CAPTURE(size);
    CHECK(mono.encode(Pcm(size)).empty());
  }
  Encoder stereo({.audio_channels = 2});
  for (const std::size_t size : {0u, 1u, 960u + 1u, 2u * 960u + 1u, 119u, 120u}) {
    CAPTURE(size);
    CHECK(stereo.encode(Pcm(size)).empty());
  }
  CHECK_FALSE(stereo.encode(Pcm(240)).empty());
}

TEST_CASE("what is no packet is not decoded") {
  Decoder decoder;
  CHECK(decoder.decode({}).empty());
  CHECK(decoder.decode(Bytes{0xFB}).empty());              // code 3 without a count
  CHECK(decoder.decode(Bytes{0xFB, 0x07, 1, 2}).empty());  // 140 ms
  CHECK(decoder.decode(Bytes{0xF9, 1, 2, 3}).empty());     // two equal frames, odd
  CHECK(decoder.decode(Bytes(1'277, 0xF8)).empty());       // too large a frame
  // It goes on afterwards.
  CHECK(decoder.decode(silence_frame).size() == 960);
}

TEST_CASE("the silence frame is silent") {
  Decoder decoder;
  const Pcm decoded = decoder.decode(silence_frame);
  REQUIRE(decoded.size() == 960);
  CHECK(std::all_of(decoded.begin(), decoded.end(), [](int s) { return std::abs(s) <= 1; }));
}

TEST_CASE("a lost frame is concealed with more of the same, and fades") {
  Encoder encoder;
  Decoder decoder;
  for (const Bytes& packet : encode_all(encoder, test::tone(440, 24'000), 960))
    (void)decoder.decode(packet);
  const Pcm first = decoder.conceal(960);
  REQUIRE(first.size() == 960);
  CHECK(loudness(first) > 0.2 * loudness(test::tone(440, 960)));
  Pcm last;
  for (int i = 0; i < 50; ++i) last = decoder.conceal(960);
  CHECK(loudness(last) < 0.01 * loudness(first));
  for (const int samples : {120, 240, 480, 1'920, 5'760}) {
    CAPTURE(samples);
    CHECK(decoder.conceal(samples).size() == static_cast<std::size_t>(samples));
  }
  for (const int samples : {-960, -1, 0, 1, 119, 961, 5'761, 5'880, 48'000}) {
    CAPTURE(samples);
    CHECK(decoder.conceal(samples).empty());
  }
}

TEST_CASE("in-band FEC brings back what concealment cannot know") {
  Encoder encoder({.bitrate = 24'000, .fec = true, .expected_loss_percent = 30});
  // The frame that is lost is the first one of a new tone.
  constexpr std::size_t lost = 25;
  Pcm pcm = test::tone(300, lost * 960);
  append(pcm, test::tone(900, 10 * 960));
  const std::vector<Bytes> packets = encode_all(encoder, pcm, 960);
  REQUIRE(packets.size() == lost + 10);
  REQUIRE(describe_packet(packets[lost + 1])->mode != OpusMode::celt);

  const auto decode_until_lost = [&] {
    Decoder decoder;
    for (std::size_t i = 0; i < lost; ++i) (void)decoder.decode(packets[i]);
    return decoder;
  };
  Decoder with_fec = decode_until_lost();
  Decoder without = decode_until_lost();
  const Pcm recovered = with_fec.decode_fec(packets[lost + 1], 960);
  const Pcm concealed = without.conceal(960);
  REQUIRE(recovered.size() == 960);
  REQUIRE(concealed.size() == 960);
  // The coder's delay leaves a third of the frame to the old tone.
  CHECK(part_at(recovered, 900) > 0.2);
  CHECK(part_at(concealed, 900) < 0.02);
  // The packet itself is decoded afterwards as ever.
  CHECK(with_fec.decode(packets[lost + 1]).size() == 960);
  // A packet without FEC gives concealment; no packet does too; what does not parse gives nothing.
  CHECK(with_fec.decode_fec(silence_frame, 960).size() == 960);
  CHECK(with_fec.decode_fec({}, 960).size() == 960);
  CHECK(with_fec.decode_fec(Bytes{0xFB}, 960).empty());
  CHECK(with_fec.decode_fec(packets[lost + 1], 961).empty());
  CHECK(with_fec.decode_fec(packets[lost + 1], 0).empty());
}

TEST_CASE("with DTX, silence is hardly sent") {
  Encoder with_dtx({.bitrate = 24'000, .dtx = true});
  Encoder without({.bitrate = 24'000});
  const auto tiny = [](Encoder& encoder) {
    const auto packets = encode_all(encoder, Pcm(100 * 960), 960);
    return std::count_if(packets.begin(), packets.end(),
                         [](const Bytes& p) { return p.size() <= 2; });
  };
  CHECK(tiny(with_dtx) > 50);
  CHECK(tiny(without) == 0);
}

TEST_CASE("coders move with their state, and what is left behind refuses") {
  Encoder encoder;
  Decoder decoder;
  const Pcm pcm = test::tone(440, 960);
  Encoder moved(std::move(encoder));
  CHECK_FALSE(moved.encode(pcm).empty());
  CHECK(encoder.encode(pcm).empty());
  Encoder other({.audio_channels = 2});
  other = std::move(moved);
  CHECK_FALSE(other.encode(pcm).empty());
  Decoder taken(std::move(decoder));
  CHECK(taken.decode(silence_frame).size() == 960);
  CHECK(decoder.decode(silence_frame).empty());
  CHECK(decoder.conceal(960).empty());
  Decoder again(2);
  again = std::move(taken);
  CHECK(again.decode(silence_frame).size() == 960);
}
