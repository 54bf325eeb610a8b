#include "tools/listen/renderer.h"

#include <algorithm>
#include <utility>

#include "relay/base/check.h"
#include "tools/listen/stretch.h"

namespace earshot::listen {
namespace {

// 5 ms: what was heard last goes down to silence instead of breaking off.
constexpr int fade_samples = 240;

}  // namespace

void Renderer::store(const Inserted& inserted, std::span<const std::uint8_t> payload) {
  if (!inserted.is_accepted()) return;
  if (inserted.place >= payloads_.size()) payloads_.resize(inserted.place + std::size_t{1});
  payloads_[inserted.place].assign(payload.begin(), payload.end());
}

std::span<const std::uint8_t> Renderer::payload(const Segment& segment) const {
  if (segment.place >= payloads_.size()) return {};
  return payloads_[segment.place];
}

bool Renderer::render(const Playout& playout, std::span<std::int16_t> out) {
  RELAY_CHECK(out.size() == slot_samples);
  decoded_.clear();
  bool is_active = !pending_.empty();
  for (const Segment& segment : playout.list()) {
    is_active = is_active || segment.kind != Segment::Kind::idle;
    render_segment(segment);
  }
  // An answer always fills its slot; whoever leaves one out hears silence.
  if (pending_.size() < out.size()) append_idle(static_cast<int>(out.size() - pending_.size()));
  const auto end = pending_.begin() + slot_samples;
  std::copy(pending_.begin(), end, out.begin());
  pending_.erase(pending_.begin(), end);
  return is_active;
}

void Renderer::render_segment(const Segment& segment) {
  if (segment.kind == Segment::Kind::idle) return append_idle(segment.samples);
  if (segment.kind == Segment::Kind::concealed) {
    return append(decoder_.conceal(segment.samples), segment.samples);
  }
  if (segment.kind == Segment::Kind::frame) return render_frame(segment);
  append(decoder_.decode_fec(payload(segment), segment.samples), segment.samples);
}

void Renderer::render_frame(const Segment& segment) {
  auto pcm = decoder_.decode(payload(segment));
  if (pcm.empty()) {
    ++undecodable_;
    return append(decoder_.conceal(segment.samples), segment.samples);
  }
  const int planned = segment.samples - segment.stretched;
  if (segment.stretched != 0 && static_cast<int>(pcm.size()) == planned) {
    stretch(pcm, segment.stretched, pending_);
    last_sample_ = pending_.back();
  } else {
    append(pcm, segment.samples);
  }
  decoded_.push_back({segment, std::move(pcm)});
}

// Exactly `samples`, whatever the decoder made of it.
void Renderer::append(std::span<const std::int16_t> pcm, int samples) {
  const auto wanted = static_cast<std::size_t>(samples);
  const auto fitting = pcm.first(std::min(pcm.size(), wanted));
  pending_.insert(pending_.end(), fitting.begin(), fitting.end());
  if (!fitting.empty()) last_sample_ = fitting.back();
  if (fitting.size() < wanted) append_idle(static_cast<int>(wanted - fitting.size()));
}

void Renderer::append_idle(int samples) {
  const int start = last_sample_;
  for (int i = 0; i < samples; ++i) {
    const int left = std::max(fade_samples - i, 0);
    pending_.push_back(static_cast<std::int16_t>(start * left / fade_samples));
  }
  last_sample_ = pending_.empty() ? std::int16_t{0} : pending_.back();
}

}  // namespace earshot::listen
