// What a broken relay would do, between the real one and the invariants (mutation.h).
#include <algorithm>
#include <array>

#include "relay/wire/rtp.h"
#include "tests/sim/node.h"
#include "tests/sim/node_worker.h"

namespace earshot::sim {
namespace {

constexpr double often = 0.02;  // of the packets that it concerns

}  // namespace

// The worker acknowledges it all the same.
bool Node::is_ignored(const Command& command) {
  switch (options_.mutation) {
    case Mutation::ignore_mute:
      return std::holds_alternative<SetMuted>(command);
    case Mutation::ignore_deafen:
      return std::holds_alternative<SetDeafened>(command);
    case Mutation::ignore_close: {
      const auto* close = std::get_if<CloseSlot>(&command);
      return close != nullptr && random_.chance(0.5);
    }
    default:
      return false;
  }
}

// The same, and the invariants hear nothing of it: they go by what has been done.
bool Node::is_forgotten(const Worker& w, const Command& command) const {
  if (options_.mutation != Mutation::acknowledge_early) return false;
  if (const auto* close = std::get_if<CloseSlot>(&command))
    return close->slot.ssrc.worker() != w.index;
  return std::holds_alternative<CloseChannel>(command);
}

void Node::mutate_outcome(Worker& w, const Packet& packet) {
  Counters& counters = w.core.counters();
  const bool is_accepted =
      packet.origin.kind == PacketKind::voice && !out_.datagrams().empty() && random_.chance(often);
  switch (options_.mutation) {
    case Mutation::miscount_accepted:
      if (is_accepted) ++counters[Counter::accepted];
      break;
    case Mutation::drop_unreasoned:
    case Mutation::drop_in_time:
      if (!is_accepted) break;
      --counters[Counter::accepted];
      ++counters[options_.mutation == Mutation::drop_in_time ? DropReason::late
                                                             : DropReason::not_authentic];
      break;
    case Mutation::keep_late:
      if (counters[DropReason::late] == 0) break;
      --counters[DropReason::late];
      ++counters[Counter::accepted];
      break;
    case Mutation::accept_forged:
      if (packet.origin.kind != PacketKind::forged || counters[DropReason::not_authentic] == 0)
        break;
      --counters[DropReason::not_authentic];
      ++counters[Counter::accepted];
      break;
    default:
      break;
  }
}

// `copy` becomes one for `listener`, of the same frame.
void Node::seal_again(Emission& copy, Life& listener, Life& speaker, const SentFrame& frame,
                      std::uint16_t sequence, std::uint32_t nonce) {
  std::array<std::uint8_t, limits::datagram_size_max> plaintext;
  SentFrame written = frame;
  if (options_.mutation == Mutation::change_payload) written.number += 1;
  write_frame(std::span(plaintext).first(frame.size), speaker.index, written);
  std::array<std::uint8_t, wire::rtp_header_size> header;
  wire::write_rtp_header(header, sequence, frame.timestamp, speaker.slot.ssrc);
  auto& bytes = mutated_.emplace_back();
  listener.at_home.key->seal_under(nonce, header, std::span(plaintext).first(frame.size), bytes);
  copy.bytes = bytes;
  copy.slot = listener.slot.ssrc.slot();
  copy.has_slot = true;
}

void Node::mutate_copies(Worker& w, const Packet& packet) {
  if (packet.origin.kind != PacketKind::voice || emissions_.empty() || !emissions_[0].has_slot)
    return;
  mutated_.clear();
  Life& speaker = lives_[packet.origin.life];
  const SentFrame* frame = speaker.frame(packet.origin.frame);
  if (frame == nullptr || frame->is_silence) return;
  Emission& copy = emissions_[0];
  Life* listener = nullptr;
  Life* outsider = nullptr;
  for (const LifeIndex index : invariants_.open_on(w.index)) {
    Life& life = lives_[index];
    if (life.slot.ssrc.slot() == copy.slot) listener = &life;
    if (life.channel != speaker.channel && life.at_home.key && life.at_home.may_send)
      outsider = &life;
  }
  if (listener == nullptr) return;
  const auto header = wire::parse_rtp(copy.bytes);
  crypto::Counter counter;
  std::copy(copy.bytes.end() - crypto::counter_size, copy.bytes.end(), counter.begin());
  const std::uint32_t nonce = to_nonce(counter);
  const std::uint32_t fresh = to_nonce(relay_counter(static_cast<std::uint32_t>(random_.next())));
  Emission added = copy;
  // Nonces that were used are noted before the dice, so that there is one when they fall.
  const std::uint32_t before = std::exchange(last_nonce_[listener->index], nonce);
  if (!random_.chance(often)) return;
  switch (options_.mutation) {
    case Mutation::corrupt_copy:
      copy.bytes[wire::rtp_header_size] ^= 1;
      break;
    case Mutation::change_payload:
      seal_again(copy, *listener, speaker, *frame, header->sequence, nonce);
      break;
    case Mutation::change_sequence:
      seal_again(copy, *listener, speaker, *frame, static_cast<std::uint16_t>(header->sequence + 1),
                 nonce);
      break;
    case Mutation::forward_back:
      seal_again(added, speaker, speaker, *frame, header->sequence, fresh);
      if (speaker.at_home.may_send) emissions_.push_back(added);
      break;
    case Mutation::forward_outside:
      if (outsider == nullptr) break;
      seal_again(added, *outsider, speaker, *frame, header->sequence, fresh);
      emissions_.push_back(added);
      break;
    case Mutation::forward_twice:
      seal_again(added, *listener, speaker, *frame, header->sequence, fresh);
      emissions_.push_back(added);
      break;
    case Mutation::lose_copy:
      emissions_.erase(emissions_.begin());
      break;
    case Mutation::repeat_nonce:
      if (before != 0) seal_again(copy, *listener, speaker, *frame, header->sequence, before);
      break;
    default:
      break;
  }
}

}  // namespace earshot::sim
