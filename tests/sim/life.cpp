#include "tests/sim/life.h"

#include <algorithm>
#include <cstring>

#include "relay/base/check.h"

namespace earshot::sim {

void Life::note_sequence(std::uint16_t sequence) {
  const auto step = static_cast<std::int16_t>(sequence - highest_sequence.value_or(sequence));
  if (!highest_sequence || step > 0 || step < -100) highest_sequence = sequence;
}

SentFrame* Life::frame(std::uint32_t number) {
  if (frames.empty()) return nullptr;
  SentFrame& found = frames[number % frames_kept % frames.size()];
  return found.number == number && number < frames_count ? &found : nullptr;
}

SentFrame& Life::add_frame(std::uint16_t sequence, std::uint32_t timestamp, std::uint16_t size,
                           bool is_silence) {
  if (frames.size() < frames_kept) frames.emplace_back();
  SentFrame& added = frames[frames_count % frames_kept];
  added = {};
  added.number = frames_count++;
  added.sequence = sequence;
  added.timestamp = timestamp;
  added.size = size;
  added.is_silence = is_silence;
  return added;
}

SentFrame* Life::find_silence(std::uint16_t sequence, std::uint32_t timestamp) {
  for (std::uint32_t n = frames_count; n > 0 && n + frames_kept > frames_count; --n) {
    SentFrame* found = frame(n - 1);
    if (found == nullptr) return nullptr;
    if (found->sequence == sequence && found->timestamp == timestamp) return found;
  }
  return nullptr;
}

InjectedFrame* Life::find_injected(std::uint16_t sequence, std::uint32_t timestamp) {
  const auto found = std::find_if(injected.rbegin(), injected.rend(), [&](const auto& i) {
    return i.sequence == sequence && i.timestamp == timestamp;
  });
  return found == injected.rend() ? nullptr : &*found;
}

bool Life::is_proven_at(const IpAddress& ip) const {
  return ip == signalling_peer || ip.is_loopback() ||
         std::find(proven.begin(), proven.end(), ip) != proven.end();
}

void Life::forget() {
  frames = {};
  key.reset();
  at_home.key.reset();
  heard = {};
  keys = {};
  rated = {};
}

Life& Lives::add(PersonIndex person) {
  auto life = std::make_unique<Life>();
  life->index = static_cast<LifeIndex>(lives_.size());
  life->person = person;
  life->heard.resize(people_max);
  lives_.push_back(std::move(life));
  return *lives_.back();
}

void Lives::take_back(const Life& life) {
  RELAY_CHECK(&life == lives_.back().get());
  lives_.pop_back();
}

void Lives::name(Life& life, SlotRef slot) {
  life.slot = slot;
  by_slot_[slot] = life.index;
}

Life* Lives::find(SlotRef slot) {
  const auto found = by_slot_.find(slot);
  return found == by_slot_.end() ? nullptr : lives_[found->second].get();
}

namespace {

std::uint8_t pattern(LifeIndex life, const SentFrame& frame, std::size_t i) {
  return static_cast<std::uint8_t>(life * 59 + frame.number * 31 + i * 7);
}

}  // namespace

void write_frame(std::span<std::uint8_t> out, LifeIndex life, const SentFrame& frame) {
  if (frame.is_silence) {
    std::copy(opus_silence.begin(), opus_silence.end(), out.begin());
    return;
  }
  std::size_t i = 0;
  if (out.size() >= frame_name_size) {
    const std::array<std::uint32_t, 2> name{life, frame.number};
    std::memcpy(out.data(), name.data(), frame_name_size);
    i = frame_name_size;
  }
  for (; i < out.size(); ++i) out[i] = pattern(life, frame, i);
}

bool is_frame(std::span<const std::uint8_t> bytes, LifeIndex life, const SentFrame& frame) {
  if (bytes.size() != frame.size) return false;
  std::array<std::uint8_t, limits::datagram_size_max> expected;
  const auto same = std::span(expected).first(frame.size);
  write_frame(same, life, frame);
  return std::equal(same.begin(), same.end(), bytes.begin());
}

std::optional<FrameName> read_frame_name(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < frame_name_size) return std::nullopt;
  std::array<std::uint32_t, 2> name;
  std::memcpy(name.data(), bytes.data(), frame_name_size);
  return FrameName{name[0], name[1]};
}

}  // namespace earshot::sim
