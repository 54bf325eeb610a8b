#include "tools/listen/renderer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>

using namespace earshot;
using namespace earshot::listen;

namespace {

using Kind = Segment::Kind;

constexpr Time start{1'000'000'000};

// A voice of a kind: a gliding tone with an overtone.
std::vector<std::vector<std::uint8_t>> voice(const codec::EncoderOptions& options, int count) {
  codec::Encoder encoder(options);
  std::vector<std::vector<std::uint8_t>> packets;
  double phase = 0;
  for (int n = 0; n < count; ++n) {
    std::vector<std::int16_t> pcm(960);
    for (auto& sample : pcm) {
      phase += 2 * 3.141592653589793 * (200 + 40 * std::sin(n * 0.1)) / 48'000;
      sample = static_cast<std::int16_t>(9'000 * std::sin(phase) + 3'000 * std::sin(2 * phase));
    }
    packets.push_back(encoder.encode(pcm));
  }
  return packets;
}

struct Rig {
  explicit Rig(const BufferOptions& options = {}) : buffer(make_jitter_buffer(options)) {}

  void insert(int n, Duration delay, std::span<const std::uint8_t> payload) {
    Packet packet;
    packet.arrival = start + slot_time * n + delay;
    packet.sequence = static_cast<std::uint16_t>(n);
    packet.timestamp = static_cast<std::uint32_t>(n) * 960;
    packet.payload = payload;
    packet.id = static_cast<std::uint64_t>(n);
    renderer.store(buffer->insert(packet), payload);
  }
  bool tick(int n) {
    buffer->play(start + slot_time * n, playout);
    std::vector<std::int16_t> slot(slot_samples);
    const bool is_active = renderer.render(playout, slot);
    sound.insert(sound.end(), slot.begin(), slot.end());
    return is_active;
  }

  std::unique_ptr<JitterBuffer> buffer;
  Renderer renderer;
  Playout playout;
  std::vector<std::int16_t> sound;
};

double level(std::span<const std::int16_t> pcm) {
  double sum = 0;
  for (const auto sample : pcm) sum += static_cast<double>(sample) * sample;
  return std::sqrt(sum / static_cast<double>(pcm.size()));
}

// The largest step from one sample to the next: a click is far above what the voice has.
int roughness(std::span<const std::int16_t> pcm) {
  int step = 0;
  for (std::size_t i = 1; i < pcm.size(); ++i) step = std::max(step, std::abs(pcm[i] - pcm[i - 1]));
  return step;
}

}  // namespace

TEST_CASE("what is played is what the decoder gives, one delay later") {
  Rig rig;
  const auto packets = voice({}, 50);
  codec::Decoder decoder;
  std::vector<std::int16_t> expected(960);
  for (int n = 0; n < 50; ++n) {
    rig.insert(n, {}, packets[static_cast<std::size_t>(n)]);
    rig.tick(n);
    const auto pcm = decoder.decode(packets[static_cast<std::size_t>(n)]);
    expected.insert(expected.end(), pcm.begin(), pcm.end());
  }
  expected.resize(rig.sound.size());
  CHECK(rig.sound == expected);
}

TEST_CASE("a loss is filled, from in-band FEC where the next packet has it") {
  for (const bool has_fec : {false, true}) {
    CAPTURE(has_fec);
    codec::EncoderOptions options;
    options.bitrate = 24'000;
    options.fec = has_fec;
    options.expected_loss_percent = has_fec ? 20 : 0;
    const auto packets = voice(options, 100);
    Rig rig;
    for (int n = 0; n < 100; ++n) {
      if (n % 10 != 5) rig.insert(n, {}, packets[static_cast<std::size_t>(n)]);
      rig.tick(n);
    }
    CHECK((rig.buffer->counters().fec > 0) == has_fec);
    CHECK(rig.buffer->counters().fec * 960 + rig.buffer->counters().samples_concealed == 10 * 960);
    for (int n = 5; n < 99; ++n) {
      const std::span slot(rig.sound.data() + n * 960, 960);
      CAPTURE(n);
      CHECK(level(slot) > 1'500);
    }
    CHECK(roughness(rig.sound) < 2'500);
  }
}

TEST_CASE("stretching keeps level and smoothness, and brings a backlog down") {
  const auto packets = voice({}, 600);
  Rig rig;
  int next = 0;
  for (int n = 0; n < 600; ++n) {
    const bool is_stalled = n >= 200 && n < 215;
    for (; !is_stalled && next <= n; ++next) {
      rig.insert(next, slot_time * (n - next), packets[static_cast<std::size_t>(next)]);
    }
    rig.tick(n);
  }
  CHECK(rig.buffer->counters().samples_taken_out >= 4'800);
  // Behind the stall nothing is missing and nothing clicks.
  for (int n = 220; n < 600; ++n) {
    CAPTURE(n);
    CHECK(level(std::span(rig.sound.data() + n * 960, 960)) > 4'000);
  }
  CHECK(roughness(std::span(rig.sound).subspan(220 * 960)) < 1'500);
}

TEST_CASE("the end of speech goes down to silence, and then there is only that") {
  const auto packets = voice({}, 20);
  Rig rig;
  for (int n = 0; n < 20; ++n) {
    rig.insert(n, {}, packets[static_cast<std::size_t>(n)]);
    CHECK(rig.tick(n) == (n > 0));
  }
  for (int n = 20; n < 26; ++n) CHECK(rig.tick(n));
  for (int n = 26; n < 40; ++n) CHECK_FALSE(rig.tick(n));
  CHECK(roughness(rig.sound) < 1'500);
  CHECK(level(std::span(rig.sound).subspan(28 * 960)) == 0);
}

TEST_CASE("what is no Opus is counted, and something is played all the same") {
  const auto packets = voice({}, 20);
  const std::vector<std::uint8_t> broken{0x0B, 0xFF, 0xFF, 0xFF, 0xFF};
  Rig rig;
  for (int n = 0; n < 20; ++n) {
    rig.insert(n, {}, n == 10 ? broken : packets[static_cast<std::size_t>(n)]);
    rig.tick(n);
  }
  CHECK(rig.renderer.undecodable() == 1);
  CHECK(rig.sound.size() == 20 * 960);
  CHECK(rig.buffer->counters().played == 19);
}

TEST_CASE("a packet that lies about its duration gets the time that was planned for it") {
  const auto packets = voice({}, 3);
  Renderer renderer;
  renderer.store({Verdict::accepted, 0}, packets[0]);
  Playout playout;
  playout.count = 1;
  playout.segments[0] = {.kind = Kind::frame, .samples = 2'880};
  std::vector<std::int16_t> slot(slot_samples);
  CHECK(renderer.render(playout, slot));
  CHECK(renderer.pending() == 1'920);
  playout.count = 0;
  for (int i = 0; i < 3; ++i) renderer.render(playout, slot);
  CHECK(renderer.pending() == 0);
}

TEST_CASE("a place that was never stored is not Opus, not a crash") {
  Renderer renderer;
  Playout playout;
  playout.count = 2;
  playout.segments[0] = {.kind = Kind::frame, .samples = 480, .place = 4'000'000};
  playout.segments[1] = {.kind = Kind::fec, .samples = 480, .place = 9};
  std::vector<std::int16_t> slot(slot_samples);
  CHECK(renderer.render(playout, slot));
  CHECK(renderer.undecodable() == 1);
}
