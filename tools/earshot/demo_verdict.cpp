#include "tools/earshot/demo_verdict.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "tools/earshot/demo_table.h"

namespace earshot::tools {
namespace {

// A busy machine may drop a frame; what it says must still be understood.
constexpr double heard_share_min = 0.98;
// Opus changes the level of speech by far less; the wrong voice, noise or silence by more.
constexpr double level_difference_max = 3.0;
constexpr std::size_t failures_told_max = 3;

std::string fixed(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

// Empty if the listener heard the speaker.
std::string failure_of(const DemoPair& pair) {
  const std::string who = pair.listener + " heard " + pair.speaker;
  if (pair.sent == 0) return pair.speaker + " said nothing";
  if (static_cast<double>(pair.heard) < heard_share_min * static_cast<double>(pair.sent)) {
    return pair.listener + " heard " + std::to_string(pair.heard) + " of " +
           std::to_string(pair.sent) + " frames of " + pair.speaker;
  }
  if (std::abs(pair.level - pair.level_sent) > level_difference_max) {
    return who + " at " + fixed(pair.level) + " dBFS instead of " + fixed(pair.level_sent);
  }
  return {};
}

std::string summary_of(std::span<const DemoPair> pairs) {
  std::uint64_t sent = 0;
  std::uint64_t heard = 0;
  Duration p50, p99;
  for (const DemoPair& pair : pairs) {
    sent += pair.sent;
    heard += pair.heard;
    p50 = std::max(p50, pair.latency_p50);
    p99 = std::max(p99, pair.latency_p99);
  }
  return std::to_string(pairs.size()) + " pairs, " + std::to_string(heard) + " of " +
         std::to_string(sent) + " frames, added latency at most " + to_ms_text(p50) +
         " (p50) and " + to_ms_text(p99) + " (p99)";
}

}  // namespace

DemoVerdict judge(std::span<const DemoPair> pairs) {
  std::vector<DemoPair> ours;
  std::copy_if(pairs.begin(), pairs.end(), std::back_inserter(ours),
               [](const DemoPair& pair) { return pair.is_ours; });
  std::vector<std::string> failures;
  for (const DemoPair& pair : ours) {
    std::string failure = failure_of(pair);
    if (!failure.empty()) failures.push_back(std::move(failure));
  }
  if (ours.empty()) return {false, "nobody was there"};
  if (failures.empty()) return {true, "everyone heard everyone: " + summary_of(ours)};
  std::string text = "not everyone heard everyone: ";
  for (std::size_t i = 0; i < std::min(failures.size(), failures_told_max); ++i) {
    text += (i > 0 ? ", " : "") + failures[i];
  }
  if (failures.size() > failures_told_max) {
    text += " and " + std::to_string(failures.size() - failures_told_max) + " more";
  }
  return {false, text};
}

}  // namespace earshot::tools
