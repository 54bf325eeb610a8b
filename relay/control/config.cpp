#include "relay/control/config.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string_view>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "relay/gateway/token.h"

namespace earshot::control {
namespace {

namespace fs = std::filesystem;

// What is wrong with a value: "must be ...". Nothing if it was taken.
using Complaint = std::optional<std::string>;

struct Key {
  std::string_view name;  // "section.key"
  std::string_view doc;
  std::function<Complaint(const toml::node&, const fs::path& base, Config&)> read;
  std::function<std::string(const Config&)> print;
};

// --- Values -------------------------------------------------------------------------------------

std::string quote(std::string_view text) {
  const toml::value<std::string> value{std::string(text)};
  std::ostringstream out;
  out << toml::toml_formatter(value, toml::format_flags::none);
  return out.str();
}

template <typename T>
std::string print_list(const std::vector<T>& values, std::string (*print)(const T&)) {
  std::string text = "[";
  for (const T& value : values) text += (text.size() > 1 ? ", " : "") + print(value);
  return text + "]";
}

template <typename T>
Key integer(std::string_view name, T Config::*member, std::int64_t min, std::int64_t max,
            std::string_view doc) {
  return {name, doc,
          [=](const toml::node& node, const fs::path&, Config& config) -> Complaint {
            const auto value = node.value_exact<std::int64_t>();
            if (!value || *value < min || *value > max) {
              return "must be an integer from " + std::to_string(min) + " to " +
                     std::to_string(max);
            }
            config.*member = static_cast<T>(*value);
            return std::nullopt;
          },
          [=](const Config& config) { return std::to_string(config.*member); }};
}

// 0 is off; what is not off lies within bounds.
Key milliseconds_or_off(std::string_view name, std::uint16_t Config::*member,
                        std::string_view doc) {
  return {name, doc,
          [=](const toml::node& node, const fs::path&, Config& config) -> Complaint {
            const auto value = node.value_exact<std::int64_t>();
            if (!value || (*value != 0 && (*value < 20 || *value > 2'000))) {
              return "must be 0 (off) or an integer from 20 to 2000";
            }
            config.*member = static_cast<std::uint16_t>(*value);
            return std::nullopt;
          },
          [=](const Config& config) { return std::to_string(config.*member); }};
}

Key boolean(std::string_view name, bool Config::*member, std::string_view doc) {
  return {name, doc,
          [=](const toml::node& node, const fs::path&, Config& config) -> Complaint {
            const auto value = node.value_exact<bool>();
            if (!value) return "must be true or false";
            config.*member = *value;
            return std::nullopt;
          },
          [=](const Config& config) { return std::string(config.*member ? "true" : "false"); }};
}

Key text(std::string_view name, std::string Config::*member,
         std::function<Complaint(const std::string&)> check, std::string_view doc) {
  return {name, doc,
          [=](const toml::node& node, const fs::path&, Config& config) -> Complaint {
            const auto value = node.value_exact<std::string>();
            if (!value) return "must be a string";
            if (auto complaint = check(*value)) return complaint;
            config.*member = *value;
            return std::nullopt;
          },
          [=](const Config& config) { return quote(config.*member); }};
}

std::string resolve(const std::string& file, const fs::path& base) {
  return file.empty() ? file : fs::absolute(base / file).lexically_normal().string();
}

Key file(std::string_view name, std::string Config::*member, std::string_view doc) {
  return {name, doc,
          [=](const toml::node& node, const fs::path& base, Config& config) -> Complaint {
            const auto value = node.value_exact<std::string>();
            if (!value) return "must be the name of a file";
            config.*member = resolve(*value, base);
            return std::nullopt;
          },
          [=](const Config& config) { return quote(config.*member); }};
}

// Endpoint::parse gives no port to "HOST", which is not an address to listen on.
std::optional<Endpoint> parse_listen(const toml::node& node) {
  const auto value = node.value_exact<std::string>();
  return value ? Endpoint::parse(*value) : std::nullopt;
}

constexpr std::string_view endpoint_form =
    R"("ADDRESS:PORT", for example "127.0.0.1:8443" or "[::]:8443")";

Key endpoint(std::string_view name, Endpoint Config::*member, std::string_view doc) {
  return {name, doc,
          [=](const toml::node& node, const fs::path&, Config& config) -> Complaint {
            const auto value = parse_listen(node);
            if (!value) return "must be " + std::string(endpoint_form);
            config.*member = *value;
            return std::nullopt;
          },
          [=](const Config& config) { return quote((config.*member).to_string()); }};
}

// One, or a list.
Key endpoints(std::string_view name, std::vector<Endpoint> Config::*member, std::string_view doc) {
  return {name, doc,
          [=](const toml::node& node, const fs::path&, Config& config) -> Complaint {
            std::vector<Endpoint> values;
            bool is_wrong = false;
            const auto take = [&](const toml::node& one) {
              const auto value = parse_listen(one);
              is_wrong = is_wrong || !value;
              if (value) values.push_back(*value);
            };
            if (const auto* list = node.as_array()) {
              for (const toml::node& one : *list) take(one);
            } else {
              take(node);
            }
            if (is_wrong || values.empty()) {
              return "must be " + std::string(endpoint_form) + ", or a list of such";
            }
            config.*member = std::move(values);
            return std::nullopt;
          },
          [=](const Config& config) {
            return print_list<Endpoint>(config.*member,
                                        [](const Endpoint& e) { return quote(e.to_string()); });
          }};
}

Key address(std::string_view name, std::optional<IpAddress> Config::*member, bool is_v4,
            std::string_view doc) {
  return {name, doc,
          [=](const toml::node& node, const fs::path&, Config& config) -> Complaint {
            const auto value = node.value_exact<std::string>();
            const auto parsed = value ? IpAddress::parse(*value) : std::nullopt;
            if (value && value->empty()) {
              config.*member = std::nullopt;
              return std::nullopt;
            }
            if (!parsed || parsed->is_v4() != is_v4 || parsed->is_unspecified()) {
              return is_v4 ? "must be an IPv4 address, or empty"
                           : "must be an IPv6 address, or empty";
            }
            config.*member = *parsed;
            return std::nullopt;
          },
          [=](const Config& config) {
            return quote(config.*member ? (config.*member)->to_string() : "");
          }};
}

// --- Keys with a shape of their own -------------------------------------------------------------

Complaint read_modes(const toml::node& node, const fs::path&, Config& config) {
  const std::string form =
      "must be a list of \"aead_aes256_gcm_rtpsize\" and \"aead_xchacha20_poly1305_rtpsize\" "
      "that contains the latter";
  std::vector<crypto::AeadMode> modes;
  const auto* list = node.as_array();
  if (list == nullptr) return form;
  for (const toml::node& one : *list) {
    const auto name = one.value_exact<std::string>();
    const auto mode = name ? crypto::parse_aead_mode(*name) : std::nullopt;
    if (!mode || std::find(modes.begin(), modes.end(), *mode) != modes.end()) return form;
    modes.push_back(*mode);
  }
  const auto always = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  if (std::find(modes.begin(), modes.end(), always) == modes.end()) return form;
  config.media_encryption_modes = std::move(modes);
  return std::nullopt;
}

Complaint read_token_keys(const toml::node& node, const fs::path& base, Config& config) {
  const std::string form =
      R"(must be a list of { id = "NAME", alg = "HS256" or "EdDSA", file = "FILE" })";
  const auto* list = node.as_array();
  if (list == nullptr) return form;
  std::vector<TokenKeyEntry> entries;
  for (const toml::node& one : *list) {
    const auto* table = one.as_table();
    if (table == nullptr || table->size() != 3) return form;
    const auto id = (*table)["id"].value_exact<std::string>();
    const auto algorithm = (*table)["alg"].value_exact<std::string>();
    const auto key_file = (*table)["file"].value_exact<std::string>();
    if (!id || !algorithm || !key_file || key_file->empty() || !gateway::is_valid_id(*id)) {
      return form;
    }
    if (!gateway::parse_token_algorithm(*algorithm)) return form;
    for (const TokenKeyEntry& other : entries) {
      if (other.id == *id) return "has two keys with the id \"" + *id + "\"";
    }
    entries.push_back({*id, *algorithm, resolve(*key_file, base)});
  }
  config.tokens_keys = std::move(entries);
  return std::nullopt;
}

std::string print_token_key(const TokenKeyEntry& entry) {
  return "{ id = " + quote(entry.id) + ", alg = " + quote(entry.algorithm) +
         ", file = " + quote(entry.file) + " }";
}

Complaint read_node_id(const toml::node& node, const fs::path&, Config& config) {
  const auto value = node.value_exact<std::int64_t>();
  if (!value || *value < 0 || *value > 1'023) return "must be an integer from 0 to 1023";
  config.node_id = {static_cast<std::uint16_t>(*value)};
  return std::nullopt;
}

Complaint check_log_level(const std::string& level) {
  for (const std::string_view known : {"debug", "info", "warn", "error"}) {
    if (level == known) return std::nullopt;
  }
  return R"(must be "debug", "info", "warn" or "error")";
}

Complaint check_cluster_name(const std::string& name) {
  if (gateway::is_valid_id(name)) return std::nullopt;
  return "must be 1 to 64 printable ASCII characters";
}

Complaint check_log_addresses(const std::string& form) {
  if (form == "short" || form == "full") return std::nullopt;
  return R"(must be "short" or "full")";
}

Complaint check_region(const std::string& name) {
  return name.empty() ? std::nullopt : check_cluster_name(name);
}

// "HOST:PORT" or nothing. An IPv6 address stands in brackets.
Complaint check_public_endpoint(const std::string& endpoint) {
  if (endpoint.empty()) return std::nullopt;
  const auto colon = endpoint.rfind(':');
  const std::string host = endpoint.substr(0, colon);
  std::uint16_t port = 0;
  if (colon != std::string::npos) {
    const char* const end = endpoint.data() + endpoint.size();
    const auto parsed = std::from_chars(endpoint.data() + colon + 1, end, port);
    if (parsed.ptr != end) port = 0;
  }
  const bool has_brackets = host.starts_with('[') && host.ends_with(']');
  const bool is_host = !host.empty() && host.find_first_of("/ ") == std::string::npos &&
                       (has_brackets || host.find(':') == std::string::npos);
  if (is_host && port != 0) return std::nullopt;
  return "must be \"HOST:PORT\" without a scheme, or empty";
}

// --- The table ----------------------------------------------------------------------------------

const std::vector<Key>& keys() {
  using C = Config;
  static const std::vector<Key> table{
      endpoint("media.listen", &C::media_listen,
               "The one UDP port for media. [::] is IPv4 and IPv6; port 0 is any free one."),
      integer("media.workers", &C::media_workers, 0, limits::workers_max,
              "Threads that forward; 0: one per core of the affinity mask."),
      boolean("media.pin_workers", &C::media_pin_workers,
              "Pin each worker to a core of its own; off on machines that others share."),
      boolean("media.loopback_only", &C::media_loopback_only,
              "Drop and count media that was sent to any but a loopback address."),
      address("media.advertise_ipv4", &C::media_advertise_ipv4, true,
              "IPv4 address that clients send media to; empty: the one that this machine has."),
      address("media.advertise_ipv6", &C::media_advertise_ipv6, false,
              "The same for IPv6; told to clients only where the node has no IPv4 address."),
      {"media.encryption_modes", "In order of preference; must contain XChaCha20.", read_modes,
       [](const Config& config) {
         return print_list<crypto::AeadMode>(
             config.media_encryption_modes,
             [](const crypto::AeadMode& mode) { return quote(crypto::name(mode)); });
       }},
      milliseconds_or_off("media.late_ms_max", &C::media_late_ms_max,
                          "A frame later than this, with fresher ones right behind it, is late "
                          "and is dropped (docs/late-frames.md). 0: off."),
      milliseconds_or_off("media.stale_ms_max", &C::media_stale_ms_max,
                          "A voice packet that waited longer in our own socket buffer is stale "
                          "and is dropped unopened. 0: off."),
      integer("media.channel_participants_per_worker_max",
              &C::media_channel_participants_per_worker_max, 1,
              limits::channel_participants_per_worker_max,
              "Participants of one channel on one worker; what is beyond goes to other workers."),
      integer("media.channel_speakers_max", &C::media_channel_speakers_max, 1,
              limits::channel_speakers_max, "Participants of one channel who are heard at once."),
      integer("media.sessions_per_worker_max", &C::media_sessions_per_worker_max, 1,
              limits::sessions_per_worker_max,
              "Sessions per worker; all memory for them is taken at start."),
      endpoints("gateway.listen", &C::gateway_listen,
                "Where the voice gateway listens (TCP, TLS, WebSocket)."),
      text("gateway.endpoint", &C::gateway_endpoint, check_public_endpoint,
           "HOST:PORT that clients are sent to; empty: the bound address."),
      file("gateway.tls_cert", &C::gateway_tls_cert,
           "PEM file with the certificate and its chain. Needed."),
      file("gateway.tls_key", &C::gateway_tls_key,
           "PEM file with its private key, without a password. Needed."),
      integer("gateway.unidentified_per_address_max", &C::gateway_unidentified_per_address_max, 1,
              65'536,
              "Connections that one address (IPv6: one /64) may have before they identify."),
      integer("gateway.bad_tokens_per_address_max", &C::gateway_bad_tokens_per_address_max, 0,
              1'000'000, "Refused tokens in a row before an address is slowed down."),
      endpoints("admin.listen", &C::admin_listen,
                "Where the HTTP API for the application listens (TLS)."),
      file("admin.keys_file", &C::admin_keys_file,
           "TOML file with the keys that open the API (earshot key makes them); empty: none does. "
           "Reread on SIGHUP."),
      {"tokens.keys",
       "Keys that sign join tokens: { id, alg = \"HS256\" | \"EdDSA\", file }; a file holds one "
       "line of base64url. At least one.",
       read_token_keys,
       [](const Config& config) { return print_list(config.tokens_keys, print_token_key); }},
      text("cluster.name", &C::cluster_name, check_cluster_name,
           "The audience (aud) of join tokens."),
      {"node.id", "This node's number in its cluster, 0 to 1023; 0: on its own.", read_node_id,
       [](const Config& config) { return std::to_string(config.node_id.value); }},
      text("node.region", &C::node_region, check_region, "Placement label; empty: none."),
      text("log.level", &C::log_level, check_log_level,
           "debug, info, warn or error; the ids of people are written at debug only."),
      text("log.addresses", &C::log_addresses, check_log_addresses,
           "Clients' addresses: short (IPv4 as its /24, IPv6 as its /48) or full."),
  };
  return table;
}

const Key* find_key(std::string_view name) {
  const auto found = std::find_if(keys().begin(), keys().end(),
                                  [name](const Key& key) { return key.name == name; });
  return found == keys().end() ? nullptr : &*found;
}

// --- Reading ------------------------------------------------------------------------------------

std::string place(const std::string& file, const toml::source_region& source) {
  return file + ":" + std::to_string(source.begin.line);
}

Result<void> read_file(const std::string& name, Config& config) {
  std::ifstream stream(name);
  stream.peek();  // a folder opens like a file, and fails only now
  if (!stream.is_open() || stream.bad()) return Error{name + ": cannot be read"};
  std::ostringstream content;
  content << stream.rdbuf();
  const auto parsed = toml::parse(content.str(), name);
  if (!parsed) {
    return Error{place(name, parsed.error().source()) + ": " +
                 std::string(parsed.error().description())};
  }
  const fs::path base = fs::absolute(name).parent_path();
  for (const auto& [section, node] : parsed.table()) {
    const auto* table = node.as_table();
    if (table == nullptr) {
      return Error{place(name, node.source()) + ": unknown key " + std::string(section.str())};
    }
    for (const auto& [key_name, value] : *table) {
      const std::string full = std::string(section.str()) + "." + std::string(key_name.str());
      const Key* key = find_key(full);
      const std::string where = place(name, key_name.source());
      if (key == nullptr) return Error{where + ": unknown key " + full};
      if (auto complaint = key->read(value, base, config)) {
        return Error{where + ": " + full + " " + *complaint};
      }
    }
  }
  return {};
}

// A TOML value, or, when it is none, the text as it stands.
Result<void> apply_setting(const std::string& setting, Config& config) {
  const auto equals = setting.find('=');
  if (equals == std::string::npos) return Error{"--set " + setting + ": must be KEY=VALUE"};
  const std::string name = setting.substr(0, equals);
  const std::string value = setting.substr(equals + 1);
  const Key* key = find_key(name);
  if (key == nullptr) return Error{"--set " + setting + ": unknown key " + name};
  const fs::path base = fs::current_path();
  Complaint complaint;
  if (const auto parsed = toml::parse("value = " + value); parsed && parsed.table().size() == 1) {
    complaint = key->read(*parsed.table().get("value"), base, config);
    if (!complaint) return {};
  }
  const toml::value<std::string> plain(value);
  const Complaint plain_complaint = key->read(plain, base, config);
  if (!plain_complaint) return {};
  return Error{"--set " + setting + ": " + name + " " + complaint.value_or(*plain_complaint)};
}

}  // namespace

Result<Config> load_config(const ConfigSource& source) {
  Config config;
  if (source.file) {
    if (auto read = read_file(*source.file, config); !read) return read.error();
  }
  for (const std::string& setting : source.settings) {
    if (auto applied = apply_setting(setting, config); !applied) return applied.error();
  }
  return config;
}

Result<void> check_complete(const ConfigSource& source, const Config& config) {
  const std::string where = source.file ? *source.file + ": " : "";
  if (config.gateway_tls_cert.empty()) return Error{where + "gateway.tls_cert is not set"};
  if (config.gateway_tls_key.empty()) return Error{where + "gateway.tls_key is not set"};
  if (config.tokens_keys.empty()) return Error{where + "tokens.keys has no key"};
  return {};
}

std::string print_config(const Config& config) {
  std::string out;
  std::string_view section;
  for (const Key& key : keys()) {
    const std::string_view own = key.name.substr(0, key.name.find('.'));
    if (own != section) out += (out.empty() ? "[" : "\n[") + std::string(own) + "]\n";
    section = own;
    out += "# " + std::string(key.doc) + "\n";
    out += std::string(key.name.substr(own.size() + 1)) + " = " + key.print(config) + "\n";
  }
  return out;
}

}  // namespace earshot::control
