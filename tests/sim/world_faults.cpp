// What goes wrong, at the rates of plan.h.
#include <algorithm>

#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"
#include "tests/sim/world_site.h"

namespace earshot::sim {
namespace {

Endpoint stranger(replay::Random& random) {
  return {make_v4(100, 64, 0, static_cast<std::uint8_t>(random.below(8))),
          static_cast<std::uint16_t>(2'000 + random.below(16))};
}

void put_ssrc(std::vector<std::uint8_t>& rtp, Ssrc ssrc) {
  for (std::size_t i = 0; i < 4; ++i)
    rtp[8 + i] = static_cast<std::uint8_t>(ssrc.value >> (24 - 8 * i));
}

}  // namespace

void World::plan_fault() {
  const Duration gap = replay::scale(seconds(1), random_.exponential() / fault_rate_);
  schedule_.at<&World::on_fault>(schedule_.now() + gap, this, round_);
}

void World::on_fault(std::uint64_t round) {
  if (!is_storm_ || round != round_) return;
  double total = 0;
  for (const FaultRow& row : fault_rows) total += row.per_hour;
  double at = random_.uniform() * total;
  std::size_t kind = 0;
  while (kind + 1 < faults_count && at >= fault_rows[kind].per_hour)
    at -= fault_rows[kind++].per_hour;
  befall(static_cast<Fault>(kind));
  plan_fault();
}

Person* World::anybody_live() {
  for (int attempt = 0; attempt < 8; ++attempt) {
    Person& person = *people_[random_.below(people_.size())];
    if (person.life != nullptr && person.life->key && !person.life->is_leaving) return &person;
  }
  return nullptr;
}

void World::befall(Fault fault) {
  switch (fault) {
    case Fault::worker_stall:
    case Fault::clock_step:
    case Fault::channel_options:
    case Fault::partition:
      ++totals_.faults[static_cast<std::size_t>(fault)];
      journal_.note(schedule_.now(), "fault %llu", static_cast<std::uint64_t>(fault));
      return befall_node(fault);
    default:
      break;
  }
  Person* person = anybody_live();
  if (person == nullptr) return;
  ++totals_.faults[static_cast<std::size_t>(fault)];
  journal_.note(schedule_.now(), "fault %llu befalls participant %llu",
                static_cast<std::uint64_t>(fault), person->index);
  if (fault <= Fault::deafen) return befall_session(fault, *person);
  if (fault >= Fault::replay && fault <= Fault::spoof) return attack(fault, *person);
  befall_client(fault, *person);
}

void World::befall_session(Fault fault, Person& person) {
  switch (fault) {
    case Fault::leave:
      return go(person, exponential(random_, seconds(5)), person.channel);
    case Fault::move:
      return go(person, {}, static_cast<ChannelName>(random_.below(plan_.channels)));
    case Fault::take_over:
      return go(person, {}, person.channel);
    case Fault::mute:
      person.is_muted = !person.is_muted;
      break;
    default:
      person.is_deafened = !person.is_deafened;
      break;
  }
  site_->control.restrain(*person.life, person.is_muted, person.is_deafened);
}

void World::befall_client(Fault fault, Person& person) {
  const Time now = schedule_.now();
  switch (fault) {
    case Fault::address_change:
      take_address(person, new_address(person, random_.chance(0.4)));
      break;
    case Fault::resume:
      person.signalling = person.address.ip;
      site_->control.set_signalling_peer(*person.life, person.signalling);
      break;
    case Fault::select_again:
    case Fault::rekey: {
      KeyChoice choice = draw_key(person);
      if (fault == Fault::rekey && crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize)) {
        choice.mode = person.habits.mode == crypto::AeadMode::aes256_gcm_rtpsize
                          ? crypto::AeadMode::xchacha20_poly1305_rtpsize
                          : crypto::AeadMode::aes256_gcm_rtpsize;
        person.habits.mode = choice.mode;
      }
      person.life->addresses.push_back(person.address);
      site_->control.select(*person.life, choice, person.address);
      break;
    }
    case Fault::client_stall:
      person.stalled_until = now + between(random_, milliseconds(60), seconds(2));
      break;
    case Fault::flood:
      for (int i = 0; i < 600; ++i) say(person, false);
      break;
    case Fault::restart:
      // Not up to 100 behind the last one: with an earlier time stamp that is a reordered packet to
      // the policy, and so are those behind it, until they have passed the last one.
      person.sequence = static_cast<std::uint16_t>(person.sequence + random_.below(65'000));
      person.timestamp = static_cast<std::uint32_t>(random_.next());
      break;
    default:
      set_network(person, false);
      break;
  }
}

void World::befall_node(Fault fault) {
  const Time now = schedule_.now();
  switch (fault) {
    case Fault::worker_stall: {
      const auto worker = static_cast<std::uint8_t>(random_.below(plan_.workers));
      const Duration length = exponential(random_, milliseconds(100));
      return site_->node.stall({worker}, std::min(length + milliseconds(1), seconds(2)));
    }
    case Fault::clock_step: {
      constexpr std::array<std::int64_t, 4> sizes_ms{6, 200, 10'000, 3'600'000};
      const Duration size = milliseconds(sizes_ms[random_.below(sizes_ms.size())]);
      return site_->node.step_wall_clock(random_.chance(0.5) ? size : Duration{} - size);
    }
    case Fault::channel_options: {
      constexpr std::array<std::uint16_t, 6> lates{0, 20, 80, 120, 200, 2'000};
      constexpr std::array<std::uint16_t, 4> speakers{1, 2, 4, 32};
      const auto channel = static_cast<ChannelName>(random_.below(plan_.channels));
      std::optional<std::uint16_t> late;
      if (random_.chance(0.7)) late = lates[random_.below(lates.size())];
      return site_->control.set_channel(channel, late, speakers[random_.below(speakers.size())]);
    }
    default: {
      const Time until = now + between(random_, milliseconds(300), seconds(8));
      for (auto& person : people_) {
        if (random_.chance(0.5)) person->cut_off_until = until;
      }
    }
  }
}

// --- Attacks ------------------------------------------------------------------------------------

void World::attack(Fault fault, Person& person) {
  Packet packet;
  switch (fault) {
    case Fault::replay: {
      if (person.held.empty()) return;
      const auto& held = person.held[random_.below(person.held.size())];
      packet = {
          random_.chance(0.5) ? person.address : stranger(random_), {}, held.bytes, held.origin};
      // Where it comes before the original, it moves the return address: it is authentic.
      lives_[held.origin.life].addresses.push_back(packet.from);
      return send_from_anywhere(packet);
    }
    case Fault::forge: {
      if (person.held.empty()) return;
      packet.bytes = person.held.back().bytes;
      packet.bytes[random_.below(packet.bytes.size() - 8) + 8] ^=
          static_cast<std::uint8_t>(1 + random_.below(255));
      packet.from = random_.chance(0.5) ? person.address : stranger(random_);
      packet.origin.kind = PacketKind::forged;
      packet.origin.life = person.life->index;
      return send_from_anywhere(packet);
    }
    case Fault::foreign_ssrc: {
      const Person* victim = anybody_live();
      if (victim == nullptr || victim == &person) return;
      std::vector<std::uint8_t> header(wire::rtp_header_size);
      wire::write_rtp_header(std::span<std::uint8_t, wire::rtp_header_size>(header),
                             victim->sequence, victim->timestamp, victim->life->slot.ssrc);
      person.life->key->seal(header, header, packet.bytes);
      packet.from = random_.chance(0.5) ? person.address : victim->address;
      packet.origin.kind = PacketKind::foreign_ssrc;
      packet.origin.life = person.life->index;
      return send_from_anywhere(packet);
    }
    case Fault::garbage:
      return send_garbage(person);
    default:
      return spoof();
  }
}

void World::send_garbage(Person& person) {
  Packet packet;
  packet.from = random_.chance(0.5) ? person.address : stranger(random_);
  packet.origin.kind = PacketKind::garbage;
  packet.origin.life = person.life->index;
  switch (random_.below(6)) {
    case 0:
      packet.bytes = {0x80, 0xC8, 0, 6, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
      packet.origin.kind = PacketKind::rtcp;
      break;
    case 1:
      packet.bytes = {opus_silence.begin(), opus_silence.end()};
      packet.origin.kind = PacketKind::leftover;
      break;
    case 2:
      packet.bytes.assign(1'501 + random_.below(500), 0x80);
      put_ssrc(packet.bytes, person.life->slot.ssrc);
      packet.origin.kind = PacketKind::oversize;
      break;
    case 3:
      return say(person, false, PacketKind::wrong_type);
    default:
      packet.bytes.resize(random_.below(200));
      for (std::uint8_t& b : packet.bytes) b = static_cast<std::uint8_t>(random_.next());
      if (packet.bytes.size() >= 12 && random_.chance(0.7)) {
        packet.bytes[0] = 0x80 | (packet.bytes[0] & 0x3F);
        put_ssrc(packet.bytes, person.life->slot.ssrc);
      }
      break;
  }
  send_from_anywhere(packet);
}

// A third of all declare an address that is not theirs, and have an IP discovery come from it.
void World::spoof() {
  const Endpoint victim{make_v4(203, 0, 113, 66), 666};
  for (auto& person : people_) {
    Life* life = person->life;
    if (life == nullptr || life->is_leaving || !life->key || random_.chance(0.3)) continue;
    Packet packet;
    packet.from = victim;
    packet.bytes.resize(wire::discovery_size);
    wire::write_discovery_request(
        std::span<std::uint8_t, wire::discovery_size>(packet.bytes.data(), wire::discovery_size),
        life->slot.ssrc);
    packet.origin.kind = PacketKind::discovery;
    packet.origin.life = life->index;
    send_from_anywhere(packet);
    life->addresses.push_back(victim);
    // The discovery has to come first.
    schedule_.call(schedule_.now() + milliseconds(300), [this, life, victim, p = person.get()] {
      if (life->is_leaving) return;
      KeyChoice choice = draw_key(*p);
      choice.mode = life->key->mode();
      site_->control.select(*life, choice, victim);
    });
  }
}

}  // namespace earshot::sim
