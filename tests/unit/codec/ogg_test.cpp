// Ogg Opus files: what the two writers write the two readers read, page by page as RFC 7845 wants
// it, and damaged files give what is left of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "codec/ogg_reader.h"
#include "codec/ogg_writer.h"
#include "codec/opus.h"
#include "codec/toc.h"
#include "tests/support/hex.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tone.h"

using namespace earshot;
using namespace earshot::codec;

namespace {

using Bytes = std::vector<std::uint8_t>;
using Pcm = std::vector<std::int16_t>;

void append(Bytes& to, const Bytes& from) {
  to.insert(to.end(), from.begin(), from.end());
}

// A page of a file, read by hand (RFC 3533 s6).
struct Page {
  std::size_t at = 0;
  std::size_t size = 0;
  std::uint8_t flags = 0;  // 1 continued, 2 first, 4 last
  std::int64_t granule = 0;
  std::uint32_t serial = 0;
  std::size_t packets_ended = 0;
  std::size_t body_at = 0;
};

std::uint64_t read(const Bytes& bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i > 0; --i) value = value << 8 | bytes[at + i - 1];
  return value;
}

std::vector<Page> pages_of(const Bytes& bytes) {
  std::vector<Page> pages;
  for (std::size_t at = 0; at < bytes.size();) {
    REQUIRE(bytes.size() - at >= 27);
    REQUIRE(std::memcmp(bytes.data() + at, "OggS", 5) == 0);
    Page page;
    page.at = at;
    page.flags = bytes[at + 5];
    page.granule = static_cast<std::int64_t>(read(bytes, at + 6, 8));
    page.serial = static_cast<std::uint32_t>(read(bytes, at + 14, 4));
    const std::size_t segments = bytes[at + 26];
    page.body_at = at + 27 + segments;
    page.size = 27 + segments;
    for (std::size_t i = 0; i < segments; ++i) {
      page.size += bytes[at + 27 + i];
      page.packets_ended += bytes[at + 27 + i] < 255 ? 1 : 0;
    }
    pages.push_back(page);
    at += page.size;
  }
  return pages;
}

// Ogg's checksum (RFC 3533 s6, item 7), for pages that a test has changed.
void seal(Bytes& bytes, const Page& page) {
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(page.at + 22), 4, std::uint8_t{0});
  std::uint32_t sum = 0;
  for (std::size_t i = page.at; i < page.at + page.size; ++i) {
    sum ^= std::uint32_t{bytes[i]} << 24;
    for (int bit = 0; bit < 8; ++bit)
      sum = (sum & 0x80000000) != 0 ? sum << 1 ^ 0x04C11DB7 : sum << 1;
  }
  for (std::size_t i = 0; i < 4; ++i)
    bytes[page.at + 22 + i] = static_cast<std::uint8_t>(sum >> (8 * i));
}

// Packets of a tone; encoded once, since that is what costs time.
std::vector<Bytes> tone_packets(std::size_t count, std::size_t frame = 960) {
  static std::map<std::size_t, std::vector<Bytes>> cache;
  std::vector<Bytes>& packets = cache[frame];
  if (packets.size() < count) {
    Encoder encoder;
    const Pcm pcm = test::tone(440, count * frame);
    packets.clear();
    for (std::size_t i = 0; i < count; ++i)
      packets.push_back(encoder.encode(std::span(pcm).subspan(i * frame, frame)));
  }
  return {packets.begin(), packets.begin() + static_cast<std::ptrdiff_t>(count)};
}

Bytes write(const std::vector<Bytes>& packets, const OggStreamOptions& options = {}) {
  OggPacketWriter writer(options);
  Bytes file;
  for (const Bytes& packet : packets) append(file, writer.write(packet));
  append(file, writer.finish());
  return file;
}

OggOpusPackets read_packets(const Bytes& file) {
  std::string error;
  auto packets = read_ogg_opus(file, error);
  REQUIRE_MESSAGE(packets.has_value(), error);
  return std::move(*packets);
}

std::string refusal(const Bytes& file) {
  std::string error = "(none)";
  CHECK_FALSE(read_ogg_opus(file, error).has_value());
  return error;
}

int samples_of(const std::vector<Bytes>& packets) {
  int samples = 0;
  for (const Bytes& packet : packets) samples += describe_packet(packet)->samples();
  return samples;
}

