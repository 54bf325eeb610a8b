// Counts calls of operator new in the whole process while switched on. Tests only; any thread.
#pragma once

#include <cstdint>

namespace earshot::test {

// Allocations on any thread but the one that called begin.
void begin_counting_allocations();
std::uint64_t end_counting_allocations();

}  // namespace earshot::test
