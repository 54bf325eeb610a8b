// A fixed number of packets through a core, for counting instructions (tools/bench instructions):
// AES-256-GCM, one speaker, as many listeners as the argument says. It is also built against earlier
// revisions, so it uses what they have too.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "crypto/keys.h"
#include "tests/support/core_rig.h"

#if __has_include("relay/core/flight_recorder.h")
#include "relay/core/flight_recorder.h"
#define HAS_RECORDER
#endif

using namespace earshot;

int main(int argc, char** argv) {
  constexpr int packets = 2'000;
  constexpr std::size_t frame_size = 120;
  if (argc < 2 || !crypto::initialize()) return 1;
  const auto listeners = static_cast<std::uint16_t>(std::atoi(argv[1]));
  const auto mode = crypto::AeadMode::aes256_gcm_rtpsize;
  CoreOptions options = test::CoreRig::small_options();
  options.sessions_max = listeners + 1U;
#ifdef HAS_RECORDER
  FlightRecorderOptions recorder_options;
  recorder_options.slots_count = options.sessions_max;
  FlightRecorder recorder(recorder_options);
  options.recorder = &recorder;
#endif
  test::CoreRig rig(options);
  const ChannelRef channel = rig.open_channel(0);
  auto speaker = rig.join(0, channel, {}, mode);
  for (std::uint16_t i = 1; i <= listeners; ++i) rig.join(i, channel, {}, mode);
  const std::vector<std::uint8_t> frame(frame_size, 0x55);
  std::size_t forwarded = 0;
  for (int i = 0; i < packets; ++i) {
    auto datagram = speaker.client->seal(++speaker.sequence, speaker.timestamp += 960, frame);
    rig.now = rig.now + milliseconds(20);
    rig.core.on_datagram(rig.now, {speaker.address, make_v4(127, 0, 0, 1), rig.now, datagram},
                         rig.out);
    forwarded += rig.out.datagrams().size();
    rig.out.clear();
  }
  std::printf("packets=%d forwarded=%zu\n", packets, forwarded);
  return forwarded == static_cast<std::size_t>(packets) * listeners ? 0 : 1;
}
