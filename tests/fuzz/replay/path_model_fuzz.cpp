// The text of a path's model. What is understood makes a path that keeps its promises.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/check.h"
#include "tools/replay/profile.h"

using namespace earshot;
using namespace earshot::replay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // Files are none of its business.
  if (size > 1'000 || text.find("delay_trace") != std::string_view::npos) return 0;
  const auto model = parse_path_model(text);
  if (!model) {
    RELAY_CHECK(!model.error().text.empty());
    return 0;
  }
  Path path(model.value(), 1);
  std::vector<Time> arrivals;
  Time at;
  for (int i = 0; i < 50; ++i) {
    const std::size_t before = arrivals.size();
    at = at + milliseconds(i % 10 == 9 ? 5'000 : 20);
    path.send(at, 100, arrivals);
    RELAY_CHECK(arrivals.size() <= before + 2);
    for (std::size_t j = before; j < arrivals.size(); ++j) RELAY_CHECK(arrivals[j] >= at);
  }
  if (!model.value().jitter.reorders) {
    RELAY_CHECK(std::is_sorted(arrivals.begin(), arrivals.end()));
  }
  RELAY_CHECK(path.counts().sent == 50);
  return 0;
}
