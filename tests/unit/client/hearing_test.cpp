#include "tools/client/hearing.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <string>
#include <vector>

#include "codec/ogg_reader.h"
#include "codec/wav.h"
#include "tests/support/test_certificate.h"
#include "tools/client/frame_source.h"

using namespace earshot;
using namespace earshot::client;

namespace {

constexpr Duration frame_time = milliseconds(20);

// A folder that goes away with the test.
using Folder = test::TestCertificate;

std::vector<std::vector<std::uint8_t>> tone_frames(double hz, int count) {
  ToneSource source(hz);
  std::vector<std::vector<std::uint8_t>> frames;
  for (int i = 0; i < count; ++i) frames.push_back(*source.next());
  return frames;
}

// Packets of any length of the same tone.
std::vector<std::vector<std::uint8_t>> long_frames(int samples, int count) {
  codec::Encoder encoder;
  std::vector<std::vector<std::uint8_t>> frames;
  double phase = 0;
  for (int i = 0; i < count; ++i) {
    std::vector<std::int16_t> pcm(static_cast<std::size_t>(samples));
    for (auto& sample : pcm) {
      sample = static_cast<std::int16_t>(9'000 * std::sin(phase));
      phase += 2 * std::numbers::pi * 440 / 48'000;
    }
    frames.push_back(encoder.encode(pcm));
  }
  return frames;
}

struct Rig {
  explicit Rig(HearingOptions options = {}) : hearing(with_tones(options)) {}
  static HearingOptions with_tones(HearingOptions options) {
    options.finds_tones = true;
    return options;
  }

  void say(Ssrc ssrc, int n, const std::vector<std::uint8_t>& frame, int packet_ms = 20,
           Duration start = {}) {
    hearing.on_packet(at(n, packet_ms) + start, ssrc, static_cast<std::uint16_t>(n),
                      static_cast<std::uint32_t>(n * 48 * packet_ms), frame);
  }
  static Time at(int n, int packet_ms = 20) {
    return Time{1'000'000'000} + milliseconds(packet_ms) * n;
  }
  std::vector<std::int16_t> tick(int n) {
    const auto mixed = hearing.tick(at(n));
    return {mixed.begin(), mixed.end()};
  }
  SpeakerReport only() const {
    const auto reports = hearing.report();
    REQUIRE(reports.size() == 1);
    return reports.front();
  }

  Hearing hearing;
};

std::vector<std::int16_t> load_wav(const std::string& path) {
  std::string error;
  const auto bytes = codec::read_file(path, error);
  REQUIRE_MESSAGE(bytes, error);
  const auto samples = codec::parse_wav(*bytes, error);
  REQUIRE_MESSAGE(samples, error);
  return *samples;
}

}  // namespace

TEST_CASE("a speaker is heard whole, at its frequency, under its name") {
  Rig rig;
  const auto frames = tone_frames(440, 100);
  rig.hearing.on_user({7}, "alice");
  for (int n = 0; n < 100; ++n) {
    rig.say({7}, n, frames[static_cast<std::size_t>(n)]);
    rig.tick(n);
  }
  rig.hearing.finish(Rig::at(100));
  const auto report = rig.only();
  CHECK(report.ssrc == Ssrc{7});
  CHECK(report.user_id == "alice");
  CHECK(report.is_present);
  CHECK(report.received == 100);
  CHECK(report.heard == 100);
  CHECK(report.lost == 0);
  CHECK(report.concealed == 0);
  CHECK(report.undecodable == 0);
  CHECK(report.tone.hz == doctest::Approx(440).epsilon(0.01));
  CHECK(report.tone.share > 0.9);
  CHECK(report.level == doctest::Approx(-12).epsilon(0.1));
}

TEST_CASE("the name may come before or after the first packet, and speakers may leave") {
  Rig rig;
  const auto frames = tone_frames(440, 2);
  rig.hearing.on_user({1}, "early");
  rig.say({1}, 0, frames[0]);
  rig.say({2}, 0, frames[0]);
  rig.hearing.on_user({2}, "late");
  CHECK(rig.hearing.report()[0].user_id == "early");
  CHECK(rig.hearing.report()[1].user_id == "late");
  rig.hearing.on_user_left("late");
  CHECK(rig.hearing.report()[0].is_present);
  CHECK_FALSE(rig.hearing.report()[1].is_present);
  rig.hearing.on_user({2}, "late");
  CHECK(rig.hearing.report()[1].is_present);
}

TEST_CASE("two speakers are mixed, and too loud is clipped, not wrapped") {
  Rig rig;
  std::vector<std::int16_t> loud(960 * 20);
  for (std::size_t i = 0; i < loud.size(); ++i) loud[i] = i / 50 % 2 == 0 ? 30'000 : -30'000;
  PcmSource source(loud);
  std::int16_t highest = 0;
  std::int16_t lowest = 0;
  for (int n = 0; n < 20; ++n) {
    const auto frame = *source.next();
    for (const std::uint32_t ssrc : {1u, 2u, 3u}) rig.say({ssrc}, n, frame);
    const auto mixed = rig.tick(n);
    highest = std::max(highest, *std::max_element(mixed.begin(), mixed.end()));
    lowest = std::min(lowest, *std::min_element(mixed.begin(), mixed.end()));
    // The wave is a hundred samples long: half of a frame is up, half of it down.
    if (n < 5) continue;
    const auto positive = std::count_if(mixed.begin(), mixed.end(), [](auto s) { return s > 0; });
    CHECK(positive > 400);
    CHECK(positive < 560);
  }
  CHECK(highest == 32'767);
  CHECK(lowest == -32'768);
}

TEST_CASE("loss is concealed, and what is no Opus is counted, not played") {
  Rig rig;
  const auto frames = tone_frames(440, 60);
  for (int n = 0; n < 60; ++n) {
    const bool is_lost = n % 10 == 5;
    const bool is_broken = n == 32;
    if (is_broken) rig.say({1}, n, {0xFF, 0xFF, 0xFF});
    if (!is_lost && !is_broken) rig.say({1}, n, frames[static_cast<std::size_t>(n)]);
    rig.tick(n);
  }
  rig.hearing.finish(Rig::at(60));
  const auto report = rig.only();
  CHECK(report.received == 54);
  CHECK(report.lost == 6);
  CHECK(report.undecodable == 1);
  CHECK(report.heard == 53);
  CHECK(report.concealed >= 7);
}

TEST_CASE("a lost frame is restored from the packet behind it, if that has in-band FEC") {
  for (const bool has_fec : {false, true}) {
    CAPTURE(has_fec);
    codec::EncoderOptions options;
    options.bitrate = 24'000;
    options.fec = has_fec;
    options.expected_loss_percent = has_fec ? 20 : 0;
    codec::Encoder encoder(options);
    Rig rig;
    double phase = 0;
    for (int n = 0; n < 100; ++n) {
      std::vector<std::int16_t> pcm(960);
      for (auto& sample : pcm) {
        phase += 2 * std::numbers::pi * (200 + 40 * std::sin(n * 0.1)) / 48'000;
        sample = static_cast<std::int16_t>(9'000 * std::sin(phase) + 3'000 * std::sin(2 * phase));
      }
      const auto frame = encoder.encode(pcm);
      if (n % 10 != 5) rig.say({1}, n, frame);
      rig.tick(n);
    }
    rig.hearing.finish(Rig::at(100));
    const auto report = rig.only();
    CHECK(report.lost == 10);
    CHECK(report.heard == 90);
    CHECK((report.restored > 0) == has_fec);
    CHECK(report.restored + report.concealed == 10);
  }
}

TEST_CASE("a stall's backlog is heard whole, faster, until the delay is short again") {
  Rig rig;
  const auto frames = tone_frames(440, 1'000);
  int next = 0;
  for (int n = 0; n < 1'000; ++n) {
    const bool is_stalled = n >= 500 && n < 510;
    for (; !is_stalled && next <= n; ++next) {
      rig.say({1}, next, frames[static_cast<std::size_t>(next)], 20, frame_time * (n - next));
    }
    rig.tick(n);
  }
  rig.hearing.finish(Rig::at(1'000));
  const auto report = rig.only();
  CHECK(report.heard == 1'000);
  CHECK(report.late == 0);
  CHECK(report.concealed == 5);
  CHECK(report.skipped >= 5);
  CHECK(report.skipped <= 10);
  CHECK(report.tone.hz == doctest::Approx(440).epsilon(0.01));
  CHECK(report.tone.share > 0.9);
}

TEST_CASE("without decoding packets are only counted") {
  HearingOptions options;
  options.decodes = false;
  Rig rig(options);
  const auto frames = tone_frames(440, 10);
  for (int n = 0; n < 10; ++n) rig.say({1}, n, frames[static_cast<std::size_t>(n)]);
  rig.say({1}, 9, frames[9]);
  rig.hearing.finish(Rig::at(10));
  CHECK(rig.only().heard == 10);
  CHECK(rig.only().duplicates == 1);
}

TEST_CASE("packets of 10, 40 and 60 ms are heard at their own pace") {
  for (const int packet_ms : {10, 40, 60}) {
    CAPTURE(packet_ms);
    Rig rig;
    const int count = 2'400 / packet_ms;
    const auto frames = long_frames(packet_ms * 48, count);
    int sent = 0;
    std::size_t silent = 0;
    for (int n = 0; n < 121; ++n) {
      while (sent < count && sent * packet_ms <= n * 20) {
        rig.say({1}, sent, frames[static_cast<std::size_t>(sent)], packet_ms);
        ++sent;
      }
      const auto mixed = rig.tick(n);
      if (n >= 10 && level_dbfs(mixed) < -30) ++silent;
    }
    CHECK(silent == 0);
    rig.hearing.finish(Rig::at(121));
    const auto report = rig.only();
    CHECK(report.heard == static_cast<std::uint64_t>(count));
    CHECK(report.concealed == 0);
    CHECK(report.tone.hz == doctest::Approx(440).epsilon(0.01));
  }
}

TEST_CASE("latency is measured against the book of the sender") {
  LatencyBook book;
  HearingOptions options;
  options.latency_book = &book;
  Rig rig(options);
  const auto frames = tone_frames(440, 1);
  for (int n = 0; n < 50; ++n) {
    book.on_sent({1}, static_cast<std::uint16_t>(n), Rig::at(n) - microseconds(300));
    rig.say({1}, n, frames[0]);
  }
  CHECK(rig.only().latency_count == 50);
  CHECK(rig.only().latency_p99 >= microseconds(295));
  CHECK(rig.only().latency_p99 <= microseconds(305));
}

TEST_CASE("a recording has a file per speaker and one with everybody, on one time line") {
  const Folder folder;
  const std::string path = (folder.directory() / "recording").string();
  Recorder recorder(path, RecordFormat::wav);
  REQUIRE(recorder.open());
  HearingOptions options;
  options.recorder = &recorder;
  Rig rig(options);
  const auto frames = tone_frames(440, 50);
  rig.hearing.on_user({1}, "alice");
  rig.hearing.on_user({2}, "../bob");
  for (int n = 0; n < 100; ++n) {
    if (n < 50) rig.say({1}, n, frames[static_cast<std::size_t>(n)]);
    if (n >= 50) rig.say({2}, n, frames[static_cast<std::size_t>(n - 50)]);
    rig.tick(n);
  }
  rig.hearing.finish(Rig::at(100));
  CHECK(recorder.error().empty());
  const auto alice = load_wav(path + "/alice.wav");
  const auto bob = load_wav(path + "/%2E.%2Fbob.wav");
  const auto mixed = load_wav(path + "/mixed.wav");
  // Alice's first frame was played one slot later; five are concealed at her end.
  CHECK(alice.size() == (1 + 50 + 5) * 960);
  CHECK(bob.size() == (50 + 1 + 50) * 960);
  CHECK(mixed.size() == bob.size());
  CHECK(level_dbfs(std::span(alice).subspan(9'600, 38'400)) > -15);
  CHECK(level_dbfs(std::span(bob).first(48'960)) == level_silent);
  CHECK(level_dbfs(std::span(bob).subspan(60'000)) > -15);
  CHECK(std::distance(std::filesystem::directory_iterator(path), {}) == 3);
}

TEST_CASE("what was heard before the relay named its speaker is in that speaker's file") {
  const Folder folder;
  const std::string path = (folder.directory() / "recording").string();
  Recorder recorder(path, RecordFormat::wav);
  REQUIRE(recorder.open());
  HearingOptions options;
  options.recorder = &recorder;
  Rig rig(options);
  const auto frames = tone_frames(440, 50);
  for (int n = 0; n < 50; ++n) {
    if (n == 30) rig.hearing.on_user({1}, "alice");
    rig.say({1}, n, frames[static_cast<std::size_t>(n)]);
    rig.say({9}, n, frames[static_cast<std::size_t>(n)]);
    rig.tick(n);
  }
  rig.hearing.finish(Rig::at(50));
  const auto alice = load_wav(path + "/alice.wav");
  CHECK(alice.size() == 51 * 960);
  CHECK(level_dbfs(std::span(alice).subspan(9'600, 9'600)) > -15);
  CHECK(load_wav(path + "/ssrc-9.wav").size() == alice.size());
  CHECK(std::distance(std::filesystem::directory_iterator(path), {}) == 3);
}

TEST_CASE("a recording as Ogg holds the packets that were sent, at the right time") {
  for (const int packet_ms : {10, 20, 60}) {
    CAPTURE(packet_ms);
    const Folder folder;
    const std::string path = (folder.directory() / "recording").string();
    Recorder recorder(path, RecordFormat::ogg);
    REQUIRE(recorder.open());
    HearingOptions options;
    options.recorder = &recorder;
    Rig rig(options);
    rig.hearing.on_user({1}, "alice");
    const int count = 1'200 / packet_ms;
    const auto frames = long_frames(packet_ms * 48, count);
    int sent = 0;
    for (int n = 0; n < 100; ++n) {
      while (n >= 20 && sent < count && sent * packet_ms <= (n - 20) * 20) {
        rig.say({1}, sent, frames[static_cast<std::size_t>(sent)], packet_ms, frame_time * 20);
        ++sent;
      }
      rig.tick(n);
    }
    rig.hearing.finish(Rig::at(100));
    CHECK(recorder.error().empty());
    std::string error;
    const auto bytes = codec::read_file(path + "/alice.ogg", error);
    REQUIRE(bytes);
    const auto file = codec::read_ogg_opus(*bytes, error);
    REQUIRE_MESSAGE(file, error);
    // Silence until she speaks, then her packets, then what is concealed at the end.
    const std::vector<std::uint8_t> silence(std::begin(codec::silence_frame),
                                            std::end(codec::silence_frame));
    std::size_t first = 0;
    while (file->packets[first] == silence) ++first;
    CHECK(first >= 20);
    CHECK(first <= 24);
    REQUIRE(file->packets.size() >= first + frames.size());
    const std::vector<std::vector<std::uint8_t>> recorded(
        file->packets.begin() + static_cast<std::ptrdiff_t>(first),
        file->packets.begin() + static_cast<std::ptrdiff_t>(first + frames.size()));
    CHECK(recorded == frames);
    CHECK(file->packets.size() - first - frames.size() <= 5 * 3);
  }
}
