// Makes a piece of audio shorter or longer by exactly so many samples without changing its pitch:
// waveform-similarity overlap-add. Any one thread; integer arithmetic, the same bits everywhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace earshot::listen {

// Appends `pcm` and `change` samples more (or fewer, below zero) to `out`. Too short a piece for
// that, less than twice the change: it is repeated or cut at its end.
void stretch(std::span<const std::int16_t> pcm, int change, std::vector<std::int16_t>& out);

}  // namespace earshot::listen
