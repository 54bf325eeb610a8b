#include "tools/client/frame_source.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <vector>

#include "codec/ogg_writer.h"
#include "codec/toc.h"
#include "codec/wav.h"
#include "tests/support/test_certificate.h"
#include "tools/client/audio_output.h"
#include "tools/client/spectrum.h"

using namespace earshot;
using namespace earshot::client;

namespace {

constexpr std::size_t frame_bytes = 1'920;

struct Pipe {
  Pipe() { REQUIRE(pipe(ends.data()) == 0); }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  void close_reader() { close_one(ends[0]); }
  void close_writer() { close_one(ends[1]); }
  void write(std::size_t size) {
    const std::vector<std::uint8_t> bytes(size, 1);
    REQUIRE(::write(ends[1], bytes.data(), size) == static_cast<ssize_t>(size));
  }
  std::array<int, 2> ends{};

 private:
  static void close_one(int& descriptor) {
    if (descriptor >= 0) ::close(descriptor);
    descriptor = -1;
  }
};

// A folder that goes away with the test.
using Folder = test::TestCertificate;

std::vector<std::int16_t> decode_all(FrameSource& source) {
  codec::Decoder decoder;
  std::vector<std::int16_t> samples;
  while (!source.is_finished()) {
    const auto frame = source.next();
    if (!frame) break;
    const auto pcm = decoder.decode(*frame);
    samples.insert(samples.end(), pcm.begin(), pcm.end());
  }
  return samples;
}

std::vector<std::int16_t> tone_samples(double hz, int frames) {
  ToneSource source(hz);
  codec::Decoder decoder;
  std::vector<std::int16_t> samples;
  for (int i = 0; i < frames; ++i) {
    const auto pcm = decoder.decode(*source.next());
    samples.insert(samples.end(), pcm.begin(), pcm.end());
  }
  return samples;
}

}  // namespace

