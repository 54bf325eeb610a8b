#include "tests/sim/person.h"

#include <algorithm>

#include "relay/wire/rtp.h"

namespace earshot::sim {
namespace {

constexpr std::size_t held_max = 16;

std::uint16_t draw_size(replay::Random& random) {
  const std::uint64_t kind = random.below(64);
  if (kind == 0) return static_cast<std::uint16_t>(1 + random.below(3));  // DTX
  if (kind == 1) return static_cast<std::uint16_t>(4 + random.below(1'272));
  return static_cast<std::uint16_t>(40 + random.below(80));
}

void put_u32(std::vector<std::uint8_t>& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

// What the relay has to take off: CSRCs and an extension's first words in the clear header, the
// extension's body and padding around the frame.
void decorate(replay::Random& random, std::vector<std::uint8_t>& header,
              std::vector<std::uint8_t>& plaintext) {
  const std::uint64_t how = random.below(8);
  if ((how & 1) != 0) {
    header[0] |= 2;
    put_u32(header, 0x11223344);
    put_u32(header, 0x55667788);
  }
  if ((how & 2) != 0) {
    header[0] |= 0x10;
    put_u32(header, 0xBEDE0001);
    plaintext.insert(plaintext.begin(), {0x10, 0x7F, 0, 0});
  }
  if ((how & 4) != 0) {
    header[0] |= 0x20;
    const auto count = static_cast<std::uint8_t>(1 + random.below(16));
    plaintext.resize(plaintext.size() + count, 0);
    plaintext.back() = count;
  }
}

}  // namespace

Duration exponential(replay::Random& random, Duration mean) {
  return replay::scale(mean, random.exponential());
}

Duration between(replay::Random& random, Duration from, Duration to) {
  return from + Duration{static_cast<std::int64_t>(
                    random.below(static_cast<std::uint64_t>((to - from).ns) + 1))};
}

Habits draw_habits(replay::Random& random, Duration pause) {
  Habits h;
  constexpr std::array<std::int64_t, 8> frames{20, 20, 20, 20, 20, 10, 40, 60};
  h.frame = milliseconds(frames[random.below(frames.size())]);
  h.is_rtp_running = random.chance(0.5);
  h.ends_with_silence = random.chance(0.7);
  h.is_decorated = random.chance(0.2);
  h.asks_for_address = random.chance(0.8);
  h.declares_nonsense = random.chance(0.1);
  h.signals_from_elsewhere = random.chance(0.2);
  h.clock_ppm = static_cast<std::int64_t>(random.below(401)) - 200;
  if (random.chance(0.05)) h.clock_ppm = static_cast<std::int64_t>(random.below(40'001)) - 20'000;
  h.spurt = between(random, milliseconds(200), seconds(3));
  h.pause = between(random, pause / 2, pause * 2);
  h.order = random.chance(0.2) ? CounterOrder::little_endian : CounterOrder::big_endian;
  h.start = static_cast<std::uint8_t>(random.below(6));
  const bool is_gcm =
      random.chance(0.6) && crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize);
  h.mode =
      is_gcm ? crypto::AeadMode::aes256_gcm_rtpsize : crypto::AeadMode::xchacha20_poly1305_rtpsize;
  return h;
}

CounterHabit draw_counter(replay::Random& random, const Habits& habits) {
  constexpr std::array<std::uint32_t, 4> starts{0, 1, 0x7FFFFF00, 0xFFFFFF00};
  const auto any = static_cast<std::uint32_t>(random.next());
  return {habits.start < starts.size() ? starts[habits.start] : any, habits.order, false};
}

void seal_frame(Person& person, replay::Random& random, bool is_silence, PacketKind kind,
                Packet& packet) {
  Life& life = *person.life;
  const std::uint16_t size = is_silence ? std::uint16_t{opus_silence.size()} : draw_size(random);
  const SentFrame& frame = life.add_frame(person.sequence++, person.timestamp, size, is_silence);
  static thread_local std::vector<std::uint8_t> header;
  static thread_local std::vector<std::uint8_t> plaintext;
  header.resize(wire::rtp_header_size);
  plaintext.resize(size);
  wire::write_rtp_header(std::span<std::uint8_t, wire::rtp_header_size>(header), frame.sequence,
                         frame.timestamp, life.slot.ssrc);
  write_frame(plaintext, life.index, frame);
  if (person.habits.is_decorated && plaintext.size() < 1'200) decorate(random, header, plaintext);
  if (kind == PacketKind::wrong_type) header[1] = 96;
  packet.from = person.address;
  packet.origin = {kind, life.index, frame.number, life.key->sealed_count(), life.key, false};
  life.key->seal(header, plaintext, packet.bytes);
  person.held.push_back({packet.bytes, packet.origin});
  if (person.held.size() > held_max) person.held.pop_front();
}

// --- Networks -----------------------------------------------------------------------------------

replay::PathModel calm_path(replay::Random& random) {
  replay::PathModel model;
  model.delay = between(random, milliseconds(1), milliseconds(150));
  return model;
}

replay::PathModel draw_path(replay::Random& random) {
  replay::PathModel model = calm_path(random);
  const auto sometimes = [&random] { return random.chance(0.3); };
  if (sometimes()) {
    constexpr std::array kinds{replay::JitterKind::normal, replay::JitterKind::gamma,
                               replay::JitterKind::pareto};
    model.jitter.kind = kinds[random.below(kinds.size())];
    model.jitter.size = between(random, milliseconds(1), milliseconds(40));
    model.jitter.shape = model.jitter.kind == replay::JitterKind::pareto ? 2.5 : 2.0;
    model.jitter.reorders = random.chance(0.5);
  }
  if (sometimes()) {
    model.loss.to_bad = 0.002 + 0.03 * random.uniform();
    model.loss.to_good = 0.05 + 0.5 * random.uniform();
    model.loss.good_loss = 0.01 * random.uniform();
  }
  if (sometimes()) model.duplication = 0.05 * random.uniform();
  if (sometimes()) {
    model.rate.bits_per_second = 64'000 + random.below(2'000'000);
    model.rate.queue_time = between(random, milliseconds(50), seconds(2));
    model.rate.cross_bits_per_second = model.rate.bits_per_second;
    model.rate.cross_on = seconds(1);
    model.rate.cross_off = seconds(4);
  }
  if (sometimes()) {
    model.stall.length = between(random, milliseconds(50), seconds(1));
    model.stall.every = between(random, seconds(4), seconds(20));
    model.stall.is_random = true;
    model.stall_drain = between(random, Duration{}, milliseconds(10));
  }
  if (random.chance(0.15)) {
    model.outage.length = between(random, milliseconds(300), seconds(4));
    model.outage.every = between(random, seconds(10), seconds(60));
    model.outage.is_random = true;
    model.outage_holds = random.chance(0.5);
  }
  if (sometimes()) {
    model.shift.length = between(random, seconds(1), seconds(20));
    model.shift.every = model.shift.length + between(random, seconds(1), seconds(20));
    model.shift.is_random = true;
    model.shift_by = between(random, milliseconds(20), milliseconds(600));
  }
  return model;
}

}  // namespace earshot::sim
