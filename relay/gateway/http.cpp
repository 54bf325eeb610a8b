#include "relay/gateway/http.h"

#include <http_parser.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>

#include "relay/base/check.h"
#include "relay/base/limits.h"
#include "relay/gateway/websocket.h"

namespace earshot::gateway {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

// RFC 9110 s5.6.2.
constexpr bool is_token_char(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

// Visible characters, blanks and obs-text (RFC 9110 s5.5); everything else is a control character.
bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
  });
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return to_lower(x) == to_lower(y); });
}

std::string_view trim(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// "HTTP/1.1" or "HTTP/1.0": 0. Another version: 505. No version: 400.
int check_version(std::string_view text) {
  const bool has_form = text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) &&
                        text[6] == '.' && is_digit(text[7]);
  if (!has_form) return 400;
  return text[5] == '1' && text[7] <= '1' ? 0 : 505;
}

bool is_served_method(std::string_view method) {
  static constexpr std::array<std::string_view, 7> served{"GET",   "HEAD",   "POST",   "PUT",
                                                          "PATCH", "DELETE", "OPTIONS"};
  return std::find(served.begin(), served.end(), method) != served.end();
}

// "GET /path?query HTTP/1.1": one blank between the parts, the target in origin form (RFC 9112
// s3.2.1).
int check_request_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return 400;
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (!is_token(method)) return 400;
  const int version = check_version(line.substr(last + 1));
  if (version != 0) return version;
  if (!is_served_method(method)) return 501;
  const bool is_origin_form =
      target.starts_with('/') && std::all_of(target.begin(), target.end(), [](char c) {
        return c >= 0x21 && c <= 0x7E && c != '#';
      });
  return is_origin_form ? 0 : 400;
}

// "HTTP/1.1 101 Switching Protocols"
int check_status_line(std::string_view line) {
  if (line.size() < 12 || check_version(line.substr(0, 8)) != 0 || line[8] != ' ') return 400;
  const bool has_status =
      line[9] >= '1' && line[9] <= '5' && is_digit(line[10]) && is_digit(line[11]);
  if (!has_status || (line.size() > 12 && line[12] != ' ')) return 400;
  return is_field_value(line) ? 0 : 400;
}

// "Name: value". A line that starts with a blank would continue the one above (obs-fold).
int check_field_line(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return 400;
  return is_field_value(line.substr(colon + 1)) ? 0 : 400;
}

// What http-parser tells while it reads one message.
struct Reading {
  std::string url;
  Headers headers;
  bool is_value = false;
  bool is_head_complete = false;

  void add_name(std::string_view part) {
    if (headers.empty() || is_value) headers.emplace_back();
    is_value = false;
    std::transform(part.begin(), part.end(), std::back_inserter(headers.back().first), to_lower);
  }
  void add_value(std::string_view part) {
    is_value = true;
    headers.back().second.append(part);
  }
};

Reading& reading(http_parser* parser) {
  return *static_cast<Reading*>(parser->data);
}

const http_parser_settings& reader_settings() {
  static const http_parser_settings settings = [] {
    http_parser_settings made;
    http_parser_settings_init(&made);
    made.on_url = [](http_parser* parser, const char* at, std::size_t size) {
      reading(parser).url.append(at, size);
      return 0;
    };
    made.on_header_field = [](http_parser* parser, const char* at, std::size_t size) {
      reading(parser).add_name({at, size});
      return 0;
    };
    made.on_header_value = [](http_parser* parser, const char* at, std::size_t size) {
      reading(parser).add_value({at, size});
      return 0;
    };
    made.on_headers_complete = [](http_parser* parser) {
      reading(parser).is_head_complete = true;
      return 0;
    };
    return made;
  }();
  return settings;
}

// A complete head, already checked by HttpHead, through http-parser. False if it sees it otherwise.
bool read_with_http_parser(const HttpHead& head, http_parser_type type, http_parser& parser,
                           Reading& result) {
  http_parser_init(&parser, type);
  parser.data = &result;
  const std::size_t taken =
      http_parser_execute(&parser, &reader_settings(), head.text().data(), head.text().size());
  if (HTTP_PARSER_ERRNO(&parser) != HPE_OK || taken != head.text().size() ||
      !result.is_head_complete)
    return false;
  if (result.headers.size() != head.fields_count()) return false;
  for (auto& [name, value] : result.headers) value = std::string(trim(value));
  return true;
}

