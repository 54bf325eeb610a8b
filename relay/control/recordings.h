// The node's recordings: dumps of the workers' flight recorders, made when somebody asks or when a
// stream's losses jump, kept in a folder or, without one, for a while in memory. Controller thread;
// the copying and the disk are another thread's work. What stands in a dump: relay/core/
// flight_record.h; nothing of payloads, keys or addresses.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/worker/worker_group.h"

struct uv_loop_s;

namespace earshot::control {

struct RecordingsOptions {
  NodeId node;
  std::string folder;  // empty: kept in memory, the newest limits::recordings_in_memory_max of them
  std::uint64_t quota_bytes = 0;          // of the folder; the oldest go first
  Duration keep;                          // how long a file stays
  std::function<std::int64_t()> unix_ms;  // wall clock
  std::function<Time()> monotonic;
};

struct RecordingDescription {
  std::string name;  // "20261125T050102.345Z-asked.rec"
  std::string reason;
  std::int64_t made_at_ms = 0;  // unix
  std::uint64_t bytes = 0;

  bool operator==(const RecordingDescription&) const = default;
};

class Recordings {
 public:
  using Made = std::function<void(const Result<RecordingDescription>&)>;
  using Bytes = std::shared_ptr<const std::string>;

  // `workers` outlives the loop's work. What an earlier run left in the folder is there.
  Recordings(uv_loop_s* loop, const WorkerGroup& workers, RecordingsOptions options);
  ~Recordings();
  Recordings(const Recordings&) = delete;
  Recordings& operator=(const Recordings&) = delete;

  // `reason`: lower-case letters and hyphens. `done` comes from the loop, unless this has ended by
  // then. False: a recording is being made, or there is nothing that records.
  bool make(const std::string& reason, Made done);
  bool is_on() const;
  bool is_busy() const;

  // Newest first. Files that went missing are not there.
  std::vector<RecordingDescription> list();
  // nullptr: there is none of that name.
  Bytes read(std::string_view name) const;
  bool remove(std::string_view name);
  // Once a minute: what is too old, or too much, goes.
  void on_sweep();

 private:
  struct Job;
  void on_made(Job& job);
  void forget_old();

  uv_loop_s* loop_;
  const WorkerGroup& workers_;
  RecordingsOptions options_;
  std::map<std::string, Bytes> in_memory_;  // without a folder
  std::shared_ptr<Job> job_;
};

// The name of a recording and back; nothing if it is no such name.
std::string recording_name(std::int64_t unix_ms, std::string_view reason);
std::optional<RecordingDescription> parse_recording_name(std::string_view name);

}  // namespace earshot::control
