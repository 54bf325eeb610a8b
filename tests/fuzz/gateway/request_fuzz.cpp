// The requests of one connection, as bytes, and fast enough for a hundred million of them: our own
// rules and http-parser behind them, and http-parser alone on the same bytes, which is more than
// our rules let through. It is a library without instrumentation, so its input ends where memory
// ends: a byte read too many is a crash. http_fuzz.cpp checks more about each request, and slowly.
#include <http_parser.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include "relay/base/check.h"
#include "relay/base/limits.h"
#include "relay/gateway/http.h"

using namespace earshot;
using namespace earshot::gateway;

namespace {

// Text of up to a page that ends where the next page may not be touched.
class GuardedText {
 public:
  GuardedText() : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    void* const mapping =
        mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    RELAY_CHECK(mapping != MAP_FAILED);
    end_ = static_cast<char*>(mapping) + page_;
    RELAY_CHECK(mprotect(end_, page_, PROT_NONE) == 0);
  }
  std::size_t capacity() const { return page_; }
  std::string_view place(std::string_view text) {
    RELAY_CHECK(text.size() <= page_);
    return {static_cast<const char*>(std::memcpy(end_ - text.size(), text.data(), text.size())),
            text.size()};
  }

 private:
  std::size_t page_;
  char* end_;
};

// Where http-parser says that something stands must be inside what it was given.
int check_part(http_parser* parser, const char* at, std::size_t size) {
  const auto& text = *static_cast<const std::string_view*>(parser->data);
  RELAY_CHECK(at >= text.data() && at + size <= text.data() + text.size());
  return 0;
}

const http_parser_settings& settings() {
  static const http_parser_settings made = [] {
    http_parser_settings all;
    http_parser_settings_init(&all);
    all.on_url = all.on_status = all.on_header_field = all.on_header_value = all.on_body =
        check_part;
    return all;
  }();
  return made;
}

void run_library(std::string_view bytes) {
  static GuardedText memory;
  std::string_view text = memory.place(bytes.substr(0, memory.capacity()));
  http_parser parser;
  http_parser_init(&parser, HTTP_REQUEST);
  parser.data = &text;
  RELAY_CHECK(http_parser_execute(&parser, &settings(), text.data(), text.size()) <= text.size());
}

void check(const HttpParser& parser, const HttpRequest& request) {
  std::size_t hosts = 0, framings = 0;
  for (const auto& [name, value] : request.headers) {
    hosts += name == "host" ? 1 : 0;
    framings += name == "content-length" || name == "transfer-encoding" ? 1 : 0;
    RELAY_CHECK(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
  }
  RELAY_CHECK(hosts == 1 || (hosts == 0 && parser.is_http_1_0()));
  RELAY_CHECK(framings <= 1 && (framings == 1 || request.body.empty()));
  RELAY_CHECK(request.body.size() <= http_body_bytes_max &&
              request.headers.size() <= limits::http_headers_max && request.path.starts_with('/'));
  RELAY_CHECK(!parser.wants_websocket() || request.body.empty());
}

void run_ours(std::string_view bytes) {
  HttpParser parser;
  for (;;) {
    const std::size_t before = bytes.size();
    switch (parser.feed(bytes)) {
      case HttpParser::Outcome::need_more:
        RELAY_CHECK(bytes.empty());
        return;
      case HttpParser::Outcome::error:
        RELAY_CHECK(parser.error_status() >= 400);
        return;
      case HttpParser::Outcome::wants_continue:
        break;
      case HttpParser::Outcome::request:
        check(parser, parser.request());
        break;
    }
    RELAY_CHECK(bytes.size() < before);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  run_library(bytes);
  run_ours(bytes);
  return 0;
}
