#include "tools/replay/virtual_relay.h"

#include <algorithm>
#include <cstring>

#include "relay/base/check.h"
#include "relay/wire/rtp.h"

namespace earshot::replay {
namespace {

constexpr ChannelRef channel{{0}, {1}};
constexpr Generation first_life{1};
constexpr std::size_t header_size = 12;

CoreOptions core_options(std::size_t participants) {
  RELAY_CHECK(crypto::initialize());
  RELAY_CHECK(participants <= VirtualRelay::participants_max);
  CoreOptions options;
  // Slot 0 of node 0 would be SSRC 0.
  options.sessions_max = participants + 1;
  options.remote_slots_max = 1;
  options.channels_max = 1;
  options.is_unlimited = true;
  return options;
}

crypto::AeadMode mode() {
  using enum crypto::AeadMode;
  return crypto::is_available(aes256_gcm_rtpsize) ? aes256_gcm_rtpsize : xchacha20_poly1305_rtpsize;
}

// Loopback: nobody has to prove that an address is theirs.
Endpoint address_of(std::size_t slot) {
  return {make_v4(127, 1, static_cast<std::uint8_t>(slot >> 8), static_cast<std::uint8_t>(slot)),
          40'000};
}

std::array<std::uint8_t, crypto::key_size> key_of(std::size_t slot) {
  std::array<std::uint8_t, crypto::key_size> key{};
  key[0] = static_cast<std::uint8_t>(slot);
  key[1] = static_cast<std::uint8_t>(slot >> 8);
  return key;
}

void put(std::uint8_t* to, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

std::int64_t to_ticks(std::uint16_t ms) {
  return std::int64_t{ms} * 48;
}

}  // namespace

Verdict verdict_of(DropReason reason) {
  switch (reason) {
    case DropReason::none:
      return Verdict::keep;
    case DropReason::late:
      return Verdict::late;
    case DropReason::duplicate:
    case DropReason::replayed:
      return Verdict::duplicate;
    case DropReason::stale:
      return Verdict::stale;
    case DropReason::rate:
      return Verdict::rate;
    case DropReason::speakers:
      return Verdict::speakers;
    case DropReason::muted:
    case DropReason::not_allowed:
      return Verdict::muted;
    default:
      RELAY_CHECK(false);
      return Verdict::count;
  }
}

VirtualRelay::VirtualRelay(const Policy& policy, std::size_t streams, std::size_t listeners,
                           Time now)
    : policy_(policy),
      speakers_(streams),
      core_(core_options(streams + listeners), {}),
      out_(std::make_unique<Outbox>()) {
  const bool is_late = policy.kind == Policy::Kind::late;
  command(now, OpenChannel{channel, limits::channel_speakers_max,
                           is_late ? policy.ms : std::uint16_t{0}, true});
  for (std::size_t i = 0; i < streams + listeners; ++i) join(i, i < streams, now);
}

void VirtualRelay::join(std::size_t i, bool speaks, Time now) {
  const SlotRef slot{make_ssrc({}, {}, {static_cast<std::uint16_t>(i + 1)}), first_life};
  Grants grants;
  grants.speak = speaks;
  grants.listen = !speaks;
  const auto key = key_of(i);
  command(now, OpenSlot{slot, channel, grants, false, false, address_of(i).ip});
  command(now, InstallKey{slot, mode(), key, address_of(i), limits::nonce_space / 2});
  command(now, StartSending{slot});
  if (!speaks) return;
  speakers_[i].ssrc = slot.ssrc;
  speakers_[i].key.set(mode(), key);
}

void VirtualRelay::command(Time now, const Command& c) {
  core_.on_command(now, c, *out_);
  while (core_.next_timeout() <= now) core_.on_timeout(now, *out_);
  out_->clear();
}

std::span<std::uint8_t> VirtualRelay::seal(const Arrived& packet) {
  const Speaker& speaker = speakers_[packet.stream];
  datagram_.assign(header_size + packet.size + crypto::tag_size + crypto::counter_size, 0);
  std::uint8_t* const bytes = datagram_.data();
  bytes[0] = 0x80;
  bytes[1] = wire::opus_payload_type;
  bytes[2] = static_cast<std::uint8_t>(packet.sequence >> 8);
  bytes[3] = static_cast<std::uint8_t>(packet.sequence);
  put(bytes + 4, packet.timestamp);
  put(bytes + 8, speaker.ssrc.value);
  std::uint8_t* const counter = bytes + header_size + packet.size + crypto::tag_size;
  put(counter, packet.nonce);
  crypto::Counter nonce;
  std::copy_n(counter, nonce.size(), nonce.begin());
  speaker.key.seal({bytes + header_size, packet.size + crypto::tag_size}, packet.size,
                   {bytes, header_size}, nonce);
  return datagram_;
}

// What the core did with it: its counters say why.
DropReason VirtualRelay::feed(Time now, const Arrived& packet) {
  const auto before = core_.counters().drops;
  core_.on_datagram(now, {address_of(packet.stream), make_v4(127, 0, 0, 1), now, seal(packet)},
                    *out_);
  const auto& after = core_.counters().drops;
  const auto changed = std::mismatch(before.begin(), before.end(), after.begin()).first;
  if (changed == before.end()) return DropReason::none;
  return static_cast<DropReason>(changed - before.begin());
}

Judged VirtualRelay::on_packet(
    Time now, const Arrived& packet,
    const std::function<void(std::size_t listener, std::size_t bytes)>& forward) {
  Speaker& speaker = speakers_[packet.stream];
  const LatenessInput input{rtp_ticks(now), packet.sequence, packet.timestamp, packet.size <= 3};
  const bool is_deadline = policy_.kind == Policy::Kind::deadline;
  const DropReason reason = feed(now, packet);
  Judged judged{verdict_of(reason), reason == DropReason::none || reason == DropReason::late, 0};
  if (judged.has_lateness) {
    const Lateness late = lateness(speaker.lateness, input, is_deadline ? 0 : policy_.ms);
    RELAY_CHECK((late.verdict == LatenessVerdict::drop) == (reason == DropReason::late));
    judged.lateness_ticks = late.ticks;
    if (is_deadline && late.ticks > to_ticks(policy_.ms)) judged.verdict = Verdict::late;
  }
  if (judged.verdict == Verdict::keep) {
    for (const OutDatagram& d : out_->datagrams()) {
      forward(d.slot.value - 1u - speakers_.size(), d.size);
    }
  }
  out_->clear();
  return judged;
}

}  // namespace earshot::replay
