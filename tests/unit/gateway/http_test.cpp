#include "relay/gateway/http.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "relay/base/limits.h"
#include "relay/gateway/websocket.h"

using namespace earshot;
using namespace earshot::gateway;
using namespace std::string_literals;

namespace {

// What a connection's bytes turn into: "GET /path?query body", "continue", "error 400".
std::vector<std::string> parse_all(const std::string& bytes, std::size_t step) {
  HttpParser parser;
  std::vector<std::string> events;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    std::string_view part = std::string_view(bytes).substr(at, step);
    for (;;) {
      const HttpParser::Outcome outcome = parser.feed(part);
      if (outcome == HttpParser::Outcome::need_more) break;
      if (outcome == HttpParser::Outcome::error) {
        events.push_back("error " + std::to_string(parser.error_status()));
        return events;
      }
      if (outcome == HttpParser::Outcome::wants_continue) {
        events.emplace_back("continue");
        continue;
      }
      const HttpRequest& request = parser.request();
      events.push_back(request.method + " " + request.path +
                       (request.query.empty() ? "" : "?" + request.query) +
                       (request.body.empty() ? "" : " " + request.body));
    }
    CHECK(part.empty());
  }
  return events;
}

std::string get(const std::string& headers, const std::string& rest = "") {
  return "GET / HTTP/1.1\r\n" + headers + "\r\n" + rest;
}

std::string post(const std::string& headers, const std::string& rest) {
  return "POST /p HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n" + rest;
}

std::string many_headers(std::size_t count) {
  std::string text = "Host: a\r\n";
  for (std::size_t i = 1; i < count; ++i) text += "X-" + std::to_string(i) + ": v\r\n";
  return text;
}

}  // namespace

