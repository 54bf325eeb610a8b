// Join tokens. The first byte says what the rest is: 'r' a token as it comes, 'h' and 'e' the JSON
// of a header and, after a newline, of the claims, which are signed here (HS256, EdDSA), so that
// the claims' rules are reached and not only the signature's; 'k' is a key file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "crypto/keys.h"
#include "crypto/signature.h"
#include "relay/base/limits.h"
#include "relay/gateway/token.h"

using namespace earshot;
using namespace earshot::gateway;

namespace {

constexpr std::int64_t now = 1'800'000'000;

void require(bool condition) {
  if (!condition) std::abort();
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

const std::vector<std::uint8_t>& secret() {
  static const std::vector<std::uint8_t> value(32, 's');
  return value;
}

constexpr std::array<std::uint8_t, crypto::ed25519_seed_size> seed{1, 2, 3};

const TokenVerifier& verifier() {
  static const auto* value = [] {
    require(crypto::initialize());
    const auto public_key = crypto::ed25519_public_key(seed);
    return new TokenVerifier(
        "earshot", {{"h", TokenAlgorithm::hs256, secret()},
                    {"e", TokenAlgorithm::eddsa, {public_key.begin(), public_key.end()}}});
  }();
  return *value;
}

std::string sign(std::string_view json, bool is_eddsa) {
  const std::string_view header = json.substr(0, json.find('\n'));
  const std::string_view claims = json.substr(std::min(json.size(), header.size() + 1));
  const std::string message =
      crypto::base64url_encode(bytes_of(header)) + "." + crypto::base64url_encode(bytes_of(claims));
  if (is_eddsa)
    return message + "." + crypto::base64url_encode(crypto::ed25519_sign(seed, bytes_of(message)));
  return message + "." + crypto::base64url_encode(crypto::hmac_sha256(secret(), bytes_of(message)));
}

void check(const TokenVerifier::Verdict& verdict, std::size_t size) {
  require(verdict.error.has_value() || verdict.claims.has_value());
  if (!verdict.claims) return;
  require(size <= limits::token_size_max);
  const Claims& claims = *verdict.claims;
  require(is_valid_id(claims.user_id) && is_valid_id(claims.server_id) &&
          is_valid_id(claims.channel_id) && is_valid_id(claims.session_id));
  require(claims.expires <= now + 3'630);
  require(verdict.is_expired_only == (claims.expires + 30 < now));
  require(verdict.is_expired_only == verdict.error.has_value());
}

// What was accepted can be made again and says the same; another cluster does not take it.
void check_made_again(const Claims& claims, std::string_view algorithm_name) {
  require(!parse_token_algorithm("none"));
  const auto algorithm = parse_token_algorithm(algorithm_name);
  require(algorithm.has_value());
  const bool is_hs256 = *algorithm == TokenAlgorithm::hs256;
  const std::vector<std::uint8_t> key =
      is_hs256 ? secret() : std::vector<std::uint8_t>(seed.begin(), seed.end());
  const std::string token = make_token("earshot", claims, is_hs256 ? "h" : "e", *algorithm, key);
  const auto again = verifier().verify(token, claims.expires);
  require(again.claims.has_value() && !again.error);
  require(again.claims->is_same_identity(claims) && again.claims->expires == claims.expires);
  const TokenGrants& a = again.claims->grants;
  const TokenGrants& b = claims.grants;
  require(a.speak == b.speak && a.listen == b.listen && a.priority == b.priority &&
          a.require_e2ee == b.require_e2ee && a.max_bitrate == b.max_bitrate &&
          a.late_ms_max == b.late_ms_max);
  if (!is_hs256) return;
  const TokenVerifier other("elsewhere", {{"h", TokenAlgorithm::hs256, secret()}});
  require(other.verify(token, claims.expires).error == TokenError::wrong_claims);
}

// A file in memory.
void check_key_file(std::string_view content) {
  static const int file = memfd_create("key", 0);
  require(file >= 0 && ftruncate(file, 0) == 0);
  require(pwrite(file, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  const auto key = read_key_file("/proc/self/fd/" + std::to_string(file));
  if (!key) {
    require(key.error().text.find("key file") != std::string::npos);
    return;
  }
  std::string_view line = content.substr(0, content.find('\n'));
  line = line.substr(0, line.find_last_not_of("\r ") + 1);
  require(!key.value().empty() && crypto::base64url_encode(key.value()) == line);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const TokenVerifier& tokens = verifier();
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] == 'k') {
    check_key_file(rest);
    return 0;
  }
  const std::string token = data[0] == 'r' ? std::string(rest) : sign(rest, data[0] == 'e');
  const auto verdict = tokens.verify(token, now);
  check(verdict, token.size());
  if (verdict.claims) check_made_again(*verdict.claims, data[0] == 'e' ? "EdDSA" : "HS256");
  // Nobody without a key signs anything: a token as it comes is one of the corpus' own, or refused.
  if (data[0] != 'r' || !verdict.claims) return 0;
  std::string forged = token;
  forged[forged.rfind('.') - 1] = forged[forged.rfind('.') - 1] == 'A' ? 'B' : 'A';
  require(!tokens.verify(forged, now).claims);
  return 0;
}
