#include "tools/replay/recording.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <numeric>
#include <unordered_map>

#include "relay/core/flight_dump.h"

namespace earshot::replay {
namespace {

// Reads words without believing the file's own numbers.
class WordReader {
 public:
  explicit WordReader(std::FILE* file) : file_(file) {}

  bool read(std::span<std::uint8_t> out) {
    return std::fread(out.data(), 1, out.size(), file_) == out.size();
  }
  bool read(std::span<std::uint64_t> out) {
    for (std::uint64_t& word : out) {
      std::array<std::uint8_t, 8> bytes;
      if (!read(std::span<std::uint8_t>(bytes))) return false;
      word = flight::read_dump_word(bytes, 0);
    }
    return true;
  }
  bool is_at_end() {
    const int next = std::getc(file_);
    return next == EOF && std::ferror(file_) == 0;
  }

 private:
  std::FILE* file_;
};

struct Section {
  WorkerIndex worker;
  std::uint64_t words_left = 0;
  std::uint32_t position = 0;
};

bool is_of(const Recording& recording, WorkerIndex worker, Ssrc ssrc) {
  return ssrc.node() == recording.node && ssrc.worker() == worker;
}

// Nothing, or what is wrong.
const char* read_record(WordReader& in, Section& section, Recording& out) {
  static_assert(flight::packet_words < flight::state_words);
  constexpr const char* truncated = "ends in the middle of a record";
  constexpr const char* foreign = "has a record that no relay writes";
  std::array<std::uint64_t, flight::state_words> words{};
  if (!in.read(std::span(words).first(1))) return truncated;
  const flight::Kind kind = flight::kind(words[0]);
  if (kind == flight::Kind::none) return foreign;
  const std::size_t size =
      kind == flight::Kind::packet ? flight::packet_words : flight::state_words;
  if (section.words_left < size || !in.read(std::span(words).subspan(1, size - 1)))
    return truncated;
  section.words_left -= size;
  if (kind == flight::Kind::state) {
    RecordedState state{{}, section.position, section.worker};
    if (!flight::read_state(words, state.state) || !is_of(out, section.worker, state.state.ssrc)) {
      return foreign;
    }
    out.states.push_back(state);
    return nullptr;
  }
  RecordedPacket packet{{}, section.position, section.worker};
  if (!flight::read_packet(std::span(words).first<flight::packet_words>(), packet.packet) ||
      !is_of(out, section.worker, packet.packet.ssrc) || section.position == UINT32_MAX) {
    return foreign;
  }
  ++section.position;
  out.packets.push_back(packet);
  return nullptr;
}

const char* read_section(WordReader& in, WorkerIndex worker, Recording& out) {
  std::array<std::uint64_t, flight::dump_section_size / 8> head{};
  if (!in.read(std::span<std::uint64_t>(head))) return "ends before the records of all workers";
  const Time covered_from{static_cast<std::int64_t>(head[0])};
  if (covered_from.ns < 0) return "begins before time does";
  out.covered_from = std::max(out.covered_from, covered_from);
  Section section{worker, head[1], 0};
  while (section.words_left > 0) {
    if (const char* wrong = read_record(in, section, out)) return wrong;
  }
  return nullptr;
}

void merge(std::vector<RecordedPacket>& packets) {
  std::sort(packets.begin(), packets.end(), [](const RecordedPacket& a, const RecordedPacket& b) {
    if (a.packet.arrival != b.packet.arrival) return a.packet.arrival < b.packet.arrival;
    if (a.worker != b.worker) return a.worker < b.worker;
    return a.position < b.position;
  });
}

// A stream's policy state, as far as it is known.
using Streams = std::unordered_map<std::uint32_t, LatenessState>;

Rejudged rejudge(const flight::Packet& packet, bool is_small, Streams& streams) {
  Rejudged out{packet.reason, Rejudged::Basis::recorded, 0};
  if (!packet.reached_late_step()) return out;
  if (packet.was_fresh) streams[packet.ssrc.value] = {};
  const auto found = streams.find(packet.ssrc.value);
  // A state that no policy has come to by itself stands in forged files only.
  if (found == streams.end() || !flight::is_plausible(found->second)) {
    out.basis = Rejudged::Basis::unknown;
    return out;
  }
  const LatenessInput input{rtp_ticks(packet.arrival), packet.sequence, packet.timestamp, is_small};
  const Lateness judged = lateness(found->second, input, packet.late_ms_max);
  out.basis = Rejudged::Basis::judged;
  out.reason = judged.verdict == LatenessVerdict::keep ? DropReason::none : DropReason::late;
  out.lateness_ticks = judged.ticks;
  return out;
}

}  // namespace

bool is_recording(const std::uint8_t* bytes, std::size_t size) {
  const auto& magic = flight::dump_magic;
  return size >= magic.size() && std::equal(magic.begin(), magic.end(), bytes);
}

Result<Recording> read_recording(std::FILE* file, const std::string& name) {
  WordReader in(file);
  std::array<std::uint8_t, flight::dump_header_size> bytes{};
  flight::DumpHeader header;
  if (!in.read(std::span<std::uint8_t>(bytes)) || !flight::read_dump_header(bytes, header)) {
    return Error{name + ": is no recording of a relay, or one of another version"};
  }
  Recording out;
  out.node = header.node;
  out.taken_at = header.taken_at;
  out.wall_offset = header.wall_offset;
  out.workers_count = header.workers_count;
  for (std::uint8_t w = 0; w < header.workers_count; ++w) {
    if (const char* wrong = read_section(in, {w}, out)) return Error{name + ": " + wrong};
  }
  if (!in.is_at_end()) return Error{name + ": goes on behind its end"};
  merge(out.packets);
  return out;
}

Result<Recording> read_recording(const std::string& path) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return Error{path + ": cannot be read: " + std::strerror(errno)};
  return read_recording(file.get(), path);
}

bool covers(const Recording& recording, Time from, Time to) {
  return recording.covered_from <= from && to <= recording.taken_at;
}

// In the order in which each worker met them, which is not that of their arrival where one handed a
// datagram to another.
std::vector<Rejudged> rejudge(const Recording& recording) {
  const auto& packets = recording.packets;
  std::vector<std::size_t> order(packets.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (packets[a].worker != packets[b].worker) return packets[a].worker < packets[b].worker;
    return packets[a].position < packets[b].position;
  });
  std::vector<Rejudged> out(packets.size());
  Streams streams;
  auto state = recording.states.begin();
  for (const std::size_t i : order) {
    for (; state != recording.states.end() && state->worker == packets[i].worker &&
           state->position <= packets[i].position;
         ++state) {
      streams[state->state.ssrc.value] = state->state.lateness;
    }
    out[i] = rejudge(packets[i].packet, packets[i].is_small(), streams);
  }
  return out;
}

}  // namespace earshot::replay
