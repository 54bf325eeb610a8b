// One relay node with its controller and its judge. Private to world*.cpp.
#pragma once

#include "tests/sim/world.h"

namespace earshot::sim {

struct World::Site {
  explicit Site(World& world);

  Invariants invariants;
  Node node;
  Control control;
};

}  // namespace earshot::sim