std::size_t count_of(const Headers& headers, std::string_view name) {
  return static_cast<std::size_t>(std::count_if(
      headers.begin(), headers.end(), [&](const auto& field) { return field.first == name; }));
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// "10000" (64 KiB) and the line's end, and three leading zeros: the longest line of a chunk.
constexpr std::size_t chunk_line_size_max = 10;

// uri-host [":" port] (RFC 9110 s7.2), by its characters.
bool is_host(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (is_token_char(c) && c != '#' && c != '^' && c != '`' && c != '|') ||
           std::string_view("()=;:[]").find(c) != std::string_view::npos;
  });
}

std::string_view reason_phrase(int status) {
  switch (status) {
#define EARSHOT_STATUS(number, name, text) \
  case number:                             \
    return #text;
    HTTP_STATUS_MAP(EARSHOT_STATUS)
#undef EARSHOT_STATUS
    default:
      return "Status";
  }
}

}  // namespace

const std::string_view http_continue = "HTTP/1.1 100 Continue\r\n\r\n";

bool has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const std::string_view element = list.substr(0, list.find(','));
    if (equals_ignoring_case(trim(element), token)) return true;
    list.remove_prefix(std::min(element.size() + 1, list.size()));
  }
  return false;
}

// --- Head ---------------------------------------------------------------------------------------

HttpHead::Outcome HttpHead::feed(std::string_view& bytes) {
  while (error_status_ == 0 && !bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const std::size_t line_part = newline == std::string_view::npos ? bytes.size() : newline + 1;
    const std::size_t room = limits::http_header_bytes_max - text_.size();
    const std::size_t size = std::min(line_part, room);
    text_.append(bytes.substr(0, size));
    bytes.remove_prefix(size);
    if (size < line_part) {
      error_status_ = lines_ == 0 ? 414 : 431;
    } else if (newline != std::string_view::npos) {
      const std::string_view line = std::string_view(text_).substr(line_start_);
      line_start_ = text_.size();
      if (line == "\r\n" && lines_ > 0) return Outcome::complete;
      error_status_ = check_line(line);
      ++lines_;
    }
  }
  return error_status_ == 0 ? Outcome::need_more : Outcome::error;
}

int HttpHead::check_line(std::string_view line) {
  if (line.size() < 2 || line[line.size() - 2] != '\r') return 400;
  line.remove_suffix(2);
  // Control characters, CR among them, are refused by the checks below.
  if (lines_ == 0)
    return kind_ == Kind::request ? check_request_line(line) : check_status_line(line);
  if (lines_ > limits::http_headers_max) return 431;
  return check_field_line(line);
}

// --- Requests -----------------------------------------------------------------------------------

HttpParser::Outcome HttpParser::feed(std::string_view& bytes) {
  if (state_ == State::failed) return Outcome::error;
  if (state_ == State::head) {
    if (bytes.empty()) return Outcome::need_more;
    if (!is_in_request()) request_ = {};
    switch (head_.feed(bytes)) {
      case HttpHead::Outcome::need_more:
        return Outcome::need_more;
      case HttpHead::Outcome::error:
        return fail(head_.error_status());
      case HttpHead::Outcome::complete:
        break;
    }
    const int status = read_head();
    if (status != 0) return fail(status);
    if (state_ == State::head) return finish();
    if (wants_continue_) return Outcome::wants_continue;
  }
  if (state_ != State::body) return feed_chunks(bytes);
  return take_body(bytes) ? finish() : Outcome::need_more;
}

HttpParser::Outcome HttpParser::fail(int status) {
  state_ = State::failed;
  error_status_ = status;
  return Outcome::error;
}

HttpParser::Outcome HttpParser::finish() {
  state_ = State::head;
  head_ = HttpHead{HttpHead::Kind::request};
  return Outcome::request;
}

int HttpParser::read_head() {
  http_parser parser;
  Reading result;
  if (!read_with_http_parser(head_, HTTP_REQUEST, parser, result)) return 400;
  request_.method = http_method_str(static_cast<http_method>(parser.method));
  const std::size_t question = result.url.find('?');
  request_.path = result.url.substr(0, question);
  if (question != std::string::npos) request_.query = result.url.substr(question + 1);
  request_.headers = std::move(result.headers);
  is_http_1_0_ = parser.http_minor == 0;

  const std::string_view connection = request_.header("connection");
  keeps_alive_ = is_http_1_0_ ? has_token(connection, "keep-alive") : true;
  wants_websocket_ = !is_http_1_0_ && has_token(request_.header("upgrade"), "websocket");
  for (const auto& [name, value] : request_.headers) {
    if (name == "connection" && has_token(value, "close")) keeps_alive_ = false;
  }
  return check_framing();
}

