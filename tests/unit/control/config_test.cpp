#include "relay/control/config.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace earshot;
using namespace earshot::control;

namespace {

namespace fs = std::filesystem;

// A configuration file in a folder of its own, gone with the object.
class File {
 public:
  explicit File(const std::string& content) {
    std::string pattern = (fs::temp_directory_path() / "earshot-config-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    std::ofstream(path()) << content;
  }
  ~File() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::string path() const { return folder_ / "relay.toml"; }
  std::string sibling(const std::string& name) const { return folder_ / name; }

 private:
  fs::path folder_;
};

Config read(const std::string& content) {
  const File file(content);
  const auto config = load_config({file.path(), {}});
  CAPTURE((config ? "" : config.error().text));
  REQUIRE(config.ok());
  return config.value();
}

// Without the name of the file in front.
std::string refusal(const std::string& content) {
  const File file(content);
  const auto config = load_config({file.path(), {}});
  REQUIRE_FALSE(config.ok());
  REQUIRE(config.error().text.starts_with(file.path()));
  return config.error().text.substr(file.path().size());
}

Config with(const std::vector<std::string>& settings) {
  const auto config = load_config({std::nullopt, settings});
  CAPTURE((config ? "" : config.error().text));
  REQUIRE(config.ok());
  return config.value();
}

std::string setting_refusal(const std::string& setting) {
  const auto config = load_config({std::nullopt, {setting}});
  REQUIRE_FALSE(config.ok());
  return config.error().text;
}

// Every key, none with its default value.
const std::string everything = R"([media]
listen = "192.0.2.1:5000"
workers = 3
pin_workers = false
loopback_only = true
advertise_ipv4 = "203.0.113.7"
advertise_ipv6 = "2001:db8::7"
encryption_modes = ["aead_xchacha20_poly1305_rtpsize"]
late_ms_max = 120
stale_ms_max = 0
channel_participants_per_worker_max = 500
channel_speakers_max = 8
sessions_per_worker_max = 4096
[gateway]
listen = "[::1]:9443"
endpoint = "voice.example.org:443"
tls_cert = "/etc/cert.pem"
tls_key = "/etc/key.pem"
unidentified_per_address_max = 1000
bad_tokens_per_address_max = 0
[admin]
listen = ["127.0.0.1:1", "[::1]:2"]
keys_file = "/etc/api-keys.toml"
[tokens]
keys = [ { id = "a", alg = "HS256", file = "/etc/a.key" }, { id = "b", alg = "EdDSA", file = "/etc/b.key" } ]
[cluster]
name = "quiet\\\"voices"
[node]
id = 1023
region = "eu-west"
[recorder]
seconds = 0
memory_mib = 8
folder = "/var/lib/recordings"
quota_mib = 10
keep_hours = 1
[log]
level = "debug"
addresses = "full"
)";

}  // namespace

TEST_CASE("without anything: the defaults, which are not complete") {
  const Config config = with({});
  CHECK(print_config(config) == print_config(Config{}));
  const auto complete = check_complete({}, config);
  REQUIRE_FALSE(complete.ok());
  CHECK(complete.error().text == "gateway.tls_cert is not set");
}

