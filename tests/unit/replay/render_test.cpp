#include "tools/replay/render.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "codec/opus.h"
#include "codec/wav.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tone.h"

using namespace earshot;
using namespace earshot::replay;

namespace {

constexpr int rate = 48'000;
constexpr double hertz = 440;
constexpr double amplitude = 0.25;

using Pcm = std::vector<std::int16_t>;

// A sender of 20 ms frames, without payloads.
Trace steady(int packets, std::uint32_t ssrc = 7) {
  Trace trace;
  trace.is_sending_time = true;
  for (int i = 0; i < packets; ++i) {
    TracePacket p;
    p.arrival = Time{1'790'000'000'000'000'000} + milliseconds(20) * i;
    p.ssrc = {ssrc};
    p.sequence = static_cast<std::uint16_t>(65'500 + i);
    p.timestamp = 960u * static_cast<std::uint32_t>(i);
    p.size = 80;
    p.samples = 960;
    trace.packets.push_back(p);
  }
  return trace;
}

// Silence, and a tone from this packet on.
Trace tone_from(int first, int packets) {
  Trace trace = steady(packets);
  const Pcm silence(960);
  const Pcm tone = test::tone(hertz, static_cast<std::size_t>(packets) * 960, amplitude);
  codec::Encoder encoder;
  for (int i = 0; i < packets; ++i) {
    const auto at = static_cast<std::size_t>(std::max(i - first, 0)) * 960;
    const auto pcm = i < first ? std::span(silence) : std::span(tone).subspan(at, 960);
    const auto payload = encoder.encode(pcm);
    TracePacket& p = trace.packets[static_cast<std::size_t>(i)];
    p.payload = static_cast<std::uint32_t>(trace.payload_offsets.size());
    p.size = static_cast<std::uint16_t>(payload.size());
    trace.payload_offsets.push_back(trace.arena.size());
    trace.arena.insert(trace.arena.end(), payload.begin(), payload.end());
  }
  return trace;
}

RunOptions options_for(const char* policy, const char* listeners) {
  RunOptions options;
  options.policy = parse_policy(policy).value();
  options.listeners = parse_listeners(listeners).value();
  options.uplink.delay = milliseconds(10);
  options.downlink.delay = milliseconds(30);
  return options;
}

// One stall of 300 ms, whose packets then come at once.
void add_stall(RunOptions& options, int at_seconds) {
  options.uplink.stall.length = milliseconds(300);
  options.uplink.stall.at = {seconds(at_seconds)};
  options.uplink.stall_drain = milliseconds(1);
}

Pcm read(const std::string& path) {
  std::string error;
  const auto bytes = codec::read_file(path, error);
  REQUIRE(bytes);
  const auto pcm = codec::parse_wav(*bytes, error);
  REQUIRE(pcm);
  return *pcm;
}

std::span<const std::int16_t> cut(const Pcm& pcm, double from, double to) {
  const auto first = static_cast<std::size_t>(from * rate);
  const auto last = static_cast<std::size_t>(to * rate);
  REQUIRE(last <= pcm.size());
  return std::span(pcm).subspan(first, last - first);
}

// Seconds until 5 ms are louder than a tenth of the tone.
double onset(const Pcm& pcm, double from = 0) {
  constexpr std::size_t step = 240;
  const double enough = 0.01 * amplitude * amplitude / 2 * 32'767 * 32'767;
  for (auto at = static_cast<std::size_t>(from * rate); at + step <= pcm.size(); at += step) {
    if (test::power(std::span(pcm).subspan(at, step)) > enough) {
      return static_cast<double>(at) / rate;
    }
  }
  return -1;
}

Rendered rendered(const Trace& trace, const RunOptions& options, const RenderOptions& render_to) {
  auto result = render(trace, options, render_to);
  REQUIRE_MESSAGE(result.ok(), result.error().text);
  return std::move(result.value());
}

}  // namespace

TEST_CASE("a tone is heard when it should be, as loud as it was") {
  const Trace trace = tone_from(50, 150);
  test::TemporaryFolder folder;
  const auto out = rendered(trace, options_for("late=200", "fixed:60ms,adaptive,never-skips"),
                            {folder.path(), {}});
  CHECK_FALSE(out.has_stand_in);
  REQUIRE(out.files.size() == 3);
  CHECK(out.files[0] == folder.file("late-200-fixed-60-ms.wav"));
  const struct {
    double delay_min, delay_max;  // path 40 ms, the listener's, the codec's 6.5 ms, a sound card
  } rows[]{{0.10, 0.135}, {0.045, 0.135}, {0.06, 0.1}};
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(out.files[i]);
    const Pcm pcm = read(out.files[i]);
    CHECK(pcm.size() > 3 * rate - 960);
    CHECK(test::power(cut(pcm, 0, 1)) < 1);
    CHECK(onset(pcm) >= 1 + rows[i].delay_min);
    CHECK(onset(pcm) <= 1 + rows[i].delay_max);
    const auto middle = cut(pcm, 1.5, 2.8);
    const double expected = amplitude * amplitude / 2 * 32'767 * 32'767;
    CHECK(test::power(middle) == doctest::Approx(expected).epsilon(0.1));
    CHECK(test::part_at(middle, hertz) > 0.95);
  }
}

