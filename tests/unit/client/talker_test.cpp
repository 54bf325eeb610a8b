#include "tools/client/talker.h"

#include <doctest/doctest.h>

#include <vector>

#include "codec/opus.h"

using namespace earshot;
using client::Talker;
using Bytes = std::vector<std::uint8_t>;

namespace {

// Says what it was told to: a frame, or nothing for a while.
class Script : public client::FrameSource {
 public:
  explicit Script(std::vector<bool> speaks) : speaks_(std::move(speaks)) {}
  std::optional<Bytes> next() override {
    if (is_finished()) return std::nullopt;
    const bool speaks = speaks_[position_++];
    if (!speaks) return std::nullopt;
    return Bytes(40, static_cast<std::uint8_t>(position_));
  }
  bool is_finished() const override { return position_ >= speaks_.size(); }

 private:
  std::vector<bool> speaks_;
  std::size_t position_ = 0;
};

const Bytes silence(std::begin(codec::silence_frame), std::end(codec::silence_frame));

}  // namespace

TEST_CASE("who has nothing to say sends nothing") {
  Talker talker(1, 2);
  CHECK(talker.is_finished());
  for (int i = 0; i < 3; ++i) {
    const auto step = talker.tick();
    CHECK_FALSE(step.packet);
    CHECK_FALSE(step.speaking);
    CHECK_FALSE(step.has_ended);
  }
}

TEST_CASE("speech begins with op 5, and ends with five silence frames and op 5 behind them") {
  Talker talker(65'535, 0xFFFFFFFF - 100);
  talker.play(std::make_unique<Script>(std::vector{true, true}));
  auto step = talker.tick();
  CHECK(step.speaking == true);
  REQUIRE(step.packet);
  CHECK(step.packet->sequence == 65'535);
  CHECK(step.packet->timestamp == 0xFFFFFFFF - 100);
  CHECK(step.packet->frame == Bytes(40, 1));
  step = talker.tick();
  CHECK_FALSE(step.speaking);
  REQUIRE(step.packet);
  CHECK(step.packet->sequence == 0);
  CHECK(step.packet->timestamp == 859);
  CHECK_FALSE(talker.is_finished());
  for (int i = 0; i < 5; ++i) {
    CHECK(talker.is_speaking());
    step = talker.tick();
    REQUIRE(step.packet);
    CHECK(step.packet->frame == silence);
    CHECK(step.has_ended == (i == 4));
  }
  CHECK(talker.is_finished());
  CHECK_FALSE(talker.tick().packet);
}

TEST_CASE("a pause shorter than the silence frames goes on in the same spurt") {
  Talker talker(0, 0);
  talker.play(std::make_unique<Script>(
      std::vector{true, false, false, true, false, false, false, false, false, false, true}));
  int told = 0;
  int ended = 0;
  std::vector<std::uint32_t> times;
  for (int i = 0; i < 11; ++i) {
    const auto step = talker.tick();
    told += step.speaking == true ? 1 : 0;
    ended += step.has_ended ? 1 : 0;
    if (step.packet) times.push_back(step.packet->timestamp / 960);
  }
  CHECK(told == 2);
  CHECK(ended == 1);
  // RTP time goes on through the pause.
  CHECK(times == std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 10});
}

TEST_CASE("time that is skipped moves the time stamp, not the sequence number") {
  Talker talker(10, 0);
  talker.play(std::make_unique<Script>(std::vector{true, true}));
  talker.tick();
  talker.skip(7);
  const auto step = talker.tick();
  REQUIRE(step.packet);
  CHECK(step.packet->sequence == 11);
  CHECK(step.packet->timestamp == 8 * 960);
}

TEST_CASE("a new session is told afresh that we speak") {
  Talker talker(0, 0);
  talker.play(std::make_unique<Script>(std::vector{true, true, true}));
  CHECK(talker.tick().speaking == true);
  talker.forget_session();
  CHECK(talker.tick().speaking == true);
  CHECK_FALSE(talker.tick().speaking);
}
