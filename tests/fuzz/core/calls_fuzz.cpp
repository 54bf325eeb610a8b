// Drives the two cores of one node with an arbitrary sequence of calls: datagrams of every kind,
// from every side, with and without valid keys, late, lost, repeated; commands in the controller's
// order and about slots that have ended; packets that cross between the cores at any time; jumps in
// time. After every call: packets are conserved; nothing goes back to its publisher, out of its
// channel, twice to one listener, or to one that may not receive yet; each datagram opens for
// exactly one listener, in the form that clients accept; no nonce is used twice under one key in
// either direction; who is muted brings nothing.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "relay/core/session_record.h"
#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"
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

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t cores = 2;
constexpr std::size_t channels = 2;
constexpr std::size_t members = 8;  // the i-th has its slot on core i % 2
constexpr std::uint32_t nonce_start = 0x12345678 & (limits::nonce_space - 1);

std::uint32_t value(const crypto::Counter& c) {
  return std::uint32_t{c[0]} << 24 | std::uint32_t{c[1]} << 16 | std::uint32_t{c[2]} << 8 | c[3];
}

// A participant as its client and the controller know it.
struct Member {
  SlotRef slot;
  std::size_t home = 0;
  std::size_t channel = 0;
  Grants grants;
  IpAddress signalling_peer;
  Endpoint address;
  std::unique_ptr<MediaClient> client;  // once it has a key
  bool may_send = false;
  bool is_muted = false;
  bool is_deafened = false;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::set<std::uint32_t> by_relay;
  std::set<std::uint32_t> by_client;
  std::deque<Bytes> held;  // sealed, and still on the way or already there
};

// What is under way from one core to the other.
struct Passed {
  std::optional<OpenedPacket> packet;
  Datagram datagram;
  Bytes bytes;
};

class Node {
 public:
  explicit Node(Outbox& outbox) : unproven_(3) {
    for (std::size_t w = 0; w < cores; ++w) {
      CoreOptions options = CoreRig::small_options();
      options.worker = {static_cast<std::uint8_t>(w)};
      options.workers_count = cores;
      options.sessions_max = members;
      options.remote_slots_max = members;
      options.channels_max = channels;
      options.unproven = &unproven_;
      options.session_memory = {reinterpret_cast<std::uint8_t*>(records_[w].data()),
                                Core::session_memory_size(members)};
      rigs_[w] = std::make_unique<CoreRig>(options, &outbox);
    }
    for (std::size_t c = 0; c < channels; ++c) open_channel(c);
  }