TEST_CASE("a dropped backlog is concealed, and then all is on time") {
  // The tone begins 1.5 s after the stall.
  const Trace trace = tone_from(175, 250);
  test::TemporaryFolder folder;
  const double before = 3.5;
  for (const char* policy : {"off", "late=120"}) {
    RunOptions options = options_for(policy, "never-skips");
    const auto clean = rendered(trace, options, {folder.file("clean"), {}});
    add_stall(options, 2);
    const auto stalled = rendered(trace, options, {folder.file("stalled"), {}});
    const double late = onset(read(stalled.files[0]), before) - onset(read(clean.files[0]), before);
    CAPTURE(policy);
    CAPTURE(late);
    // Without the policy it stays as late as the stall was long; with it as the bound lets through.
    if (options.policy.ms == 0) {
      CHECK(late > 0.25);
    } else {
      CHECK(late < 0.15);
    }
  }
}

TEST_CASE("where frames are missing the tone goes on for a moment, and fades") {
  const Trace trace = tone_from(0, 250);
  test::TemporaryFolder folder;
  RunOptions options = options_for("late=80", "fixed:60ms");
  add_stall(options, 2);
  const auto out = rendered(trace, options, {folder.path(), {}});
  CHECK(out.result.streams[0].verdicts[static_cast<std::size_t>(Verdict::late)] == 12);
  const Pcm pcm = read(out.files[0]);
  const double whole = test::power(cut(pcm, 1.5, 2.0));
  // What was sent at 2.0 s is due at 2.1 s.
  CHECK(test::power(cut(pcm, 2.14, 2.16)) > whole / 100);
  CHECK(test::power(cut(pcm, 2.28, 2.32)) < whole / 1'000);
  CHECK(test::power(cut(pcm, 2.5, 3.5)) == doctest::Approx(whole).epsilon(0.1));
}

TEST_CASE("the same run gives the same file, and many voices do not overdrive it") {
  Trace trace = steady(200, 1);
  for (std::uint32_t ssrc = 2; ssrc <= 6; ++ssrc) {
    const Trace more = steady(200, ssrc);
    trace.packets.insert(trace.packets.end(), more.packets.begin(), more.packets.end());
  }
  std::stable_sort(trace.packets.begin(), trace.packets.end(),
                   [](const auto& a, const auto& b) { return a.arrival < b.arrival; });
  test::TemporaryFolder folder;
  const auto recording = std::make_shared<const VoiceRecording>(test::tone(200, rate, 0.9));
  RunOptions options = options_for("off", "adaptive*2");
  options.downlink.jitter = {JitterKind::gamma, milliseconds(10), 2, false};
  const auto a = rendered(trace, options, {folder.file("a"), recording});
  const auto b = rendered(trace, options, {folder.file("b"), recording});
  CHECK(a.has_stand_in);
  CHECK(a.files[1] == folder.file("a/off-adaptive-2.wav"));
  CHECK(read(a.files[0]) == read(b.files[0]));
  CHECK(read(a.files[0]) != read(a.files[1]));
  const Pcm pcm = read(a.files[0]);
  const double at_limit = static_cast<double>(
      std::count_if(pcm.begin(), pcm.end(), [](int s) { return s > 32'700 || s < -32'700; }));
  CHECK(at_limit < 0.01 * static_cast<double>(pcm.size()));
  CHECK(test::power(cut(pcm, 1, 3)) > 1e7);
}

TEST_CASE("a stand-in speaks for what cannot be read") {
  Trace trace = steady(300);
  for (std::size_t i = 150; i < 155; ++i) trace.packets[i].size = 3;
  trace.packets.insert(trace.packets.begin() + 21, trace.packets[20]);
  StandInVoice voice(trace, nullptr);
  CHECK(voice.is_used());
  const auto payload_of = [](StandInVoice& v, std::size_t packet) {
    const auto payload = v.payload(packet);
    return std::vector(payload.begin(), payload.end());
  };
  // Asked for in any order.
  StandInVoice other(trace, nullptr);
  const auto last = payload_of(other, 300);
  CHECK(payload_of(other, 4) == payload_of(voice, 4));
  CHECK(payload_of(voice, 300) == last);
  CHECK(last.size() > 20);
  CHECK(payload_of(voice, 151) == std::vector<std::uint8_t>{0xF8, 0xFF, 0xFE});
  CHECK(payload_of(voice, 21).empty());  // a duplicate
  CHECK(payload_of(voice, 301).empty());

  SUBCASE("listeners use its in-band FEC") {
    test::TemporaryFolder folder;
    RunOptions options = options_for("off", "fixed:60ms");
    options.downlink.loss.to_bad = 0.05;
    const auto out = rendered(trace, options, {folder.path(), {}});
    CHECK(out.result.listeners[0].streams[0].buffer.fec > 0);
    const Pcm pcm = read(out.files[0]);
    // About -24 dBFS.
    CHECK(test::power(cut(pcm, 0.5, 3)) > 5e5);
    CHECK(test::power(cut(pcm, 0.5, 3)) < 3e7);
  }
}

TEST_CASE("frames of a stand-in are as long as the stream's") {
  const struct {
    std::uint16_t samples;  // as told
    std::uint32_t step;     // of RTP time
    int decoded;
  } rows[]{{0, 960, 960},    {0, 480, 480}, {0, 2'880, 2'880},    {1'920, 960, 1'920},
           {0, 12'345, 960}, {60, 60, 960}, {5'760, 5'760, 2'880}};
  for (const auto& row : rows) {
    CAPTURE(row.step);
    CAPTURE(row.samples);
    Trace trace = steady(20);
    for (std::size_t i = 0; i < trace.packets.size(); ++i) {
      trace.packets[i].samples = row.samples;
      trace.packets[i].timestamp = row.step * static_cast<std::uint32_t>(i);
    }
    StandInVoice voice(trace, nullptr);
    CHECK(codec::Decoder().decode(voice.payload(10)).size() ==
          static_cast<std::size_t>(row.decoded));
  }
}

TEST_CASE("reordered packets of a capture are spoken in their order") {
  const Trace trace = steady(40);
  Trace swapped = trace;
  std::swap(swapped.packets[20], swapped.packets[23]);
  StandInVoice straight(trace, nullptr);
  StandInVoice mixed(swapped, nullptr);
  for (const auto& [a, b] :
       {std::pair<std::size_t, std::size_t>{19, 19}, {20, 23}, {23, 20}, {24, 24}}) {
    const auto payload = straight.payload(a);
    const std::vector expected(payload.begin(), payload.end());
    const auto found = mixed.payload(b);
    CHECK(expected == std::vector(found.begin(), found.end()));
  }
}

TEST_CASE("voices differ, and are neither silent nor too loud") {
  Pcm before;
  for (std::size_t stream = 0; stream < 8; ++stream) {
    Pcm pcm(5 * rate);
    const auto voice = make_voice(stream, nullptr);
    voice->read(pcm);
    CAPTURE(stream);
    CHECK(pcm != before);
    CHECK(test::power(std::span<const std::int16_t>(pcm)) > 1e6);
    CHECK(test::power(std::span<const std::int16_t>(pcm)) < 1.5e7);
    const auto [low, high] = std::minmax_element(pcm.begin(), pcm.end());
    CHECK(*high < 28'000);
    CHECK(*low > -28'000);
    before = pcm;
  }
}

TEST_CASE("a recording is repeated, and each stream begins elsewhere in it") {
  test::TemporaryFolder folder;
  const Pcm tone = test::tone(330, rate / 2);
  {
    codec::WavWriter wav;
    std::string error;
    REQUIRE(wav.open(folder.file("voice.wav"), error));
    REQUIRE(wav.write(tone));
  }
  const auto recording = read_voice(folder.file("voice.wav"));
  REQUIRE(recording.ok());
  Pcm out(rate);
  make_voice(0, recording.value())->read(out);
  CHECK(std::equal(tone.begin(), tone.end(), out.begin()));
  CHECK(std::equal(tone.begin(), tone.end(), out.begin() + rate / 2));
  Pcm other(rate);
  make_voice(1, recording.value())->read(other);
  CHECK(out != other);

  std::ofstream(folder.file("text")) << "no audio";
  std::ofstream(folder.file("broken.wav")) << "RIFF....";
  CHECK(read_voice(folder.file("text")).error().text ==
        folder.file("text") + " is neither a WAV file nor Ogg Opus");
  CHECK(read_voice(folder.file("broken.wav"))
            .error()
            .text.starts_with(folder.file("broken.wav") + ": "));
  CHECK(read_voice(folder.file("none")).error().text.find("No such file") != std::string::npos);
}

TEST_CASE("names of files are safe") {
  const Policy off{Policy::Kind::late, 0};
  const Policy late{Policy::Kind::late, 120};
  CHECK(render_file_name(off, "never skips") == "off-never-skips.wav");
  CHECK(render_file_name(late, "adaptive #2") == "late-120-adaptive-2.wav");
  CHECK(render_file_name(late, "../../etc/passwd") == "late-120-..-..-etc-passwd.wav");
  CHECK(render_file_name(late, "a\"b\n\xC3\xA4")
            .find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string::npos);
  CHECK(render_file_name(late, std::string(1'000, 'x')).size() < 150);
}

TEST_CASE("listeners of one name get a file each") {
  test::TemporaryFolder folder;
  RunOptions options = options_for("off", "fixed");
  options.listeners.push_back(options.listeners[0]);
  const auto out = rendered(steady(20), options, {folder.path(), {}});
  CHECK(out.files[1] == folder.file("off-fixed-60-ms-2.wav"));
  CHECK(read(out.files[1]).size() > 0);
}

TEST_CASE("what cannot be written is one sentence") {
  test::TemporaryFolder folder;
  std::ofstream(folder.file("file")) << "no folder";
  const RunOptions options = options_for("off", "adaptive");
  const Trace trace = steady(100);
  const auto error_of = [&](const std::string& path) {
    return render(trace, options, {path, {}}).error().text;
  };
  CHECK(error_of(folder.file("file")) == folder.file("file") + ": File exists");
  CHECK(error_of(folder.file("a/b")) == folder.file("a/b") + ": No such file or directory");
  CHECK(error_of("") == "the folder for WAV files has no name");
  std::filesystem::create_directory(folder.file("full"));
  std::filesystem::create_symlink("/dev/full", folder.file("full/off-adaptive.wav"));
  CHECK(error_of(folder.file("full")) ==
        folder.file("full/off-adaptive.wav") + ": No space left on device");

  Trace years = steady(2);
  years.packets[1].arrival = years.packets[0].arrival + seconds(100'000);
  CHECK(render(years, options, {folder.path(), {}}).error().text ==
        "the trace is 27 hours long, and a WAV file holds 12: cut the trace");
  CHECK(render({}, options, {folder.path(), {}}).error().text == "there is no packet to replay");
  CHECK(render(trace, {}, {folder.path(), {}}).error().text == "nobody listens");
}
