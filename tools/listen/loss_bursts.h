// Bursts and gaps of packets that were not heard: RFC 3611 s4.7.2 with the algorithm of its
// Appendix A.2. Any one thread; fed once per packet, in the order of sending.
#pragma once

#include <cstdint>

#include "relay/base/time.h"

namespace earshot::listen {

struct BurstMetrics {
  double loss_rate = 0;      // of the packets, 0 to 1
  double discard_rate = 0;   // the same
  double burst_density = 0;  // of the packets in bursts, those lost or discarded
  double gap_density = 0;
  Duration burst_duration;  // mean
  Duration gap_duration;
  std::uint64_t bursts = 0;
  // G.107 s7.5: mean length of runs of missing packets, over what random loss would make it.
  double burst_ratio = 1;
};

class LossBursts {
 public:
  enum class Fate : std::uint8_t { heard, lost, discarded };

  explicit LossBursts(int gap_packets_min = 16) : gap_packets_min_(gap_packets_min) {}

  void add(Fate fate);
  // `packet_time`: what the packets stand for.
  BurstMetrics metrics(Duration packet_time) const;

 private:
  void add_missing();

  int gap_packets_min_;
  std::uint64_t packets_ = 0, lost_ = 0, discarded_ = 0;
  // Runs of missing packets, for the burst ratio.
  std::uint64_t runs_ = 0;
  bool is_in_run_ = false;
  // Since the last missing packet, and missing packets in a row that may become a burst.
  std::uint64_t heard_since_ = 0;
  bool has_missing_ = false;
  std::uint64_t burst_packets_ = 0, burst_missing_ = 0;  // of the candidate
  // Closed bursts.
  std::uint64_t bursts_ = 0, bursts_packets_ = 0, bursts_missing_ = 0;
};

}  // namespace earshot::listen