TEST_CASE("requests that are served, and those that are refused") {
  const std::string body_max(http_body_bytes_max, 'b');
  struct Row {
    std::string name;
    std::string bytes;
    std::vector<std::string> events;
  };
  const std::vector<Row> rows = {
      {"plain", get("Host: a\r\n"), {"GET /"}},
      {"path and query",
       "GET /v1/ping?v=8&x=%20 HTTP/1.1\r\nHost: a\r\n\r\n",
       {"GET /v1/ping?v=8&x=%20"}},
      {"empty query", "GET /? HTTP/1.1\r\nHost: a\r\n\r\n", {"GET /"}},
      {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", {"GET /"}},
      {"body", post("Content-Length: 5\r\n", "hello"), {"POST /p hello"}},
      {"length with leading zeros", post("Content-Length: 005\r\n", "hello"), {"POST /p hello"}},
      {"empty body", post("Content-Length: 0\r\n", ""), {"POST /p"}},
      {"largest body", post("Content-Length: 65536\r\n", body_max), {"POST /p " + body_max}},
      {"chunks",
       post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\nA\r\n, 10 bytes\r\n0\r\n\r\n"),
       {"POST /p hello, 10 bytes"}},
      {"no chunks", post("Transfer-Encoding: Chunked\r\n", "0\r\n\r\n"), {"POST /p"}},
      {"GET and POST in one segment",
       get("Host: a\r\n") + post("Content-Length: 2\r\n", "ab") + get("Host: a\r\n"),
       {"GET /", "POST /p ab", "GET /"}},
      {"chunks and then GET",
       post("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n") + get("Host: a\r\n"),
       {"POST /p x", "GET /"}},
      {"100-continue",
       post("Content-Length: 2\r\nExpect: 100-continue\r\n", "ab"),
       {"continue", "POST /p ab"}},
      {"100-continue without a body", get("Host: a\r\nExpect: 100-continue\r\n"), {"GET /"}},
      {"header value with obs-text", get("Host: a\r\nX: \xE9t\xE9\r\n"), {"GET /"}},
      {"empty header value", get("Host: a\r\nX:\r\nY: \t \r\n"), {"GET /"}},
      {"Host with port and brackets", get("Host: [::1]:8443\r\n"), {"GET /"}},
      {"64 headers", get(many_headers(64)), {"GET /"}},
      {"an upgrade to something else",
       get("Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n") + get("Host: a\r\n"),
       {"GET /", "GET /"}},
      {"upgrade to something else with a body",
       post("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n", "x"),
       {"POST /p x"}},

      // Request smuggling and its relatives: RFC 9112 s11.2, RFC 9110 s5.5.
      {"both lengths",
       post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
       {"error 400"}},
      {"both lengths, other order",
       post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
       {"error 400"}},
      {"two different lengths",
       post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
       {"error 400"}},
      {"the same length twice",
       post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
       {"error 400"}},
      {"a list of lengths", post("Content-Length: 5, 5\r\n", "hello"), {"error 400"}},
      {"signed length", post("Content-Length: +5\r\n", "hello"), {"error 400"}},
      {"negative length", post("Content-Length: -5\r\n", "hello"), {"error 400"}},
      {"hexadecimal length", post("Content-Length: 0x5\r\n", "hello"), {"error 400"}},
      {"empty length", post("Content-Length:\r\n", "hello"), {"error 400"}},
      {"length beyond 64 bits",
       post("Content-Length: 18446744073709551617\r\n", "h"),
       {"error 400"}},
      {"body too large", post("Content-Length: 65537\r\n", ""), {"error 413"}},
      {"unknown coding", post("Transfer-Encoding: chunked, identity\r\n", ""), {"error 400"}},
      {"coding before chunked", post("Transfer-Encoding: gzip, chunked\r\n", ""), {"error 501"}},
      {"coding with vertical tab", post("Transfer-Encoding: \vchunked\r\n", ""), {"error 400"}},
      {"chunked twice",
       post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""),
       {"error 400"}},
      {"chunked in HTTP/1.0",
       "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
       {"error 400"}},
      {"identity", post("Transfer-Encoding: identity\r\n", ""), {"error 400"}},
      {"chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n", ""), {"error 400"}},
      {"empty coding", post("Transfer-Encoding:\r\n", ""), {"error 400"}},
      {"coding in quotes", post("Transfer-Encoding: \"chunked\"\r\n", ""), {"error 400"}},
      {"two lengths, one of them hidden by a blank",
       post("Content-Length : 5\r\nContent-Length: 0\r\n", "hello"),
       {"error 400"}},
      {"length with a vertical tab", post("Content-Length: \v5\r\n", "hello"), {"error 400"}},
      {"length with an underscore",
       post("Content_Length: 5\r\nContent-Length: 5\r\n", "hello"),
       {"POST /p hello"}},
      {"length in HTTP/1.0 with a coding",
       "POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
       {"error 400"}},
      {"blank before the colon", post("Transfer-Encoding : chunked\r\n", ""), {"error 400"}},
      {"blank inside a name", post("Content Length: 5\r\n", ""), {"error 400"}},
      {"obs-fold", get("Host: a\r\nX: a\r\n b\r\n"), {"error 400"}},
      {"folded first header", get(" Host: a\r\n"), {"error 400"}},
      {"bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", {"error 400"}},
      {"bare LF behind a header", get("Host: a\nX: b\r\n"), {"error 400"}},
      {"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", {"error 400"}},
      {"bare CR in a value", get("Host: a\r\nX: a\rb\r\n"), {"error 400"}},
      {"bare CR as a line", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", {"error 400"}},
      {"NUL in a value", get("Host: a\r\nX: a\0b\r\n"s), {"error 400"}},
      {"NUL in a name", get("Host: a\r\nX\0: b\r\n"s), {"error 400"}},
      {"control character in a value", get("Host: a\r\nX: a\x1B[0m\r\n"), {"error 400"}},
      {"DEL in a value", get("Host: a\r\nX: a\x7F\r\n"), {"error 400"}},
      {"header without a colon", get("Host: a\r\nnonsense\r\n"), {"error 400"}},
      {"header without a name", get("Host: a\r\n: value\r\n"), {"error 400"}},
      {"name that is no token", get("Host: a\r\nX(1): b\r\n"), {"error 400"}},
      {"name beyond ASCII", get("Host: a\r\nX\xC3\xA9: b\r\n"), {"error 400"}},

      {"chunk extension",
       post("Transfer-Encoding: chunked\r\n", "1;a=b\r\nx\r\n0\r\n\r\n"),
       {"error 400"}},
      {"blank behind a chunk size",
       post("Transfer-Encoding: chunked\r\n", "1 \r\nx\r\n0\r\n\r\n"),
       {"error 400"}},
      {"chunk size with a prefix",
       post("Transfer-Encoding: chunked\r\n", "0x1\r\nx\r\n0\r\n\r\n"),
       {"error 400"}},
      {"chunk size with a sign",
       post("Transfer-Encoding: chunked\r\n", "+1\r\nx\r\n0\r\n\r\n"),
       {"error 400"}},
      {"chunk size beyond 64 bits",
       post("Transfer-Encoding: chunked\r\n", "10000000000000001\r\nx\r\n0\r\n\r\n"),
       {"error 400"}},
      {"chunk size of 32 bits",
       post("Transfer-Encoding: chunked\r\n", "ffffffff\r\n"),
       {"error 413"}},
      {"bare CR behind a chunk size",
       post("Transfer-Encoding: chunked\r\n", "1\rx\r\n0\r\n\r\n"),
       {"error 400"}},
      {"chunk size with a NUL",
       post("Transfer-Encoding: chunked\r\n", "1\0\r\nx\r\n0\r\n\r\n"s),
       {"error 400"}},
      {"chunk size missing",
       post("Transfer-Encoding: chunked\r\n", "\r\nx\r\n0\r\n\r\n"),
       {"error 400"}},
      {"chunk size too long",
       post("Transfer-Encoding: chunked\r\n", "00000000001\r\nx\r\n0\r\n\r\n"),
       {"error 400"}},
      {"chunk size without an end",
       post("Transfer-Encoding: chunked\r\n", std::string(50, '0')),
       {"error 400"}},
      {"bare LF behind a chunk size",
       post("Transfer-Encoding: chunked\r\n", "1\nx\r\n0\r\n\r\n"),
       {"error 400"}},
      {"chunk longer than it says",
       post("Transfer-Encoding: chunked\r\n", "1\r\nxy\r\n0\r\n\r\n"),
       {"error 400"}},
      {"chunk data ends in LF",
       post("Transfer-Encoding: chunked\r\n", "1\r\nx\n0\r\n\r\n"),
       {"error 400"}},
      {"trailer", post("Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n\r\n"), {"error 400"}},
      {"chunks too large", post("Transfer-Encoding: chunked\r\n", "10001\r\n"), {"error 413"}},
      {"chunks too large together",
       post("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n10000\r\n"),
       {"error 413"}},

      {"no Host", get("X: a\r\n"), {"error 400"}},
      {"two Hosts", get("Host: a\r\nHost: a\r\n"), {"error 400"}},
      {"empty Host", get("Host:\r\n"), {"error 400"}},
      {"Host with user", get("Host: a@b\r\n"), {"error 400"}},
      {"Host with path", get("Host: a/b\r\n"), {"error 400"}},
      {"Host list", get("Host: a, b\r\n"), {"error 400"}},
      {"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", {"error 400"}},

      {"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", {"error 501"}},
      {"unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", {"error 501"}},
      {"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", {"error 501"}},
      {"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", {"error 501"}},
      {"method that is no token", "G<T / HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"blank at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", {"error 400"}},
      {"tab as separator", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"no version", "GET /\r\nHost: a\r\n\r\n", {"error 400"}},
      {"empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"absolute form", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"absolute form of another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"authority form", "GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"target beyond ASCII", "GET /\xC3\xA9 HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, {"error 400"}},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {"error 505"}},
      {"HTTP/0.9 without a version", "GET /\r\n", {"error 400"}},
      {"two Hosts of different case", get("Host: a\r\nhOST: b\r\n"), {"error 400"}},
      {"Host behind a blank", get("Host : a\r\n"), {"error 400"}},
      {"NUL first", "\0GET / HTTP/1.1\r\nHost: a\r\n\r\n"s, {"error 400"}},
      {"only LF", "GET / HTTP/1.1\nHost: a\n\n", {"error 400"}},
      {"only CR", "GET / HTTP/1.1\rHost: a\r\r\n", {"error 400"}},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", {"error 505"}},
      {"HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", {"error 505"}},
      {"HTTP/11", "GET / HTTP/11\r\nHost: a\r\n\r\n", {"error 400"}},
      {"http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n", {"error 400"}},
      {"unknown expectation",
       post("Content-Length: 1\r\nExpect: miracles\r\n", "x"),
       {"error 417"}},
      {"100-continue and another expectation",
       post("Content-Length: 1\r\nExpect: 100-continue, miracles\r\n", "x"),
       {"error 417"}},
      {"two expectations",
       post("Content-Length: 1\r\nExpect: 100-continue\r\nExpect: miracles\r\n", "x"),
       {"error 417"}},
      {"an empty expectation and another",
       post("Content-Length: 1\r\nExpect:\r\nExpect: miracles\r\n", "x"),
       {"error 417"}},

      {"65 headers", get(many_headers(65)), {"error 431"}},
      {"head too large",
       get("Host: a\r\nX: " + std::string(limits::http_header_bytes_max, 'x') + "\r\n"),
       {"error 431"}},
      {"head without an end",
       "GET / HTTP/1.1\r\nX: " + std::string(limits::http_header_bytes_max, 'x'),
       {"error 431"}},
      {"target too long",
       "GET /" + std::string(limits::http_header_bytes_max, 'x') + " HTTP/1.1\r\n",
       {"error 414"}},
      {"second request is bad", get("Host: a\r\n") + "nonsense\r\n", {"GET /", "error 400"}},

      {"WebSocket with a body",
       get("Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", "x"),
       {"error 400"}},
      {"WebSocket with chunks",
       get("Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
           "0\r\n\r\n"),
       {"error 400"}},
  };
  for (const Row& row : rows) {
    for (const std::size_t step : {std::size_t{1} << 20, std::size_t{1}, std::size_t{7}}) {
      CAPTURE(row.name);
      CAPTURE(step);
      CHECK(parse_all(row.bytes, step) == row.events);
    }
  }
}

