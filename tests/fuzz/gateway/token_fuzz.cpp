// Join tokens. The first byte says what the rest is: 'r' a token as it comes, 'h' and 'e' the JSON
// of a header and, after a newline, of the claims, which are signed here (HS256, EdDSA), so that
// the claims' rules are reached and not only the signature's.
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const TokenVerifier& tokens = verifier();
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::string token = data[0] == 'r' ? std::string(rest) : sign(rest, data[0] == 'e');
  const auto verdict = tokens.verify(token, now);
  check(verdict, token.size());
  // Nobody without a key signs anything: a token as it comes is one of the corpus' own, or refused.
  if (data[0] != 'r' || !verdict.claims) return 0;
  std::string forged = token;
  forged[forged.rfind('.') - 1] = forged[forged.rfind('.') - 1] == 'A' ? 'B' : 'A';
  require(!tokens.verify(forged, now).claims);
  return 0;
}
