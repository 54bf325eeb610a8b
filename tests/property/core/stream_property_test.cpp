// One stream against a model that counts in 64 bits and remembers everything: which packets are
// duplicates, what the highest sequence number is, how many are lost.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <tuple>
#include <vector>

#include "relay/core/stream.h"

using namespace earshot;

namespace {

struct Sent {
  std::uint64_t sequence = 0;  // never wraps
  std::uint32_t timestamp = 0;

  std::uint16_t on_wire() const { return static_cast<std::uint16_t>(sequence); }
};

// "Same sequence and same time stamp within the last 128 packets", word by word.
class Remembered {
 public:
  bool contains(std::uint16_t sequence, std::uint32_t timestamp) const {
    return std::find(last_.begin(), last_.end(), std::pair{sequence, timestamp}) != last_.end();
  }
  void add(std::uint16_t sequence, std::uint32_t timestamp) {
    last_.emplace_back(sequence, timestamp);
    if (last_.size() > 128) last_.pop_front();
  }

 private:
  std::deque<std::pair<std::uint16_t, std::uint32_t>> last_;
};

Time arrival(int round) {
  return Time{} + milliseconds(20) * round;
}

}  // namespace

TEST_CASE("duplicates are exactly those of the last 128 packets, whatever the numbers do") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Stream stream;
    Remembered model;
    std::vector<std::pair<std::uint16_t, std::uint32_t>> all;
    std::uint16_t sequence = static_cast<std::uint16_t>(random());
    std::uint32_t timestamp = static_cast<std::uint32_t>(random());
    for (int round = 0; round < 4'000; ++round) {
      switch (random() % 16) {
        case 0:  // a jump, often by a multiple of the window
          sequence = static_cast<std::uint16_t>(sequence + (random() % 2 == 0 ? 128 : random()));
          break;
        case 1:  // back to something that was there
          if (!all.empty()) std::tie(sequence, timestamp) = all[random() % all.size()];
          break;
        case 2:  // the same sequence number with another time stamp
          timestamp += 960;
          break;
        case 3:  // recently there
          if (!all.empty())
            std::tie(sequence, timestamp) =
                all[all.size() - 1 - random() % std::min<std::size_t>(all.size(), 140)];
          break;
        default:
          ++sequence;
          timestamp += 960;
      }
      const bool is_duplicate = model.contains(sequence, timestamp);
      REQUIRE(stream.is_duplicate(sequence, timestamp) == is_duplicate);
      if (is_duplicate) continue;
      model.add(sequence, timestamp);
      all.emplace_back(sequence, timestamp);
      stream.on_packet(arrival(round), sequence, timestamp);
    }
  }
}

TEST_CASE("a sender that begins again with its first numbers loses nothing after 128 packets") {
  for (const std::uint16_t first_run :
       std::initializer_list<std::uint16_t>{129, 140, 200, 255, 256, 257, 400}) {
    CAPTURE(first_run);
    Stream stream;
    for (std::uint16_t i = 0; i < first_run; ++i) stream.on_packet(arrival(i), i, 960u * i);
    for (std::uint16_t i = 0; i < 200; ++i) {
      CAPTURE(i);
      REQUIRE_FALSE(stream.is_duplicate(i, 960u * i));
      stream.on_packet(arrival(first_run + i), i, 960u * i);
    }
  }
}

TEST_CASE("the highest sequence number and the loss are the model's, over wraps") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    // Sent 0, 1, 2 ..; lost, held back by up to 90, repeated.
    const std::uint64_t first = (std::uint64_t{1} << 32) + random() % 65'536;
    std::vector<std::pair<std::uint64_t, Sent>> arrivals;
    for (std::uint64_t i = 0; i < 80'000; ++i) {
      if (i > 100 && random() % 20 == 0) continue;
      const std::uint64_t delay = i > 100 && random() % 10 == 0 ? random() % 90 : 0;
      const Sent packet{first + i, static_cast<std::uint32_t>(960 * i)};
      arrivals.emplace_back(i + delay, packet);
      if (random() % 50 == 0) arrivals.emplace_back(i + delay + random() % 8, packet);
    }
    std::stable_sort(arrivals.begin(), arrivals.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    Stream stream;
    std::uint64_t highest = 0;
    std::uint64_t received = 0;
    int round = 0;
    for (const auto& [at, packet] : arrivals) {
      if (stream.is_duplicate(packet.on_wire(), packet.timestamp)) continue;
      stream.on_packet(arrival(round++), packet.on_wire(), packet.timestamp);
      highest = std::max(highest, packet.sequence);
      ++received;
      REQUIRE(stream.highest_sequence() == static_cast<std::uint16_t>(highest));
      REQUIRE(stream.received() == received);
      REQUIRE(stream.lost() == highest - first + 1 - received);
    }
    REQUIRE(received > 65'000);
  }
}
