#include "relay/control/recordings.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <uv.h>

#include <fstream>

#include "tests/support/temporary_folder.h"

using namespace earshot;
using namespace earshot::control;

namespace {

constexpr std::int64_t hour_ms = 3'600'000;

class Rig {
 public:
  explicit Rig(RecordingsOptions options, Duration span = seconds(30)) {
    REQUIRE(uv_loop_init(&loop_) == 0);
    WorkerGroupOptions group;
    group.listen = {make_v4(127, 0, 0, 1), 0};
    group.workers_count = 2;
    group.is_pinned = false;
    group.sessions_per_worker_max = 16;
    group.recorder_span = span;
    group.recorder_bytes = 1 << 20;
    group.wake_controller = [] {};
    workers_ = std::move(WorkerGroup::create(group).value());
    options.unix_ms = [this] { return now_ms; };
    options.monotonic = [] { return Time{seconds(5).ns}; };
    recordings = std::make_unique<Recordings>(&loop_, *workers_, std::move(options));
  }
  ~Rig() {
    recordings.reset();
    uv_run(&loop_, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop_) == 0);
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  Result<RecordingDescription> make(const std::string& reason = "asked") {
    std::optional<Result<RecordingDescription>> made;
    REQUIRE(recordings->make(reason, [&](const auto& result) { made = result; }));
    CHECK_FALSE(recordings->make(reason, [](const auto&) {}));
    uv_run(&loop_, UV_RUN_DEFAULT);
    REQUIRE(made.has_value());
    return *made;
  }

  std::unique_ptr<Recordings> recordings;
  std::int64_t now_ms = 1'795'585'262'345;

 private:
  uv_loop_t loop_{};
  std::unique_ptr<WorkerGroup> workers_;
};

RecordingsOptions in_folder(const std::string& folder) {
  RecordingsOptions options;
  options.folder = folder;
  options.quota_bytes = 1 << 20;
  options.keep = seconds(3'600 * 72);
  return options;
}

}  // namespace

TEST_CASE("names say when and why, and nothing else is one") {
  const std::string name = recording_name(1'795'585'262'345, "asked");
  CHECK(name == "20261125T054102.345Z-asked.rec");
  const auto read = parse_recording_name(name);
  REQUIRE(read.has_value());
  CHECK(read->made_at_ms == 1'795'585'262'345);
  CHECK(read->reason == "asked");
  for (const char* wrong :
       {"", "x", "asked.rec", "20261125T054102.345Z-.rec", "20261125T054102.345Z-asked",
        "20261125T054102.345Z-../x.rec", "20261399T052102.345Z-asked.rec",
        "../20261125T054102.345Z-asked.rec", "20261125T054102.345Z-Asked.rec",
        "20261125T054102.345Z asked.rec", "-0261125T052102.345Z-asked.rec"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_recording_name(wrong).has_value());
  }
}

TEST_CASE("without a folder the newest two stay") {
  RecordingsOptions options;
  options.keep = seconds(3'600);
  Rig rig(options);
  std::vector<std::string> names;
  for (int i = 0; i < 4; ++i) {
    rig.now_ms += 1'000;
    names.push_back(rig.make().value().name);
  }
  const auto list = rig.recordings->list();
  REQUIRE(list.size() == 2);
  CHECK(list[0].name == names[3]);
  CHECK(list[1].name == names[2]);
  CHECK(rig.recordings->read(names[0]) == nullptr);
  const auto bytes = rig.recordings->read(names[3]);
  REQUIRE(bytes != nullptr);
  CHECK(bytes->size() == list[0].bytes);
  CHECK(bytes->starts_with("EARSHOTR"));
  rig.now_ms += 2 * hour_ms;
  rig.recordings->on_sweep();
  CHECK(rig.recordings->list().empty());
}

TEST_CASE("files are ours alone; the oldest and what is too much go, and other files stay") {
  test::TemporaryFolder folder;
  std::ofstream(folder.path() + "/notes.txt") << "mine";
  RecordingsOptions options = in_folder(folder.path());
  std::string first;
  {
    Rig rig(options);
    first = rig.make("drops").value().name;
    struct stat status {};
    REQUIRE(stat((folder.path() + "/" + first).c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    rig.now_ms += 1'000;
    REQUIRE(rig.make().ok());
    CHECK(rig.recordings->list().size() == 2);
    CHECK(rig.recordings->list()[1].reason == "drops");
  }
  // Another run finds them; a small quota keeps the newest.
  options.quota_bytes = 1;
  Rig rig(options);
  CHECK(rig.recordings->list().size() == 1);
  CHECK(rig.recordings->read(first) == nullptr);
  rig.now_ms += 100 * hour_ms;
  rig.recordings->on_sweep();
  CHECK(rig.recordings->list().empty());
  CHECK(std::ifstream(folder.path() + "/notes.txt").good());
}

TEST_CASE("a folder that is gone is told, and nothing is recorded where nothing records") {
  Rig rig(in_folder("/nonexistent/folder"));
  const auto made = rig.make();
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().text.find("/nonexistent/folder/") == 0);
  Rig off({}, {});
  CHECK_FALSE(off.recordings->is_on());
  CHECK_FALSE(off.recordings->make("asked", [](const auto&) {}));
}