  void step(Input& in) {
    const std::uint8_t what = in.byte();
    const std::size_t who = in.byte() % members;
    auto& m = members_[who];
    switch (what % 48) {
      case 0:
        if (!m) join(who, in.byte(), in.byte());
        break;
      case 26:
      case 27:
      case 28:
      case 29:  // as most sessions begin
        if (m) break;
        join(who, in.byte(), in.byte());
        install_key(*m, in.byte(), in.byte());
        start_sending(*m);
        break;
      case 1:
        if (m) leave(who);
        break;
      case 2:
        if (m) install_key(*m, in.byte(), in.byte());
        break;
      case 3:
        if (m && m->client) start_sending(*m);
        break;
      case 4:
      case 5:
      case 6:
      case 7:
        if (m && m->client) speak(*m, 1 + in.byte() % 64u, in.byte());
        break;
      case 8:
        if (m && m->client) seal_anything(*m, in);
        break;
      case 9:  // something that was on the way, or is there already
        if (m && !m->held.empty()) {
          const Bytes datagram = m->held[in.byte() % m->held.size()];
          arrive(*m, datagram, in.byte() % 4 == 0 ? 1 - m->home : m->home, nullptr);
        }
        break;
      case 10:  // anything at all
        receive(in.byte() % cores, address(in.byte()), in.bytes(in.byte() % 128u));
        break;
      case 11:
        discover(who, in);
        break;
      case 12:
        if (m) mute(*m, in.byte() % 2 == 0);
        break;
      case 13:
        if (m) {
          m->is_deafened = in.byte() % 2 == 0;
          command(m->home, SetDeafened{m->slot, m->is_deafened});
        }
        break;
      case 14:
        pass_time(milliseconds(in.byte() * 5));
        break;
      case 15:
        if (m) m->address = address(in.byte());
        break;
      case 16:
      case 17:
      case 30:
      case 31:
        deliver(in.byte() % cores, 1 + in.byte() % 4u);
        break;
      case 18:
        if (m && m->client) command(m->home, SetDeclaredAddress{m->slot, declared(in.byte(), *m)});
        break;
      case 19:
        if (m) command(m->home, SetSignallingPeer{m->slot, address(in.byte()).ip});
        break;
      case 20:
        if (m) command(0, TrackAddress{m->slot, in.byte() % 4 == 0 ? Endpoint{} : m->address});
        break;
      case 21:
        rigs_[0]->core.on_unreachable_address(now(), address(in.byte()));
        break;
      case 22:
        command_about_the_past(in.byte());
        break;
      case 23:
        reopen_channel(in.byte() % channels);
        break;
      case 24: {  // from another worker, about lives that are not: theirs begin at 1,000
        const Bytes frame = in.bytes(1 + in.byte());
        const SlotRef slot{make_ssrc({0}, {1}, {static_cast<std::uint16_t>(in.byte() % 4)}),
                           {in.byte()}};
        const OpenedPacket packet{
            slot, channel_[in.byte() % channels], in.byte(), in.byte(), now(), false, frame};
        rigs_[0]->core.on_forwarded(now(), packet, rigs_[0]->out);
        ++strangers_;
        require(rigs_[0]->drain().empty());
        break;
      }
      case 25:
        receive(0, address(in.byte()), Bytes(in.byte() % 2 == 0 ? 8 : 3));
        break;
      default:  // 32 to 47
        if (m && m->client) speak(*m, 1 + in.byte() % 64u, 2);
        break;
    }
    take_events(what % 5 != 0);
  }

  // Everything that is under way arrives; then the books of both cores agree.
  void finish() {
    for (int round = 0; round < 2; ++round) {
      for (std::size_t w = 0; w < cores; ++w) deliver(w, SIZE_MAX);
    }
    Counters sum;
    for (const auto& rig : rigs_) {
      for (std::size_t i = 0; i < counters_count; ++i)
        sum.values[i] += rig->core.counters().values[i];
    }
    require(sum[Counter::handed_over] == sum[Counter::taken_over]);
    require(sum[Counter::forwards_offered] + strangers_ == sum[Counter::forwards_taken]);
    require(sum[Counter::datagrams_offered] == datagrams_);
    for (std::size_t i = 0; i < members; ++i) {
      if (members_[i]) leave(i);
    }
    for (std::size_t c = 0; c < channels; ++c) reopen_channel(c);
  }

