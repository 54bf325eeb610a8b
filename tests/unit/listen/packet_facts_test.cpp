#include "tools/listen/packet_facts.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "codec/opus.h"
#include "codec/toc.h"

using namespace earshot;
using namespace earshot::listen;

namespace {

std::vector<std::vector<std::uint8_t>> encode(const codec::EncoderOptions& options, int count) {
  codec::Encoder encoder(options);
  std::vector<std::vector<std::uint8_t>> packets;
  double phase = 0;
  for (int i = 0; i < count; ++i) {
    std::vector<std::int16_t> pcm(static_cast<std::size_t>(960 * options.audio_channels));
    for (auto& sample : pcm) {
      // Something with a pitch that moves: a plain tone gives FEC nothing to do.
      phase += 0.01 + 0.005 * std::sin(i * 0.3);
      sample = static_cast<std::int16_t>(8'000 * std::sin(phase) + 3'000 * std::sin(3 * phase));
    }
    packets.push_back(encoder.encode(pcm));
  }
  return packets;
}

}  // namespace

TEST_CASE("duration by the table of contents, as the strict parser says it") {
  for (int toc = 0; toc < 256; ++toc) {
    // Three frames of ten bytes, or one or two of what is there.
    std::vector<std::uint8_t> payload(32, 0);
    payload[0] = static_cast<std::uint8_t>(toc);
    if ((toc & 3) == 2) payload[1] = 10;
    if ((toc & 3) == 3) payload[1] = 2;
    if ((toc & 3) == 1) payload.resize(31);
    const auto strict = codec::describe_packet(payload);
    if (!strict) continue;
    CAPTURE(toc);
    CHECK(facts_of({.payload = payload}).samples == strict->samples());
  }
}

TEST_CASE("without payload the caller's words count, in steps of 2.5 ms") {
  CHECK(facts_of({.size = 60}).samples == 0);
  CHECK(facts_of({.size = 60, .samples = 2'880}).samples == 2'880);
  CHECK(facts_of({.size = 60, .samples = 1'000}).samples == 960);
  CHECK(facts_of({.size = 60, .samples = 1}).samples == 120);
  CHECK(facts_of({.size = 60, .samples = 1 << 30}).samples == 5'760);
  CHECK(facts_of({.size = 60, .samples = -5}).samples == 0);
  CHECK(facts_of({.size = 3}).is_silence);
  CHECK_FALSE(facts_of({.size = 4}).is_silence);
  CHECK(facts_of({.payload = codec::silence_frame}).is_silence);
}

TEST_CASE("in-band FEC is seen where the decoder makes something of it, and nowhere else") {
  for (const bool has_fec : {false, true}) {
    for (const int audio_channels : {1, 2}) {
      CAPTURE(has_fec);
      CAPTURE(audio_channels);
      codec::EncoderOptions options;
      options.audio_channels = audio_channels;
      options.bitrate = 24'000 * audio_channels;
      options.fec = has_fec;
      options.expected_loss_percent = has_fec ? 20 : 0;
      const auto packets = encode(options, 40);
      int seen = 0;
      for (std::size_t n = 2; n < packets.size(); ++n) {
        CAPTURE(n);
        // Two decoders in the same state; without FEC decode_fec() is concealment.
        codec::Decoder with;
        codec::Decoder without;
        for (std::size_t i = 0; i + 1 < n; ++i) {
          with.decode(packets[i]);
          without.decode(packets[i]);
        }
        const bool differs = with.decode_fec(packets[n], 960) != without.conceal(960);
        // Where the encoder changes its mode, concealment is not the same either.
        const bool is_same_mode = packets[n][0] >> 3 == packets[n - 2][0] >> 3;
        if (has_inband_fec(packets[n]) || is_same_mode) {
          CHECK(has_inband_fec(packets[n]) == differs);
        }
        seen += has_inband_fec(packets[n]) ? 1 : 0;
      }
      CHECK((seen > 0) == has_fec);
    }
  }
}

TEST_CASE("durations are learnt from steps that senders make, and from no accident") {
  LearntDuration duration;
  CHECK(duration.samples() == 960);
  duration.add(2'880);
  CHECK(duration.samples() == 2'880);
  for (const int step : {960, 1'080, 2'881, 0, -960, 48'000, 480}) duration.add(step);
  CHECK(duration.samples() == 2'880);
  duration.add(480);
  CHECK(duration.samples() == 480);
}

TEST_CASE("bytes that are no Opus have no FEC") {
  for (const std::vector<std::uint8_t>& bytes : {std::vector<std::uint8_t>{},
                                                 {0x08},
                                                 {0x0B},
                                                 {0x0B, 0xFF},
                                                 {0x0A, 0xFF},
                                                 {0x0B, 0x41, 0xFF}}) {
    CHECK_FALSE(has_inband_fec(bytes));
  }
}
