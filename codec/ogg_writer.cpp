#include "codec/ogg_writer.h"

#include <ogg/ogg.h>
#include <opus/opusenc.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "codec/opus.h"
#include "codec/toc.h"

namespace earshot::codec {
namespace {

struct EncoderCloser {
  void operator()(OggOpusEnc* encoder) const { ope_encoder_destroy(encoder); }
};
struct CommentsCloser {
  void operator()(OggOpusComments* comments) const { ope_comments_destroy(comments); }
};

constexpr std::string_view vendor = "earshot";

void append_u32(std::vector<std::uint8_t>& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

std::vector<std::uint8_t> make_head(const OggStreamOptions& options) {
  std::vector<std::uint8_t> head{'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1};
  head.push_back(static_cast<std::uint8_t>(options.audio_channels == 2 ? 2 : 1));
  head.push_back(static_cast<std::uint8_t>(options.pre_skip & 0xFF));
  head.push_back(static_cast<std::uint8_t>(options.pre_skip >> 8 & 0xFF));
  append_u32(head, sample_rate);
  head.insert(head.end(), {0, 0, 0});  // output gain, mapping family
  return head;
}

std::vector<std::uint8_t> make_tags() {
  std::vector<std::uint8_t> tags{'O', 'p', 'u', 's', 'T', 'a', 'g', 's'};
  append_u32(tags, static_cast<std::uint32_t>(vendor.size()));
  tags.insert(tags.end(), vendor.begin(), vendor.end());
  append_u32(tags, 0);
  return tags;
}

}  // namespace

bool write_ogg_opus(const std::string& path, std::span<const std::int16_t> pcm, int bitrate,
                    std::string& error) {
  const std::unique_ptr<OggOpusComments, CommentsCloser> comments(ope_comments_create());
  int status = OPE_OK;
  const std::unique_ptr<OggOpusEnc, EncoderCloser> encoder(
      comments ? ope_encoder_create_file(path.c_str(), comments.get(), sample_rate, 1, 0, &status)
               : nullptr);
  if (!encoder) {
    error = path + ": " + (status == OPE_OK ? "out of memory" : ope_strerror(status));
    return false;
  }
  status = ope_encoder_ctl(encoder.get(), OPUS_SET_BITRATE(bitrate));
  // libopusenc counts samples in an int.
  constexpr std::size_t block = 48'000;
  for (std::size_t at = 0; status == OPE_OK && at < pcm.size(); at += block) {
    const auto part = pcm.subspan(at, std::min(block, pcm.size() - at));
    status = ope_encoder_write(encoder.get(), part.data(), static_cast<int>(part.size()));
  }
  if (status == OPE_OK) status = ope_encoder_drain(encoder.get());
  if (status == OPE_OK) return true;
  error = path + ": " + ope_strerror(status);
  return false;
}

struct OggPacketWriter::State {
  explicit State(const OggStreamOptions& options) {
    ogg_stream_init(&stream, static_cast<int>(options.serial));
    // RFC 7845 s3: the identification header stands alone on its page, and the tags end theirs.
    add(make_head(options), 0, false);
    take(true);
    add(make_tags(), 0, false);
    take(true);
  }
  ~State() { ogg_stream_clear(&stream); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void add(std::span<const std::uint8_t> bytes, std::int64_t position, bool is_last) {
    ogg_packet packet{};
    packet.packet = const_cast<unsigned char*>(bytes.data());  // libogg copies and does not write
    packet.bytes = static_cast<long>(bytes.size());
    packet.b_o_s = packet_number == 0 ? 1 : 0;
    packet.e_o_s = is_last ? 1 : 0;
    packet.granulepos = position;
    packet.packetno = packet_number++;
    ogg_stream_packetin(&stream, &packet);
  }

  // The packet that waits goes onto the open page, or onto a new one where a second would not hold
  // it.
  void add_held(bool is_last) {
    if (held.empty()) return;
    take(granule - page_start > sample_rate);
    add(held, granule, is_last);
    held.clear();
    take(granule - page_start >= sample_rate);
  }

  // Moves finished pages, with `flush` the open one too, to `pages`.
  void take(bool flush) {
    ogg_page page;
    while ((flush ? ogg_stream_flush(&stream, &page) : ogg_stream_pageout(&stream, &page)) != 0) {
      pages.insert(pages.end(), page.header, page.header + page.header_len);
      pages.insert(pages.end(), page.body, page.body + page.body_len);
      // -1 where no packet ends.
      page_start = std::max<std::int64_t>(page_start, ogg_page_granulepos(&page));
    }
  }

  ogg_stream_state stream{};
  // RFC 7845 s4: samples up to the end of the last packet, those that are to be skipped too.
  std::int64_t granule = 0;
  std::int64_t page_start = 0;
  std::int64_t packet_number = 0;
  // The last packet waits here, since only finish() knows that it is the last.
  std::vector<std::uint8_t> held;
  std::vector<std::uint8_t> pages;
};

OggPacketWriter::OggPacketWriter(const OggStreamOptions& options)
    : state_(std::make_unique<State>(options)) {}
OggPacketWriter::~OggPacketWriter() = default;
OggPacketWriter::OggPacketWriter(OggPacketWriter&&) noexcept = default;
OggPacketWriter& OggPacketWriter::operator=(OggPacketWriter&&) noexcept = default;

std::vector<std::uint8_t> OggPacketWriter::write(std::span<const std::uint8_t> packet) {
  const auto description = describe_packet(packet);
  if (description) {
    state_->add_held(false);
    state_->held.assign(packet.begin(), packet.end());
    state_->granule += description->samples();
  }
  return std::exchange(state_->pages, {});
}

std::vector<std::uint8_t> OggPacketWriter::finish() {
  state_->add_held(true);
  state_->take(true);
  return std::exchange(state_->pages, {});
}

OggFileWriter::~OggFileWriter() {
  finish();
}

bool OggFileWriter::open(const std::string& path, const OggStreamOptions& options,
                         std::string& error) {
  finish();
  pages_ = OggPacketWriter(options);
  file_.reset(std::fopen(path.c_str(), "wb"));
  if (!file_) error = path + ": " + std::strerror(errno);
  return file_ != nullptr;
}

bool OggFileWriter::write(std::span<const std::uint8_t> packet) {
  return file_ && store(pages_.write(packet));
}

bool OggFileWriter::finish() {
  if (!file_) return false;
  const bool stored = store(pages_.finish());
  return std::fclose(file_.release()) == 0 && stored;
}

bool OggFileWriter::store(std::span<const std::uint8_t> bytes) {
  return bytes.empty() || std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size();
}

}  // namespace earshot::codec
