#include "tools/client/recorder.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "codec/opus.h"
#include "codec/wav.h"
#include "tests/support/test_certificate.h"

using namespace earshot;
using namespace earshot::client;

namespace {

using Folder = test::TestCertificate;
const std::vector<std::int16_t> frame(960, 1'000);

std::vector<std::int16_t> load_wav(const std::string& path) {
  std::string error;
  const auto bytes = codec::read_file(path, error);
  REQUIRE_MESSAGE(bytes, error);
  return *codec::parse_wav(*bytes, error);
}

}  // namespace

TEST_CASE("any id is a file name of its own, inside the folder") {
  CHECK(file_name("alice") == "alice");
  CHECK(file_name("a.b_c-D9") == "a.b_c-D9");
  CHECK(file_name("") == "%");
  CHECK(file_name(".") == "%2E");
  CHECK(file_name("..") == "%2E.");
  CHECK(file_name("../x") == "%2E.%2Fx");
  CHECK(file_name("a/b") == "a%2Fb");
  CHECK(file_name("a%2Fb") == "a%252Fb");
  CHECK(file_name("\xC3\xA4") == "%C3%A4");
  CHECK(file_name(std::string(64, '/')).size() == 192);
}

TEST_CASE("slots without a call are silent, and a taken slot stays as it is") {
  const Folder folder;
  const std::string path = folder.directory().string();
  {
    Recorder recorder(path, RecordFormat::wav);
    REQUIRE(recorder.open());
    recorder.write("a", 2, frame, {});
    recorder.write("a", 2, frame, {});
    recorder.write("a", 1, frame, {});
    recorder.write("a", 4, frame, {});
    recorder.finish();
    CHECK(recorder.error().empty());
    // Complete before the recorder is gone.
    CHECK(load_wav(path + "/a.wav").size() == 5 * 960);
  }
  const auto samples = load_wav(path + "/a.wav");
  CHECK(samples[0] == 0);
  CHECK(samples[2 * 960] == 1'000);
  CHECK(samples[3 * 960] == 0);
  CHECK(samples[4 * 960] == 1'000);
}

TEST_CASE("a speaker called mixed does not overwrite the mix") {
  const Folder folder;
  const std::string path = folder.directory().string();
  Recorder recorder(path, RecordFormat::wav);
  REQUIRE(recorder.open());
  recorder.write("mixed", 0, frame, {});
  recorder.write_mixed(frame);
  recorder.write_mixed(frame);
  recorder.finish();
  CHECK(load_wav(path + "/mixed.wav").size() == 2 * 960);
  CHECK(load_wav(path + "/%mixed.wav").size() == 960);
}

TEST_CASE("a folder that cannot be made, or a file that cannot be written, is told") {
  const Folder folder;
  const std::string file = (folder.directory() / "file").string();
  std::ofstream(file) << "x";
  Recorder no_folder(file + "/below", RecordFormat::wav);
  const auto opened = no_folder.open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().text.find(file) != std::string::npos);

  const std::string path = (folder.directory() / "r").string();
  Recorder recorder(path, RecordFormat::wav);
  REQUIRE(recorder.open());
  std::filesystem::create_directory(path + "/a.wav");
  recorder.write("a", 0, frame, {});
  CHECK(recorder.error().find("a.wav") != std::string::npos);
  // The conversation goes on; nothing more is written.
  recorder.write("b", 0, frame, {});
  recorder.write_mixed(frame);
  recorder.finish();
  CHECK_FALSE(std::filesystem::exists(path + "/b.wav"));
}

TEST_CASE("more speakers than files are not recorded one by one, and do no harm") {
  const Folder folder;
  const std::string path = (folder.directory() / "r").string();
  Recorder recorder(path, RecordFormat::wav);
  REQUIRE(recorder.open());
  for (int i = 0; i < 520; ++i) recorder.write("u" + std::to_string(i), 0, frame, {});
  recorder.finish();
  CHECK(recorder.error().empty());
  CHECK(std::distance(std::filesystem::directory_iterator(path), {}) == 513);
}