TEST_CASE("a tone source is a tone at -12 dBFS") {
  const auto samples = tone_samples(440, 50);
  const auto steady = std::span(samples).subspan(9'600);
  CHECK(goertzel_share(steady, 440) > 0.95);
  CHECK(level_dbfs(steady) == doctest::Approx(-12).epsilon(0.1));
}

TEST_CASE("samples from memory end with a frame that is filled up") {
  PcmSource source(std::vector<std::int16_t>(961, 1'000));
  CHECK_FALSE(source.is_finished());
  CHECK(source.next());
  CHECK(source.next());
  CHECK(source.is_finished());
  CHECK_FALSE(source.next());
  CHECK(PcmSource({}).is_finished());
}

TEST_CASE("packets are said as they are") {
  PacketSource source({{1, 2}, {3}});
  CHECK(source.next() == std::vector<std::uint8_t>{1, 2});
  CHECK_FALSE(source.is_finished());
  CHECK(source.next() == std::vector<std::uint8_t>{3});
  CHECK(source.is_finished());
  CHECK_FALSE(source.next());
}

TEST_CASE("descriptions make sources, and what is none says why") {
  const auto silent = make_source("silence");
  REQUIRE(silent);
  CHECK_FALSE(silent.value()->next());
  CHECK_FALSE(silent.value()->is_finished());
  REQUIRE(make_source("tone:440"));
  REQUIRE(make_source("tone:440.5"));
  for (const std::string text :
       {"tone:", "tone:abc", "tone:5", "tone:1e9", "tone:nan", "tone:440x"}) {
    CAPTURE(text);
    const auto source = make_source(text);
    REQUIRE_FALSE(source);
    CHECK(source.error().text.find(text) != std::string::npos);
  }
  const auto missing = make_source("/nowhere/at/all.wav");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().text == "/nowhere/at/all.wav: No such file or directory");
  CHECK_FALSE(make_source("/"));
}

TEST_CASE("files are told apart by their content") {
  const Folder folder;
  const std::string wav = (folder.directory() / "a.bin").string();
  const std::string ogg = (folder.directory() / "b.bin").string();
  const std::string text = (folder.directory() / "c.wav").string();
  const auto samples = tone_samples(1'000, 50);
  std::string error;
  {
    codec::WavWriter writer;
    REQUIRE(writer.open(wav, error));
    REQUIRE(writer.write(samples));
  }
  REQUIRE(codec::write_ogg_opus(ogg, samples, 48'000, error));
  std::ofstream(text) << "no audio at all";
  for (const auto& path : {wav, ogg}) {
    CAPTURE(path);
    const auto source = make_source(path);
    REQUIRE(source);
    const auto heard = decode_all(*source.value());
    CHECK(heard.size() >= 50 * 960);
    CHECK(goertzel_share(std::span(heard).subspan(9'600, 33'600), 1'000) > 0.9);
    const auto loaded = load_samples(path);
    REQUIRE(loaded);
    CHECK(loaded.value().size() == samples.size());
  }
  REQUIRE_FALSE(make_source(text));
  CHECK(make_source(text).error().text.starts_with(text + ": "));
  REQUIRE_FALSE(load_samples(text));
}

TEST_CASE("Ogg Opus of 20 ms packets goes out unchanged, any other is encoded anew") {
  const Folder folder;
  std::string error;
  for (const int frame : {960, 1'920}) {
    const std::string path = (folder.directory() / (std::to_string(frame) + ".ogg")).string();
    codec::Encoder encoder;
    std::vector<std::vector<std::uint8_t>> packets;
    {
      codec::OggFileWriter writer;
      REQUIRE(writer.open(path, {}, error));
      for (int i = 0; i < 10; ++i) {
        packets.push_back(
            encoder.encode(std::vector<std::int16_t>(static_cast<std::size_t>(frame), 500)));
        REQUIRE(writer.write(packets.back()));
      }
    }
    const auto source = make_source(path);
    REQUIRE(source);
    std::vector<std::vector<std::uint8_t>> said;
    while (auto packet = source.value()->next()) said.push_back(*packet);
    if (frame == 960) CHECK(said == packets);
    if (frame == 1'920) CHECK(said.size() == 20);
    for (const auto& packet : said) CHECK(codec::describe_packet(packet)->samples() == 960);
  }
}

TEST_CASE("a pipe is read without waiting, in whatever pieces it comes") {
  Pipe pipe;
  DescriptorSource source(pipe.ends[0]);
  CHECK_FALSE(source.next());
  // Three frames bridge a recorder's grain before speech begins.
  pipe.write(2 * frame_bytes + 1);
  CHECK_FALSE(source.next());
  pipe.write(frame_bytes - 1);
  for (int i = 0; i < 3; ++i) CHECK(source.next());
  CHECK_FALSE(source.next());
  CHECK_FALSE(source.is_finished());
  for (int i = 0; i < 80; ++i) pipe.write(77);
  int frames = 0;
  while (source.next()) ++frames;
  CHECK(frames == 3);
}

TEST_CASE("at the end of the input everything is said, the last piece filled up with silence") {
  Pipe pipe;
  DescriptorSource source(pipe.ends[0]);
  pipe.write(frame_bytes + 2);
  pipe.close_writer();
  CHECK(source.next());
  CHECK_FALSE(source.is_finished());
  CHECK(source.next());
  CHECK(source.is_finished());
  CHECK_FALSE(source.next());
}

TEST_CASE("an empty or closed input is finished at once") {
  Pipe pipe;
  pipe.close_writer();
  DescriptorSource empty(pipe.ends[0]);
  CHECK_FALSE(empty.next());
  CHECK(empty.is_finished());
  DescriptorSource closed(1'000'000);
  CHECK_FALSE(closed.next());
  CHECK(closed.is_finished());
}

TEST_CASE("a recorder that is ahead of us is caught up with") {
  Pipe pipe;
  // 400 ms piled up before the join; from then on it delivers in real time.
  DescriptorSource source(pipe.ends[0]);
  pipe.write(20 * frame_bytes);
  int said = 0;
  for (int i = 0; i < 100; ++i) {
    pipe.write(frame_bytes);
    said += source.next() ? 1 : 0;
  }
  CHECK(said == 100);
  CHECK(source.skipped() == 19);
  pipe.close_writer();
  while (source.next()) ++said;
  CHECK(said == 101);
}

TEST_CASE("a writer that waits for us loses nothing") {
  Pipe pipe;
  fcntl(pipe.ends[1], F_SETFL, O_NONBLOCK);
  DescriptorSource source(pipe.ends[0]);
  std::size_t written = 0;
  std::size_t said = 0;
  constexpr std::size_t total = 300 * frame_bytes;
  const std::vector<std::uint8_t> bytes(4'096, 1);
  while (!source.is_finished()) {
    // As much as goes in, as a program would that writes a file into the pipe.
    for (;;) {
      const std::size_t size = std::min(bytes.size(), total - written);
      const ssize_t got = size > 0 ? ::write(pipe.ends[1], bytes.data(), size) : -1;
      if (got <= 0) break;
      written += static_cast<std::size_t>(got);
    }
    if (written == total) pipe.close_writer();
    said += source.next() ? 1 : 0;
  }
  CHECK(said == 300);
  CHECK(source.skipped() == 0);
}

TEST_CASE("a pipe gets whole frames, and a reader that goes away is no error") {
  Pipe pipe;
  AudioOutput output(pipe.ends[1]);
  const std::vector<std::int16_t> frame{1, -2, 0x1234};
  CHECK(output.write(frame));
  std::array<std::uint8_t, 16> got{};
  REQUIRE(read(pipe.ends[0], got.data(), got.size()) == 6);
  CHECK(got[0] == 1);
  CHECK(got[2] == 0xFE);
  CHECK(got[3] == 0xFF);
  CHECK(got[4] == 0x34);
  CHECK(got[5] == 0x12);
  std::signal(SIGPIPE, SIG_IGN);
  pipe.close_reader();
  CHECK_FALSE(output.write(frame));
  CHECK(output.error().empty());
}

TEST_CASE("a reader that is too slow loses whole frames and holds nobody up") {
  Pipe pipe;
  AudioOutput output(pipe.ends[1]);
  const std::vector<std::int16_t> frame(960, 7);
  for (int i = 0; i < 100; ++i) CHECK(output.write(frame));
  std::vector<std::uint8_t> got(200 * frame_bytes);
  const auto size = read(pipe.ends[0], got.data(), got.size());
  CHECK(size > 0);
  CHECK(size < static_cast<ssize_t>(100 * frame_bytes));
  CHECK(size % static_cast<ssize_t>(frame_bytes) == 0);
  CHECK(output.write(frame));
  CHECK(read(pipe.ends[0], got.data(), got.size()) == static_cast<ssize_t>(frame_bytes));
}

TEST_CASE("an output that fails says why") {
  AudioOutput closed(1'000'000);
  CHECK_FALSE(closed.write(std::vector<std::int16_t>(960)));
  CHECK(closed.error() == "cannot write to standard output: Bad file descriptor");
  const int full = open("/dev/full", O_WRONLY);
  if (full < 0) return;
  AudioOutput disk(full);
  CHECK_FALSE(disk.write(std::vector<std::int16_t>(960)));
  CHECK(disk.error() == "cannot write to standard output: No space left on device");
  close(full);
}
