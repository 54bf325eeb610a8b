#include "relay/core/transport.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "relay/base/check.h"

namespace earshot {
namespace {

// Is this session one of those at an unproven address, and at this one?
bool is_counted_at(const SessionRecord& record, const IpAddress& ip) {
  return record.remote.is_set() && !record.is_remote_proven && record.remote.ip == ip;
}

}  // namespace

Transports::Transports(std::size_t slots_count, std::span<std::uint8_t> session_memory,
                       UnprovenAddresses& unproven, SlotStats* stats, Counters& counters)
    : slots_count_(slots_count),
      record_memory_(session_memory.empty() ? slots_count * sizeof(SessionRecord) : 0),
      key_memory_(slots_count * sizeof(crypto::AeadKey)),
      records_(reinterpret_cast<SessionRecord*>(
          session_memory.empty() ? record_memory_.bytes().data() : session_memory.data())),
      keys_(reinterpret_cast<crypto::AeadKey*>(key_memory_.bytes().data())),
      transports_(slots_count),
      unproven_(unproven),
      stats_(stats),
      counters_(counters) {
  RELAY_CHECK(session_memory.empty() ||
              session_memory.size() >= slots_count * sizeof(SessionRecord));
  RELAY_CHECK(reinterpret_cast<std::uintptr_t>(records_) % alignof(SessionRecord) == 0);
  // Taking up the sessions of another process is not written yet; it begins here.
  RELAY_CHECK(std::none_of(records_, records_ + slots_count,
                           [](const SessionRecord& r) { return r.is_open(); }));
}

void Transports::open_slot(const OpenSlot& command) {
  SessionRecord& r = record(command.slot.ssrc.slot());
  RELAY_CHECK(!r.is_open());
  r = {};
  r.slot = command.slot;
  r.channel = command.channel;
  r.grants = command.grants;
  r.is_muted = command.is_muted;
  r.is_deafened = command.is_deafened;
  r.signalling_peer = command.signalling_peer;
  transports_[r.slot.ssrc.slot().value] = {};
  // Last, so that a process that ends in between leaves a whole record or none.
  std::atomic_signal_fence(std::memory_order_release);
  r.version = SessionRecord::current_version;
}

void Transports::close_slot(SlotIndex slot) {
  SessionRecord& r = record(slot);
  leave_unproven(r);
  keys_[slot.value].clear();
  crypto::zero({reinterpret_cast<std::uint8_t*>(&r), sizeof r});
}

void Transports::install_key(Time now, const InstallKey& command) {
  const SlotIndex slot = command.slot.ssrc.slot();
  SessionRecord& r = record(slot);
  // Counters begin anew with a new key only.
  if (r.has_key && r.mode == command.mode && crypto::equal_constant_time(r.key, command.key))
    return declare(now, slot, command.declared);
  r.has_key = false;
  std::atomic_signal_fence(std::memory_order_release);
  r.mode = command.mode;
  r.key = command.key;
  // A client that does not know this key yet must not receive anything under it.
  r.may_send = false;
  keys_[slot.value].set(command.mode, command.key);
  nonces_begin(r.nonces, command.nonce_start);
  std::atomic_signal_fence(std::memory_order_release);
  r.has_key = true;
  transports_[slot.value].fresh_key_asked = false;
  transports_[slot.value].has_event_fresh_key = false;
  declare(now, slot, command.declared);
}

void Transports::declare(Time now, SlotIndex slot, const Endpoint& declared) {
  record(slot).declared = declared;
  believe_declared(now, slot);
}

void Transports::set_signalling_peer(Time now, SlotIndex slot, const IpAddress& peer) {
  SessionRecord& r = record(slot);
  r.signalling_peer = peer;
  if (!r.remote.is_set()) {
    believe_declared(now, slot);
  } else if (r.remote.ip == peer) {
    leave_unproven(r);
  }
}

void Transports::on_discovery(Time now, SlotIndex slot, const IpAddress& source,
                              const IpAddress& local) {
  auto& seen = transports_[slot.value].discovered;
  const auto found =
      std::find_if(seen.begin(), seen.end(), [&](const auto& d) { return d.source == source; });
  if (found != seen.end()) {
    found->local = local;
  } else {
    seen[1] = seen[0];
    seen[0] = {source, local};
  }
  const SessionRecord& r = record(slot);
  if (r.has_key && !r.remote.is_set()) believe_declared(now, slot);
}

void Transports::believe_declared(Time now, SlotIndex slot) {
  const SessionRecord& r = record(slot);
  const Endpoint declared = r.declared;
  if (!declared.is_set() || declared.ip.is_unspecified() || declared == r.remote) return;
  const auto& seen = transports_[slot.value].discovered;
  const bool is_discovered =
      std::any_of(seen.begin(), seen.end(), [&](const auto& d) { return d.source == declared.ip; });
  if (declared.ip != r.signalling_peer && !is_discovered) return;
  const bool was_proven = r.remote.is_set() && r.is_remote_proven && r.remote.ip == declared.ip;
  const bool is_proven =
      was_proven || declared.ip == r.signalling_peer || declared.ip.is_loopback();
  if (!is_proven && !is_counted_at(r, declared.ip) && !unproven_.enter(declared.ip)) return;
  set_remote(now, slot, declared, local_towards(slot, declared.ip), is_proven);
}

// The address that a discovery from there spoke to, or the one in use if it is of the same family.
IpAddress Transports::local_towards(SlotIndex slot, const IpAddress& ip) const {
  for (const Discovered& d : transports_[slot.value].discovered) {
    if (d.source == ip) return d.local;
  }
  const IpAddress& present = records_[slot.value].local;
  return present.is_v4() == ip.is_v4() ? present : IpAddress{};
}

// The caller has entered `remote` among the unproven ones if it is one.
void Transports::set_remote(Time now, SlotIndex slot, const Endpoint& remote,
                            const IpAddress& local, bool is_proven) {
  SessionRecord& r = record(slot);
  if (is_proven || !is_counted_at(r, remote.ip)) leave_unproven(r);
  r.remote = remote;
  r.local = local;
  r.is_remote_proven = is_proven;
  // What ICMP said was about the old one.
  transports_[slot.value].reachable_at = now;
  transports_[slot.value].has_event_address_changed = true;
}

void Transports::leave_unproven(SessionRecord& r) {
  if (r.remote.is_set() && !r.is_remote_proven) unproven_.leave(r.remote.ip);
  r.is_remote_proven = true;
}

OpenedDatagram Transports::open(SlotIndex slot, const wire::RtpHeader& header,
                                std::span<std::uint8_t> datagram) {
  const std::size_t sealed_min = header.clear_size + crypto::tag_size + crypto::counter_size;
  if (datagram.size() < sealed_min) return {DropReason::malformed, false, false, {}};
  crypto::Counter counter;
  std::copy(datagram.end() - crypto::counter_size, datagram.end(), counter.begin());
  const auto aad = datagram.first(header.clear_size);
  const auto body = datagram.subspan(header.clear_size,
                                     datagram.size() - header.clear_size - crypto::counter_size);
  if (!keys_[slot.value].open(body, aad, counter)) {
    ++counters_[Counter::open_failures];
    return {DropReason::not_authentic, false, false, {}};
  }
  SessionRecord& r = record(slot);
  const std::uint32_t moves_before = r.nonces.moves;
  const NonceReceipt receipt = nonces_receive(r.nonces, counter);
  note_nonces(slot, moves_before);
  if (receipt.reason != DropReason::none) return {receipt.reason, false, false, {}};
  const auto frame = wire::rtp_frame(header, body.first(body.size() - crypto::tag_size));
  if (!frame || frame->empty()) return {DropReason::malformed, true, receipt.is_newest, {}};
  return {DropReason::none, true, receipt.is_newest, *frame};
}

void Transports::note_nonces(SlotIndex slot, std::uint32_t moves_before) {
  const NonceState& nonces = record(slot).nonces;
  counters_[Counter::nonce_moves] += nonces.moves - moves_before;
  Transport& t = transports_[slot.value];
  if (!nonces.fresh_key_needed || t.fresh_key_asked) return;
  t.fresh_key_asked = true;
  t.has_event_fresh_key = true;
  ++counters_[Counter::fresh_keys_asked];
}

void Transports::follow(Time now, SlotIndex slot, const Datagram& in, bool is_newest) {
  SessionRecord& r = record(slot);
  Transport& t = transports_[slot.value];
  const bool is_from_remote = in.remote == r.remote;
  if (is_from_remote) t.reachable_at = now;
  if (!is_newest) return;
  if (is_from_remote) {
    leave_unproven(r);
    r.local = in.local;
    return;
  }
  if (r.remote.is_set() && t.moved_at != Time{} && now - t.moved_at < limits::address_move_interval)
    return;
  if (r.remote.is_set()) ++counters_[Counter::address_moves];
  set_remote(now, slot, in.remote, in.local, true);
  t.moved_at = now;
}

bool Transports::is_reachable(SlotIndex slot) const {
  if (stats_ == nullptr) return true;
  const SlotStats& s = stats_[slot.value];
  const std::uint64_t stopped = get(s.unreachable_ns);
  if (stopped == 0) return true;
  // A cycle takes ICMP errors before it receives: of one time stamp, the sign of life is the later.
  return static_cast<std::uint64_t>(transports_[slot.value].reachable_at.ns) >= stopped ||
         get(s.keep_alive_ns) >= stopped;
}

std::optional<crypto::Counter> Transports::next_counter(SlotIndex slot) {
  NonceState& nonces = record(slot).nonces;
  const std::uint32_t moves_before = nonces.moves;
  const auto counter = nonces_next(nonces);
  if (nonces.fresh_key_needed || nonces.moves != moves_before) note_nonces(slot, moves_before);
  return counter;
}

void Transports::send(Time now, SlotIndex slot, Ssrc publisher, std::uint16_t sequence,
                      std::uint32_t timestamp, std::span<const std::uint8_t> frame, Outbox& out) {
  SessionRecord& r = record(slot);
  if (!r.may_receive() || !is_reachable(slot)) return;
  if (!r.is_remote_proven && !unproven_.take(now, r.remote.ip)) {
    ++counters_[Counter::unproven_refused];
    return;
  }
  auto counter = next_counter(slot);
  if (!counter) return;

  constexpr std::size_t header_size = wire::rtp_header_size;
  const auto datagram =
      out.allocate(header_size + frame.size() + crypto::tag_size + crypto::counter_size);
  const auto header = datagram.first<header_size>();
  const auto body = datagram.subspan(header_size, frame.size() + crypto::tag_size);
  wire::write_rtp_header(header, sequence, timestamp, publisher);
  std::memcpy(body.data(), frame.data(), frame.size());
  keys_[slot.value].seal(body, frame.size(), header, *counter);
  // One client library takes a ciphertext that starts with the profile of RFC 8285 for a header
  // extension.
  while (body[0] == wire::one_byte_extension_profile >> 8 &&
         body[1] == (wire::one_byte_extension_profile & 0xFF)) {
    ++counters_[Counter::resealed];
    counter = next_counter(slot);
    if (!counter) return;
    std::memcpy(body.data(), frame.data(), frame.size());
    keys_[slot.value].seal(body, frame.size(), header, *counter);
  }
  std::copy(counter->begin(), counter->end(), datagram.end() - crypto::counter_size);
  out.push(r.remote, r.local, datagram, slot);
  ++counters_[Counter::datagrams_offered];
  if (SlotStats* s = stats(slot)) add(s->packets_sent, 1);
}

}  // namespace earshot
