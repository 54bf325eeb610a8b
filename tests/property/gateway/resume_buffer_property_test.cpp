// The resume buffer against a model that forgets nothing: whatever it hands out is exactly what the
// client has missed, and it may only refuse when the model says that the bounds allow it.
#include <doctest/doctest.h>

#include <random>

#include "relay/base/limits.h"
#include "relay/gateway/resume_buffer.h"

using namespace earshot;
using namespace earshot::gateway;

namespace {

struct Sent {
  std::string text;
  bool is_kept = true;
};

struct Model {
  std::vector<Sent> sent;  // the n-th is number n % 65,535 + 1
  std::size_t acknowledged = 0;

  static std::int64_t sequence(std::size_t count) {
    return count == 0 ? 0 : static_cast<std::int64_t>((count - 1) % 65'535 + 1);
  }

  // Must the buffer still have everything after the first `count`?
  bool must_have(std::size_t count) const {
    std::size_t bytes = 0;
    for (std::size_t i = acknowledged; i < sent.size(); ++i)
      bytes += sent[i].is_kept ? sent[i].text.size() : 0;
    return count >= acknowledged && sent.size() - acknowledged <= limits::resume_messages_max &&
           bytes <= limits::resume_bytes_max;
  }

  bool has_unkept_after(std::size_t count) const {
    for (std::size_t i = count; i < sent.size(); ++i) {
      if (!sent[i].is_kept) return true;
    }
    return false;
  }
};

void check_after(const ResumeBuffer& buffer, const Model& model, std::size_t count) {
  const auto missed = buffer.after(Model::sequence(count));
  if (model.has_unkept_after(count)) {
    CHECK(!missed);
    return;
  }
  if (model.must_have(count)) REQUIRE(missed);
  if (!missed) return;
  REQUIRE(missed->size() == model.sent.size() - count);
  for (std::size_t i = 0; i < missed->size(); ++i)
    CHECK((*missed)[i] == model.sent[count + i].text);
}

void run(std::uint64_t seed) {
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  ResumeBuffer buffer;
  Model model;
  const std::size_t size_max = random() % 2 == 0 ? 20 : 2'000;
  for (int step = 0; step < 2'000; ++step) {
    const std::string text = R"({"d":")" + std::string(random() % size_max, 'x') + "\"}";
    switch (random() % 16) {
      case 0:
        model.sent.push_back({buffer.add_unkept(text), false});
        break;
      case 1: {
        const std::size_t span = std::min<std::size_t>(model.sent.size(), 300);
        const std::size_t count = model.sent.size() - (span == 0 ? 0 : random() % (span + 1));
        // An acknowledgement of what the buffer still knows moves its beginning; one of what fell
        // out changes nothing.
        if (count > model.acknowledged) model.acknowledged = count;
        buffer.acknowledge(Model::sequence(count));
        break;
      }
      default:
        model.sent.push_back({buffer.add(text), true});
    }
    const std::size_t back = random() % 300;
    check_after(buffer, model,
                model.sent.size() > back ? model.sent.size() - back : model.sent.size());
  }
}

}  // namespace

TEST_CASE("a resume gets exactly what was missed, or nothing") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) run(seed);
}