// Which bytes are the body's: RFC 9112 s6, without any of its room for interpretation.
int HttpParser::check_framing() {
  const Headers& headers = request_.headers;
  const std::size_t hosts = count_of(headers, "host");
  if (hosts > 1 || (hosts == 0 && !is_http_1_0_)) return 400;
  if (hosts == 1 && !is_host(request_.header("host"))) return 400;

  const std::size_t lengths = count_of(headers, "content-length");
  const std::size_t codings = count_of(headers, "transfer-encoding");
  if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0)) return 400;
  if (codings == 1) {
    if (is_http_1_0_) return 400;
    if (!equals_ignoring_case(request_.header("transfer-encoding"), "chunked")) return 501;
    state_ = State::chunk_size;
  } else if (lengths == 1) {
    const std::string_view length = request_.header("content-length");
    if (length.empty() || !std::all_of(length.begin(), length.end(), is_digit)) return 400;
    remaining_ = 0;
    for (const char digit : length) {
      remaining_ = remaining_ * 10 + static_cast<std::size_t>(digit - '0');
      if (remaining_ > http_body_bytes_max) return 413;
    }
    if (remaining_ > 0) state_ = State::body;
  }
  if (wants_websocket_ && state_ != State::head) return 400;
  return check_expectation();
}

int HttpParser::check_expectation() {
  wants_continue_ = false;
  if (is_http_1_0_) return 0;
  for (const auto& [name, value] : request_.headers) {
    if (name != "expect" || value.empty()) continue;
    if (!equals_ignoring_case(value, "100-continue")) return 417;
    wants_continue_ = state_ != State::head;
  }
  return 0;
}

// True when all of the body, or of the chunk, is there.
bool HttpParser::take_body(std::string_view& bytes) {
  const std::size_t size = std::min(remaining_, bytes.size());
  request_.body.append(bytes.substr(0, size));
  bytes.remove_prefix(size);
  remaining_ -= size;
  return remaining_ == 0;
}

HttpParser::Outcome HttpParser::feed_chunks(std::string_view& bytes) {
  while (!bytes.empty()) {
    if (state_ == State::chunk_data) {
      if (take_body(bytes)) state_ = State::chunk_end;
      continue;
    }
    chunk_line_.push_back(bytes.front());
    bytes.remove_prefix(1);
    if (chunk_line_.back() != '\n') {
      if (chunk_line_.size() > chunk_line_size_max) return fail(400);
      continue;
    }
    const int status = on_chunk_line();
    if (status != 0) return fail(status);
    chunk_line_.clear();
    if (state_ == State::head) return finish();
  }
  return Outcome::need_more;
}

// RFC 9112 s7.1 without extensions and trailers: nobody who speaks to us needs them.
int HttpParser::on_chunk_line() {
  std::string_view line = chunk_line_;
  if (!line.ends_with("\r\n")) return 400;
  line.remove_suffix(2);
  if (state_ != State::chunk_size) {
    if (!line.empty()) return 400;
    state_ = state_ == State::chunk_end ? State::chunk_size : State::head;
    return 0;
  }
  if (line.empty()) return 400;
  remaining_ = 0;
  for (const char digit : line) {
    const int value = hex_value(digit);
    if (value < 0) return 400;
    remaining_ = remaining_ * 16 + static_cast<std::size_t>(value);
  }
  if (request_.body.size() + remaining_ > http_body_bytes_max) return 413;
  state_ = remaining_ > 0 ? State::chunk_data : State::last_chunk;
  return 0;
}

// --- Responses ----------------------------------------------------------------------------------

