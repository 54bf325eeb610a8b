// A recording of any bytes: it is read or refused, what is read is what stands there, and judging
// it anew needs no more than it has.
#include <cstdio>
#include <memory>

#include "relay/base/check.h"
#include "tests/support/recording_bytes.h"
#include "tools/replay/recording.h"

using namespace earshot;
using namespace earshot::replay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::unique_ptr<std::FILE, test::CloseFile> file(
      fmemopen(const_cast<std::uint8_t*>(data), size, "rb"));
  RELAY_CHECK(file != nullptr);
  const auto read = read_recording(file.get(), "input");
  if (!read) return 0;
  const Recording& recording = read.value();
  RELAY_CHECK(is_recording(data, size));
  // Every record is somewhere in the file.
  RELAY_CHECK(flight::dump_header_size + recording.workers_count * flight::dump_section_size +
                  8 * (recording.packets.size() * flight::packet_words +
                       recording.states.size() * flight::state_words) ==
              size);
  const auto out = rejudge(recording);
  RELAY_CHECK(out.size() == recording.packets.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto& p = recording.packets[i];
    RELAY_CHECK(i == 0 || recording.packets[i - 1].packet.arrival <= p.packet.arrival);
    RELAY_CHECK((out[i].basis == Rejudged::Basis::recorded) == !p.packet.reached_late_step());
    if (out[i].basis != Rejudged::Basis::judged) RELAY_CHECK(out[i].reason == p.packet.reason);
  }
  return 0;
}