// Is every packet one of the originals, in their order?
bool is_subsequence(const std::vector<Bytes>& part, const std::vector<Bytes>& whole) {
  auto at = whole.begin();
  for (const Bytes& packet : part) {
    at = std::find(at, whole.end(), packet);
    if (at == whole.end()) return false;
    ++at;
  }
  return true;
}

double part_at(const Pcm& pcm, double hertz) {
  return test::part_at(std::span<const std::int16_t>(pcm), hertz);
}

}  // namespace

TEST_CASE("packets come back as they were written, with what the head says") {
  struct Row {
    std::size_t count, frame;
    OggStreamOptions options;
  };
  const Row rows[] = {
      {1, 960, {}},
      {2, 960, {7, 2, 0}},
      {49, 960, {0xFFFFFFFF, 1, 312}},
      {50, 960, {}},
      {51, 960, {0x80000000, 2, 65'535}},
      {400, 120, {}},
      {20, 2'880, {1, 1, 3'840}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.count);
    CAPTURE(row.frame);
    const auto packets = tone_packets(row.count, row.frame);
    const auto file = read_packets(write(packets, row.options));
    CHECK(file.packets == packets);
    CHECK(file.audio_channels == row.options.audio_channels);
    CHECK(file.pre_skip == row.options.pre_skip);
    CHECK(file.output_gain == 0);
    CHECK(file.input_rate == 48'000);
    CHECK(file.gaps == 0);
    CHECK(file.malformed == 0);
  }
}

TEST_CASE("pages as RFC 7845 wants them") {
  for (const std::size_t frame : {120u, 960u, 2'880u}) {
    for (const int pre_skip : {0, 312}) {
      CAPTURE(frame);
      CAPTURE(pre_skip);
      // Few bytes a second, so that it is the second that ends a page; 3.1 s of them.
      const std::vector<Bytes> packets(148'800 / frame,
                                       Bytes{static_cast<std::uint8_t>(frame == 120   ? 0xE0
                                                                       : frame == 960 ? 0x08
                                                                                      : 0x18)});
      REQUIRE(describe_packet(packets[0])->samples() == static_cast<int>(frame));
      const Bytes file = write(packets, {99, 1, pre_skip});
      const auto pages = pages_of(file);
      REQUIRE(pages.size() >= 6);
      // s3: the head alone on the first page, the tags end theirs; both have position 0.
      CHECK(pages[0].flags == 2);
      CHECK(pages[0].packets_ended == 1);
      CHECK(pages[0].size == 28 + 19);
      CHECK(std::memcmp(file.data() + pages[0].body_at, "OpusHead\x01\x01", 10) == 0);
      CHECK(pages[1].packets_ended == 1);
      CHECK(std::memcmp(file.data() + pages[1].body_at, "OpusTags", 8) == 0);
      CHECK(pages[0].granule == 0);
      CHECK(pages[1].granule == 0);
      // s4: positions count the samples of all packets that have ended, those to be skipped too.
      std::int64_t position = 0;
      for (std::size_t i = 2; i < pages.size(); ++i) {
        CAPTURE(i);
        CHECK(pages[i].serial == 99);
        CHECK((pages[i].flags & ~4) == 0);
        CHECK(((pages[i].flags & 4) != 0) == (i + 1 == pages.size()));
        const std::int64_t samples =
            static_cast<std::int64_t>(pages[i].packets_ended) * static_cast<std::int64_t>(frame);
        position += samples;
        CHECK(pages[i].granule == position);
        CHECK(samples <= 48'000);
        // Nor shorter than it need be, but the last one; an Ogg page holds 255 packets at most.
        if (i + 1 < pages.size()) {
          const bool is_full = pages[i].packets_ended == 255;
          CHECK((is_full || samples + static_cast<std::int64_t>(frame) > 48'000));
        }
      }
      CHECK(position == samples_of(packets));
    }
  }
}

TEST_CASE("a listener gets the audio, without what is to be skipped") {
  const auto packets = tone_packets(100);
  for (const int pre_skip : {0, 312, 3'840}) {
    CAPTURE(pre_skip);
    std::string error;
    const auto pcm = decode_ogg_opus(write(packets, {1, 1, pre_skip}), error);
    REQUIRE_MESSAGE(pcm.has_value(), error);
    CHECK(static_cast<int>(pcm->size()) == samples_of(packets) - pre_skip);
    CHECK(part_at(*pcm, 440) > 0.97);
  }
}

TEST_CASE("stereo is mixed down") {
  Encoder encoder({.audio_channels = 2});
  Pcm both;
  for (const std::int16_t sample : test::tone(440, 48'000)) both.insert(both.end(), {sample, 0});
  std::vector<Bytes> packets;
  for (std::size_t at = 0; at < both.size(); at += 2 * 960)
    packets.push_back(encoder.encode(std::span(both).subspan(at, 2 * 960)));
  std::string error;
  const auto pcm = decode_ogg_opus(write(packets, {1, 2, 0}), error);
  REQUIRE(pcm.has_value());
  CHECK(pcm->size() == 48'000);
  CHECK(part_at(*pcm, 440) > 0.95);
  const double power = test::power(std::span<const std::int16_t>(*pcm));
  const double full = test::power(std::span<const std::int16_t>(test::tone(440, 48'000)));
  CHECK(power / full > 0.2);
  CHECK(power / full < 0.3);
}

TEST_CASE("what is no Opus is not written, and what is no Opus in a file is left out") {
  auto packets = tone_packets(3);
  std::vector<Bytes> mixed = packets;
  mixed.insert(mixed.begin() + 1, {Bytes{}, Bytes{0xFB}, Bytes(1'277, 0xF8)});
  CHECK(write(mixed) == write(packets));

  // Damage the first packet on the page so that it says it holds 140 ms.
  Bytes file = write(packets);
  const Page page = pages_of(file)[2];
  file[page.body_at] = static_cast<std::uint8_t>(file[page.body_at] | 3);
  file[page.body_at + 1] = 7;
  seal(file, page);
  const auto read = read_packets(file);
  CHECK(read.malformed == 1);
  CHECK(read.packets == std::vector<Bytes>(packets.begin() + 1, packets.end()));
}

TEST_CASE("a recording of nothing") {
  OggPacketWriter writer;
  Bytes file = writer.finish();
  CHECK(pages_of(file).size() == 2);
  CHECK(writer.finish().empty());
  CHECK(read_packets(file).packets.empty());
}

TEST_CASE("cut anywhere: what is left is the beginning") {
  const auto packets = tone_packets(40);
  const Bytes file = write(packets);
  const auto pages = pages_of(file);
  std::size_t complete = 0;
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    while (complete < pages.size() && pages[complete].at + pages[complete].size <= size) ++complete;
    if (complete >= 2 && size % 97 != 0) continue;
    const Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    std::string error;
    const auto read = read_ogg_opus(cut, error);
    REQUIRE(read.has_value() == (complete >= 2));
    if (!read) {
      CHECK(error ==
            (complete == 0 ? "not an Ogg Opus file" : "the Ogg file has no valid OpusTags"));
      continue;
    }
    std::size_t expected = 0;
    for (std::size_t i = 2; i < complete; ++i) expected += pages[i].packets_ended;
    REQUIRE(read->packets.size() == expected);
    CHECK(is_subsequence(read->packets, packets));
    std::string ignored;
    const auto pcm = decode_ogg_opus(cut, ignored);
    if (pcm) CHECK(static_cast<int>(pcm->size()) <= samples_of(packets));
  }
}

TEST_CASE("a damaged or missing page is a gap, and the rest is there") {
  const auto packets = tone_packets(140);
  const Bytes file = write(packets);
  const auto pages = pages_of(file);
  REQUIRE(pages.size() >= 6);
  const Page& third = pages[3];
  const auto expected = [&] {
    std::vector<Bytes> rest = packets;
    const auto first = rest.begin() + static_cast<std::ptrdiff_t>(pages[2].packets_ended);
    rest.erase(first, first + static_cast<std::ptrdiff_t>(third.packets_ended));
    return rest;
  }();
  SUBCASE("damaged") {
    for (const std::size_t at : {0u, 4u, 6u, 14u, 18u, 22u, 26u, 27u, 100u}) {
      CAPTURE(at);
      Bytes damaged = file;
      damaged[third.at + at] ^= 0x40;
      const auto read = read_packets(damaged);
      CHECK(read.gaps > 0);
      CHECK(read.packets == expected);
    }
  }
  SUBCASE("missing") {
    Bytes shorter = file;
    shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(third.at),
                  shorter.begin() + static_cast<std::ptrdiff_t>(third.at + third.size));
    const auto read = read_packets(shorter);
    CHECK(read.gaps > 0);
    CHECK(read.packets == expected);
  }
  SUBCASE("of another version of Ogg, with a valid checksum") {
    Bytes other = file;
    other[third.at + 4] = 1;
    seal(other, third);
    const auto read = read_packets(other);
    CHECK(read.gaps > 0);
    CHECK(read.packets == expected);
  }
  SUBCASE("noise between pages") {
    Bytes noisy = file;
    noisy.insert(noisy.begin() + static_cast<std::ptrdiff_t>(third.at), 300, std::uint8_t{'O'});
    const auto read = read_packets(noisy);
    CHECK(read.gaps > 0);
    CHECK(read.packets == packets);
  }
  SUBCASE("decoding goes on behind it") {
    Bytes damaged = file;
    damaged[third.at + 40] ^= 1;
    std::string error;
    const auto pcm = decode_ogg_opus(damaged, error);
    REQUIRE_MESSAGE(pcm.has_value(), error);
    CHECK(pcm->size() > 48'000);
    CHECK(part_at(Pcm(pcm->end() - 24'000, pcm->end()), 440) > 0.97);
  }
}

TEST_CASE("other streams of the same file, in front, between and behind, are passed over") {
  const auto packets = tone_packets(120);
  const Bytes ours = write(packets, {1, 1, 0});
  const Bytes others = write(tone_packets(90, 480), {2, 2, 0});
  const auto our_pages = pages_of(ours);
  const auto other_pages = pages_of(others);
  const auto page_bytes = [](const Bytes& file, const Page& page) {
    return Bytes(file.begin() + static_cast<std::ptrdiff_t>(page.at),
                 file.begin() + static_cast<std::ptrdiff_t>(page.at + page.size));
  };
  Bytes mixed;
  for (std::size_t i = 0; i < std::max(our_pages.size(), other_pages.size()); ++i) {
    if (i < our_pages.size()) append(mixed, page_bytes(ours, our_pages[i]));
    if (i < other_pages.size()) append(mixed, page_bytes(others, other_pages[i]));
  }
  CHECK(read_packets(mixed).packets == packets);

  // A stream that is not Opus comes first.
  Bytes vorbis = page_bytes(others, other_pages[0]);
  std::memcpy(vorbis.data() + 28, "\x01vorbis ", 8);
  Page whole = other_pages[0];
  seal(vorbis, whole);
  append(vorbis, ours);
  CHECK(read_packets(vorbis).packets == packets);

  // Behind the end of ours nothing is ours.
  Bytes chained = ours;
  append(chained, write(tone_packets(10), {1, 1, 0}));
  CHECK(read_packets(chained).packets == packets);
}

TEST_CASE("heads that are not ours to play") {
  const Bytes file = write(tone_packets(2));
  const Page head = pages_of(file)[0];
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes changed = file;
    changed[head.body_at + at] = value;
    seal(changed, head);
    return changed;
  };
  constexpr std::string_view no_head = "the Ogg file has no valid OpusHead";
  constexpr std::string_view channels = "the Ogg Opus file does not have one or two audio channels";
  CHECK(refusal(with(0, 'X')) == "not an Ogg Opus file");
  CHECK(read_packets(with(8, 0x0F)).packets.size() == 2);  // s5.1: minor versions are compatible
  CHECK(refusal(with(8, 0x10)) == no_head);
  CHECK(refusal(with(8, 0xFF)) == no_head);
  CHECK(refusal(with(9, 0)) == channels);
  CHECK(refusal(with(9, 3)) == channels);
  CHECK(refusal(with(9, 255)) == channels);
  CHECK(refusal(with(18, 1)) == channels);
  CHECK(refusal(with(18, 255)) == channels);
  CHECK(read_packets(with(17, 0x80)).output_gain == -32'768);
  CHECK(read_packets(with(15, 0xFF)).input_rate == INT32_MAX);
}

TEST_CASE("tags whose lengths do not fit") {
  const Bytes file = write(tone_packets(2));
  const Page tags = pages_of(file)[1];
  const std::size_t vendor_size = 7;
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes changed = file;
    changed[tags.body_at + at] = value;
    seal(changed, tags);
    return changed;
  };
  constexpr std::string_view no_tags = "the Ogg file has no valid OpusTags";
  CHECK(refusal(with(0, 'X')) == no_tags);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(refusal(with(8 + i, 0xFF)) == no_tags);                 // the vendor's length
    CHECK(refusal(with(12 + vendor_size + i, 0xFF)) == no_tags);  // the number of comments
  }
  // A shorter vendor shifts the number into the text.
  CHECK(refusal(with(8, 3)) == no_tags);
}

TEST_CASE("what is no Ogg file says so") {
  const test::TemporaryFolder folder;
  for (const Bytes& bytes :
       {Bytes{}, Bytes(1), Bytes(100'000), Bytes(100'000, 'O'), Bytes{'O', 'g', 'g', 'S'}}) {
    CAPTURE(bytes.size());
    CHECK(refusal(bytes) == "not an Ogg Opus file");
    std::string error;
    CHECK_FALSE(decode_ogg_opus(bytes, error).has_value());
    CHECK(error == "not an Ogg Opus file");
  }
}

TEST_CASE("a recording that would not fit into memory is refused") {
  // 120 ms in one byte: 4 MB of them are five and a half days.
  std::vector<Bytes> packets(60'002, Bytes{0x19});
  REQUIRE(describe_packet(packets[0])->samples() == 5'760);
  const Bytes file = write(packets);
  CHECK(file.size() < 1'000'000);
  CHECK(refusal(file) == "the Ogg Opus file is longer than two hours");
  packets.resize(60'000);
  CHECK(read_packets(write(packets)).packets.size() == 60'000);
}

TEST_CASE("the file writer stores what the packet writer makes") {
  const test::TemporaryFolder folder;
  const auto packets = tone_packets(120);
  const std::string path = folder.file("packets.opus");
  std::string error;
  {
    OggFileWriter writer;
    CHECK_FALSE(writer.is_open());
    CHECK_FALSE(writer.write(packets[0]));
    CHECK_FALSE(writer.finish());
    REQUIRE(writer.open(path, {5, 1, 0}, error));
    OggFileWriter moved(std::move(writer));
    CHECK_FALSE(writer.is_open());
    for (const Bytes& packet : packets) CHECK(moved.write(packet));
  }
  CHECK(read_file(path, error) == write(packets, {5, 1, 0}));
  // Opened anew it finishes the first file and begins the second.
  OggFileWriter writer;
  REQUIRE(writer.open(folder.file("a.opus"), {}, error));
  CHECK(writer.write(packets[0]));
  REQUIRE(writer.open(folder.file("b.opus"), {}, error));
  CHECK(writer.write(packets[1]));
  CHECK(writer.finish());
  CHECK_FALSE(writer.finish());
  CHECK(read_packets(*read_file(folder.file("a.opus"), error)).packets ==
        std::vector<Bytes>{packets[0]});
  CHECK(read_packets(*read_file(folder.file("b.opus"), error)).packets ==
        std::vector<Bytes>{packets[1]});

  CHECK_FALSE(writer.open(folder.file("no/such/folder"), {}, error));
  CHECK(error == folder.file("no/such/folder") + ": No such file or directory");
  CHECK_FALSE(writer.is_open());
}

TEST_CASE("PCM through the encoder, into a file and back") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("tone.opus");
  std::string error;
  for (const std::size_t samples : {960u, 48'000u, 100'123u}) {
    CAPTURE(samples);
    const Pcm pcm = test::tone(440, samples);
    REQUIRE_MESSAGE(write_ogg_opus(path, pcm, 48'000, error), error);
    const auto bytes = read_file(path, error);
    REQUIRE(bytes.has_value());
    const auto heard = decode_ogg_opus(*bytes, error);
    REQUIRE_MESSAGE(heard.has_value(), error);
    CHECK(heard->size() == samples);
    if (samples > 10'000) CHECK(part_at(*heard, 440) > 0.98);
    const auto packets = read_packets(*bytes);
    CHECK(packets.audio_channels == 1);
    CHECK(packets.pre_skip > 0);
    CHECK(packets.malformed == 0);
    CHECK(samples_of(packets.packets) >= static_cast<int>(samples) + packets.pre_skip);
  }
  CHECK_FALSE(write_ogg_opus(folder.file("no/such/folder"), Pcm(960), 48'000, error));
  CHECK(error.starts_with(folder.file("no/such/folder") + ": "));
  CHECK_FALSE(write_ogg_opus(path, Pcm(960), -5, error));
}
