// Storms and attacks, small: the load command against a relay process. Times are not judged here,
// docs/benchmarks.md has them; losses, and who comes in, are.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/e2e/relay_process.h"

using namespace earshot;
using namespace earshot::test;
using Json = nlohmann::json;

namespace {

struct Outcome {
  ExitStatus status;
  std::string output;
  std::string errors;
  Json json;

  double figure(const std::string& name) const {
    for (const Json& figure : json["figures"]) {
      if (figure["name"] == name) return figure["value"].get<double>();
    }
    FAIL("no figure " << name << " in " << output);
    return 0;
  }
  // Over all phases whose name begins so.
  std::int64_t sum(const std::string& group, const std::string& phase,
                   const std::string& member) const {
    std::int64_t total = 0;
    for (const Json& row : json["phases"]) {
      const auto name = row["name"].get<std::string>();
      if (row["group"] == group && name.starts_with(phase))
        total += row[member].get<std::int64_t>();
    }
    return total;
  }
};

Outcome load(const RelayProcess& relay, std::vector<std::string> arguments) {
  const std::string prefix = relay.state_folder() + "/load";
  std::vector<std::string> command{earshot_path(), "load"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  for (const std::string& more : {std::string("--endpoint"), relay.gateway().to_string(),
                                  std::string("--ca"), relay.ca_path(), std::string("--state"),
                                  relay.state_folder(), std::string("--json"), prefix + ".json"}) {
    command.push_back(more);
  }
  Process process(command, prefix);
  const auto status = process.wait(seconds(100));
  REQUIRE(status.has_value());
  Outcome outcome{*status, process.output(), process.errors(), {}};
  std::ifstream file(prefix + ".json");
  if (file) outcome.json = Json::parse(file);
  return outcome;
}

}  // namespace

TEST_CASE("300 join at once, are cut at once and come back, and live sessions lose nothing") {
  RelayProcess relay({"media.sessions_per_worker_max=512"});
  const Outcome outcome =
      load(relay, {"storm", "--sessions", "300", "--live", "10", "--participants", "5"});
  CAPTURE(outcome.output);
  CAPTURE(outcome.errors);
  CHECK(outcome.status == ExitStatus{0, 0});
  CHECK(outcome.json["ok"] == true);
  CHECK(outcome.figure("live: sessions lost while live") == 0);
  CHECK(outcome.figure("crowd: sessions lost while live") == 0);
  CHECK(outcome.figure("crowd: resumes refused") == 0);
  // 300 came in, 150 of them resumed and 150 identified anew.
  CHECK(outcome.json["phases"].size() >= 12);
  std::int64_t joins = 0;
  for (const Json& row : outcome.json["phases"]) {
    if (row["group"] == "crowd") joins += row["join"]["count"].get<std::int64_t>();
  }
  CHECK(joins == 600);
  CHECK(outcome.sum("live", "", "packets_expected") > 0);
  CHECK(outcome.sum("live", "", "packets_received") == outcome.sum("live", "", "packets_expected"));
  CHECK(outcome.sum("live", "", "packets_repeated") == 0);
  CHECK(outcome.sum("live", "", "packets_not_authentic") == 0);
}

TEST_CASE("speakers lose nothing to floods, and newcomers come in") {
  RelayProcess relay;
  struct Row {
    const char* kind;
    const char* rate;
  };
  for (const Row& row :
       {Row{"forged", "10000"}, Row{"garbage", "5000"}, Row{"half-open", "2000"}}) {
    CAPTURE(row.kind);
    const Outcome outcome = load(
        relay, {"attack", row.kind, "--rate", row.rate, "--connections", "300", "--channels", "2",
                "--participants", "3", "--seconds", "0.8", "--cycles", "1", "--newcomers", "2"});
    CAPTURE(outcome.output);
    CAPTURE(outcome.errors);
    CHECK(outcome.status == ExitStatus{0, 0});
    CHECK(outcome.sum("flood", "attack", "flood_sent") > 250);
    CHECK(outcome.sum("talk", "", "packets_received") ==
          outcome.sum("talk", "", "packets_expected"));
    CHECK(outcome.sum("talk", "attack", "packets_expected") > 100);
    CHECK(outcome.sum("talk", "", "packets_not_authentic") == 0);
    std::int64_t came = 0;
    for (const Json& phase : outcome.json["phases"]) {
      if (phase["group"] == "newcomers") came += phase["join"]["count"].get<std::int64_t>();
    }
    CHECK(came == 4);
  }
}

TEST_CASE("a newcomer to a channel of hundreds is introduced to all of it") {
  // More than one part, and more than one worker.
  RelayProcess relay({"media.workers=2", "media.sessions_per_worker_max=512",
                      "media.channel_participants_per_worker_max=200"});
  const Outcome outcome =
      load(relay, {"join", "--sessions", "300", "--participants", "300", "--seconds", "0.2"});
  CAPTURE(outcome.output);
  CHECK(outcome.status == ExitStatus{0, 0});
  CHECK(outcome.figure("crowd: sessions lost while live") == 0);
  // Everybody hears of everybody else, once.
  CHECK(outcome.sum("crowd", "", "introductions") == 300 * 299);
}

TEST_CASE("a bound that is broken is exit status 1, and a wrong call 2") {
  RelayProcess relay;
  const Outcome broken = load(
      relay, {"join", "--sessions", "2", "--seconds", "0.1", "--max-join-seconds", "0.000001"});
  CHECK(broken.status == ExitStatus{1, 0});
  CHECK(broken.output.find("BROKEN") != std::string::npos);
  CHECK(broken.json["ok"] == false);
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"dance"},
                                                    {"attack", "flattery"},
                                                    {"join", "--sessions", "0"}}) {
    CHECK(load(relay, arguments).status == ExitStatus{2, 0});
  }
}
