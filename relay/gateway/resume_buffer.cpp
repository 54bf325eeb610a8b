#include "relay/gateway/resume_buffer.h"

#include "relay/base/limits.h"
#include "relay/gateway/gateway_message.h"

namespace earshot::gateway {

// Some clients take a sequence of 0 for none at all, so the numbers wrap to 1.
std::uint16_t ResumeBuffer::next_sequence() {
  last_ = last_ == 65'535 ? std::uint16_t{1} : static_cast<std::uint16_t>(last_ + 1);
  return last_;
}

std::string ResumeBuffer::add(std::string_view message) {
  const std::uint16_t sequence = next_sequence();
  std::string text = with_sequence(message, sequence);
  push({sequence, true, text});
  return text;
}

std::string ResumeBuffer::add_unkept(std::string_view message) {
  const std::uint16_t sequence = next_sequence();
  push({sequence, false, {}});
  return with_sequence(message, sequence);
}

void ResumeBuffer::push(Entry entry) {
  bytes_ += entry.text.size();
  entries_.push_back(std::move(entry));
  while (entries_.size() > limits::resume_messages_max || bytes_ > limits::resume_bytes_max) {
    bytes_ -= entries_.front().text.size();
    dropped_ = entries_.front().sequence;
    entries_.pop_front();
  }
}

std::optional<std::size_t> ResumeBuffer::index_after(std::int64_t sequence) const {
  // -1 and 0: nothing was read yet.
  if (sequence <= 0 ? dropped_ == 0 : sequence == dropped_) return 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].sequence == sequence) return i + 1;
  }
  return std::nullopt;
}

void ResumeBuffer::acknowledge(std::int64_t sequence) {
  const auto count = index_after(sequence);
  if (!count || sequence <= 0) return;
  for (std::size_t i = 0; i < *count; ++i) {
    bytes_ -= entries_.front().text.size();
    dropped_ = entries_.front().sequence;
    entries_.pop_front();
  }
}

std::optional<std::vector<std::string>> ResumeBuffer::after(std::int64_t sequence) const {
  const auto first = index_after(sequence);
  if (!first) return std::nullopt;
  std::vector<std::string> messages;
  for (std::size_t i = *first; i < entries_.size(); ++i) {
    if (!entries_[i].is_kept) return std::nullopt;
    messages.push_back(entries_[i].text);
  }
  return messages;
}

}  // namespace earshot::gateway
