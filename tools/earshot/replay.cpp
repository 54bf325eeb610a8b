#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "codec/wav.h"
#include "tools/earshot/command.h"
#include "tools/earshot/replay_live.h"
#include "tools/earshot/replay_options.h"
#include "tools/earshot/replay_text.h"
#include "tools/replay/outputs.h"
#include "tools/replay/recorded_run.h"
#include "tools/replay/render.h"
#include "tools/replay/report.h"

namespace earshot::tools {
namespace {

using namespace earshot::replay;

int fail(const std::string& text) {
  std::fprintf(stderr, "earshot replay: %s\n", text.c_str());
  return exit_failed;
}

int refuse(const std::string& text) {
  std::fprintf(stderr, "earshot replay: %s\n", text.c_str());
  return exit_usage;
}

// On a terminal, from the third second on.
class Progress {
 public:
  void show(const std::string& what, double share) {
    if (!is_terminal_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - began_ < std::chrono::seconds(3)) return;
    constexpr int width = 40;
    const int done = static_cast<int>(share * width);
    std::fprintf(stderr, "\r%-16.16s [%.*s%.*s] %3.0f %%", what.c_str(), done,
                 "########################################", width - done,
                 "                                        ", 100 * share);
    is_shown_ = true;
  }
  ~Progress() {
    if (is_shown_) std::fprintf(stderr, "\r%*s\r", 70, "");
  }
  Progress() = default;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool is_shown_ = false;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// Plain forwarding comes first if anything is dropped: it is the shadow of the others.
Result<std::vector<RunResult>> run_all(const Trace& trace, const std::vector<Policy>& policies,
                                       RunOptions options) {
  Progress progress;
  const Policy off{Policy::Kind::late, 0};
  std::optional<RunResult> plain;
  const auto run_one = [&](const Policy& policy) {
    options.policy = policy;
    options.on_progress = [&](double share) { progress.show(name(policy), share); };
    return run(trace, options);
  };
  std::vector<RunResult> results;
  for (const Policy& policy : policies) {
    if (!plain && policy != off) {
      auto shadow = run_one(off);
      if (!shadow) return shadow.error();
      plain = std::move(shadow.value());
    }
    if (policy == off && plain) {
      results.push_back(*plain);
      continue;
    }
    options.shadow = policy == off ? nullptr : &*plain;
    auto result = run_one(policy);
    if (!result) return result.error();
    results.push_back(std::move(result.value()));
    options.shadow = nullptr;
    if (policy == off) plain = results.back();
  }
  return results;
}

using File = std::unique_ptr<std::FILE, codec::FileCloser>;

// `write` gets the open file, or standard output for "-".
template <typename Write>
Result<void> write_file(const std::string& path, const Write& write) {
  if (path.empty()) return {};
  if (path == "-") return write(stdout);
  File file(std::fopen(path.c_str(), "wb"));
  if (!file) return Error{"cannot write " + path + ": " + std::strerror(errno)};
  Result<void> written = write(file.get());
  if (!written.ok()) return written;
  if (std::fflush(file.get()) != 0) {
    return Error{"cannot write " + path + ": " + std::strerror(errno)};
  }
  return {};
}

Json live_json(const LiveResult& live) {
  Json streams = Json::array();
  for (const LiveStream& s : live.streams) {
    streams.push_back({{"ssrc", s.ssrc.value}, {"relay_ssrc", s.relay_ssrc.value}});
  }
  return {{"streams", streams},
          {"has_recording", live.has_recording},
          {"verdicts_reproduced", live.reproduced},
          {"verdicts_different", live.different}};
}

std::string network_text(const ReplayOptions& o) {
  std::string text = o.profile.empty() ? "" : "profile " + o.profile + "\n";
  if (!o.uplink.empty()) text += "uplink " + o.uplink + "\n";
  if (!o.downlink.empty()) text += "downlink " + o.downlink + "\n";
  return text.empty() ? "nothing added\n" : text;
}

ReportInput report_input(const ReplayOptions& o, const Trace& trace,
                         const std::vector<RunResult>& results) {
  ReportInput input;
  input.source = o.synth > 0 ? "synthetic talk of " + std::to_string(o.synth) : o.input;
  input.trace = &trace;
  for (const RunResult& result : results) input.runs.push_back(&result);
  input.network = network_text(o);
  input.seed = o.seed;
  input.quality = o.quality;
  input.quality.counts_waiting = !o.only_packets;
  input.has_shadow = !o.is_live;
  return input;
}

// `live`: nullptr for a replay in virtual time.
Result<void> write_outputs(const ReplayOptions& o, const Trace& trace,
                           const std::vector<RunResult>& results, const LiveResult* live) {
  auto json = write_file(o.json, [&](std::FILE* file) -> Result<void> {
    Json value = to_json(trace, results, {o.seed, o.profile, o.uplink, o.downlink});
    if (live != nullptr) value["live"] = live_json(*live);
    const std::string text = value.dump(2) + "\n";
    std::fwrite(text.data(), 1, text.size(), file);
    return std::ferror(file) == 0 ? Result<void>{} : Error{"cannot write the JSON"};
  });
  if (!json.ok()) return json;
  auto verdicts = write_file(o.verdicts, [&](std::FILE* file) {
    return write_verdicts(trace, live != nullptr ? live->verdicts : results.front().verdicts, file);
  });
  if (!verdicts.ok()) return verdicts;
  return write_file(o.report, [&](std::FILE* file) {
    return write_report(file, report_input(o, live != nullptr ? live->trace : trace, results));
  });
}

// One WAV for each policy and listener.
Result<void> write_sounds(const ReplayOptions& o, const Trace& trace, const ReplaySetup& setup) {
  if (o.render.empty()) return {};
  RenderOptions render_options{o.render, nullptr};
  if (!o.voice.empty()) {
    auto voice = read_voice(o.voice);
    if (!voice) return Error{"--voice: " + voice.error().text};
    render_options.recording = voice.value();
  }
  Progress progress;
  for (const Policy& policy : setup.policies) {
    RunOptions options = setup.run;
    options.policy = policy;
    options.on_progress = [&](double share) { progress.show("rendering", share); };
    auto rendered = render(trace, options, render_options);
    if (!rendered) return rendered.error();
  }
  return {};
}

int run_diff(const ReplayOptions& o) {
  Json jsons[2];
  for (std::size_t i = 0; i < 2; ++i) {
    std::ifstream file(o.diff[i]);
    if (!file) return refuse("cannot read " + o.diff[i] + ": " + std::strerror(errno));
    jsons[i] = Json::parse(file, nullptr, false);
    if (jsons[i].is_discarded()) return refuse(o.diff[i] + " is not JSON");
  }
  const auto result = replay::diff(jsons[0], jsons[1], o.diff_options);
  if (!result.ok()) return refuse(result.error().text);
  for (const std::string& line : result.value().lines) std::printf("%s\n", line.c_str());
  return result.value().is_worse ? exit_failed : exit_ok;
}
void show(const ReplayOptions& o, const std::string& text) {
  const bool is_taken = o.json == "-" || o.verdicts == "-" || o.csv == "-";
  std::fputs(text.c_str(), is_taken ? stderr : stdout);
}

std::string reproduction_text(std::uint64_t reproduced, std::uint64_t different) {
  return "verdicts of the relay that the policy came to again: " + std::to_string(reproduced) +
         ", not: " + std::to_string(different) + "\n";
}

// Every policy on a flight recorder's dump. Without any named: the recorded one.
int replay_recording(const ReplayOptions& o, const ReplaySetup& setup) {
  const auto recording = read_recording(o.input);
  if (!recording.ok()) return fail(recording.error().text);
  const Trace trace = trace_of(recording.value());
  RunOptions options = setup.run;
  std::vector<RunResult> results;
  std::string text;
  bool is_different = false;
  for (const Policy& policy :
       names_policy(o) ? setup.policies : std::vector{Policy{Policy::Kind::recorded, 0}}) {
    options.policy = policy;
    auto run = replay::run(recording.value(), trace, options);
    if (!run) return fail(run.error().text);
    RecordedRun& r = run.value();
    results.push_back(std::move(r.result));
    if (policy.kind != Policy::Kind::recorded) continue;
    is_different = r.different > 0;
    text += reproduction_text(r.reproduced, r.different);
    if (r.unknown > 0) {
      text += "streams that began before the recording: " + std::to_string(r.unknown) +
              " packets keep their recorded verdict\n";
    }
  }
  if (auto written = write_outputs(o, trace, results, nullptr); !written) {
    return fail(written.error().text);
  }
  show(o, replay_text(trace, results) + text);
  return is_different ? exit_failed : exit_ok;
}

bool is_recording_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 64> bytes{};
  file.read(bytes.data(), bytes.size());
  return replay::is_recording(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                              static_cast<std::size_t>(file.gcount()));
}

int replay_live(ReplayOptions& o, const Trace& trace, ReplaySetup setup) {
  if (o.live.ca.empty()) o.live.ca = o.live.state + "/ca.pem";
  setup.run.policy = setup.policies.front();
  LiveResult live;
  std::optional<LiveFailure> failure;
  {
    Progress progress;
    setup.run.on_progress = [&](double share) { progress.show("live", share); };
    failure = run_live(trace, setup.run, o.live, live);
  }
  if (failure) {
    fail(failure->text);
    return failure->exit_code;
  }
  const std::vector<RunResult> results{std::move(live.result)};
  if (auto written = write_outputs(o, trace, results, &live); !written) {
    return fail(written.error().text);
  }
  show(o, replay_text(live.trace, results));
  if (!live.has_recording) return exit_ok;
  show(o, reproduction_text(live.reproduced, live.different));
  return live.different == 0 ? exit_ok : exit_failed;
}

int run_replay(ReplayOptions& o) {
  if (!o.diff.empty()) return run_diff(o);
  if (o.input.empty() == (o.synth == 0)) return refuse("give a file, or --synth");
  auto setup = set_up(o);
  if (!setup) return refuse(setup.error().text);
  const bool is_recording = o.synth == 0 && is_recording_file(o.input);
  if (!o.render.empty() && (is_recording || o.is_live)) {
    return refuse("--render is for traces in virtual time");
  }
  if (is_recording && !o.is_live) return replay_recording(o, setup.value());
  const auto trace = trace_of(o);
  if (!trace.ok()) return fail(trace.error().text);
  if (auto written =
          write_file(o.csv, [&](std::FILE* file) { return write_trace_csv(trace.value(), file); });
      !written) {
    return fail(written.error().text);
  }
  if (o.is_live) return replay_live(o, trace.value(), std::move(setup.value()));
  const auto results = run_all(trace.value(), setup.value().policies, setup.value().run);
  if (!results.ok()) return fail(results.error().text);
  if (auto written = write_outputs(o, trace.value(), results.value(), nullptr); !written) {
    return fail(written.error().text);
  }
  if (auto written = write_sounds(o, trace.value(), setup.value()); !written) {
    return fail(written.error().text);
  }
  show(o, replay_text(trace.value(), results.value()));
  return exit_ok;
}

}  // namespace

Command make_replay_command(CLI::App& parent) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* const app =
      parent.add_subcommand("replay", "What people hear of this traffic, on this network");
  add_replay_options(*app, *options);
  return {app, [options] { return run_replay(*options); }};
}

}  // namespace earshot::tools
