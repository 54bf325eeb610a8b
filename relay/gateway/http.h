// HTTP/1.1 without a socket: requests for the relay's side, the upgrade response for a client's
// side, and the writers of both. The bytes pass our own rules first and http-parser after: what two
// readers could read in two ways (request smuggling, RFC 9112 s11.2) is refused, never repaired.
// Any one thread. Does not route, authenticate or percent-decode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/gateway/connection.h"

namespace earshot::gateway {

// At most this much of a request's body: the API's largest is a few KiB.
inline constexpr std::size_t http_body_bytes_max = 64 * 1'024;

// Collects the lines of a message's head and refuses what RFC 9112 does not allow, at the line
// where it stands, so that the verdict does not depend on how the bytes were split. Used by the two
// parsers below.
class HttpHead {
 public:
  enum class Kind : std::uint8_t { request, response };
  enum class Outcome : std::uint8_t { need_more, complete, error };

  explicit HttpHead(Kind kind) : kind_(kind) {}
  // Takes bytes from the front of `bytes`, up to and including the empty line that ends the head.
  Outcome feed(std::string_view& bytes);
  std::string_view text() const { return text_; }
  bool is_empty() const { return text_.empty(); }
  std::size_t fields_count() const { return lines_ - 1; }
  // The status for the peer after an error.
  int error_status() const { return error_status_; }

 private:
  int check_line(std::string_view line);

  Kind kind_;
  std::string text_;
  std::size_t line_start_ = 0;
  std::size_t lines_ = 0;
  int error_status_ = 0;
};

// One connection's requests, one after the other.
class HttpParser {
 public:
  enum class Outcome : std::uint8_t {
    need_more,  // all bytes were taken
    // The head asks for "100 Continue" before its body; write http_continue and feed on.
    wants_continue,
    request,  // request() is complete; the bytes behind it are untouched
    error,    // error_status() is the answer; the connection is of no further use
  };

  // Takes bytes from the front of `bytes`, of one request at most.
  Outcome feed(std::string_view& bytes);

  HttpRequest& request() { return request_; }
  // The rest describes request().
  bool is_http_1_0() const { return is_http_1_0_; }
  bool keeps_alive() const { return keeps_alive_; }
  // It asks for a WebSocket (RFC 6455 s4.2.1); check_upgrade() in websocket.h says whether rightly
  // so.
  bool wants_websocket() const { return wants_websocket_; }

  int error_status() const { return error_status_; }
  // A request has begun and is not complete.
  bool is_in_request() const { return state_ != State::head || !head_.is_empty(); }

 private:
  enum class State : std::uint8_t {
    head,
    body,
    chunk_size,
    chunk_data,
    chunk_end,
    last_chunk,
    failed
  };

  Outcome fail(int status);
  Outcome finish();
  int read_head();
  int check_framing();
  int check_expectation();
  bool take_body(std::string_view& bytes);
  Outcome feed_chunks(std::string_view& bytes);
  int on_chunk_line();

  HttpHead head_{HttpHead::Kind::request};
  State state_ = State::head;
  HttpRequest request_;
  std::size_t remaining_ = 0;  // of the body, or of the chunk
  std::string chunk_line_;
  bool is_http_1_0_ = false;
  bool keeps_alive_ = false;
  bool wants_websocket_ = false;
  bool wants_continue_ = false;
  int error_status_ = 0;
};

// The interim response that wants_continue asks for.
extern const std::string_view http_continue;

struct HttpResponseOptions {
  bool keeps_alive = false;
  bool is_http_1_0 = false;  // of the request: then "keep-alive" must be said
  bool is_head = false;      // the request was HEAD: no body
};

// Status line, headers and body. Header values that hold control characters are left out.
std::string write_response(const HttpResponse& response, const HttpResponseOptions& options);
// The same for a body that comes in parts, of unknown size and until the connection closes.
// HTTP/1.1: each part as write_chunk() has it, and http_last_chunk at the end.
std::string write_stream_head(const HttpResponse& head, bool is_http_1_0);
std::string write_chunk(std::string_view part);
extern const std::string_view http_last_chunk;

// An answer that says what is wrong, application/problem+json (RFC 9457): its type is
// "urn:earshot:problem:CODE". `detail` is for people; it need not be UTF-8.
HttpResponse problem_response(int status, std::string_view code, std::string_view detail);
// What a parse error is answered with; the connection closes behind it.
std::string write_error_response(int status);

// Client: "GET `target`" with the upgrade headers. `host` is the Host header; `key` comes from
// make_websocket_key().
std::string write_upgrade_request(
    std::string_view host, std::string_view target, std::string_view key,
    const std::vector<std::pair<std::string, std::string>>& headers = {});

// Client: the answer to an upgrade request.
class UpgradeResponseParser {
 public:
  enum class Outcome : std::uint8_t {
    need_more,
    accepted,  // 101 with the right Sec-WebSocket-Accept; the bytes behind it belong to the
               // WebSocket layer
    refused,   // another status
    error,     // no HTTP, or a 101 that does not fit the request
  };

  // `key` as it stood in the request.
  explicit UpgradeResponseParser(std::string key) : key_(std::move(key)) {}
  Outcome feed(std::string_view& bytes);
  int status() const { return status_; }
  // Names in lower case.
  const std::vector<std::pair<std::string, std::string>>& headers() const { return headers_; }

 private:
  bool is_our_upgrade() const;

  std::string key_;
  HttpHead head_{HttpHead::Kind::response};
  int status_ = 0;
  std::vector<std::pair<std::string, std::string>> headers_;
};

// Is `token` one of the comma-separated list's elements (RFC 9110 s5.6.1), whatever its case?
bool has_token(std::string_view list, std::string_view token);

}  // namespace earshot::gateway
