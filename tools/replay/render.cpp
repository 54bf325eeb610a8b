#include "tools/replay/render.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>

#include "codec/opus.h"
#include "codec/wav.h"
#include "tools/listen/limiter.h"
#include "tools/listen/renderer.h"

namespace earshot::replay {
namespace {

// A WAV file ends at 4 GiB, 12.4 hours.
constexpr Duration length_max = seconds(12 * 3'600);
// About 30 kB each, with what waits to be played.
constexpr std::size_t decoders_max = 4'096;

std::int64_t samples_in(Duration time) {
  return time.ns / 125'000 * 6 + time.ns % 125'000 * 6 / 125'000;
}

// One listener's file. Its streams are played in turn for each 20 ms.
class Track {
 public:
  Result<void> open(const std::string& path, Time begin, std::size_t streams) {
    path_ = path;
    begin_ = begin;
    renderers_.resize(streams);
    std::string error;
    if (!wav_.open(path, error)) return Error{error};
    return {};
  }

  listen::Renderer& renderer(std::size_t stream) {
    std::unique_ptr<listen::Renderer>& renderer = renderers_[stream];
    if (renderer == nullptr) renderer = std::make_unique<listen::Renderer>();
    return *renderer;
  }

  void play(std::size_t stream, Time now, const listen::Playout& playout) {
    if (now != slot_) end_slot();
    slot_ = now;
    renderer(stream).render(playout, pcm_);
    for (std::size_t i = 0; i < pcm_.size(); ++i) sum_[i] += pcm_[i];
  }

  Result<void> finish(Time end) {
    end_slot();
    write_silence(samples_in(end - begin_));
    errno = 0;
    if (error_ == 0 && !wav_.flush()) error_ = errno != 0 ? errno : EIO;
    if (error_ != 0) return Error{path_ + ": " + std::strerror(error_)};
    return {};
  }

 private:
  void end_slot() {
    if (slot_ == Time::never()) return;
    write_silence(samples_in(slot_ - begin_));
    limiter_.process(sum_, pcm_);
    write(pcm_);
    std::fill(sum_.begin(), sum_.end(), 0);
  }

  // Up to a position in the file.
  void write_silence(std::int64_t to) {
    static constexpr std::array<std::int16_t, codec::sample_rate> silence{};
    while (written_ < to && error_ == 0) {
      const auto size = std::min<std::int64_t>(to - written_, codec::sample_rate);
      write(std::span(silence).first(static_cast<std::size_t>(size)));
    }
  }

  void write(std::span<const std::int16_t> pcm) {
    if (error_ != 0) return;
    errno = 0;
    if (!wav_.write(pcm)) error_ = errno != 0 ? errno : EFBIG;
    written_ += static_cast<std::int64_t>(pcm.size());
  }

  std::string path_;
  Time begin_;
  codec::WavWriter wav_;
  std::vector<std::unique_ptr<listen::Renderer>> renderers_;  // by stream; null: not heard yet
  Time slot_ = Time::never();                                 // the one in `sum_`
  std::array<std::int32_t, listen::slot_samples> sum_{};
  std::array<std::int16_t, listen::slot_samples> pcm_{};
  listen::Limiter limiter_;
  std::int64_t written_ = 0;  // samples
  int error_ = 0;             // the first errno; nothing is written after it
};

class Recorder : public PlayoutSink {
 public:
  Recorder(StandInVoice& voice, std::size_t listeners) : voice_(voice), tracks_(listeners) {}

  std::vector<Track>& tracks() { return tracks_; }

  void on_inserted(std::size_t listener, std::size_t stream, std::size_t packet,
                   const listen::Inserted& inserted) override {
    if (!inserted.is_accepted()) return;
    tracks_[listener].renderer(stream).store(inserted, voice_.payload(packet));
  }

  void on_played(std::size_t listener, std::size_t stream, Time now,
                 const listen::Playout& playout) override {
    tracks_[listener].play(stream, now, playout);
  }

 private:
  StandInVoice& voice_;
  std::vector<Track> tracks_;
};

Result<void> make_folder(const std::string& path) {
  if (path.empty()) return Error{"the folder for WAV files has no name"};
  std::error_code error;
  std::filesystem::create_directory(path, error);
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return {};
  if (!error) error = std::make_error_code(std::errc::not_a_directory);
  return Error{path + ": " + error.message()};
}

Result<void> check_size(const Trace& trace, const RunOptions& options) {
  const Duration length = trace.packets.back().arrival - trace.packets.front().arrival;
  if (length > length_max) {
    return Error{"the trace is " + std::to_string(length.ns / seconds(3'600).ns) +
                 " hours long, and a WAV file holds 12: cut the trace"};
  }
  const std::size_t streams = streams_of(trace).size();
  if (streams * options.listeners.size() > decoders_max) {
    return Error{std::to_string(streams) + " streams for " +
                 std::to_string(options.listeners.size()) +
                 " listeners are too many to decode: choose fewer listeners, or streams with "
                 "--ssrc"};
  }
  return {};
}

// One path for each listener, no two the same.
std::vector<std::string> paths_for(const RunOptions& options, const std::string& folder) {
  std::vector<std::string> paths;
  std::set<std::string> taken;
  for (const Listener& listener : options.listeners) {
    const std::string name = render_file_name(options.policy, listener.name);
    std::string unique = name;
    for (int i = 2; !taken.insert(unique).second; ++i) {
      unique = name.substr(0, name.size() - 4) + "-" + std::to_string(i) + ".wav";
    }
    paths.push_back((std::filesystem::path(folder) / unique).string());
  }
  return paths;
}

void append_safely(std::string_view text, std::string& name) {
  for (const char c : text) {
    const bool is_safe = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                         (c >= 'A' && c <= 'Z') || (c == '.' && !name.empty());
    if (is_safe) {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
}

}  // namespace

std::string render_file_name(const Policy& policy, std::string_view listener) {
  constexpr std::size_t size_max = 100;
  std::string file;
  append_safely(name(policy), file);
  file += '-';
  append_safely(listener.substr(0, size_max), file);
  return file + ".wav";
}

Result<Rendered> render(const Trace& trace, RunOptions options, const RenderOptions& render) {
  if (trace.packets.empty()) return Error{"there is no packet to replay"};
  if (auto checked = check_size(trace, options); !checked) return checked.error();
  if (auto made = make_folder(render.folder); !made) return made.error();

  StandInVoice voice(trace, render.recording);
  Recorder recorder(voice, options.listeners.size());
  Rendered rendered;
  rendered.files = paths_for(options, render.folder);
  rendered.has_stand_in = voice.is_used();
  const Time begin = trace.packets.front().arrival;
  const std::size_t streams = streams_of(trace).size();
  for (std::size_t i = 0; i < rendered.files.size(); ++i) {
    auto opened = recorder.tracks()[i].open(rendered.files[i], begin, streams);
    if (!opened) return opened.error();
  }
  options.sink = &recorder;
  options.payload_of = [&voice](std::size_t packet) { return voice.payload(packet); };
  auto result = run(trace, options);
  if (!result) return result.error();
  rendered.result = std::move(result.value());
  for (Track& track : recorder.tracks()) {
    if (auto finished = track.finish(rendered.result.end); !finished) return finished.error();
  }
  return rendered;
}

}  // namespace earshot::replay