TEST_CASE("every key is read") {
  const Config c = read(everything);
  CHECK(c.media_listen.to_string() == "192.0.2.1:5000");
  CHECK(c.media_workers == 3);
  CHECK_FALSE(c.media_pin_workers);
  CHECK(c.media_loopback_only);
  CHECK(c.media_advertise_ipv4->to_string() == "203.0.113.7");
  CHECK(c.media_advertise_ipv6->to_string() == "2001:db8::7");
  CHECK(c.media_encryption_modes == std::vector{crypto::AeadMode::xchacha20_poly1305_rtpsize});
  CHECK(c.media_late_ms_max == 120);
  CHECK(c.media_stale_ms_max == 0);
  CHECK(c.media_channel_participants_per_worker_max == 500);
  CHECK(c.media_channel_speakers_max == 8);
  CHECK(c.media_sessions_per_worker_max == 4'096);
  REQUIRE(c.gateway_listen.size() == 1);
  CHECK(c.gateway_listen[0].to_string() == "[::1]:9443");
  CHECK(c.gateway_endpoint == "voice.example.org:443");
  CHECK(c.gateway_tls_cert == "/etc/cert.pem");
  CHECK(c.gateway_tls_key == "/etc/key.pem");
  CHECK(c.gateway_unidentified_per_address_max == 1'000);
  CHECK(c.gateway_bad_tokens_per_address_max == 0);
  REQUIRE(c.admin_listen.size() == 2);
  CHECK(c.admin_listen[1].to_string() == "[::1]:2");
  REQUIRE(c.tokens_keys.size() == 2);
  CHECK(c.tokens_keys[1].id == "b");
  CHECK(c.tokens_keys[1].algorithm == "EdDSA");
  CHECK(c.tokens_keys[1].file == "/etc/b.key");
  CHECK(c.admin_keys_file == "/etc/api-keys.toml");
  CHECK(c.cluster_name == "quiet\\\"voices");
  CHECK(c.node_id == NodeId{1'023});
  CHECK(c.node_region == "eu-west");
  CHECK(c.recorder_seconds == 0);
  CHECK(c.recorder_memory_mib == 8);
  CHECK(c.recorder_folder == "/var/lib/recordings");
  CHECK(c.recorder_quota_mib == 10);
  CHECK(c.recorder_keep_hours == 1);
  CHECK(c.log_level == "debug");
  CHECK(c.log_addresses == "full");
  CHECK(check_complete({}, c).ok());
}

TEST_CASE("what is printed is read back as it was") {
  for (const Config& config : {Config{}, read(everything)}) {
    const std::string printed = print_config(config);
    CHECK(print_config(read(printed)) == printed);
  }
  // All of it differs from the defaults, so that nothing can be left out unnoticed.
  std::istringstream defaults(print_config(Config{}));
  std::istringstream changed(print_config(read(everything)));
  std::string left;
  std::string right;
  std::size_t keys = 0;
  while (std::getline(defaults, left) && std::getline(changed, right)) {
    if (left.find(" = ") == std::string::npos || left.starts_with("#")) continue;
    ++keys;
    CHECK(left != right);
  }
  CHECK(keys == 31);
}

TEST_CASE("config/relay.toml is the defaults under a comment") {
  std::ifstream stream(EARSHOT_SOURCE_DIR "/config/relay.toml");
  REQUIRE(stream.is_open());
  const std::string content{std::istreambuf_iterator<char>(stream), {}};
  const auto end_of_comment = content.find("\n\n");
  REQUIRE(end_of_comment != std::string::npos);
  std::istringstream comment(content.substr(0, end_of_comment));
  for (std::string line; std::getline(comment, line);) CHECK(line.starts_with("# "));
  CHECK(content.substr(end_of_comment + 2) == print_config(Config{}));
}

TEST_CASE("every error names file, line and key") {
  struct Row {
    std::string content;
    std::string refusal;
  };
  const std::string modes =
      "must be a list of \"aead_aes256_gcm_rtpsize\" and \"aead_xchacha20_poly1305_rtpsize\" that "
      "contains the latter";
  const std::string listen =
      R"(must be "ADDRESS:PORT", for example "127.0.0.1:8443" or "[::]:8443")";
  const std::string keys =
      R"(must be a list of { id = "NAME", alg = "HS256" or "EdDSA", file = "FILE" })";
  const Row rows[] = {
      {"[media]\nlisten = 8444", ":2: media.listen " + listen},
      {"[media]\nlisten = \"localhost:8444\"", ":2: media.listen " + listen},
      {"[media]\nlisten = \"127.0.0.1\"", ":2: media.listen " + listen},
      {"[media]\n\nworkers = 65", ":3: media.workers must be an integer from 0 to 64"},
      {"[media]\nworkers = -1", ":2: media.workers must be an integer from 0 to 64"},
      {"[media]\nworkers = 1.0", ":2: media.workers must be an integer from 0 to 64"},
      {"[media]\nworkers = \"1\"", ":2: media.workers must be an integer from 0 to 64"},
      {"[media]\npin_workers = 1", ":2: media.pin_workers must be true or false"},
      {"[media]\nloopback_only = \"true\"", ":2: media.loopback_only must be true or false"},
      {"[media]\nadvertise_ipv4 = \"::1\"",
       ":2: media.advertise_ipv4 must be an IPv4 address, or empty"},
      {"[media]\nadvertise_ipv4 = \"0.0.0.0\"",
       ":2: media.advertise_ipv4 must be an IPv4 address, or empty"},
      {"[media]\nadvertise_ipv6 = \"192.0.2.1\"",
       ":2: media.advertise_ipv6 must be an IPv6 address, or empty"},
      {"[media]\nadvertise_ipv6 = false",
       ":2: media.advertise_ipv6 must be an IPv6 address, or empty"},
      {"[media]\nencryption_modes = []", ":2: media.encryption_modes " + modes},
      {"[media]\nencryption_modes = \"aead_xchacha20_poly1305_rtpsize\"",
       ":2: media.encryption_modes " + modes},
      {"[media]\nencryption_modes = [\"aead_aes256_gcm_rtpsize\"]",
       ":2: media.encryption_modes " + modes},
      {"[media]\nencryption_modes = [\"aead_xchacha20_poly1305_rtpsize\", \"xsalsa20_poly1305\"]",
       ":2: media.encryption_modes " + modes},
      {"[media]\nencryption_modes = [\"aead_xchacha20_poly1305_rtpsize\", "
       "\"aead_xchacha20_poly1305_rtpsize\"]",
       ":2: media.encryption_modes " + modes},
      {"[media]\nlate_ms_max = 19",
       ":2: media.late_ms_max must be 0 (off) or an integer from 20 to 2000"},
      {"[media]\nstale_ms_max = 2001",
       ":2: media.stale_ms_max must be 0 (off) or an integer from 20 to 2000"},
      {"[media]\nchannel_participants_per_worker_max = 0",
       ":2: media.channel_participants_per_worker_max must be an integer from 1 to 1024"},
      {"[media]\nchannel_speakers_max = 65",
       ":2: media.channel_speakers_max must be an integer from 1 to 64"},
      {"[media]\nsessions_per_worker_max = 8193",
       ":2: media.sessions_per_worker_max must be an integer from 1 to 8192"},
      {"[gateway]\nlisten = []", ":2: gateway.listen " + listen + ", or a list of such"},
      {"[gateway]\nlisten = [\"127.0.0.1:1\", 2]",
       ":2: gateway.listen " + listen + ", or a list of such"},
      {"[gateway]\nendpoint = \"wss://example.org:443\"",
       ":2: gateway.endpoint must be \"HOST:PORT\" without a scheme, or empty"},
      {"[gateway]\nendpoint = \"example.org:0\"",
       ":2: gateway.endpoint must be \"HOST:PORT\" without a scheme, or empty"},
      {"[gateway]\nendpoint = \"example.org:65536\"",
       ":2: gateway.endpoint must be \"HOST:PORT\" without a scheme, or empty"},
      {"[gateway]\nendpoint = \"2001:db8::1:443\"",
       ":2: gateway.endpoint must be \"HOST:PORT\" without a scheme, or empty"},
      {"[gateway]\nendpoint = \"example.org\"",
       ":2: gateway.endpoint must be \"HOST:PORT\" without a scheme, or empty"},
      {"[gateway]\ntls_cert = 1", ":2: gateway.tls_cert must be the name of a file"},
      {"[gateway]\ntls_key = [\"a\"]", ":2: gateway.tls_key must be the name of a file"},
      {"[gateway]\nunidentified_per_address_max = 0",
       ":2: gateway.unidentified_per_address_max must be an integer from 1 to 65536"},
      {"[gateway]\nbad_tokens_per_address_max = -1",
       ":2: gateway.bad_tokens_per_address_max must be an integer from 0 to 1000000"},
      {"[admin]\nlisten = \"127.0.0.1:x\"", ":2: admin.listen " + listen + ", or a list of such"},
      {"[tokens]\nkeys = \"a\"", ":2: tokens.keys " + keys},
      {"[tokens]\nkeys = [ \"a\" ]", ":2: tokens.keys " + keys},
      {"[tokens]\nkeys = [ { id = \"a\", alg = \"none\", file = \"f\" } ]",
       ":2: tokens.keys " + keys},
      {"[tokens]\nkeys = [ { id = \"a b\", alg = \"HS256\", file = \"f\" } ]",
       ":2: tokens.keys " + keys},
      {"[tokens]\nkeys = [ { id = \"a\", alg = \"HS256\", file = \"\" } ]",
       ":2: tokens.keys " + keys},
      {"[tokens]\nkeys = [ { id = \"a\", alg = \"HS256\", file = \"f\", secret = \"s\" } ]",
       ":2: tokens.keys " + keys},
      {"[tokens]\nkeys = [ { id = \"a\", alg = \"HS256\", file = \"f\" },\n"
       " { id = \"a\", alg = \"EdDSA\", file = \"g\" } ]",
       ":2: tokens.keys has two keys with the id \"a\""},
      {"[cluster]\nname = \"\"", ":2: cluster.name must be 1 to 64 printable ASCII characters"},
      {"[cluster]\nname = \"" + std::string(65, 'x') + "\"",
       ":2: cluster.name must be 1 to 64 printable ASCII characters"},
      {"[node]\nid = 1024", ":2: node.id must be an integer from 0 to 1023"},
      {"[node]\nregion = \"a\\u00e4\"",
       ":2: node.region must be 1 to 64 printable ASCII characters"},
      {"[log]\nlevel = \"trace\"", R"(:2: log.level must be "debug", "info", "warn" or "error")"},
      {"\n[media]\nlisten_on = \"[::]:1\"", ":3: unknown key media.listen_on"},
      {"[video]\nlisten = \"[::]:1\"", ":2: unknown key video.listen"},
      {"listen = \"[::]:1\"", ":1: unknown key listen"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.content);
    CHECK(refusal(row.content) == row.refusal);
  }
}

TEST_CASE("what is no TOML is refused with its line") {
  CHECK(refusal("[media]\nworkers = \n").starts_with(":2: "));
  CHECK(refusal("[media]\nworkers = 1\nworkers = 2\n").starts_with(":3: "));
  CHECK(refusal("[media]\n[media]\n").starts_with(":2: "));
}

TEST_CASE("a file that cannot be read is named") {
  const auto absent = load_config({"/nonexistent/relay.toml", {}});
  REQUIRE_FALSE(absent.ok());
  CHECK(absent.error().text == "/nonexistent/relay.toml: cannot be read");
  const auto folder = load_config({fs::temp_directory_path().string(), {}});
  REQUIRE_FALSE(folder.ok());
  CHECK(folder.error().text == fs::temp_directory_path().string() + ": cannot be read");
}

TEST_CASE("relative files are relative to the file that names them; in settings to the folder") {
  const File file(
      "[gateway]\ntls_cert = \"tls/cert.pem\"\ntls_key = \"../key.pem\"\n"
      "[tokens]\nkeys = [ { id = \"a\", alg = \"HS256\", file = \"a.key\" } ]\n");
  const auto config = load_config({file.path(), {"gateway.tls_key=here.pem"}});
  REQUIRE(config.ok());
  CHECK(config.value().gateway_tls_cert == file.sibling("tls/cert.pem"));
  CHECK(config.value().gateway_tls_key == (fs::current_path() / "here.pem").string());
  CHECK(config.value().tokens_keys[0].file == file.sibling("a.key"));
  CHECK(load_config({file.path(), {}}).value().gateway_tls_key ==
        (fs::path(file.path()).parent_path().parent_path() / "key.pem").string());
}

TEST_CASE("settings are TOML values, or plain text where they are none") {
  CHECK(with({"media.workers=2"}).media_workers == 2);
  CHECK_FALSE(with({"media.pin_workers=false"}).media_pin_workers);
  CHECK(with({"log.level=warn"}).log_level == "warn");
  CHECK(with({R"(log.level="warn")"}).log_level == "warn");
  CHECK(with({"media.listen=[::1]:0"}).media_listen.to_string() == "[::1]:0");
  CHECK(with({"media.advertise_ipv4=203.0.113.7"}).media_advertise_ipv4->to_string() ==
        "203.0.113.7");
  CHECK(with({R"(gateway.listen=["127.0.0.1:0","[::1]:0"])"}).gateway_listen.size() == 2);
  CHECK(with({"gateway.listen=127.0.0.1:0"}).gateway_listen.size() == 1);
  CHECK(with({"gateway.endpoint=voice.example.org:443"}).gateway_endpoint ==
        "voice.example.org:443");
  CHECK(with({"gateway.endpoint=[2001:db8::1]:443"}).gateway_endpoint == "[2001:db8::1]:443");
  CHECK(with({"gateway.endpoint="}).gateway_endpoint.empty());
  CHECK(with({"cluster.name=a=b"}).cluster_name == "a=b");
  // A text that happens to be another TOML value.
  CHECK(with({"cluster.name=2026"}).cluster_name == "2026");
  CHECK(with({"node.region=true"}).node_region == "true");
  CHECK(with({R"(tokens.keys=[{id="a",alg="HS256",file="/f"}])"}).tokens_keys.size() == 1);
  // The last one counts, and settings count more than the file.
  CHECK(with({"media.workers=2", "media.workers=3"}).media_workers == 3);
  const File file("[media]\nworkers = 7\nchannel_speakers_max = 7\n");
  const auto config = load_config({file.path(), {"media.workers=8"}});
  REQUIRE(config.ok());
  CHECK(config.value().media_workers == 8);
  CHECK(config.value().media_channel_speakers_max == 7);
}

TEST_CASE("a wrong setting names itself") {
  CHECK(setting_refusal("media.workers") == "--set media.workers: must be KEY=VALUE");
  CHECK(setting_refusal("media.worker=1") == "--set media.worker=1: unknown key media.worker");
  CHECK(setting_refusal("workers=1") == "--set workers=1: unknown key workers");
  CHECK(setting_refusal("media.workers=many") ==
        "--set media.workers=many: media.workers must be an integer from 0 to 64");
  CHECK(setting_refusal("media.workers=100") ==
        "--set media.workers=100: media.workers must be an integer from 0 to 64");
  CHECK(setting_refusal("log.level=loud") ==
        R"(--set log.level=loud: log.level must be "debug", "info", "warn" or "error")");
  // One setting is one key.
  CHECK(setting_refusal("media.workers=1\nother = 2") ==
        "--set media.workers=1\nother = 2: media.workers must be an integer from 0 to 64");
}

TEST_CASE("what has no default is asked for") {
  struct Row {
    std::vector<std::string> settings;
    std::string refusal;
  };
  const Row rows[] = {
      {{}, "gateway.tls_cert is not set"},
      {{"gateway.tls_cert=c"}, "gateway.tls_key is not set"},
      {{"gateway.tls_cert=c", "gateway.tls_key=k"}, "tokens.keys has no key"},
  };
  for (const Row& row : rows) {
    CHECK(check_complete({}, with(row.settings)).error().text == row.refusal);
    CHECK(check_complete({"relay.toml", {}}, with(row.settings)).error().text ==
          "relay.toml: " + row.refusal);
  }
}
