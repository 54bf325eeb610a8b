#include "relay/control/listener_watch.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include "relay/control/log.h"

using namespace earshot;
using namespace earshot::control;

TEST_CASE("what strangers do to a listener is one line in ten seconds, and a pause is a warning") {
  const int descriptor = memfd_create("log", MFD_CLOEXEC);
  REQUIRE(descriptor >= 0);
  log::start({log::Level::info, false, descriptor});
  off_t read = 0;
  const auto news = [&] {
    std::string text(static_cast<std::size_t>(lseek(descriptor, 0, SEEK_END) - read), '\0');
    REQUIRE(pread(descriptor, text.data(), text.size(), read) >= 0);
    read += static_cast<off_t>(text.size());
    return text;
  };
  const auto has = [](const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  };

  ListenerWatch watch("gateway");
  gateway::ListenerCounters counters;
  Time now{};
  counters.accepted = counters.requests = counters.websockets_opened = 5;
  watch.look(now, counters);
  CHECK(news().empty());

  counters.handshakes_failed = 3;
  watch.look(now, counters);
  const std::string first = news();
  CHECK(has(first, "level=info event=listener_errors listener=gateway "));
  CHECK(has(first, " handshakes_failed=3 "));

  counters.handshakes_failed = 10'003;
  counters.accept_pauses = 1;
  watch.look(now + milliseconds(9'999), counters);
  CHECK(news().empty());
  watch.look(now + seconds(10), counters);
  const std::string second = news();
  CHECK(has(second, "level=warn event=listener_errors "));
  CHECK(has(second, " handshakes_failed=10000 "));
  CHECK(has(second, " accept_pauses=1 "));

  watch.look(now + seconds(60), counters);
  CHECK(news().empty());
  log::start({log::Level::off, false, STDERR_FILENO});
  close(descriptor);
}