namespace {

void append_header(std::string& text, std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return;
  text.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

const std::string_view http_last_chunk = "0\r\n\r\n";

namespace {

std::string begin_head(const HttpResponse& response) {
  std::string text = "HTTP/1.1 " + std::to_string(response.status) + " ";
  text.append(reason_phrase(response.status)).append("\r\n");
  for (const auto& [name, value] : response.headers) append_header(text, name, value);
  return text;
}

void append_common_headers(std::string& text) {
  append_header(text, "Cache-Control", "no-store");
  append_header(text, "X-Content-Type-Options", "nosniff");
}

// The listener's own refusals, each with its name in a problem's type and a sentence for people.
struct Refusal {
  int status;
  std::string_view code;
  std::string_view detail;
};

constexpr Refusal refusals[] = {
    {400, "bad-request", "what came is not a valid HTTP/1.1 request"},
    {413, "too-large", "a request's body has at most 64 KiB"},
    {414, "uri-too-long", "a request's line and headers have at most 16 KiB"},
    {417, "expectation-failed", "the only expectation known here is 100-continue"},
    {431, "headers-too-large", "a request has at most 64 headers, and 16 KiB with its first line"},
    {501, "not-implemented", "this method or transfer coding is not served"},
    {505, "version-not-supported", "only HTTP/1.1 and HTTP/1.0 are spoken here"},
};
static_assert(http_body_bytes_max == 64 * 1'024 && limits::http_header_bytes_max == 16 * 1'024 &&
                  limits::http_headers_max == 64,
              "the sentences say so");

}  // namespace

std::string write_response(const HttpResponse& response, const HttpResponseOptions& options) {
  std::string text = begin_head(response);
  if (!response.body.empty()) append_header(text, "Content-Type", response.content_type);
  // RFC 9110 s8.6: none with 204.
  if (response.status != 204)
    append_header(text, "Content-Length", std::to_string(response.body.size()));
  append_common_headers(text);
  if (!options.keeps_alive) {
    append_header(text, "Connection", "close");
  } else if (options.is_http_1_0) {
    append_header(text, "Connection", "keep-alive");
  }
  text.append("\r\n");
  if (!options.is_head && response.status != 204) text.append(response.body);
  return text;
}

std::string write_stream_head(const HttpResponse& head, bool is_http_1_0) {
  std::string text = begin_head(head);
  append_header(text, "Content-Type", head.content_type);
  append_common_headers(text);
  // Proxies that know it pass every part on at once.
  append_header(text, "X-Accel-Buffering", "no");
  if (!is_http_1_0) append_header(text, "Transfer-Encoding", "chunked");
  append_header(text, "Connection", "close");
  return text.append("\r\n");
}

std::string write_chunk(std::string_view part) {
  if (part.empty()) return {};  // an empty chunk would be the last one
  char size[20];
  const auto end = std::to_chars(size, size + sizeof size, part.size(), 16).ptr;
  std::string text(size, end);
  return text.append("\r\n").append(part).append("\r\n");
}

HttpResponse problem_response(int status, std::string_view code, std::string_view detail) {
  HttpResponse response;
  response.status = status;
  response.content_type = "application/problem+json";
  const nlohmann::ordered_json problem{{"type", "urn:earshot:problem:" + std::string(code)},
                                       {"title", reason_phrase(status)},
                                       {"status", status},
                                       {"detail", detail}};
  response.body =
      problem.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  return response;
}

std::string write_error_response(int status) {
  const auto* refusal = std::find_if(std::begin(refusals), std::end(refusals),
                                     [&](const Refusal& entry) { return entry.status == status; });
  RELAY_CHECK(refusal != std::end(refusals));
  return write_response(problem_response(status, refusal->code, refusal->detail), {});
}

// --- Client -------------------------------------------------------------------------------------

std::string write_upgrade_request(std::string_view host, std::string_view target,
                                  std::string_view key, const Headers& headers) {
  std::string text = "GET ";
  text.append(target).append(" HTTP/1.1\r\n");
  append_header(text, "Host", host);
  append_header(text, "Upgrade", "websocket");
  append_header(text, "Connection", "Upgrade");
  append_header(text, "Sec-WebSocket-Key", key);
  append_header(text, "Sec-WebSocket-Version", "13");
  for (const auto& [name, value] : headers) append_header(text, name, value);
  return text.append("\r\n");
}

UpgradeResponseParser::Outcome UpgradeResponseParser::feed(std::string_view& bytes) {
  switch (head_.feed(bytes)) {
    case HttpHead::Outcome::need_more:
      return Outcome::need_more;
    case HttpHead::Outcome::error:
      return Outcome::error;
    case HttpHead::Outcome::complete:
      break;
  }
  http_parser parser;
  Reading result;
  if (!read_with_http_parser(head_, HTTP_RESPONSE, parser, result)) return Outcome::error;
  status_ = static_cast<int>(parser.status_code);
  headers_ = std::move(result.headers);
  if (status_ != 101) return Outcome::refused;
  return is_our_upgrade() ? Outcome::accepted : Outcome::error;
}

// RFC 6455 s4.1: the client's checks. We offer no extension and no subprotocol, so none may come
// back.
bool UpgradeResponseParser::is_our_upgrade() const {
  const auto value = [&](std::string_view name) {
    const auto found = std::find_if(headers_.begin(), headers_.end(),
                                    [&](const auto& field) { return field.first == name; });
    return found == headers_.end() ? std::string_view{} : std::string_view(found->second);
  };
  return equals_ignoring_case(value("upgrade"), "websocket") &&
         has_token(value("connection"), "upgrade") &&
         count_of(headers_, "sec-websocket-accept") == 1 &&
         value("sec-websocket-accept") == websocket_accept(key_) &&
         count_of(headers_, "sec-websocket-extensions") == 0 &&
         count_of(headers_, "sec-websocket-protocol") == 0;
}

}  // namespace earshot::gateway
