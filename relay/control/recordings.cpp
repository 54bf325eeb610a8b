#include "relay/control/recordings.h"

#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "relay/base/check.h"
#include "relay/base/limits.h"
#include "relay/core/flight_dump.h"

namespace earshot::control {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".rec";
constexpr std::size_t time_size = std::string_view("20261125T050102.345Z").size();

void append(std::string& out, std::span<const std::uint8_t> bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string dump(const flight::DumpHeader& header, const std::vector<FlightSnapshot>& snapshots) {
  std::string out;
  append(out, flight::dump_header(header));
  std::vector<std::uint8_t> scratch;
  for (const FlightSnapshot& s : snapshots) {
    append(out, flight::dump_section(s.covered_from, s.words.size()));
    append(out, flight::dump_words(s.words, scratch));
  }
  return out;
}

// Readable for the node's user alone, and there as a whole or not at all.
Result<void> write_private(const fs::path& path, const std::string& bytes) {
  const auto failed = [&](const char* what) {
    return Error{path.string() + ": " + what + ": " + std::strerror(errno)};
  };
  const fs::path part = path.string() + ".part";
  ::unlink(part.c_str());
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return failed("cannot be made");
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(file, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  const bool is_whole = done == bytes.size();
  if (::close(file) != 0 || !is_whole || ::rename(part.c_str(), path.c_str()) != 0) {
    const Error error = failed("cannot be written");
    ::unlink(part.c_str());
    return error;
  }
  return {};
}

bool is_reason(std::string_view reason) {
  return !reason.empty() && reason.size() <= 32 &&
         reason.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") == std::string_view::npos;
}

}  // namespace

std::string recording_name(std::int64_t unix_ms, std::string_view reason) {
  const std::time_t seconds = unix_ms / 1'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 40> time{};
  const std::size_t size = std::strftime(time.data(), time.size(), "%Y%m%dT%H%M%S", &utc);
  std::snprintf(time.data() + size, time.size() - size, ".%03dZ",
                static_cast<int>(unix_ms % 1'000));
  return std::string(time.data()) + "-" + std::string(reason) + std::string(suffix);
}

std::optional<RecordingDescription> parse_recording_name(std::string_view name) {
  if (name.size() <= time_size + 1 + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  const std::string time(name.substr(0, time_size));
  std::tm utc{};
  int ms = 0;
  int read = 0;
  if (std::sscanf(time.c_str(), "%4d%2d%2dT%2d%2d%2d.%3dZ%n", &utc.tm_year, &utc.tm_mon,
                  &utc.tm_mday, &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &ms, &read) != 7 ||
      static_cast<std::size_t>(read) != time_size || name[time_size] != '-') {
    return std::nullopt;
  }
  utc.tm_year -= 1'900;
  utc.tm_mon -= 1;
  RecordingDescription description;
  description.name = name;
  description.reason = name.substr(time_size + 1, name.size() - time_size - 1 - suffix.size());
  description.made_at_ms = std::int64_t{timegm(&utc)} * 1'000 + ms;
  if (!is_reason(description.reason)) return std::nullopt;
  // One name for one time: what does not come out again is another file.
  if (recording_name(description.made_at_ms, description.reason) != name) return std::nullopt;
  return description;
}

// Outlives its owner where the loop still has it.
struct Recordings::Job {
  uv_work_t work{};
  std::shared_ptr<Job> self;
  Recordings* owner = nullptr;  // nullptr: it has ended
  const WorkerGroup* workers = nullptr;
  flight::DumpHeader header;
  std::string path;  // empty: stay in memory
  RecordingDescription description;
  Made done;
  std::string bytes;
  Result<void> written;
};

Recordings::Recordings(uv_loop_s* loop, const WorkerGroup& workers, RecordingsOptions options)
    : loop_(loop), workers_(workers), options_(std::move(options)) {
  forget_old();
}

Recordings::~Recordings() {
  if (job_) job_->owner = nullptr;
}

bool Recordings::is_on() const {
  return workers_.is_recording();
}

bool Recordings::is_busy() const {
  return job_ != nullptr;
}

bool Recordings::make(const std::string& reason, Made done) {
  RELAY_CHECK(is_reason(reason));
  if (!is_on() || is_busy()) return false;
  job_ = std::make_shared<Job>();
  Job& job = *job_;
  job.self = job_;
  job.owner = this;
  job.workers = &workers_;
  job.description.made_at_ms = options_.unix_ms();
  job.description.reason = reason;
  job.description.name = recording_name(job.description.made_at_ms, reason);
  const Time now = options_.monotonic();
  job.header.node = options_.node;
  job.header.workers_count = static_cast<std::uint16_t>(workers_.size());
  job.header.taken_at = now;
  job.header.wall_offset = milliseconds(job.description.made_at_ms) - Duration{now.ns};
  if (!options_.folder.empty()) job.path = options_.folder + "/" + job.description.name;
  job.done = std::move(done);
  job.work.data = &job;
  const int queued = uv_queue_work(
      loop_, &job.work,
      [](uv_work_t* work) {
        Job& j = *static_cast<Job*>(work->data);
        j.bytes = dump(j.header, j.workers->recorded());
        j.description.bytes = j.bytes.size();
        if (!j.path.empty()) j.written = write_private(j.path, j.bytes);
      },
      [](uv_work_t* work, int) {
        const std::shared_ptr<Job> j = std::move(static_cast<Job*>(work->data)->self);
        if (j->owner != nullptr) j->owner->on_made(*j);
      });
  RELAY_CHECK(queued == 0);
  return true;
}

void Recordings::on_made(Job& job) {
  const std::shared_ptr<Job> keeps = std::move(job_);
  if (!job.written.ok()) return job.done(job.written.error());
  if (job.path.empty()) {
    in_memory_[job.description.name] = std::make_shared<const std::string>(std::move(job.bytes));
  }
  forget_old();
  job.done(job.description);
}

std::vector<RecordingDescription> Recordings::list() {
  std::vector<RecordingDescription> found;
  for (const auto& [name, bytes] : in_memory_) {
    if (auto description = parse_recording_name(name)) {
      description->bytes = bytes->size();
      found.push_back(std::move(*description));
    }
  }
  std::error_code error;
  if (!options_.folder.empty()) {
    for (fs::directory_iterator it(options_.folder, error), end; !error && it != end;
         it.increment(error)) {
      auto description = parse_recording_name(it->path().filename().string());
      std::error_code gone;
      const auto size = it->file_size(gone);
      if (!description || gone || !it->is_regular_file(gone)) continue;
      description->bytes = size;
      found.push_back(std::move(*description));
    }
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.name > b.name; });
  return found;
}

Recordings::Bytes Recordings::read(std::string_view name) const {
  if (const auto found = in_memory_.find(std::string(name)); found != in_memory_.end()) {
    return found->second;
  }
  // A name is no path.
  if (options_.folder.empty() || !parse_recording_name(name)) return nullptr;
  std::ifstream file(options_.folder + "/" + std::string(name), std::ios::binary);
  std::ostringstream content;
  if (!file || !(content << file.rdbuf())) return nullptr;
  return std::make_shared<const std::string>(std::move(content).str());
}

bool Recordings::remove(std::string_view name) {
  if (in_memory_.erase(std::string(name)) > 0) return true;
  if (options_.folder.empty() || !parse_recording_name(name)) return false;
  std::error_code error;
  return fs::remove(options_.folder + "/" + std::string(name), error) && !error;
}

void Recordings::on_sweep() {
  forget_old();
}

void Recordings::forget_old() {
  const std::int64_t oldest = options_.unix_ms() - options_.keep.ms();
  std::uint64_t sum = 0;
  std::size_t count = 0;
  for (const RecordingDescription& d : list()) {
    sum += d.bytes;
    ++count;
    const bool is_too_much = options_.folder.empty() ? count > limits::recordings_in_memory_max
                                                     : count > 1 && sum > options_.quota_bytes;
    if (is_too_much || d.made_at_ms < oldest) remove(d.name);
  }
}

}  // namespace earshot::control
