// One call of `earshot ctl`: to which node, as whom, and how its answer is shown. Main thread only.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "relay/base/result.h"
#include "tools/earshot/api_client.h"

namespace earshot::tools {

struct CtlOptions {
  std::string api, ca, key_file;  // empty: what the state folder says
  std::string state = ".state";
  bool is_json = false;
  bool is_sure = false;
};

// Reads the key, and the configuration where --api names no URL.
Result<ApiTarget> find_api(const CtlOptions& options);

// A text for people, from the API's answer.
using ShowJson = std::function<std::string(const nlohmann::json&)>;

class CtlCall {
 public:
  CtlCall(const CtlOptions& options, ApiTarget target);

  // Sends it and shows the answer. Returns the exit code.
  int run(const ApiRequest& request, const ShowJson& show);
  // A list, however many pages it has; `path` without a query. As JSON it is one document.
  int run_list(const std::string& path, const std::string& member, const ShowJson& show);

  // One sentence on standard error, and the exit code.
  int fail(const std::string& text);
  // What the API said against it.
  int refuse(const ApiAnswer& answer);
  // Standard output; false once nobody reads it.
  bool print(const std::string& text);

  ApiClient& client() { return client_; }
  bool is_json() const { return options_.is_json; }

 private:
  const CtlOptions& options_;
  ApiClient client_;
};

// Has a recording made and writes it to `path`, or to a file of its name here; only we may read it.
int fetch_recording(CtlCall& call, const std::string& path);

// Shows what happens until a signal comes. `query` narrows it; `since` is the id of the last event
// that was seen.
int follow_events(CtlCall& call, const std::string& server, const std::string& since);

}  // namespace earshot::tools