TEST_CASE("after an error the parser says it again and takes nothing") {
  HttpParser parser;
  std::string_view bytes = "nonsense\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
  CHECK(parser.feed(bytes) == HttpParser::Outcome::error);
  CHECK(parser.feed(bytes) == HttpParser::Outcome::error);
  CHECK(parser.error_status() == 400);
}

TEST_CASE("whether a connection is kept, and what an upgrade is") {
  struct Row {
    std::string bytes;
    bool keeps_alive;
    bool wants_websocket;
  };
  const Row rows[] = {
      {get("Host: a\r\n"), true, false},
      {get("Host: a\r\nConnection: close\r\n"), false, false},
      {get("Host: a\r\nConnection: Foo, CLOSE\r\n"), false, false},
      {get("Host: a\r\nConnection: keep-alive\r\nConnection: close\r\n"), false, false},
      {"GET / HTTP/1.0\r\n\r\n", false, false},
      {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false},
      {get("Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"), true, true},
      {get("Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c, WebSocket\r\n"), true, true},
      {"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    HttpParser parser;
    std::string_view bytes = row.bytes;
    REQUIRE(parser.feed(bytes) == HttpParser::Outcome::request);
    CHECK(parser.keeps_alive() == row.keeps_alive);
    CHECK(parser.wants_websocket() == row.wants_websocket);
    CHECK_FALSE(parser.is_in_request());
  }
}

TEST_CASE("headers, and the query with and without a version") {
  HttpParser parser;
  std::string_view bytes =
      "GET /?v=8&encoding=json&flag HTTP/1.1\r\nHOST: a\r\nX-Two:  b c \t\r\nx-two: d\r\n\r\nrest";
  CHECK(parser.feed(bytes) == HttpParser::Outcome::request);
  CHECK(bytes == "rest");
  const HttpRequest& request = parser.request();
  CHECK(request.header("host") == "a");
  CHECK(request.header("x-two") == "b c");
  CHECK(request.header("x-three").empty());
  bool is_present = false;
  CHECK(request.query_parameter("v", &is_present) == "8");
  CHECK(is_present);
  CHECK(request.query_parameter("flag", &is_present).empty());
  CHECK(is_present);
  CHECK(request.query_parameter("w", &is_present).empty());
  CHECK_FALSE(is_present);
  CHECK(HttpRequest{"GET", "/", "", {}, ""}.query_parameter("v").empty());
  CHECK(HttpRequest{"GET", "/", "&&v=&v=2", {}, ""}.query_parameter("v", &is_present).empty());
}

TEST_CASE("responses") {
  HttpResponse response{200,
                        "application/json",
                        "{}",
                        {{"Retry-After", "3"}, {"X-Bad", "a\r\nSet-Cookie: b"}, {"Y bad", "c"}}};
  const std::string common = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  const std::string head =
      "HTTP/1.1 200 OK\r\nRetry-After: 3\r\nContent-Type: application/json\r\nContent-Length: "
      "2\r\n" +
      common;
  CHECK(write_response(response, {true, false, false}) == head + "\r\n{}");
  CHECK(write_response(response, {false, false, false}) == head + "Connection: close\r\n\r\n{}");
  CHECK(write_response(response, {true, true, false}) == head + "Connection: keep-alive\r\n\r\n{}");
  CHECK(write_response(response, {true, false, true}) == head + "\r\n");
  CHECK(write_response({204, "", "", {}}, {true, false, false}) ==
        "HTTP/1.1 204 No Content\r\n" + common + "\r\n");
  CHECK(write_response({299, "", "", {}}, {true, false, false})
            .starts_with("HTTP/1.1 299 Status\r\nContent-Length: 0\r\n"));
}

TEST_CASE("the head and the parts of a stream") {
  const HttpResponse head{200, "text/event-stream", "not sent", {{"X-A", "1"}}};
  const std::string common =
      "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Type: text/event-stream\r\nCache-Control: "
      "no-store\r\nX-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\n";
  CHECK(write_stream_head(head, false) ==
        common + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  CHECK(write_stream_head(head, true) == common + "Connection: close\r\n\r\n");
  CHECK(write_chunk("") == "");
  CHECK(write_chunk("a") == "1\r\na\r\n");
  CHECK(write_chunk(std::string(4'096, 'a')) == "1000\r\n" + std::string(4'096, 'a') + "\r\n");
}

TEST_CASE("every status of the parser's errors has a problem for its answer") {
  for (const int status : {400, 413, 414, 417, 431, 501, 505}) {
    CAPTURE(status);
    const std::string response = write_error_response(status);
    CHECK(response.starts_with("HTTP/1.1 " + std::to_string(status) + " "));
    CHECK(response.find("\r\nContent-Type: application/problem+json\r\n") != std::string::npos);
    CHECK(response.find("\r\nConnection: close\r\n") != std::string::npos);
    const auto problem = nlohmann::json::parse(response.substr(response.find("\r\n\r\n")));
    CHECK(problem.at("type").get<std::string>().starts_with("urn:earshot:problem:"));
    CHECK(problem.at("status") == status);
    CHECK_FALSE(problem.at("title").get<std::string>().empty());
    CHECK_FALSE(problem.at("detail").get<std::string>().empty());
  }
}

TEST_CASE("a problem's detail may hold anything") {
  const HttpResponse response = problem_response(409, "conflict", "\"quoted\"\n\xFF");
  CHECK(response.body ==
        R"({"type":"urn:earshot:problem:conflict","title":"Conflict","status":409,)"
        R"("detail":"\"quoted\"\n�"})"
        "\n");
}

TEST_CASE("client: the upgrade request is one that the server takes") {
  const std::string key = make_websocket_key();
  HttpParser parser;
  const std::string text =
      write_upgrade_request("localhost:1", "/?v=8", key, {{"User-Agent", "test"}});
  std::string_view bytes = text;
  REQUIRE(parser.feed(bytes) == HttpParser::Outcome::request);
  CHECK(parser.wants_websocket());
  CHECK(parser.request().query == "v=8");
  CHECK(parser.request().header("user-agent") == "test");
  const UpgradeVerdict verdict = check_upgrade(parser.request());
  REQUIRE_FALSE(verdict.refusal);

  const std::string answer = write_upgrade_response(verdict.accept) + "\x81\x01x";
  for (const std::size_t step : {std::size_t{1}, answer.size()}) {
    UpgradeResponseParser client(key);
    std::string rest;
    auto outcome = UpgradeResponseParser::Outcome::need_more;
    for (std::size_t at = 0; at < answer.size(); at += step) {
      std::string_view part = std::string_view(answer).substr(at, step);
      if (outcome == UpgradeResponseParser::Outcome::need_more) outcome = client.feed(part);
      rest.append(part);
    }
    CHECK(outcome == UpgradeResponseParser::Outcome::accepted);
    CHECK(client.status() == 101);
    CHECK(rest == "\x81\x01x");
  }
}

TEST_CASE("client: answers that are none") {
  using Outcome = UpgradeResponseParser::Outcome;
  const std::string key = "dGhlIHNhbXBsZSBub25jZQ==";
  const std::string accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
  const std::string upgrade =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n";
  struct Row {
    std::string bytes;
    Outcome outcome;
    int status;
  };
  const Row rows[] = {
      {upgrade + accept + "\r\n", Outcome::accepted, 101},
      {upgrade + "\r\n", Outcome::error, 101},
      {upgrade + "Sec-WebSocket-Accept: AAAA\r\n\r\n", Outcome::error, 101},
      {upgrade + accept + accept + "\r\n", Outcome::error, 101},
      {upgrade + accept + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", Outcome::error,
       101},
      {upgrade + accept + "Sec-WebSocket-Protocol: chat\r\n\r\n", Outcome::error, 101},
      {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n" + accept + "\r\n",
       Outcome::error, 101},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" + accept + "\r\n",
       Outcome::error, 101},
      {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", Outcome::refused, 503},
      {"HTTP/1.1 200\r\n\r\n", Outcome::refused, 200},
      {"HTTP/1.1 101 Switching\r\n", Outcome::need_more, 0},
      {"HTTP/1.1 1O1 Switching\r\n", Outcome::error, 0},
      {"HTTP/1.1 101Switching\r\n", Outcome::error, 0},
      {"HTTP/1.1 600 What\r\n", Outcome::error, 0},
      {"HTTP/2.0 101 Switching\r\n", Outcome::error, 0},
      {"HTTP/1.1 101 a\x01\r\n", Outcome::error, 0},
      {"SSH-2.0-server\r\n", Outcome::error, 0},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Outcome::error, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    UpgradeResponseParser parser(key);
    std::string_view bytes = row.bytes;
    CHECK(parser.feed(bytes) == row.outcome);
    CHECK(parser.status() == row.status);
  }
}

TEST_CASE("list elements") {
  CHECK(has_token("a, b ,C", "c"));
  CHECK(has_token("a,,b", "b"));
  CHECK_FALSE(has_token("ab", "a"));
  CHECK_FALSE(has_token("", "a"));
  CHECK(has_token("a,", "a"));
}
