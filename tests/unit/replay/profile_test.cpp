// Profiles and models in a line of text: what they say, and what is wrong with them.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/temporary_folder.h"
#include "tools/replay/path_keys.h"
#include "tools/replay/profile.h"

using namespace earshot;
using namespace earshot::replay;

namespace {

namespace fs = std::filesystem;

// Of the source tree, which builds lie in.
std::string shipped_folder() {
  const fs::path tail = fs::path("config") / "profiles";
  fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  while (!fs::exists(folder / tail) && folder != folder.root_path()) folder = folder.parent_path();
  return folder / tail;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

PathModel parsed(std::string_view text) {
  const auto model = parse_path_model(text);
  CAPTURE(text);
  if (!model) FAIL(model.error().text);
  return model.value();
}

}  // namespace

TEST_CASE("every shipped profile parses, is described, and is listed") {
  const std::vector<std::string> folders{shipped_folder()};
  const auto names = profile_names(folders);
  for (const char* expected :
       {"clean", "lan", "wifi-good", "wifi-busy", "wifi-stalls", "wifi-stalls-rare", "lte",
        "lte-handover", "train", "bufferbloat", "satellite", "dsl-loss", "outage",
        "transcontinental", "jitter-30", "reordering", "drift"}) {
    CAPTURE(expected);
    CHECK(std::find(names.begin(), names.end(), expected) != names.end());
  }
  for (const std::string& name : names) {
    CAPTURE(name);
    const auto profile = find_profile(name, folders);
    if (!profile) FAIL(profile.error().text);
    CHECK(profile.value().name == name);
    CHECK(profile.value().description.ends_with('.'));
    CHECK(profile.value().description.size() > 20);
    // It delivers most of what is sent.
    for (const PathModel* model : {&profile.value().uplink, &profile.value().downlink}) {
      Path path(*model, 1);
      std::vector<Time> arrivals;
      for (int i = 0; i < 5'000; ++i) path.send(Time{} + milliseconds(20) * i, 150, arrivals);
      CHECK(arrivals.size() > 4'500);
    }
  }
}

TEST_CASE("the stalls of wifi-stalls are those that the policy was made for") {
  const std::vector<std::string> folders{shipped_folder()};
  const auto profile = find_profile("wifi-stalls", folders);
  REQUIRE(profile.ok());
  CHECK(profile.value().uplink.stall.length == milliseconds(300));
  CHECK(profile.value().uplink.stall.every == seconds(4));
}

TEST_CASE("a model in a line of text") {
  const PathModel model = parsed(
      "delay=40ms,jitter=pareto:10ms,2.5,reordering=true,loss=ge:1%,30%,90%,0.1%,stall=300ms/4s,"
      "stall_drain=500us,rate=1.5mbit,queue=64kB,cross=1mbit/2s/3s,outage=2s@10s,1min,"
      "outage_holds=true,shift=-5ms:1s/~1h,drift=-30ppm,duplication=2%");
  CHECK(model.delay == milliseconds(40));
  CHECK(model.jitter.kind == JitterKind::pareto);
  CHECK(model.jitter.size == milliseconds(10));
  CHECK(model.jitter.shape == 2.5);
  CHECK(model.jitter.reorders);
  CHECK(model.loss.to_bad == doctest::Approx(0.01));
  CHECK(model.loss.to_good == doctest::Approx(0.3));
  CHECK(model.loss.bad_loss == doctest::Approx(0.9));
  CHECK(model.loss.good_loss == doctest::Approx(0.001));
  CHECK(model.stall.length == milliseconds(300));
  CHECK(model.stall.every == seconds(4));
  CHECK_FALSE(model.stall.is_random);
  CHECK(model.stall_drain == microseconds(500));
  CHECK(model.rate.bits_per_second == 1'500'000);
  CHECK(model.rate.queue_bytes == 64'000);
  CHECK(model.rate.cross_bits_per_second == 1'000'000);
  CHECK(model.rate.cross_on == seconds(2));
  CHECK(model.rate.cross_off == seconds(3));
  CHECK(model.outage.at == std::vector<Duration>{seconds(10), seconds(60)});
  CHECK(model.outage_holds);
  CHECK(model.shift.is_random);
  CHECK(model.shift.every == seconds(3'600));
  CHECK(model.shift_by == milliseconds(-5));
  CHECK(model.drift_ppm == -30);
  CHECK(model.duplication == doctest::Approx(0.02));
}

TEST_CASE("short forms and what they stand for") {
  CHECK(parsed("").delay == Duration{});
  CHECK(parsed("delay=0").delay == Duration{});
  CHECK(parsed("loss=2%").loss.good_loss == doctest::Approx(0.02));
  CHECK(parsed("loss=ge:1%").loss.to_good == doctest::Approx(0.99));
  CHECK(parsed("loss=ge:1%").loss.bad_loss == 1);
  CHECK(parsed("loss=ge:1%,5%").loss.good_loss == 0);
  CHECK(parsed("jitter=gamma:5ms").jitter.shape == 2);
  CHECK(parsed("jitter=pareto:5ms").jitter.shape == 3);
  CHECK(parsed("rate=1mbit,queue=50ms").rate.queue_time == milliseconds(50));
  CHECK(parsed("delay=1ms,delay=2ms").delay == milliseconds(2));
}

TEST_CASE("a line changes what it names of its base, and can switch it off") {
  const PathModel base =
      parsed("delay=40ms,jitter=normal:5ms,stall=300ms/4s,rate=1mbit,shift=9ms:1s/5s");
  const auto changed =
      parse_path_model("delay=10ms,stall=none,jitter=none,rate=none,shift=none", base);
  REQUIRE(changed.ok());
  CHECK(changed.value().delay == milliseconds(10));
  CHECK_FALSE(changed.value().stall.is_active());
  CHECK_FALSE(changed.value().shift.is_active());
  CHECK(changed.value().jitter.kind == JitterKind::none);
  CHECK(changed.value().rate.bits_per_second == 0);
  CHECK(parse_path_model("loss=1%", base).value().stall.every == seconds(4));
}

TEST_CASE("what is wrong with a line is said in a sentence") {
  struct Row {
    const char* text;
    const char* complaint;
  };
  const Row rows[] = {
      {"delay", "delay must be KEY=VALUE"},
      {"delays=4ms", "unknown key delays"},
      {"delay=40", "delay must be a duration, as in 40ms"},
      {"delay=", "delay must be a duration"},
      {"delay=-4ms", "delay must be a duration"},
      {"delay=1e3ms", "delay must be a duration"},
      {"delay=nanms", "delay must be a duration"},
      {"delay=infs", "delay must be a duration"},
      {"delay=2000h", "delay must be a duration"},
      {"delay=4ms,", "delay must be a duration"},
      {"delay=1ms,4ms", "delay must be a duration"},
      {"jitter=uniform:4ms", "jitter must be normal:SIZE"},
      {"jitter=normal:4ms,2", "jitter must be"},
      {"jitter=pareto:4ms,1", "jitter must be"},
      {"jitter=gamma:4ms,-1", "jitter must be"},
      {"loss=101%", "loss must be a share"},
      {"loss=1", "loss must be a share"},
      {"loss=ge:1%,2%,3%,4%,5%", "loss must be"},
      {"loss=ge:", "loss must be"},
      {"rate=1mb", "rate must be a rate"},
      {"rate=0kbit", "rate must be a rate"},
      {"queue=64kB", "queue needs rate"},
      {"cross=1mbit/1s/1s", "cross needs rate"},
      {"rate=1mbit,cross=1mbit/1s", "cross must be RATE/ON/OFF"},
      {"stall=300ms", "stall must be LENGTH/EVERY"},
      {"stall=4s/300ms", "stall must be LENGTH/EVERY"},
      {"stall=4s/4s", "stall must be LENGTH/EVERY"},
      {"stall=0/4s", "stall must be LENGTH/EVERY"},
      {"stall=1s@", "stall must be LENGTH/EVERY"},
      {"stall=1s@5s,4s", "stall must be LENGTH/EVERY"},
      {"stall_drain=1ms", "stall_drain needs stall or outage_holds"},
      {"outage_holds=true", "outage_holds needs outage"},
      {"reordering=true", "reordering needs jitter"},
      {"jitter=normal:1ms,reordering=yes", "reordering must be true or false"},
      {"shift=10ms", "shift must be BY:LENGTH/EVERY"},
      {"drift=3", "drift must be parts per million"},
      {"delay_trace=/nowhere/at/all", "delay_trace: /nowhere/at/all: cannot be read"},
      {"delay_trace=/nowhere=/x", "delay_trace: /nowhere=/x: cannot be read"},
      {"=", "unknown key "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto model = parse_path_model(row.text);
    REQUIRE_FALSE(model.ok());
    CHECK(model.error().text.starts_with(row.complaint));
    CHECK(model.error().text.find('\n') == std::string::npos);
  }
}

TEST_CASE("what is wrong with a profile is said with its file, line and key") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("p.toml");
  struct Row {
    const char* text;
    const char* complaint;  // behind the file's name
  };
  const Row rows[] = {
      {"", ": has no description"},
      {"description = \"A.\"\n[uplink\n", ":2: "},
      {"description = 4\n", ":1: description must be one line"},
      {"description = \"\"\n", ":1: description must be one line"},
      {"description = \"a\\nb\"\n", ":1: description must be one line"},
      {"description = \"A.\"\nspeed = 4\n", ":2: unknown key speed"},
      {"description = \"A.\"\nuplink = 4\n", ":2: unknown key uplink"},
      {"description = \"A.\"\n[sidelink]\n", ":2: unknown key sidelink"},
      {"description = \"A.\"\n[uplink]\ndelay = 40\n", ":3: [uplink] delay must be a string"},
      {"description = \"A.\"\n[uplink]\ndelay = \"40\"\n", ":3: [uplink] delay must be a duration"},
      {"description = \"A.\"\n\n[downlink]\nspeed = \"1\"\n", ":4: [downlink] unknown key speed"},
      {"description = \"A.\"\n\n[downlink]\nqueue = \"1kB\"\n", ":3: [downlink] queue needs rate"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    write(path, row.text);
    const auto profile = read_profile(path);
    REQUIRE_FALSE(profile.ok());
    CHECK(profile.error().text.starts_with(path + row.complaint));
  }
  CHECK(read_profile(folder.file("none.toml")).error().text.ends_with("none.toml: cannot be read"));
  CHECK(read_profile(folder.path()).error().text.ends_with("cannot be read"));
  write(path, std::string(2 << 20, '#'));
  CHECK(read_profile(path).error().text == path + ": larger than a profile may be");
}

TEST_CASE("a profile is found in the first folder that has it") {
  const test::TemporaryFolder first;
  const test::TemporaryFolder second;
  write(first.file("one.toml"), "description = \"First.\"\n");
  write(second.file("one.toml"), "description = \"Second.\"\n");
  write(second.file("two.toml"), "description = \"Two.\"\n[uplink]\ndelay = \"7ms\"\n");
  write(second.file("notes.txt"), "none");
  const std::vector<std::string> folders{first.path(), second.path()};
  CHECK(find_profile("one", folders).value().description == "First.");
  CHECK(find_profile("two", folders).value().uplink.delay == milliseconds(7));
  CHECK(find_profile(second.file("one.toml"), {}).value().description == "Second.");
  CHECK(profile_names(folders) == std::vector<std::string>{"one", "two"});
  CHECK(find_profile("three", folders).error().text ==
        "profile three is not known; there are one, two");
  const std::vector<std::string> none{first.file("absent")};
  CHECK(find_profile("one", none).error().text ==
        "profile one is not known; there is none in " + none[0]);
}

TEST_CASE("delay traces: a line for each 20 ms, or with times") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("trace");
  write(path, "# a comment\n10\n12.5\r\n\n11");
  auto trace = read_delay_trace(path);
  REQUIRE(trace.ok());
  REQUIRE(trace.value().points.size() == 3);
  CHECK(trace.value().points[1].at == milliseconds(20));
  CHECK(trace.value().points[1].delay == microseconds(12'500));
  CHECK(trace.value().length == milliseconds(60));

  write(path, "1700000000,10\n1700000050,20\n1700000080,5\n");
  trace = read_delay_trace(path);
  REQUIRE(trace.ok());
  CHECK(trace.value().points[0].at == Duration{});
  CHECK(trace.value().points[2].at == milliseconds(80));
  CHECK(trace.value().length == milliseconds(110));

  // The profile's folder is where its files are looked for.
  write(folder.file("p.toml"), "description = \"P.\"\n[uplink]\ndelay_trace = \"trace\"\n");
  const auto profile = read_profile(folder.file("p.toml"));
  REQUIRE(profile.ok());
  CHECK(profile.value().uplink.delay_trace->points.size() == 3);
}

TEST_CASE("what is wrong with a delay trace is said with its line") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("trace");
  struct Row {
    const char* text;
    const char* place;
  };
  const Row rows[] = {{"10\nx\n", ":2: must be"},    {"10\n1,2\n", ":2: must be"},
                      {"1,2\n1,3\n", ":2: must be"}, {"1,2\n5\n", ":2: must be"},
                      {"-1\n", ":1: must be"},       {"60001\n", ":1: must be"},
                      {"nan\n", ":1: must be"},      {"1,2,3\n", ":1: must be"},
                      {"#\n\n", ": has no delays"},  {"", ": has no delays"}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    write(path, row.text);
    const auto trace = read_delay_trace(path);
    REQUIRE_FALSE(trace.ok());
    CHECK(trace.error().text.starts_with(path + row.place));
  }
  write(path, std::string(500, '1'));
  CHECK(read_delay_trace(path).error().text.starts_with(path + ":1: must be"));
}

TEST_CASE("every key of a path is described in a line") {
  const std::string text = describe_path_keys();
  CHECK(std::count(text.begin(), text.end(), '\n') == 15);
  CHECK(text.starts_with("delay: a duration"));
}
