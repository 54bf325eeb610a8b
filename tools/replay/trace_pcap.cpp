#include <pcap/pcap.h>

#include <array>
#include <memory>
#include <string_view>

#include "tools/replay/rtp_collector.h"
#include "tools/replay/trace_readers.h"
#include "tools/replay/udp_frame.h"

namespace earshot::replay {
namespace {

struct CaptureCloser {
  void operator()(pcap_t* capture) const { pcap_close(capture); }
};

ssize_t read_from(void* cookie, char* buffer, std::size_t size) {
  auto* const file = static_cast<std::FILE*>(cookie);
  const std::size_t got = std::fread(buffer, 1, size, file);
  return got == 0 && std::ferror(file) != 0 ? -1 : static_cast<ssize_t>(got);
}

// libpcap closes what it reads from, and the file is the caller's.
std::FILE* lend(std::FILE* file) {
  cookie_io_functions_t functions{};
  functions.read = read_from;
  return fopencookie(file, "rb", functions);
}

// Of a record whose fields anybody may have written. With nanoseconds, tv_usec holds those.
Time time_of(const timeval& stamp) {
  constexpr std::int64_t seconds_max = time_max.ns / seconds(1).ns - 1;
  const bool is_possible = stamp.tv_sec >= 0 && stamp.tv_sec < seconds_max && stamp.tv_usec >= 0 &&
                           stamp.tv_usec <= seconds(1).ns;
  return is_possible ? Time{} + seconds(stamp.tv_sec) + nanoseconds(stamp.tv_usec) : Time{};
}

std::string link_name(int link_type) {
  const char* const name = pcap_datalink_val_to_name(link_type);
  return name != nullptr ? name : std::to_string(link_type);
}

// What libpcap says when it stops in the middle.
Result<void> judge_end(pcap_t* capture, const std::string& name, std::uint64_t records,
                       TraceNotes& notes) {
  const std::string_view text = pcap_geterr(capture);
  if (text.find("different from the type of the first interface") != std::string_view::npos) {
    // libpcap 1.10.3 compares the two numbers that raw IP has.
    const bool is_raw = pcap_datalink(capture) == DLT_RAW;
    return Error{name + ": holds interfaces of different link types" +
                 (is_raw ? ", or several of raw IP" : "") +
                 "; capture on one of them, or on \"any\""};
  }
  if (records == 0) return Error{name + ": " + std::string(text)};
  notes.remarks.push_back("breaks off behind record " + std::to_string(records) + ": " +
                          std::string(text));
  return {};
}

}  // namespace

Result<Trace> read_pcap_trace(std::FILE* file, const std::string& name,
                              const TraceOptions& options) {
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  std::FILE* const lent = lend(file);
  if (lent == nullptr) return Error{name + ": cannot be read"};
  const std::unique_ptr<pcap_t, CaptureCloser> capture(
      pcap_fopen_offline_with_tstamp_precision(lent, PCAP_TSTAMP_PRECISION_NANO, error.data()));
  if (!capture) {
    std::fclose(lent);
    return Error{name + ": " + error.data()};
  }
  const int link_type = pcap_datalink(capture.get());
  if (!is_known_link(link_type)) {
    return Error{name + ": was captured on a link of type " + link_name(link_type) +
                 "; Ethernet, Linux cooked, raw IP and loopback can be read"};
  }
  const auto certainty = options.port || !options.ssrcs.empty() ? RtpCollector::Certainty::chosen
                                                                : RtpCollector::Certainty::none;
  RtpCollector collector(options, certainty);
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  std::uint64_t records = 0;
  int result = 0;
  for (; (result = pcap_next_ex(capture.get(), &header, &bytes)) == 1; ++records) {
    UdpDatagram datagram;
    const Skip skip = find_udp(link_type, std::span(bytes, header->caplen), datagram);
    if (skip != Skip::count) {
      ++collector.notes()[skip];
      continue;
    }
    if (!collector.take(time_of(header->ts), datagram.flow, datagram.captured, datagram.size)) {
      return too_many_packets(name, options);
    }
  }
  if (result == PCAP_ERROR) {
    if (auto end = judge_end(capture.get(), name, records, collector.notes()); !end) {
      return end.error();
    }
  }
  return collector.finish();
}

}  // namespace earshot::replay
