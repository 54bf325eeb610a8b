#include "tests/support/core_rig.h"

#include "relay/base/check.h"
#include "relay/wire/discovery.h"

namespace earshot::test {

Endpoint client_address(std::uint16_t slot) {
  return {make_v4(192, 0, static_cast<std::uint8_t>(slot >> 8), static_cast<std::uint8_t>(slot)),
          40'000};
}

std::array<std::uint8_t, crypto::key_size> test_key(std::uint32_t n) {
  std::array<std::uint8_t, crypto::key_size> key{};
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::uint8_t>((n >> (8 * (i % 4))) + i * 7);
  return key;
}

CoreOptions CoreRig::small_options() {
  RELAY_CHECK(crypto::initialize());
  CoreOptions options;
  options.sessions_max = 64;
  options.remote_slots_max = 64;
  options.channels_max = 16;
  options.seed = 7;
  return options;
}

CoreRig::CoreRig(CoreOptions o, Outbox* shared_outbox)
    : slot_stats(o.sessions_max * o.workers_count),
      options(o),
      core([&] {
        for (std::size_t w = 0; w < o.workers_count; ++w)
          stats_of_worker.push_back(&slot_stats[w * o.sessions_max]);
        return Core(o, stats_of_worker);
      }()),
      own_outbox(shared_outbox == nullptr ? std::make_unique<Outbox>() : nullptr),
      out(shared_outbox == nullptr ? *own_outbox : *shared_outbox) {}

ChannelRef CoreRig::open_channel(std::uint32_t index, std::uint16_t speakers_max,
                                 std::uint16_t late_ms_max) {
  const ChannelRef channel{{index}, {++generation_}};
  command(OpenChannel{channel, speakers_max, late_ms_max});
  return channel;
}

CoreRig::Participant CoreRig::join(std::uint16_t slot, ChannelRef channel, Grants grants,
                                   crypto::AeadMode mode, std::uint32_t counter,
                                   CounterOrder order) {
  Participant p;
  p.slot = {make_ssrc(options.node, options.worker, {slot}), {++generation_}};
  p.address = client_address(slot);
  const auto key = test_key(p.slot.generation.value);
  p.client = std::make_unique<MediaClient>(p.slot.ssrc, mode, key, counter, order);
  OpenSlot open{p.slot, channel, grants, false, false, p.address.ip};
  command(open);
  command(InstallKey{p.slot, mode, key, p.address, 0x12345678 & (limits::nonce_space - 1)});
  command(StartSending{p.slot});
  return p;
}

std::vector<Delivered> CoreRig::speak(Participant& p, std::size_t frame_size) {
  std::vector<std::uint8_t> frame(frame_size);
  for (std::size_t i = 0; i < frame.size(); ++i)
    frame[i] = static_cast<std::uint8_t>(i + p.sequence);
  const auto datagram = p.client->seal(p.sequence++, p.timestamp, frame);
  p.timestamp += 960;
  return feed(p.address, datagram);
}

std::vector<Delivered> CoreRig::feed(const Endpoint& from, std::vector<std::uint8_t> bytes,
                                     const IpAddress& local) {
  core.on_datagram(now, {from, local, now, bytes}, out);
  return drain();
}

std::vector<Delivered> CoreRig::discover(const Endpoint& from, Ssrc ssrc, const IpAddress& local) {
  std::array<std::uint8_t, wire::discovery_size> request;
  wire::write_discovery_request(request, ssrc);
  return feed(from, {request.begin(), request.end()}, local);
}

std::vector<Delivered> CoreRig::command(const Command& c) {
  core.on_command(now, c, out);
  while (core.next_timeout() <= now) core.on_timeout(now, out);
  return drain();
}

std::vector<Event> CoreRig::events() {
  std::vector<Event> list;
  core.offer_events([&](const Event& e) {
    list.push_back(e);
    return true;
  });
  return list;
}

std::vector<Delivered> CoreRig::drain() {
  std::vector<Delivered> list;
  for (const OutDatagram& d : out.datagrams()) {
    const auto bytes = out.bytes(d);
    list.push_back({d.remote, {bytes.begin(), bytes.end()}, d.local});
  }
  forwards.assign(out.forwards().begin(), out.forwards().end());
  forwarded_frames.clear();
  for (const OutForward& f : forwards) {
    forwarded_frames.emplace_back(f.packet.frame.begin(), f.packet.frame.end());
  }
  hand_overs = out.hand_overs().size();
  handed_over.assign(out.hand_overs().begin(), out.hand_overs().end());
  handed_over_bytes.clear();
  for (const OutHandOver& h : handed_over) {
    handed_over_bytes.emplace_back(h.datagram.bytes.begin(), h.datagram.bytes.end());
  }
  out.clear();
  RELAY_CHECK(core.counters().is_conserved());
  return list;
}

}  // namespace earshot::test
