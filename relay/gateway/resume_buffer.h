// The numbered server messages of one session that its client may not have read yet, for a resume
// (v8). Controller thread; no clock. Bounded by limits::resume_messages_max and resume_bytes_max:
// what falls out cannot be resumed over.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace earshot::gateway {

class ResumeBuffer {
 public:
  // Numbers a message and keeps it; answers its text as it is to be sent.
  std::string add(std::string_view message);
  // Numbers a message that must not be kept (it holds a key): nobody can resume over it.
  std::string add_unkept(std::string_view message);
  // The client has read everything up to this number.
  void acknowledge(std::int64_t sequence);
  // The messages after `sequence` (-1: from the beginning), in order; nothing when one of them is
  // not there any more, or the number was never given out.
  std::optional<std::vector<std::string>> after(std::int64_t sequence) const;

  std::uint16_t last_sequence() const { return last_; }

 private:
  struct Entry {
    std::uint16_t sequence = 0;
    bool is_kept = true;
    std::string text;
  };

  std::uint16_t next_sequence();
  void push(Entry entry);
  // Index of the first entry after `sequence`, or nothing if it is not among the present ones nor
  // right before them.
  std::optional<std::size_t> index_after(std::int64_t sequence) const;

  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;
  std::uint16_t last_ = 0;     // 0: none given out yet; numbers run from 1 to 65,535 and around
  std::uint16_t dropped_ = 0;  // the last number that is no longer here
};

}  // namespace earshot::gateway
