#include "tests/support/media_party.h"

#include <algorithm>
#include <array>

namespace earshot::test {
namespace {

constexpr std::array<std::uint8_t, 4> frame{0x78, 1, 2, 3};

std::uint64_t received(WorkerGroup& group) {
  std::uint64_t sum = 0;
  for (std::uint8_t w = 0; w < group.size(); ++w) sum += group.counters({w})[Counter::received];
  return sum;
}

}  // namespace

MediaParty::MediaParty(ControlRig& r, const Person& who, int version)
    : rig(r), gateway(&r.identify(who, version)), socket(r.workers.group->bound()) {
  gateway->select("aead_xchacha20_poly1305_rtpsize", socket.address());
  rig.settle();
  use(*gateway);
}

void MediaParty::use(GatewayClient& client) {
  gateway = &client;
  if (client.count(4) == 0) return;  // resumed: SSRC and key stay
  std::array<std::uint8_t, crypto::key_size> key;
  const auto bytes = client.key();
  std::copy(bytes.begin(), bytes.end(), key.begin());
  media.emplace(Ssrc{client.ssrc()},
                *crypto::parse_aead_mode(client.last(4)["d"]["mode"].get<std::string>()), key, 1);
}

void MediaParty::speak() {
  const std::uint64_t before = received(*rig.workers.group);
  socket.send(media->seal(sequence, sequence * 960u, frame));
  ++sequence;
  rig.workers.wait_until([&] { return received(*rig.workers.group) > before; });
}

std::optional<ReceivedPacket> MediaParty::hear(int wait_ms) {
  const auto datagram = socket.receive(wait_ms);
  return datagram.empty() ? std::nullopt : media->open(datagram);
}

std::uint64_t MediaParty::packets_sent_to() const {
  return get(rig.workers.group->stats(media->ssrc()).packets_sent);
}

}  // namespace earshot::test
