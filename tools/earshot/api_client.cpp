#include "tools/earshot/api_client.h"

#include <curl/curl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>
#include <utility>

#include "relay/base/check.h"

namespace earshot::tools {
namespace {

constexpr long connect_time_max_ms = 5'000;
constexpr long request_time_max_ms = 30'000;
// The stream has a comment every 15 s; what is silent for longer is dead.
constexpr long stream_silence_max_s = 40;
constexpr std::size_t answer_size_max = std::size_t{64} << 20;

using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

void add_header(HeaderList& list, const std::string& line) {
  curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
  RELAY_CHECK(longer != nullptr);
  static_cast<void>(list.release());
  list.reset(longer);
}

// From here on the two signals are read, not delivered.
class SignalWatch {
 public:
  SignalWatch() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &before_);
    descriptor_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    RELAY_CHECK(descriptor_ >= 0);
  }
  ~SignalWatch() {
    close(descriptor_);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  int descriptor() const { return descriptor_; }
  bool was_signalled() {
    signalfd_siginfo info;
    if (read(descriptor_, &info, sizeof info) == sizeof info) was_signalled_ = true;
    return was_signalled_;
  }

 private:
  sigset_t before_{};
  int descriptor_ = -1;
  bool was_signalled_ = false;
};

std::string failure_text(CURLcode code, const char* words, const ApiTarget& target) {
  const std::string reason = *words != '\0' ? words : curl_easy_strerror(code);
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      return "cannot connect to " + target.url + ": " + reason;
    case CURLE_PEER_FAILED_VERIFICATION:
      return "the certificate of " + target.url + " is not to be trusted: " + reason + " (" +
             target.ca + " is the authority; --ca names another)";
    case CURLE_SSL_CACERT_BADFILE:
      return "cannot read the authority to trust, " + target.ca;
    case CURLE_SSL_CONNECT_ERROR:
      return target.url + " does not speak TLS: " + reason;
    case CURLE_OPERATION_TIMEDOUT:
      return target.url + " does not answer: " + reason;
    default:
      return "the connection to " + target.url + " failed: " + reason;
  }
}

}  // namespace

// What libcurl needs to live: a multi handle keeps connections open between requests.
class ApiClient::Library {
 public:
  Library() {
    RELAY_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    multi_ = curl_multi_init();
    RELAY_CHECK(multi_ != nullptr);
  }
  ~Library() {
    curl_multi_cleanup(multi_);
    curl_global_cleanup();
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  // Nothing where a signal came first.
  std::optional<CURLcode> run(CURL* easy) {
    curl_multi_add_handle(multi_, easy);
    int running = 1;
    while (running > 0 && !signals.was_signalled()) {
      curl_multi_perform(multi_, &running);
      if (running == 0) break;
      curl_waitfd signal{signals.descriptor(), CURL_WAIT_POLLIN, 0};
      curl_multi_poll(multi_, &signal, 1, 1'000, nullptr);
    }
    std::optional<CURLcode> result;
    int left = 0;
    const CURLMsg* const message = curl_multi_info_read(multi_, &left);
    if (message != nullptr && message->msg == CURLMSG_DONE) result = message->data.result;
    curl_multi_remove_handle(multi_, easy);
    return result;
  }

  SignalWatch signals;

 private:
  CURLM* multi_ = nullptr;
};

struct ApiClient::Transfer {
  Transfer() : easy(curl_easy_init(), curl_easy_cleanup), headers(nullptr, curl_slist_free_all) {
    RELAY_CHECK(easy != nullptr);
  }

  long status() const {
    long code = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
  }
  // libcurl's callback: another count than `count` ends the transfer.
  std::size_t take(const char* bytes, std::size_t count) {
    if (on_bytes && status() == 200) {
      has_begun = true;
      return on_bytes({bytes, count}) ? count : 0;
    }
    if (body.size() + count > answer_size_max) return 0;
    body.append(bytes, count);
    return count;
  }

  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy;
  HeaderList headers;
  std::array<char, CURL_ERROR_SIZE> words{};
  std::string body;
  std::function<bool(std::string_view)> on_bytes;
  bool has_begun = false;
};

ApiClient::ApiClient(ApiTarget target)
    : target_(std::move(target)), library_(std::make_unique<Library>()) {}

ApiClient::~ApiClient() = default;

Result<ApiAnswer> ApiClient::send(const ApiRequest& request) {
  Transfer transfer;
  curl_easy_setopt(transfer.easy.get(), CURLOPT_TIMEOUT_MS, request_time_max_ms);
  return perform(transfer, request);
}

Result<ApiAnswer> ApiClient::follow(const ApiRequest& request,
                                    std::function<bool(std::string_view)> on_bytes) {
  Transfer transfer;
  transfer.on_bytes = std::move(on_bytes);
  curl_easy_setopt(transfer.easy.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(transfer.easy.get(), CURLOPT_LOW_SPEED_TIME, stream_silence_max_s);
  return perform(transfer, request);
}

Result<ApiAnswer> ApiClient::perform(Transfer& transfer, const ApiRequest& request) {
  CURL* const easy = transfer.easy.get();
  const std::string url = target_.url + request.path;
  add_header(transfer.headers, "Authorization: Bearer " + target_.key);
  if (!request.body.empty()) add_header(transfer.headers, "Content-Type: application/json");
  if (!request.last_event_id.empty()) {
    add_header(transfer.headers, "Last-Event-ID: " + request.last_event_id);
  }
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (!request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request.body.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.headers.get());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  // An id of dots is no way up.
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  // The key goes to the node and to nobody on the way, whatever the environment says.
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_CAINFO, target_.ca.c_str());
  curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_time_max_ms);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "earshot");
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.words.data());
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(
      easy, CURLOPT_WRITEFUNCTION,
      +[](char* bytes, std::size_t size, std::size_t count, void* user) {
        return static_cast<Transfer*>(user)->take(bytes, size * count);
      });

  const auto code = library_->run(easy);
  has_begun_ = transfer.has_begun;
  if (!code) return Error{"interrupted"};
  if (*code != CURLE_OK) return Error{failure_text(*code, transfer.words.data(), target_)};
  ApiAnswer answer;
  answer.status = transfer.status();
  const char* type = nullptr;
  curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
  if (type != nullptr) answer.content_type = type;
  answer.body = std::move(transfer.body);
  return answer;
}

void ApiClient::sleep_ms(int ms) {
  pollfd signal{library_->signals.descriptor(), POLLIN, 0};
  poll(&signal, 1, ms);
}

bool ApiClient::has_begun() const {
  return has_begun_;
}

bool ApiClient::was_interrupted() const {
  return library_->signals.was_signalled();
}

}  // namespace earshot::tools
