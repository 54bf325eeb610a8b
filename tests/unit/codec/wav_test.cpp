#include "codec/wav.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/hex.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tone.h"

using namespace earshot;
using namespace earshot::codec;

namespace {

using Bytes = std::vector<std::uint8_t>;
using Pcm = std::vector<std::int16_t>;

void put(Bytes& out, std::uint64_t value, int size) {
  for (int i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void put(Bytes& out, std::string_view text) {
  out.insert(out.end(), text.begin(), text.end());
}

Bytes chunk(std::string_view name, const Bytes& content) {
  Bytes out;
  put(out, name);
  put(out, content.size(), 4);
  out.insert(out.end(), content.begin(), content.end());
  if (content.size() % 2 != 0) out.push_back(0);
  return out;
}

struct Format {
  std::uint16_t tag = 1;
  std::uint16_t audio_channels = 1;
  std::uint32_t rate = 48'000;
  std::uint16_t bits = 16;
  std::uint16_t block = 0;  // 0: what the others make it

  Bytes content() const {
    Bytes out;
    const unsigned made = audio_channels * unsigned{bits} / 8;
    put(out, tag, 2);
    put(out, audio_channels, 2);
    put(out, rate, 4);
    put(out, std::uint64_t{rate} * made, 4);
    put(out, block == 0 ? made : block, 2);
    put(out, bits, 2);
    return out;
  }
};

Bytes riff(std::initializer_list<Bytes> chunks) {
  Bytes body;
  put(body, "WAVE");
  for (const Bytes& one : chunks) body.insert(body.end(), one.begin(), one.end());
  Bytes out;
  put(out, "RIFF");
  put(out, body.size(), 4);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

Bytes wav(const Format& format, const Bytes& data) {
  return riff({chunk("fmt ", format.content()), chunk("data", data)});
}

Bytes as_bytes(const Pcm& pcm) {
  Bytes out;
  for (const std::int16_t sample : pcm) put(out, static_cast<std::uint16_t>(sample), 2);
  return out;
}

// Nothing, and the sentence that says why.
void check_refused(const Bytes& bytes, std::string_view expected) {
  std::string error;
  CHECK_FALSE(parse_wav(bytes, error).has_value());
  CHECK(error == expected);
}

std::optional<Pcm> parse(const Bytes& bytes) {
  std::string error;
  return parse_wav(bytes, error);
}

constexpr std::string_view unsupported =
    "unsupported WAV format (PCM of 8 to 32 bits or 32-bit float)";

}  // namespace

TEST_CASE("48 kHz mono of 16 bits comes through bit by bit") {
  Pcm pcm(65'536);
  std::iota(pcm.begin(), pcm.end(), std::int16_t{-32'768});
  CHECK(parse(wav({}, as_bytes(pcm))) == pcm);
}

TEST_CASE("every width of sample says the same") {
  // -1, -1/2, 0, 1/2 and nearly 1, in each format's own words.
  const Pcm expected{-32'768, -16'384, 0, 16'384, 32'767};
  struct Row {
    std::string_view name;
    Format format;
    std::string_view data;
  };
  const Row rows[] = {
      {"16", {1, 1, 48'000, 16}, "0080 00c0 0000 0040 ff7f"},
      {"24", {1, 1, 48'000, 24}, "000080 0000c0 000000 000040 ffff7f"},
      {"32", {1, 1, 48'000, 32}, "00000080 000000c0 00000000 00000040 ffffff7f"},
      {"float", {3, 1, 48'000, 32}, "000080bf 000000bf 00000000 0000003f 0000803f"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(parse(wav(row.format, test::from_hex(row.data))) == expected);
  }
  CHECK(parse(wav({1, 1, 48'000, 8}, test::from_hex("00 40 80 c0 ff"))) ==
        Pcm{-32'768, -16'384, 0, 16'384, 32'512});
}

TEST_CASE("audio channels are averaged") {
  CHECK(parse(wav({1, 2, 48'000, 16}, as_bytes({100, 200, -100, 100, 32'767, 32'767}))) ==
        Pcm{150, 0, 32'767});
  Pcm sixteen(32, 0);
  sixteen[0] = 16'000;
  sixteen[31] = -16'000;
  CHECK(parse(wav({1, 16, 48'000, 16}, as_bytes(sixteen))) == Pcm{1'000, -1'000});
}

TEST_CASE("other rates are converted: the tone and its length stay") {
  for (const int rate : {8'000, 16'000, 22'050, 44'100, 96'000}) {
    CAPTURE(rate);
    const Pcm pcm = test::tone(440, static_cast<std::size_t>(rate) / 4, 0.5, rate);
    const auto converted = parse(wav({1, 1, static_cast<std::uint32_t>(rate), 16}, as_bytes(pcm)));
    REQUIRE(converted.has_value());
    CHECK(std::abs(static_cast<int>(converted->size()) - 12'000) <= 6);
    CHECK(test::part_at(std::span<const std::int16_t>(*converted), 440) > 0.99);
  }
}

TEST_CASE("the extensible format names the real one") {
  const auto extensible = [](std::uint16_t tag) {
    Bytes format = Format{0xFFFE, 1, 48'000, 16}.content();
    put(format, 22, 2);
    put(format, 16, 2);
    put(format, 4, 4);
    put(format, tag, 2);
    format.resize(40);
    return format;
  };
  const Bytes data = chunk("data", as_bytes({5, 6}));
  CHECK(parse(riff({chunk("fmt ", extensible(1)), data})) == Pcm{5, 6});
  check_refused(riff({chunk("fmt ", extensible(0x55)), data}), unsupported);
  Bytes cut = extensible(1);
  cut.resize(38);
  check_refused(riff({chunk("fmt ", cut), data}), unsupported);
}

TEST_CASE("other chunks are passed over, with their padding") {
  const Pcm pcm{1, 2, 3};
  for (const std::size_t size : {0u, 1u, 2u, 7u, 1'000u}) {
    CAPTURE(size);
    const Bytes other = chunk("LIST", Bytes(size, 0xEE));
    CHECK(parse(riff({other, chunk("fmt ", Format{}.content()), other, chunk("data", as_bytes(pcm)),
                      other})) == pcm);
  }
}

TEST_CASE("a data chunk holds what is there, whatever it claims") {
  const Pcm pcm{1, 2, 3};
  for (const std::uint32_t claimed : {6u, 7u, 1'000u, 0x7FFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFEu}) {
    CAPTURE(claimed);
    Bytes bytes = wav({}, as_bytes(pcm));
    for (std::size_t i = 0; i < 4; ++i)
      bytes[40 + i] = static_cast<std::uint8_t>(claimed >> (8 * i));
    CHECK(parse(bytes) == pcm);
  }
  // Half a sample is none, half a block neither.
  CHECK(parse(wav({}, {1, 0, 2})) == Pcm{1});
  CHECK(parse(wav({1, 2, 48'000, 16}, {1, 0, 1, 0, 7, 0})) == Pcm{1});
  CHECK(parse(wav({}, {})) == Pcm{});
}

TEST_CASE("what is no WAV file says so") {
  check_refused({}, "not a WAV file");
  check_refused(Bytes(100), "not a WAV file");
  Bytes bytes = wav({}, {1, 0});
  for (std::size_t size = 0; size < 12; ++size)
    check_refused({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)},
                  "not a WAV file");
  bytes[8] = 'A';
  check_refused(bytes, "not a WAV file");
  check_refused(riff({}), "the WAV file has no fmt chunk");
  check_refused(riff({chunk("data", {1, 0})}), "the WAV file has no fmt chunk");
  check_refused(riff({chunk("fmt ", Format{}.content())}), "the WAV file has no data chunk");
}

TEST_CASE("hostile headers") {
  const Bytes data = chunk("data", Bytes(64));
  struct Row {
    std::string_view name;
    Format format;
  };
  const Row rows[] = {
      {"no audio channels", {1, 0, 48'000, 16, 2}},
      {"17 audio channels", {1, 17, 48'000, 16}},
      {"65,535 audio channels", {1, 65'535, 48'000, 16}},
      {"no rate", {1, 1, 0, 16}},
      {"a rate of 1", {1, 1, 1, 16}},
      {"a rate of 2^32-1", {1, 1, 0xFFFFFFFF, 16}},
      {"a rate of 2^31", {1, 1, 0x80000000, 16}},
      {"no bits", {1, 1, 48'000, 0, 2}},
      {"4 bits", {1, 1, 48'000, 4, 1}},
      {"12 bits", {1, 1, 48'000, 12, 2}},
      {"40 bits", {1, 1, 48'000, 40}},
      {"65,535 bits", {1, 1, 48'000, 65'535}},
      {"65,528 bits", {1, 1, 48'000, 65'528}},
      {"float of 64 bits", {3, 1, 48'000, 64}},
      {"float of 16 bits", {3, 1, 48'000, 16}},
      {"ADPCM", {2, 1, 48'000, 16}},
      {"mu-law", {7, 1, 48'000, 8}},
      // 24 bits in blocks of 4 bytes: read as it says it would be noise.
      {"blocks that are not the samples'", {1, 1, 48'000, 24, 4}},
      {"no blocks", {1, 1, 48'000, 16, 0xFFFF}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    check_refused(riff({chunk("fmt ", row.format.content()), data}), unsupported);
  }
  for (std::size_t size = 0; size < 16; ++size) {
    Bytes cut = Format{}.content();
    cut.resize(size);
    check_refused(riff({chunk("fmt ", cut), data}), unsupported);
  }
  // A chunk that claims to reach beyond the end, in front of the data.
  Bytes bytes = riff({chunk("LIST", {1, 2}), chunk("fmt ", Format{}.content()), data});
  for (std::size_t i = 0; i < 4; ++i) bytes[16 + i] = 0xFF;
  check_refused(bytes, "the WAV file has no fmt chunk");
}

TEST_CASE("a recording that would not fit into memory is refused before it is converted") {
  // 8 MB that claim to be two and a quarter hours.
  Bytes bytes = wav({1, 1, 1'000, 8}, {});
  std::fill_n(bytes.begin() + 40, 4, std::uint8_t{0xFF});
  bytes.resize(44 + 8'100'000);
  check_refused(bytes, "the WAV file is longer than two hours");
}

TEST_CASE("floats that are no numbers are silence") {
  Bytes data;
  for (const float sample : {std::numeric_limits<float>::quiet_NaN(), 0.5F,
                             std::numeric_limits<float>::infinity(), -3.0F}) {
    put(data, std::bit_cast<std::uint32_t>(sample), 4);
  }
  CHECK(parse(wav({3, 1, 48'000, 32}, data)) == Pcm{0, 16'384, 0, -32'768});
}

TEST_CASE("cut anywhere it is refused, or the shorter recording") {
  const Pcm pcm = test::tone(440, 50);
  const Bytes bytes = riff(
      {chunk("LIST", {1, 2, 3}), chunk("fmt ", Format{}.content()), chunk("data", as_bytes(pcm))});
  const std::size_t data_at = bytes.size() - 2 * pcm.size();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    const auto cut = parse({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)});
    REQUIRE(cut.has_value() == (size >= data_at));
    if (cut)
      CHECK(*cut ==
            Pcm(pcm.begin(), pcm.begin() + static_cast<std::ptrdiff_t>((size - data_at) / 2)));
  }
}

TEST_CASE("the writer's file is a file at every flush, and reads back bit by bit") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("tone.wav");
  const Pcm pcm = test::tone(440, 4'800);
  std::string error;
  {
    WavWriter writer;
    CHECK_FALSE(writer.is_open());
    CHECK_FALSE(writer.write(pcm));
    CHECK_FALSE(writer.flush());
    REQUIRE(writer.open(path, error));
    CHECK(parse_wav(*read_file(path, error), error) == Pcm{});
    REQUIRE(writer.write(pcm));
    REQUIRE(writer.flush());
    const auto bytes = read_file(path, error);
    REQUIRE(bytes.has_value());
    CHECK(*bytes == wav({}, as_bytes(pcm)));
    CHECK(parse_wav(*bytes, error) == pcm);
    REQUIRE(writer.write(pcm));
    REQUIRE(writer.write({}));
  }
  Pcm twice = pcm;
  twice.insert(twice.end(), pcm.begin(), pcm.end());
  CHECK(parse_wav(*read_file(path, error), error) == twice);
}

TEST_CASE("writers move, and finish the file they leave") {
  const test::TemporaryFolder folder;
  std::string error;
  WavWriter first;
  WavWriter second;
  REQUIRE(first.open(folder.file("1.wav"), error));
  REQUIRE(second.open(folder.file("2.wav"), error));
  REQUIRE(first.write(Pcm{1, 1}));
  REQUIRE(second.write(Pcm{2}));
  second = std::move(first);
  CHECK_FALSE(first.is_open());
  REQUIRE(second.write(Pcm{3}));
  WavWriter third(std::move(second));
  REQUIRE(third.write(Pcm{4}));
  REQUIRE(third.open(folder.file("3.wav"), error));
  REQUIRE(third.write(Pcm{5}));
  REQUIRE(third.flush());
  CHECK(parse_wav(*read_file(folder.file("1.wav"), error), error) == Pcm{1, 1, 3, 4});
  CHECK(parse_wav(*read_file(folder.file("2.wav"), error), error) == Pcm{2});
  CHECK(parse_wav(*read_file(folder.file("3.wav"), error), error) == Pcm{5});
}

TEST_CASE("files that cannot be read or written are named") {
  const test::TemporaryFolder folder;
  std::string error;
  CHECK_FALSE(read_file(folder.file("missing"), error).has_value());
  CHECK(error == folder.file("missing") + ": No such file or directory");
  CHECK_FALSE(read_file(folder.path(), error).has_value());
  CHECK(error == folder.path() + ": Is a directory");
  WavWriter writer;
  CHECK_FALSE(writer.open(folder.file("no/such/folder.wav"), error));
  CHECK(error == folder.file("no/such/folder.wav") + ": No such file or directory");
  CHECK_FALSE(writer.is_open());
  REQUIRE(writer.open("/dev/full", error) == false);
  CHECK(error == "/dev/full: No space left on device");
}
