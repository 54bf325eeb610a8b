#include "relay/control/commands.h"

#include <doctest/doctest.h>

#include <vector>

#include "tests/support/command_rig.h"

using namespace earshot;
using earshot::test::CommandRig;

TEST_CASE("a batch is done when every worker has completed its part") {
  for (const std::size_t workers : {1, 2}) {
    CommandRig rig(workers);
    bool is_done = false;
    rig.commands.batch().send(WorkerMask{0b11}, Fence{}).then([&] { is_done = true; });
    CHECK_FALSE(is_done);  // never from inside then()
    rig.wait_until([&] { return is_done; });
    for (std::uint8_t w = 0; w < workers; ++w) CHECK(rig.group->completed({w}) == 1);
  }
}

TEST_CASE("an empty batch is done at the next poll") {
  CommandRig rig;
  bool is_done = false;
  rig.commands.batch().send(WorkerMask{0}, Fence{}).then([&] { is_done = true; });
  CHECK_FALSE(is_done);
  rig.commands.poll();
  CHECK(is_done);
}

TEST_CASE("an empty batch asks for that poll, since no worker will") {
  CommandRig rig;
  int wakes = 0;
  rig.commands.on_ready([&] { ++wakes; });
  rig.commands.batch().send(WorkerIndex{0}, Fence{}).then([] {});
  CHECK(wakes == 0);
  rig.commands.batch().then([] {});
  CHECK(wakes == 1);
}

TEST_CASE("what is called may send more, wait for nothing, and wait again") {
  CommandRig rig;
  std::vector<int> order;
  rig.commands.batch().send(WorkerIndex{0}, Fence{}).then([&] {
    order.push_back(1);
    rig.commands.batch().then([&] { order.push_back(2); });
    rig.commands.batch().send(WorkerIndex{0}, Fence{}).then([&] { order.push_back(3); });
  });
  rig.wait_until([&] { return order.size() == 3; });
  CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("batches that overlap are done in the order of their last command") {
  CommandRig rig;
  std::vector<int> order;
  auto outer = rig.commands.batch();
  outer.send(WorkerIndex{0}, Fence{});
  rig.commands.batch().send(WorkerIndex{0}, Fence{}).then([&] { order.push_back(1); });
  outer.send(WorkerIndex{0}, Fence{});
  rig.commands.batch().send(WorkerIndex{0}, Fence{}).then([&] { order.push_back(3); });
  outer.then([&] { order.push_back(2); });
  rig.wait_until([&] { return order.size() == 3; });
  CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("thousands of batches, more than the inbox holds, are all done in order") {
  CommandRig rig(2);
  constexpr int count = 3'000;
  int done = 0;
  for (int i = 0; i < count; ++i) {
    rig.commands.batch().send(WorkerMask{0b11}, Fence{}).then([&done, i] {
      CHECK(done == i);
      ++done;
    });
  }
  rig.wait_until([&] { return done == count; });
}
