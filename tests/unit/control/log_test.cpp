#include "relay/control/log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <regex>
#include <vector>

using namespace earshot;
using namespace earshot::control;

namespace {

// Logs into memory while it lives, and nowhere afterwards.
class LogRig {
 public:
  explicit LogRig(log::Level level, bool has_full_addresses = false)
      : descriptor_(memfd_create("log", MFD_CLOEXEC)) {
    REQUIRE(descriptor_ >= 0);
    log::start({level, has_full_addresses, descriptor_});
  }
  ~LogRig() {
    log::start({log::Level::off, false, STDERR_FILENO});
    close(descriptor_);
  }
  LogRig(const LogRig&) = delete;
  LogRig& operator=(const LogRig&) = delete;

  std::string text() const {
    std::string all(static_cast<std::size_t>(lseek(descriptor_, 0, SEEK_END)), '\0');
    REQUIRE(pread(descriptor_, all.data(), all.size(), 0) == static_cast<ssize_t>(all.size()));
    return all;
  }
  // What stands behind the time of the only line.
  std::string line() const {
    const std::string all = text();
    REQUIRE(all.size() > 30);
    CHECK(all.find('\n') == all.size() - 1);
    const auto blank = all.find(' ');
    return all.substr(blank + 1, all.size() - blank - 2);
  }

 private:
  int descriptor_;
};

std::string logged(log::Value value, bool has_full_addresses = false) {
  const LogRig rig(log::Level::info, has_full_addresses);
  log::info("event", {{"field", value}});
  const std::string line = rig.line();
  const std::string start = "level=info event=event field=";
  REQUIRE(line.rfind(start, 0) == 0);
  return line.substr(start.size());
}

}  // namespace

TEST_CASE("a line has its time in UTC, its level, its event and its fields in order") {
  const LogRig rig(log::Level::debug);
  log::warn("door_opened", {{"count", 3}, {"who", "cat"}});
  const std::regex form(R"(time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z )"
                        "level=warn event=door_opened count=3 who=cat\n");
  CHECK(std::regex_match(rig.text(), form));
}

TEST_CASE("nothing below the level is written, and nothing before the start") {
  log::error("lost");
  const log::Level levels[] = {log::Level::debug, log::Level::info, log::Level::warn,
                               log::Level::error, log::Level::off};
  for (int level = 0; level < 5; ++level) {
    CAPTURE(level);
    const LogRig rig(levels[level]);
    log::debug("e");
    log::info("e");
    log::warn("e");
    log::error("e");
    int lines = 0;
    for (const char c : rig.text()) lines += c == '\n' ? 1 : 0;
    CHECK(lines == 4 - level);
  }
}

TEST_CASE("values of every kind") {
  CHECK(logged(true) == "true");
  CHECK(logged(false) == "false");
  CHECK(logged(-5) == "-5");
  CHECK(logged(std::uint64_t{18'446'744'073'709'551'615u}) == "18446744073709551615");
  CHECK(logged(std::uint16_t{7}) == "7");
  CHECK(logged("text") == "text");
  CHECK(logged(std::string("text")) == "text");
  CHECK(logged(log::Own{{make_v4(192, 0, 2, 77), 8443}}) == "192.0.2.77:8443");
}

TEST_CASE("a hostile value can neither end its line nor look like another field") {
  struct Row {
    std::string_view value, written;
  };
  using namespace std::string_view_literals;
  const Row rows[] = {
      {"", R"("")"},
      {"a b", R"("a b")"},
      {"a=b", R"("a=b")"},
      {"x\nlevel=error event=forged", R"("x\x0alevel=error event=forged")"},
      {"x\r\n", R"("x\x0d\x0a")"},
      {R"(" event=forged a=")", R"("\" event=forged a=\"")"},
      {R"(\)", R"("\\")"},
      {R"(\" x=")", R"("\\\" x=\"")"},
      {"\0\x1B[2J\x7F"sv, R"("\x00\x1b[2J\x7f")"},
      {"\u2028\u00e9", R"("\xe2\x80\xa8\xc3\xa9")"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.written);
    CHECK(logged(row.value) == row.written);
  }
}

TEST_CASE("a long value is cut") {
  CHECK(logged(std::string(256, 'x')) == std::string(256, 'x'));
  CHECK(logged(std::string(257, 'x')) == '"' + std::string(256, 'x') + "...\"");
  CHECK(logged(std::string(100'000, '\n')).size() == 4 * 256 + 5);
}

TEST_CASE("clients' addresses are shortened, unless they are wanted in full") {
  struct Row {
    std::string_view address, brief;
  };
  const Row rows[] = {
      {"192.0.2.77", "192.0.2.0/24"},
      {"255.255.255.255", "255.255.255.0/24"},
      {"127.0.0.1", "127.0.0.0/24"},
      {"2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"},
      {"::1", "::/48"},
      {"fe80::1234:5678", "fe80::/48"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::/48"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.address);
    const IpAddress address = *IpAddress::parse(row.address);
    CHECK(log::shortened(address) == row.brief);
    CHECK(logged(address) == row.brief);
    CHECK(logged(Endpoint{address, 4'242}) == row.brief);
    CHECK(logged(address, true) == row.address);
    CHECK(logged(Endpoint{address, 4'242}, true) == Endpoint{address, 4'242}.to_string());
  }
}

TEST_CASE("who a person is stands in the log at level debug only") {
  for (const log::Level level : {log::Level::info, log::Level::debug}) {
    const LogRig rig(level);
    log::info("e", {{"user", log::Person{"al ice"}}, {"session", 5}});
    CHECK(rig.line() == (level == log::Level::debug
                             ? R"(level=info event=e user="al ice" session=5)"
                             : "level=info event=e session=5"));
  }
}

TEST_CASE("a throttle lets ten through in ten seconds, and tells how many it held back") {
  log::Throttle throttle;
  Time now{123};
  for (int i = 0; i < 10; ++i) CHECK(throttle.admit(now) == std::uint64_t{0});
  for (int i = 0; i < 7; ++i) CHECK(throttle.admit(now + milliseconds(9'999)) == std::nullopt);
  CHECK(throttle.admit(now + seconds(10)) == std::uint64_t{7});
  CHECK(throttle.admit(now + seconds(10)) == std::uint64_t{0});
}

TEST_CASE("a descriptor that takes nothing loses lines, and stops nobody") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  log::start({log::Level::info, false, ends[1]});
  for (int i = 0; i < 5'000; ++i) log::info("event", {{"number", i}});
  close(ends[0]);
  close(ends[1]);
  log::info("event");
  log::start({log::Level::off, false, STDERR_FILENO});
}
