#include "tools/earshot/ctl_call.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "relay/gateway/json.h"
#include "tools/earshot/api_path.h"
#include "tools/earshot/command.h"
#include "tools/earshot/ctl_text.h"

namespace earshot::tools {
namespace {

using nlohmann::json;

constexpr std::size_t answer_size_max = std::size_t{64} << 20;
constexpr std::size_t api_key_size = 43;
// Larger pages are fewer round trips; the API allows no more.
const std::string page_query = "?limit=1000";
const std::string default_url = "https://127.0.0.1:8445";

std::string dumped(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<std::string> read_key(const std::string& path) {
  std::ifstream file(path);
  std::string key;
  if (!file || !std::getline(file, key)) {
    return Error{"cannot read an API key from " + path + "; --api-key-file names another file"};
  }
  while (!key.empty() && (key.back() == '\r' || key.back() == ' ')) key.pop_back();
  // It becomes part of a header.
  const bool is_key = key.size() == api_key_size && std::all_of(key.begin(), key.end(), [](char c) {
                        return percent_encoded({&c, 1}).size() == 1 && c != '.' && c != '~';
                      });
  if (!is_key) return Error{path + " holds no API key, which has 43 characters of base64url"};
  return key;
}

Result<std::string> find_url(const CtlOptions& options) {
  if (!options.api.empty()) return parse_api_url(options.api);
  const std::string path = options.state + "/relay.toml";
  std::ifstream file(path);
  if (!file) return default_url;
  std::ostringstream text;
  text << file.rdbuf();
  auto url = api_url_of_configuration(text.str());
  if (!url) return Error{path + ": " + url.error().text};
  return url;
}

}  // namespace

Result<ApiTarget> find_api(const CtlOptions& options) {
  auto url = find_url(options);
  if (!url) return url.error();
  ApiTarget target;
  target.url = std::move(url.value());
  target.ca = options.ca.empty() ? options.state + "/ca.pem" : options.ca;
  target.key_file = options.key_file.empty() ? options.state + "/api-key" : options.key_file;
  auto key = read_key(target.key_file);
  if (!key) return key.error();
  target.key = std::move(key.value());
  return target;
}

CtlCall::CtlCall(const CtlOptions& options, ApiTarget target)
    : options_(options), client_(std::move(target)) {}

int CtlCall::run(const ApiRequest& request, const ShowJson& show) {
  const auto answer = client_.send(request);
  if (!answer) return fail(answer.error().text);
  if (!answer.value().is_success()) return refuse(answer.value());
  const std::string& body = answer.value().body;
  if (body.empty()) {
    return print(options_.is_json ? "{}\n" : show(json::object())) ? exit_ok : exit_failed;
  }
  const auto value = gateway::parse_json(body, answer_size_max);
  if (!value) return fail(problem_text(answer.value().status, {}, {}));
  if (options_.is_json) return print(body + "\n") ? exit_ok : exit_failed;
  return print(show(*value)) ? exit_ok : exit_failed;
}

int CtlCall::run_list(const std::string& path, const std::string& member, const ShowJson& show) {
  json all = json::array();
  std::string cursor;
  do {
    ApiRequest request;
    request.path = path + page_query;
    if (!cursor.empty()) request.path += "&after=" + percent_encoded(cursor);
    const auto answer = client_.send(request);
    if (!answer) return fail(answer.error().text);
    if (!answer.value().is_success()) return refuse(answer.value());
    auto page = gateway::parse_json(answer.value().body, answer_size_max);
    if (!page || !page->is_object() || !(*page)[member].is_array()) {
      return fail(problem_text(answer.value().status, {}, {}));
    }
    for (json& item : (*page)[member]) all.push_back(std::move(item));
    const std::string last = std::move(cursor);
    cursor = gateway::string_member(*page, "next").value_or("");
    if (!cursor.empty() && cursor == last) return fail("the API names the same page again");
  } while (!cursor.empty());
  if (options_.is_json) {
    return print(dumped({{member, std::move(all)}, {"next", nullptr}})) ? exit_ok : exit_failed;
  }
  return print(show(all)) ? exit_ok : exit_failed;
}

int CtlCall::fail(const std::string& text) {
  if (client_.was_interrupted()) return exit_interrupted;
  std::fprintf(stderr, "earshot ctl: %s\n", text.c_str());
  return exit_failed;
}

int CtlCall::refuse(const ApiAnswer& answer) {
  const bool is_problem = answer.content_type.starts_with("application/problem+json");
  if (options_.is_json && is_problem) print(answer.body + "\n");
  std::string text = problem_text(answer.status, answer.content_type, answer.body);
  if (answer.status == 401) text += " (the key is that of " + client_.target().key_file + ")";
  return fail(text);
}

bool CtlCall::print(const std::string& text) {
  const bool is_written = std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  if (!is_written) std::fprintf(stderr, "earshot ctl: cannot write to standard output\n");
  return is_written;
}

}  // namespace earshot::tools
