// HTTPS to a node's API: one request at a time, each to its end. Main thread only. The server's
// certificate is always verified, against `ca` alone. SIGINT and SIGTERM end a request that is
// under way, see was_interrupted(). What paths and bodies mean is ctl's business.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "relay/base/result.h"

namespace earshot::tools {

struct ApiTarget {
  std::string url;       // https://HOST:PORT
  std::string ca;        // PEM file with the authority to trust
  std::string key;       // of the API
  std::string key_file;  // where it came from, for the words about a refusal
};

struct ApiRequest {
  std::string method = "GET";
  std::string path;  // encoded, with its query
  std::string body;  // JSON, or empty
  std::string last_event_id;
};

struct ApiAnswer {
  long status = 0;
  std::string content_type;
  std::string body;

  bool is_success() const { return status >= 200 && status < 300; }
};

class ApiClient {
 public:
  explicit ApiClient(ApiTarget target);
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  // Whatever the node answered. The error is why there is no answer.
  Result<ApiAnswer> send(const ApiRequest& request);
  // As send(), but the bytes of a body with status 200 go to `on_bytes` as they come, until it says
  // no or the stream ends; an error then tells how, and `has_begun` whether there was any.
  Result<ApiAnswer> follow(const ApiRequest& request,
                           std::function<bool(std::string_view)> on_bytes);
  bool has_begun() const;

  // Waits, or not to the end where a signal came.
  void sleep_ms(int ms);
  bool was_interrupted() const;

  const ApiTarget& target() const { return target_; }

 private:
  struct Transfer;
  class Library;
  Result<ApiAnswer> perform(Transfer& transfer, const ApiRequest& request);

  ApiTarget target_;
  std::unique_ptr<Library> library_;
  bool has_begun_ = false;
};

}  // namespace earshot::tools
