#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "relay/gateway/json.h"
#include "tools/earshot/api_path.h"
#include "tools/earshot/command.h"
#include "tools/earshot/ctl_call.h"
#include "tools/earshot/terminal_text.h"
#include "tools/earshot/text_table.h"

namespace earshot::tools {
namespace {

using nlohmann::json;

constexpr std::size_t description_size_max = 4'096;

// An error of the system, or 0.
int write_private(const std::string& path, const std::string& bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return errno;
  std::size_t done = 0;
  int error = ::fchmod(file, 0600) == 0 ? 0 : errno;
  while (error == 0 && done < bytes.size()) {
    const ssize_t n = ::write(file, bytes.data() + done, bytes.size() - done);
    if (n >= 0) {
      done += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  return ::close(file) != 0 && error == 0 ? errno : error;
}

}  // namespace

int fetch_recording(CtlCall& call, const std::string& path) {
  ApiRequest request;
  request.method = "POST";
  request.path = "/v1/recordings";
  request.body = "{}";
  const auto made = call.client().send(request);
  if (!made) return call.fail(made.error().text);
  if (!made.value().is_success()) return call.refuse(made.value());
  auto description = gateway::parse_json(made.value().body, description_size_max);
  if (!description || !description->is_object() || !(*description)["name"].is_string()) {
    return call.fail("the node's answer about its recording is not understood");
  }
  const std::string name = (*description)["name"].get<std::string>();
  ApiRequest fetch;
  fetch.path = "/v1/recordings/" + percent_encoded(name);
  const auto fetched = call.client().send(fetch);
  if (!fetched) return call.fail(fetched.error().text);
  if (!fetched.value().is_success()) return call.refuse(fetched.value());
  // A name from elsewhere is no path.
  const std::string file =
      !path.empty() ? path : (name.find('/') == std::string::npos ? name : "recording.rec");
  if (const int error = write_private(file, fetched.value().body); error != 0) {
    return call.fail("cannot write " + file + ": " + std::strerror(error));
  }
  (*description)["file"] = file;
  const std::string size = grouped(static_cast<std::int64_t>(fetched.value().body.size()));
  const std::string text =
      call.is_json() ? description->dump(2) + "\n"
                     : printable(file) + ": " + size + " bytes; earshot replay reads it\n";
  return call.print(text) ? exit_ok : exit_failed;
}

}  // namespace earshot::tools
