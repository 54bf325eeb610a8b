// Arbitrary bytes, split arbitrarily, into the HTTP layer of either role.
// Input: mode byte (bit 0: client role, bit 1: run lengths, the rest: how to split), then the
// bytes. With run lengths, FE n stands for the byte before it n * 96 times, so that a short input
// reaches the bounds.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/check.h"
#include "relay/base/limits.h"
#include "relay/gateway/http.h"
#include "relay/gateway/websocket.h"

using namespace earshot;
using namespace earshot::gateway;

namespace {

std::string expand(std::string_view bytes, bool has_run_lengths) {
  if (!has_run_lengths) return std::string(bytes);
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\xFE' && i + 1 < bytes.size() && !text.empty() && text.size() < 200'000) {
      text.append(static_cast<std::size_t>(static_cast<unsigned char>(bytes[++i])) * 96,
                  text.back());
    } else {
      text.push_back(bytes[i]);
    }
  }
  return text;
}

// Sizes of the pieces: all at once, or a pseudo-random sequence.
class Splitter {
 public:
  Splitter(std::string_view bytes, std::uint32_t seed) : rest_(bytes), state_(seed) {}
  bool is_done() const { return rest_.empty(); }
  std::string_view next() {
    std::size_t size = rest_.size();
    if (state_ != 0) {
      state_ = state_ * 1'664'525 + 1'013'904'223;
      size = std::min<std::size_t>(size, 1 + (state_ >> 24) % (rest_.size() > 2'000 ? 997 : 13));
    }
    const std::string_view piece = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return piece;
  }

 private:
  std::string_view rest_;
  std::uint32_t state_;
};

std::string describe(const HttpRequest& request) {
  std::string text = request.method + " " + request.path + "?" + request.query + "\n";
  for (const auto& [name, value] : request.headers) text += name + "=" + value + "\n";
  return text + request.body;
}

bool has_only(std::string_view text, bool (*is_allowed)(unsigned char)) {
  for (const char c : text) {
    if (!is_allowed(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

std::size_t count(const HttpRequest& request, std::string_view name) {
  std::size_t found = 0;
  for (const auto& field : request.headers) found += field.first == name ? 1 : 0;
  return found;
}

void check_request(const HttpRequest& request, bool is_http_1_0) {
  const auto is_visible = [](unsigned char c) { return c >= 0x21 && c <= 0x7E; };
  RELAY_CHECK(!request.method.empty() &&
              has_only(request.method, [](unsigned char c) { return c >= 'A' && c <= 'Z'; }));
  RELAY_CHECK(request.path.starts_with('/') && has_only(request.path, is_visible) &&
              has_only(request.query, is_visible));
  RELAY_CHECK(request.body.size() <= http_body_bytes_max);
  RELAY_CHECK(request.headers.size() <= limits::http_headers_max);
  for (const auto& [name, value] : request.headers) {
    RELAY_CHECK(!name.empty() &&
                has_only(name, [](unsigned char c) { return c > 0x20 && c < 0x7F && c != ':'; }));
    RELAY_CHECK(
        has_only(value, [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7F); }));
  }
  const std::size_t hosts = count(request, "host");
  RELAY_CHECK(hosts == 1 || (hosts == 0 && is_http_1_0));
  const std::size_t lengths = count(request, "content-length");
  RELAY_CHECK(lengths + count(request, "transfer-encoding") <= 1);
  if (lengths == 1)
    RELAY_CHECK(std::strtoul(request.header("content-length").data(), nullptr, 10) ==
                request.body.size());
}

// What was understood, written down plainly, is understood the same.
void check_round_trip(const HttpRequest& request, bool is_http_1_0) {
  std::string text = request.method + " " + request.path +
                     (request.query.empty() ? "" : "?" + request.query) +
                     (is_http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
  HttpRequest plain = request;
  std::erase_if(plain.headers, [](const auto& field) {
    return field.first == "transfer-encoding" || field.first == "content-length" ||
           field.first == "expect";
  });
  if (!plain.body.empty())
    plain.headers.emplace_back("content-length", std::to_string(plain.body.size()));
  for (const auto& [name, value] : plain.headers) text += name + ":" + value + "\r\n";
  text += "\r\n" + plain.body;
  if (text.size() > limits::http_header_bytes_max ||
      plain.headers.size() > limits::http_headers_max)
    return;
  HttpParser parser;
  std::string_view bytes = text;
  RELAY_CHECK(parser.feed(bytes) == HttpParser::Outcome::request && bytes.empty());
  RELAY_CHECK(describe(parser.request()) == describe(plain));
}

// What our client writes our server takes.
void check_upgrade_request(const HttpRequest& request) {
  const std::string text =
      write_upgrade_request("a", request.path + "?" + request.query, make_websocket_key(),
                            {{"x-method", request.method}});
  if (text.size() > limits::http_header_bytes_max) return;
  HttpParser parser;
  std::string_view bytes = text;
  RELAY_CHECK(parser.feed(bytes) == HttpParser::Outcome::request && parser.wants_websocket());
  RELAY_CHECK(!check_upgrade(parser.request()).refusal);
}

// Whatever stands in a response's headers, it stays one response.
void check_response(const HttpRequest& request, HttpParser& parser) {
  // Among them one without a name and one without a body.
  static constexpr std::array<int, 5> statuses{200, 204, 404, 299, 599};
  const int status = statuses[request.path.size() % statuses.size()];
  const HttpResponse response{status, request.query, "body", request.headers};
  const std::string text = write_response(
      response, {parser.keeps_alive(), parser.is_http_1_0(), request.method == "HEAD"});
  HttpHead head(HttpHead::Kind::response);
  std::string_view bytes = text;
  const HttpHead::Outcome outcome = head.feed(bytes);
  RELAY_CHECK(outcome == HttpHead::Outcome::complete ||
              request.headers.size() + 5 > limits::http_headers_max ||
              text.size() > limits::http_header_bytes_max);
  if (outcome == HttpHead::Outcome::complete)
    RELAY_CHECK(bytes == (request.method == "HEAD" || status == 204 ? "" : "body"));
}

// What our server answers our client takes, for this key only.
void check_upgrade_response(const HttpRequest& request, std::string_view accept) {
  const std::string text = write_upgrade_response(accept) + "frames";
  for (const bool is_right : {true, false}) {
    std::string key(request.header("sec-websocket-key"));
    if (!is_right) key[0] = key[0] == 'A' ? 'B' : 'A';
    UpgradeResponseParser parser(key);
    std::string_view bytes = text;
    const auto outcome = parser.feed(bytes);
    RELAY_CHECK(outcome == (is_right ? UpgradeResponseParser::Outcome::accepted
                                     : UpgradeResponseParser::Outcome::error));
    RELAY_CHECK(bytes == "frames" && parser.status() == 101);
  }
}

std::string run_server(std::string_view bytes, std::uint32_t seed) {
  HttpParser parser;
  std::string log;
  for (Splitter splitter(bytes, seed); !splitter.is_done();) {
    std::string_view piece = splitter.next();
    for (;;) {
      const std::size_t before = piece.size();
      const HttpParser::Outcome outcome = parser.feed(piece);
      if (outcome == HttpParser::Outcome::need_more) break;
      if (outcome == HttpParser::Outcome::error) {
        RELAY_CHECK(write_error_response(parser.error_status()).starts_with("HTTP/1.1 "));
        return log + "error " + std::to_string(parser.error_status());
      }
      // Every event costs bytes: no input makes the parser loop.
      RELAY_CHECK(piece.size() < before);
      if (outcome == HttpParser::Outcome::wants_continue) {
        log += "continue\n";
        continue;
      }
      check_request(parser.request(), parser.is_http_1_0());
      check_round_trip(parser.request(), parser.is_http_1_0());
      check_response(parser.request(), parser);
      check_upgrade_request(parser.request());
      log += describe(parser.request()) + (parser.keeps_alive() ? " keep\n" : " close\n");
      if (!parser.wants_websocket()) continue;
      const UpgradeVerdict verdict = check_upgrade(parser.request());
      RELAY_CHECK(verdict.refusal.has_value() == verdict.accept.empty());
      if (!verdict.refusal) check_upgrade_response(parser.request(), verdict.accept);
      log += "upgrade " + verdict.accept + "\n";
    }
    RELAY_CHECK(piece.empty());
  }
  return log;
}

std::string run_client(std::string_view bytes, std::uint32_t seed) {
  UpgradeResponseParser parser("dGhlIHNhbXBsZSBub25jZQ==");
  std::size_t taken = 0;
  for (Splitter splitter(bytes, seed); !splitter.is_done();) {
    std::string_view piece = splitter.next();
    const std::size_t before = piece.size();
    const auto outcome = parser.feed(piece);
    taken += before - piece.size();
    if (outcome == UpgradeResponseParser::Outcome::need_more) continue;
    std::string log =
        std::to_string(static_cast<int>(outcome)) + " " + std::to_string(parser.status());
    if (outcome != UpgradeResponseParser::Outcome::error) log += " at " + std::to_string(taken);
    for (const auto& [name, value] : parser.headers()) log += name + "=" + value + "\n";
    return log;
  }
  return "more";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string bytes =
      expand({reinterpret_cast<const char*>(data) + 1, size - 1}, (data[0] & 2) != 0);
  const auto run = (data[0] & 1) != 0 ? run_client : run_server;
  const std::uint32_t seed = 1 + (data[0] >> 2);
  RELAY_CHECK(run(bytes, 0) == run(bytes, seed));
  return 0;
}
