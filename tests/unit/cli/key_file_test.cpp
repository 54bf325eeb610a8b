#include "tools/earshot/key_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/temporary_folder.h"

using namespace earshot;
using namespace earshot::tools;

namespace {

KeyEntry make_entry(std::string name) {
  return {std::move(name), {"read", "admin"}, "", std::string(64, 'a')};
}

std::string read_whole(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("an entry is written as the node reads it") {
  KeyEntry entry = make_entry("dev");
  CHECK(add_key("", entry).value() ==
        "[[keys]]\nname = \"dev\"\nscopes = [\"read\", \"admin\"]\nsha256 = \"" +
            std::string(64, 'a') + "\"\n");
  entry.name = R"(a "b" \c)";
  entry.server = R"(1\2)";
  const auto text = add_key("", entry);
  CHECK(text.value().find(R"(server = "1\\2")") != std::string::npos);
  CHECK(key_names(text.value()).value() == std::vector<std::string>{R"(a "b" \c)"});
}

TEST_CASE("entries come and go, and everything else stays") {
  const std::string before = "# Ours.\n\n" + add_key("", make_entry("a")).value();
  const std::string two = add_key(before, make_entry("b")).value();
  CHECK(two.starts_with(before));
  CHECK(key_names(two).value() == std::vector<std::string>{"a", "b"});
  CHECK(remove_key(two, "b").value() == before);
  const std::string rest = remove_key(two, "a").value();
  CHECK(rest == "# Ours.\n\n" + add_key("", make_entry("b")).value());
  CHECK(remove_key(rest, "b").value() == "# Ours.\n");
  CHECK(remove_key(add_key("", make_entry("a")).value(), "a").value().empty());
  CHECK_FALSE(remove_key(rest, "a"));
}

TEST_CASE("a comment right above an entry belongs to it, one without a line end is no trap") {
  const std::string text =
      "[[keys]]\nname = \"a\"\n# The bot's.\n  [[keys]]\nname = \"b\"\n[[keys]]\nname = \"c\"";
  CHECK(remove_key(text, "a").value() ==
        "# The bot's.\n  [[keys]]\nname = \"b\"\n[[keys]]\nname = \"c\"");
  CHECK(remove_key(text, "b").value() ==
        "[[keys]]\nname = \"a\"\n# The bot's.\n[[keys]]\nname = \"c\"");
  const std::string longer = add_key(text, make_entry("d")).value();
  CHECK(key_names(longer).value() == std::vector<std::string>{"a", "b", "c", "d"});
}

TEST_CASE("another form is not broken") {
  const std::string in_line = "keys = [{ name = \"a\" }]\n";
  CHECK(key_names(in_line).value() == std::vector<std::string>{"a"});
  CHECK_FALSE(add_key(in_line, make_entry("b")));
  CHECK_FALSE(remove_key(in_line, "a"));
  // What looks like an entry and stands in a string.
  const std::string odd =
      "[[keys]]\nname = \"a\"\nnote = '''\n[[keys]]\n'''\n[[keys]]\nname = \"b\"\n";
  CHECK(key_names(odd).value() == std::vector<std::string>{"a", "b"});
  CHECK_FALSE(remove_key(odd, "b"));
  for (const char* text : {"keys = 5", "[[keys]]\n", "[[keys]]\nname = 5", "x = ", "keys = [1]"}) {
    CAPTURE(text);
    CHECK_FALSE(key_names(text));
    CHECK_FALSE(add_key(text, make_entry("a")));
  }
}

TEST_CASE("a file is written whole, and is its owner's") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/keys.toml";
  REQUIRE(store_file(path, "one"));
  CHECK(read_whole(path) == "one");
  CHECK(mode_of(path) == 0600);
  chmod(path.c_str(), 0644);
  REQUIRE(store_file(path, "two"));
  CHECK(read_whole(path) == "two");
  // A group that the node runs in may read it still.
  CHECK(mode_of(path) == 0640);

  const std::string link = folder.path() + "/link";
  REQUIRE(symlink("keys.toml", link.c_str()) == 0);
  REQUIRE(store_file(link, "three"));
  CHECK(std::filesystem::is_symlink(link));
  CHECK(read_whole(path) == "three");

  CHECK_FALSE(store_file(folder.path() + "/nowhere/keys.toml", "x"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);
}
