// Bursts and gaps of packets that were not heard, by the definitions of RFC 3611 s4.7.2: counted
// exactly, where its Appendix A.2 estimates densities by a Markov chain. Any one thread; fed once
// per packet, in the order of sending.
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

  // A burst goes on until so many packets in a row were heard.
  explicit LossBursts(std::uint64_t gap_packets_min = 16) : gap_packets_min_(gap_packets_min) {}

  void add(Fate fate);
  // `packet_time`: what a packet stands for.
  BurstMetrics metrics(Duration packet_time) const;

 private:
  // From one missing packet to another; of a single one it is none.
  struct Bursts {
    std::uint64_t count = 0, packets = 0, missing = 0;
  };

  void add_missing();
  Bursts with_open() const;

  std::uint64_t gap_packets_min_;
  std::uint64_t packets_ = 0, lost_ = 0, discarded_ = 0;
  std::uint64_t runs_ = 0;  // of missing packets
  bool is_in_run_ = false;
  std::uint64_t heard_since_ = 0;  // the last missing one
  Bursts closed_;
  std::uint64_t open_packets_ = 0, open_missing_ = 0;
};

}  // namespace earshot::listen
