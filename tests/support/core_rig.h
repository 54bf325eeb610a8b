// One core with channels and participants, driven by hand: what a worker and the controller would
// do, without either.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "relay/core/core.h"
#include "tests/support/media_client.h"

namespace earshot::test {

struct Delivered {
  Endpoint to;
  std::vector<std::uint8_t> bytes;
  IpAddress from;  // unspecified: the kernel chooses
};

class CoreRig {
 public:
  // `shared_outbox`: one that others use too, between calls.
  explicit CoreRig(CoreOptions options = small_options(), Outbox* shared_outbox = nullptr);
  static CoreOptions small_options();

  struct Participant {
    SlotRef slot;
    std::unique_ptr<MediaClient> client;
    Endpoint address;
    std::uint16_t sequence = 100;
    std::uint32_t timestamp = 5'000;
  };

  // Time in a rig jumps about: what is late is kept unless a test asks for it.
  ChannelRef open_channel(std::uint32_t index, std::uint16_t speakers_max = 32,
                          std::uint16_t late_ms_max = 0);
  // Slot, key and start_sending; the address is the signalling peer's.
  Participant join(std::uint16_t slot, ChannelRef channel, Grants grants = {},
                   crypto::AeadMode mode = crypto::AeadMode::xchacha20_poly1305_rtpsize,
                   std::uint32_t counter = 0, CounterOrder order = CounterOrder::big_endian);
  // The next 20 ms frame of this participant, from its address.
  std::vector<Delivered> speak(Participant& participant, std::size_t frame_size = 80);
  // Any datagram; answers what the core sent.
  std::vector<Delivered> feed(const Endpoint& from, std::vector<std::uint8_t> bytes,
                              const IpAddress& local = make_v4(127, 0, 0, 1));
  // An IP discovery for this slot.
  std::vector<Delivered> discover(const Endpoint& from, Ssrc ssrc,
                                  const IpAddress& local = make_v4(127, 0, 0, 1));
  // Executes it and everything that is due.
  std::vector<Delivered> command(const Command& command);
  std::vector<Event> events();

  std::uint64_t drops(DropReason reason) const { return core.counters()[reason]; }

  std::vector<SlotStats> slot_stats;
  std::vector<SlotStats*> stats_of_worker;
  CoreOptions options;
  Core core;
  std::unique_ptr<Outbox> own_outbox;
  Outbox& out;
  Time now{1'000'000'000};
  std::vector<OutForward> forwards;  // of the last call; frames are copied below
  std::vector<std::vector<std::uint8_t>> forwarded_frames;
  std::size_t hand_overs = 0;
  std::vector<OutHandOver> handed_over;  // the same for datagrams
  std::vector<std::vector<std::uint8_t>> handed_over_bytes;

  // What a call of the core has emitted; checks that packets are conserved.
  std::vector<Delivered> drain();

 private:
  std::uint32_t generation_ = 0;
};

Endpoint client_address(std::uint16_t slot);
std::array<std::uint8_t, crypto::key_size> test_key(std::uint32_t n);

}  // namespace earshot::test
