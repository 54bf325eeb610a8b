#include "relay/control/api_keys.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/temporary_folder.h"

using namespace earshot;
using namespace earshot::control;

namespace {

Result<ApiKeys> load(const std::string& text) {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("keys.toml");
  std::ofstream(file) << text;
  return ApiKeys::load(file);
}

std::string entry(const std::string& more, const std::string& sha256 = std::string(64, 'a')) {
  return "[[keys]]\n" + more + "\nsha256 = \"" + sha256 + "\"\n";
}

}  // namespace

TEST_CASE("a key is found by its hash, with what it may do") {
  // printf %s KEY | sha256sum
  const auto keys =
      load(entry("name = \"reader\"\nscopes = [\"read\"]\nserver = \"7\"",
                 "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b") +  // secret
           entry("name = \"all\"\nscopes = [\"read\", \"admin\"]",
                 "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"));  // password
  REQUIRE(keys.ok());
  CHECK(keys.value().size() == 2);
  const ApiKey* reader = keys.value().find("Bearer secret");
  REQUIRE(reader != nullptr);
  CHECK(reader->name == "reader");
  CHECK(reader->may(Scope::read));
  CHECK_FALSE(reader->may(Scope::admin));
  CHECK(reader->may_see("7"));
  CHECK_FALSE(reader->may_see("8"));
  const ApiKey* all = keys.value().find("bearer password");
  REQUIRE(all != nullptr);
  CHECK(all->may(Scope::admin));
  CHECK(all->may(Scope::read));
  CHECK(all->may_see("anything"));
  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer  secret", "Bearer secret ", "secret",
                            "Basic secret", "Bearersecret", "Bearer Secret", "Bearer, secret"}) {
    CAPTURE(wrong);
    CHECK(keys.value().find(wrong) == nullptr);
  }
}

TEST_CASE("a file without keys opens nothing") {
  const auto keys = load("# none yet\n");
  REQUIRE(keys.ok());
  CHECK(keys.value().size() == 0);
  CHECK(keys.value().find("Bearer x") == nullptr);
}

TEST_CASE("a file that is wrong is refused with a sentence that names it") {
  const std::string good = "name = \"a\"\nscopes = [\"read\"]";
  const std::string wrong[] = {
      "keys = 1",
      "keys = [1]",
      "[[keys]]",
      "[[key]]\n" + good,
      "more = 1\n" + entry(good),
      entry(good, "abc"),
      entry(good, std::string(64, 'A')),
      entry("name = \"a\"\nscopes = []"),
      entry("name = \"a\"\nscopes = [\"write\"]"),
      entry("name = \"a\"\nscopes = \"read\""),
      entry("scopes = [\"read\"]"),
      entry("name = \"\"\nscopes = [\"read\"]"),
      entry(good + "\nserver = 7"),
      entry(good + "\nserver = \"\""),
      entry(good + "\nserver_id = \"7\""),
      entry(good) + entry(good),
      "[[keys]\n",
  };
  for (const std::string& text : wrong) {
    CAPTURE(text);
    const auto keys = load(text);
    REQUIRE_FALSE(keys.ok());
    CHECK(keys.error().text.find("keys.toml") != std::string::npos);
  }
  CHECK_FALSE(ApiKeys::load("/nonexistent/keys.toml").ok());
  CHECK_FALSE(ApiKeys::load("/").ok());
}

TEST_CASE("a key that was taken away, or may less than before, is not contained any more") {
  ApiKey key{"a", Scope::admin, std::nullopt, {}};
  const ApiKeys keys({key});
  CHECK(keys.contains(key));
  key.scope = Scope::read;
  CHECK_FALSE(keys.contains(key));
  CHECK_FALSE(ApiKeys().contains(key));
}
