// The configuration: one table row per key, parsed once at start into a plain struct. Any thread.
// Errors are one sentence that names file, line and key. docs/operations.md lists the same keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crypto/aead.h"
#include "relay/base/address.h"
#include "relay/base/ids.h"
#include "relay/base/limits.h"
#include "relay/base/result.h"

namespace earshot::control {

struct TokenKeyEntry {
  std::string id;
  std::string algorithm;
  std::string file;
};

struct Config {
  Endpoint media_listen{{}, 8444};
  std::size_t media_workers = 0;  // 0: one per core of the affinity mask
  bool media_pin_workers = true;
  bool media_loopback_only = false;
  std::optional<IpAddress> media_advertise_ipv4;
  std::optional<IpAddress> media_advertise_ipv6;
  std::vector<crypto::AeadMode> media_encryption_modes{
      crypto::AeadMode::aes256_gcm_rtpsize, crypto::AeadMode::xchacha20_poly1305_rtpsize};
  std::uint16_t media_late_ms_max = 200;
  std::uint16_t media_stale_ms_max = 100;
  std::size_t media_channel_participants_per_worker_max =
      limits::channel_participants_per_worker_max;
  std::uint16_t media_channel_speakers_max = 32;
  std::size_t media_sessions_per_worker_max = limits::sessions_per_worker_max;

  std::vector<Endpoint> gateway_listen{{make_v4(0, 0, 0, 0), 8443}, {{}, 8443}};
  std::string gateway_endpoint;
  std::string gateway_tls_cert;
  std::string gateway_tls_key;
  std::size_t gateway_unidentified_per_address_max = 64;
  std::size_t gateway_bad_tokens_per_address_max = 10;

  std::vector<Endpoint> admin_listen{{make_v4(127, 0, 0, 1), 8445}};
  std::string admin_keys_file;

  std::vector<TokenKeyEntry> tokens_keys;

  std::string cluster_name = "earshot";
  NodeId node_id;
  std::string node_region;

  std::uint16_t recorder_seconds = 30;
  std::size_t recorder_memory_mib = 32;
  std::string recorder_folder;
  std::size_t recorder_quota_mib = 1'024;
  std::uint16_t recorder_keep_hours = 72;

  std::string log_level = "info";
  std::string log_addresses = "short";
};

struct ConfigSource {
  std::optional<std::string> file;
  std::vector<std::string> settings;  // "key=value", over the file, in order
};

Result<Config> load_config(const ConfigSource& source);
// Is everything there that has no default?
Result<void> check_complete(const ConfigSource& source, const Config& config);

// TOML with every key, its value and its comment. Of the defaults: config/relay.toml.
std::string print_config(const Config& config);

}  // namespace earshot::control
