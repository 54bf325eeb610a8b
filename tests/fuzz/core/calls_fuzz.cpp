// Drives one core with an arbitrary sequence of calls: datagrams of every kind, from every side,
// with and without valid keys, commands in legal order, packets from other workers, jumps in time.
// Checks after every call that packets are conserved, that nothing goes back to its publisher or to
// a stranger's channel, and that listeners can open all of it.
#include <cstdint>
#include <cstdlib>
#include <optional>

#include "relay/wire/discovery.h"
#include "tests/support/core_rig.h"

using namespace earshot;
using namespace earshot::test;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool is_empty() const { return at_ >= size_; }
  std::uint8_t byte() { return is_empty() ? 0 : data_[at_++]; }
  std::vector<std::uint8_t> bytes(std::size_t count) {
    std::vector<std::uint8_t> out;
    while (out.size() < count && !is_empty()) out.push_back(byte());
    return out;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

constexpr std::uint16_t participants = 6;
constexpr std::uint32_t channels = 2;

struct Sequence {
  CoreRig rig;
  ChannelRef channel[channels];
  std::optional<CoreRig::Participant> joined[participants];
  bool is_remote_open = false;
  SlotRef remote{make_ssrc({0}, {1}, {3}), {1}};

  explicit Sequence(CoreOptions options) : rig(options) {
    for (std::uint32_t i = 0; i < channels; ++i) channel[i] = rig.open_channel(i, 2);
  }

  static std::uint32_t channel_of(std::uint16_t slot) { return slot % channels; }

  void check(const std::vector<Delivered>& sent, std::optional<std::uint16_t> publisher) {
    for (const Delivered& d : sent) {
      if (d.bytes.size() == wire::discovery_size && d.bytes[1] == 2) continue;
      bool is_opened = false;
      for (std::uint16_t i = 0; i < participants; ++i) {
        if (!joined[i] || !joined[i]->client->open(d.bytes)) continue;
        is_opened = true;
        if (publisher) require(i != *publisher && channel_of(i) == channel_of(*publisher));
      }
      require(is_opened);
    }
    require(rig.core.counters().is_conserved());
  }

  void step(Input& in) {
    const std::uint8_t what = in.byte();
    const auto who = static_cast<std::uint16_t>(in.byte() % participants);
    auto& p = joined[who];
    switch (what % 13) {
      case 0:
        if (!p) p = rig.join(who, channel[channel_of(who)], {true, true, (what & 0x80) != 0});
        break;
      case 1:
        if (p) rig.command(CloseSlot{p->slot});
        p.reset();
        break;
      case 2:
      case 3:
        if (p) check(rig.speak(*p, 1 + in.byte()), who);
        break;
      case 4: {  // authenticated, but with an arbitrary header and body
        if (!p) break;
        auto header = in.bytes(12 + in.byte() % 24);
        if (header.size() < 12) break;
        header[0] = static_cast<std::uint8_t>(0x80 | (header[0] & 0x3F));
        const std::uint32_t ssrc = p->slot.ssrc.value;
        for (std::size_t i = 0; i < 4; ++i)
          header[8 + i] = static_cast<std::uint8_t>(ssrc >> (24 - 8 * i));
        check(rig.feed(p->address, p->client->seal_raw(header, in.bytes(in.byte()))), who);
        break;
      }
      case 5:  // anything at all
        check(rig.feed(client_address(who), in.bytes(in.byte() * 7u)), std::nullopt);
        break;
      case 6: {
        std::array<std::uint8_t, wire::discovery_size> request;
        wire::write_discovery_request(request, make_ssrc({0}, {0}, {who}));
        check(rig.feed(client_address(static_cast<std::uint16_t>(in.byte())),
                       {request.begin(), request.end()}),
              std::nullopt);
        break;
      }
      case 7:
        if (p) check(rig.command(SetMuted{p->slot, in.byte() % 2 == 0}), who);
        break;
      case 8:
        if (p) rig.command(SetDeafened{p->slot, in.byte() % 2 == 0});
        break;
      case 9:
        rig.now = rig.now + milliseconds(in.byte() * 5);
        break;
      case 10:
        if (p) p->address = client_address(static_cast<std::uint16_t>(100 + in.byte() % 8));
        break;
      case 11: {
        const bool open = in.byte() % 2 == 0;
        if (open != is_remote_open) {
          rig.command(open ? Command{OpenRemoteSlot{remote, channel[0], false}}
                           : Command{CloseSlot{remote}});
          is_remote_open = open;
        }
        break;
      }
      case 12: {
        const auto frame = in.bytes(1 + in.byte());
        OpenedPacket packet{remote, channel[in.byte() % 2], in.byte(), in.byte(), rig.now, false,
                            frame};
        packet.publisher.generation.value = in.byte() % 2;
        rig.core.on_forwarded(rig.now, packet, rig.out);
        rig.out.clear();
        require(rig.core.counters().is_conserved());
        break;
      }
    }
    if (what % 5 == 0) rig.events();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  CoreOptions options = CoreRig::small_options();
  options.workers_count = 2;
  options.sessions_max = 8;
  options.remote_slots_max = 4;
  options.channels_max = 4;
  Sequence sequence(options);
  Input in(data, size);
  while (!in.is_empty()) sequence.step(in);
  return 0;
}
