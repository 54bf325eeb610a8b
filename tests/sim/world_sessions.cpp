// How participants come, get their address believed, and go.
#include <algorithm>

#include "relay/wire/discovery.h"
#include "tests/sim/world_site.h"

namespace earshot::sim {
namespace {

constexpr Duration join_retry = seconds(1);
constexpr Duration discovery_retry = milliseconds(500);
constexpr int discovery_attempts_max = 6;
constexpr IpAddress relay_address() {
  return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 1}};
}

}  // namespace

void World::enter(Person& person) {
  person.is_away = false;
  if (person.life != nullptr) return;
  Entry entry;
  entry.channel = person.channel;
  entry.grants = person.grants;
  entry.is_muted = person.is_muted;
  entry.is_deafened = person.is_deafened;
  entry.signalling_peer = person.signalling;
  Life* life = site_->control.join(person.index, entry);
  if (life == nullptr) {
    // Slots are still on their way back.
    person.is_away = true;
    schedule_.call(schedule_.now() + join_retry, [this, &person] { enter(person); });
    return;
  }
  person.life = life;
  life->addresses.push_back(person.address);
  person.sequence = static_cast<std::uint16_t>(random_.next());
  person.timestamp = static_cast<std::uint32_t>(random_.next());
  person.frame_at = {};
  person.held.clear();
}

// Ends the session; another one begins after `away`.
void World::go(Person& person, Duration away, ChannelName to) {
  if (person.life == nullptr || person.life->is_leaving) return;
  Life& life = *person.life;
  ++person.speech;
  site_->control.leave(life, [this, &person, &life, away, to] {
    totals_.participant_ns += (schedule_.now() - life.began).ns;
    person.life = nullptr;
    person.channel = to;
    person.is_away = true;
    schedule_.call(schedule_.now() + (is_storm_ ? away : Duration{}),
                   [this, &person] { enter(person); });
    // What may still be under way from it is dropped by then.
    schedule_.call(schedule_.now() + seconds(60), [&life] { life.forget(); });
  });
}

void World::on_ready(Life& life) {
  Person& person = *people_[life.person];
  person.seen_as.reset();
  person.discoveries_left = person.habits.asks_for_address ? discovery_attempts_max : 0;
  if (person.discoveries_left == 0) return select(person);
  ask_for_address(person.index);
}

void World::ask_for_address(std::uint64_t index) {
  Person& person = *people_[index];
  if (person.life == nullptr || person.life->is_leaving || person.discoveries_left == 0) return;
  if (--person.discoveries_left == 0) return select(person);
  Packet packet;
  packet.from = person.address;
  packet.local = relay_address();
  packet.bytes.resize(wire::discovery_size);
  wire::write_discovery_request(
      std::span<std::uint8_t, wire::discovery_size>(packet.bytes.data(), wire::discovery_size),
      person.life->slot.ssrc);
  packet.origin.kind = PacketKind::discovery;
  send(person, packet);
  schedule_.at<&World::ask_for_address>(schedule_.now() + discovery_retry, this, index);
}

// Select Protocol, with what discovery said, or what the client believes, or nonsense.
void World::select(Person& person) {
  Endpoint declared = person.seen_as.value_or(person.address);
  if (person.habits.declares_nonsense) declared = {make_v4(10, 0, 0, 9), 9};
  person.life->addresses.push_back(declared);
  site_->control.select(*person.life, draw_key(person), declared);
}

KeyChoice World::draw_key(const Person& person) {
  KeyChoice choice;
  choice.mode = person.habits.mode;
  choice.habit = draw_counter(random_, person.habits);
  choice.is_near_relay =
      person.habits.start == 5 && person.habits.order == CounterOrder::big_endian;
  return choice;
}

void World::on_description(Life& life) {
  Person& person = *people_[life.person];
  if (is_storm_) pause(person);
  if (person.keep_alive_until == Time{}) {
    person.keep_alive_until = schedule_.now();
    schedule_.at<&World::keep_alive>(schedule_.now() + milliseconds(100), this, person.index);
  }
}

// --- Addresses ----------------------------------------------------------------------------------

// Some share an address, as behind one NAT; some have IPv6.
Endpoint World::new_address(Person& person, bool has_new_ip) {
  if (++next_port_ < 1'024) next_port_ = 1'024;
  const std::uint16_t port = next_port_;
  if (!has_new_ip) return {person.address.ip, port};
  ++next_ip_;
  if (random_.chance(0.2) && person.index > 0) return {people_[0]->address.ip, port};
  const auto high = static_cast<std::uint8_t>(next_ip_ >> 8);
  const auto low = static_cast<std::uint8_t>(next_ip_);
  if (random_.chance(0.7)) return {make_v4(198, 51, high, low), port};
  IpAddress v6;
  v6.bytes = {0x20, 0x01, 0x0D, 0xB8, 0, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 1};
  return {v6, port};
}

void World::take_address(Person& person, const Endpoint& address) {
  if (person.address.is_set()) by_address_.erase(person.address);
  person.address = address;
  by_address_[address] = person.index;
  const bool has_signalling = person.signalling != IpAddress{};
  if (!has_signalling) {
    person.signalling = person.habits.signals_from_elsewhere ? make_v4(192, 0, 2, 77) : address.ip;
  }
  if (person.life != nullptr) person.life->addresses.push_back(address);
}

}  // namespace earshot::sim