 private:
  static Endpoint address(std::uint8_t n) {
    // A few that meet, IPv4 and IPv6; and loopback.
    if (n % 16 == 15) return {make_v4(127, 0, 0, 1), static_cast<std::uint16_t>(1'000 + n)};
    if (n % 4 == 3) {
      Endpoint v6{*IpAddress::parse("2001:db8::1"), n};
      v6.ip.bytes[15] = static_cast<std::uint8_t>(n / 64);
      return v6;
    }
    return client_address(static_cast<std::uint16_t>(n % 8));
  }
  static Endpoint declared(std::uint8_t how, const Member& m) {
    if (how % 8 == 0) return {};
    if (how % 8 == 1) return {IpAddress{}, 7};
    return how % 2 == 0 ? m.address : address(how);
  }

  Time now() const { return rigs_[0]->now; }
  void pass_time(Duration d) {
    for (auto& rig : rigs_) rig->now = rig->now + d;
  }

  void open_channel(std::size_t c) {
    channel_[c] = {{static_cast<std::uint32_t>(c)}, {++generation_}};
    for (std::size_t w = 0; w < cores; ++w) {
      command(w, OpenChannel{channel_[c], 2, 200});
      command(w, SetChannelWorkers{channel_[c], 0b11});
    }
  }
  void reopen_channel(std::size_t c) {
    for (const auto& m : members_) {
      if (m && m->channel == c) return;
    }
    for (std::size_t w = 0; w < cores; ++w) command(w, CloseChannel{channel_[c]});
    open_channel(c);
  }

  void join(std::size_t who, std::uint8_t how, std::uint8_t peer) {
    auto& m = members_[who].emplace();
    m.home = who % cores;
    m.slot = {make_ssrc({0}, {static_cast<std::uint8_t>(m.home)},
                        {static_cast<std::uint16_t>(who / cores)}),
              {++generation_}};
    m.channel = (how >> 4) % channels;
    m.grants = {how % 8 != 1, how % 8 != 2, how % 8 == 3};
    m.is_muted = how % 8 == 4;
    m.is_deafened = how % 8 == 5;
    m.address = address(peer);
    m.signalling_peer = peer % 3 == 0 ? make_v4(198, 51, 100, 9) : m.address.ip;
    const ChannelRef channel = channel_[m.channel];
    command(m.home,
            OpenSlot{m.slot, channel, m.grants, m.is_muted, m.is_deafened, m.signalling_peer});
    command(1 - m.home, OpenRemoteSlot{m.slot, channel, m.grants.priority});
  }

  void leave(std::size_t who) {
    const Member& m = *members_[who];
    command(m.home, CloseSlot{m.slot});
    const auto* record =
        reinterpret_cast<const std::uint8_t*>(&records_[m.home][m.slot.ssrc.slot().value]);
    require(std::all_of(record, record + sizeof(SessionRecord), [](auto b) { return b == 0; }));
    deliver(1 - m.home, SIZE_MAX);
    command(1 - m.home, CloseSlot{m.slot});
    command(0, TrackAddress{m.slot, {}});
    past_ = m.slot;
    members_[who].reset();
  }

  void install_key(Member& m, std::uint8_t how, std::uint8_t offset) {
    // Where clients begin: at 0 or 1, before the edges, next to the relay's own counters.
    const std::uint32_t mine = value(relay_counter(nonce_start));
    const std::uint32_t starts[] = {0,
                                    1,
                                    0x7FFFFFFF,
                                    0x80000080,
                                    0xFFFFFFF0,
                                    mine + offset,
                                    mine - offset,
                                    offset * 0x01010101u};
    const auto mode = how % 2 == 0 && crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize)
                          ? crypto::AeadMode::aes256_gcm_rtpsize
                          : crypto::AeadMode::xchacha20_poly1305_rtpsize;
    const auto order = (how >> 1) % 2 == 0 ? CounterOrder::big_endian : CounterOrder::little_endian;
    const auto key = test_key(++keys_);
    m.client = std::make_unique<MediaClient>(m.slot.ssrc, mode, key, starts[(how >> 2) % 8], order);
    m.may_send = false;
    m.by_relay.clear();
    m.by_client.clear();
    m.held.clear();
    command(m.home, InstallKey{m.slot, mode, key, declared(how, m), nonce_start});
  }
  void start_sending(Member& m) {
    m.may_send = true;
    command(m.home, StartSending{m.slot});
  }

  Bytes seal(Member& m, std::span<const std::uint8_t> header,
             std::span<const std::uint8_t> plaintext) {
    const Bytes datagram = m.client->seal_raw(header, plaintext);
    crypto::Counter counter;
    std::copy(datagram.end() - crypto::counter_size, datagram.end(), counter.begin());
    m.by_client.insert(value(counter));
    m.held.push_back(datagram);
    if (m.held.size() > 8) m.held.pop_front();
    return datagram;
  }
  void speak(Member& m, std::size_t size, std::uint8_t how) {
    std::array<std::uint8_t, wire::rtp_header_size> header;
    wire::write_rtp_header(header, m.sequence++, m.timestamp, m.slot.ssrc);
    m.timestamp += 960;
    const Bytes frame(size, how);
    const Bytes datagram = seal(m, header, frame);
    if (how % 8 == 0) return;  // lost, or late
    arrive(m, datagram, how % 8 == 1 ? 1 - m.home : m.home, &frame);
  }
  // Authenticated, with an arbitrary header and body.
  void seal_anything(Member& m, Input& in) {
    Bytes header = in.bytes(12 + in.byte() % 24u);
    if (header.size() < 12) return;
    header[0] = static_cast<std::uint8_t>(0x80 | (header[0] & 0x3F));
    for (std::size_t i = 0; i < 4; ++i)
      header[8 + i] = static_cast<std::uint8_t>(m.slot.ssrc.value >> (24 - 8 * i));
    arrive(m, seal(m, header, in.bytes(in.byte())), m.home, nullptr);
  }

  // A datagram of this member's comes in at one of the cores. `frame`: what it must carry.
  void arrive(Member& m, const Bytes& datagram, std::size_t at, const Bytes* frame) {
    const auto sent = rigs_[at]->feed(m.address, datagram);
    if (m.is_muted || !m.grants.speak) require(sent.empty() && rigs_[at]->forwards.empty());
    check(sent, 1, frame);
    if (frame != nullptr && at == m.home) {
      for (const Bytes& forwarded : rigs_[at]->forwarded_frames) require(forwarded == *frame);
    }
    pass_on(at);
  }
  void receive(std::size_t at, const Endpoint& from, const Bytes& bytes) {
    for (const Delivered& d : rigs_[at]->feed(from, bytes)) check_reply(d, from, bytes);
    pass_on(at);
  }
  void discover(std::size_t who, Input& in) {
    std::array<std::uint8_t, wire::discovery_size> request;
    const auto worker = static_cast<std::uint8_t>(who % cores);
    wire::write_discovery_request(
        request, make_ssrc({0}, {worker}, {static_cast<std::uint16_t>(who / cores)}));
    receive(in.byte() % cores, address(in.byte()), {request.begin(), request.end()});
  }
  void check_reply(const Delivered& d, const Endpoint& to, std::span<const std::uint8_t> request) {
    ++datagrams_;
    require(d.to == to && d.bytes.size() == request.size());
    const auto reply = wire::parse_discovery_reply(d.bytes);
    require(reply.has_value() && reply->seen == to);
  }

  void mute(Member& m, bool is_muted) {
    m.is_muted = is_muted;
    const auto sent = rigs_[m.home]->command(SetMuted{m.slot, is_muted});
    check(sent, 5, nullptr);
    pass_on(m.home);
  }

  void command(std::size_t at, const Command& c) {
    require(rigs_[at]->command(c).empty() && rigs_[at]->forwards.empty());
  }
  void command_about_the_past(std::uint8_t which) {
    if (!past_) return;
    const SlotRef slot = *past_;
    const Command commands[] = {SetMuted{slot, true},
                                SetDeafened{slot, true},
                                StartSending{slot},
                                SetSignallingPeer{slot, address(which).ip},
                                SetDeclaredAddress{slot, address(which)},
                                TrackAddress{slot, {}},
                                InstallKey{slot, crypto::AeadMode::xchacha20_poly1305_rtpsize,
                                           test_key(1), address(which), 1}};
    const Command& c = commands[which % std::size(commands)];
    command(std::holds_alternative<TrackAddress>(c) ? 0 : slot.ssrc.worker().value, c);
  }

  // Puts what the last call on this core has for the other one under way.
  void pass_on(std::size_t at) {
    CoreRig& rig = *rigs_[at];
    for (std::size_t i = 0; i < rig.forwards.size(); ++i) {
      require(rig.forwards[i].targets == WorkerMask{1} << (1 - at));
      to_[1 - at].push_back({rig.forwards[i].packet, {}, rig.forwarded_frames[i]});
    }
    for (std::size_t i = 0; i < rig.handed_over.size(); ++i) {
      require(rig.handed_over[i].target.value == 1 - at);
      to_[1 - at].push_back({std::nullopt, rig.handed_over[i].datagram, rig.handed_over_bytes[i]});
    }
    rig.forwards.clear();
    rig.handed_over.clear();
  }
  void deliver(std::size_t at, std::size_t count) {
    CoreRig& rig = *rigs_[at];
    for (; count > 0 && !to_[at].empty(); --count) {
      Passed passed = std::move(to_[at].front());
      to_[at].pop_front();
      if (passed.packet) {
        passed.packet->frame = passed.bytes;
        rig.core.on_forwarded(now(), *passed.packet, rig.out);
        check(rig.drain(), 1, &passed.bytes);
      } else {
        const Bytes before = passed.bytes;
        passed.datagram.bytes = passed.bytes;
        rig.core.on_handed_over(now(), passed.datagram, rig.out);
        for (const Delivered& d : rig.drain()) {
          if (d.bytes.size() == wire::discovery_size && d.bytes[0] == 0) {
            check_reply(d, passed.datagram.remote, before);
          } else {
            check({d}, 1, nullptr);
          }
        }
      }
      pass_on(at);
    }
  }
  // Has the relay heard of its client under the present key?
  bool has_arrived(const Member& m) const {
    const SessionRecord& r = records_[m.home][m.slot.ssrc.slot().value];
    return !r.nonces.big_endian.window.is_empty() || !r.nonces.little_endian.window.is_empty();
  }

  void check(const std::vector<Delivered>& sent, int copies_max, const Bytes* frame) {
    std::map<const Member*, int> copies;
    for (const Delivered& d : sent) {
      ++datagrams_;
      Member* listener = nullptr;
      std::optional<ReceivedPacket> packet;
      for (auto& m : members_) {
        if (!m || !m->client) continue;
        auto opened = m->client->open(d.bytes);
        if (!opened) continue;
        require(listener == nullptr);
        listener = &*m;
        packet = std::move(opened);
      }
      require(listener != nullptr);
      require(listener->may_send && listener->grants.listen && !listener->is_deafened);
      require(++copies[listener] <= copies_max);
      if (frame != nullptr) require(packet->frame == *frame);
      const std::uint32_t nonce = value(packet->counter);
      require(listener->by_relay.insert(nonce).second);
      if (has_arrived(*listener)) require(!listener->by_client.contains(nonce));
      const Member* publisher = nullptr;
      for (const auto& m : members_) {
        if (m && m->slot.ssrc == packet->ssrc) publisher = &*m;
      }
      require(publisher != nullptr && publisher != listener);
      require(publisher->channel == listener->channel);
    }
  }

  void take_events(bool is_accepting) {
    for (auto& rig : rigs_) {
      rig->core.offer_events([&](const Event& event) {
        require(event.slot.ssrc.worker() == rig->options.worker);
        return is_accepting;
      });
      require(!is_accepting || !rig->core.has_events());
      require(rig->core.counters().is_conserved());
    }
  }

  UnprovenAddresses unproven_;
  std::array<SessionRecord, members> records_[cores]{};
  std::unique_ptr<CoreRig> rigs_[cores];
  ChannelRef channel_[channels];
  std::optional<Member> members_[members];
  std::deque<Passed> to_[cores];
  std::optional<SlotRef> past_;
  std::uint32_t generation_ = 1'000;
  std::uint32_t keys_ = 0;
  std::uint64_t datagrams_ = 0;
  std::uint64_t strangers_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Outbox outbox;
  Node node(outbox);
  Input in(data, size);
  while (!in.is_empty()) node.step(in);
  node.finish();
  return 0;
}
