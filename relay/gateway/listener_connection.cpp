#include "relay/gateway/listener_connection.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "crypto/keys.h"
#include "relay/base/check.h"

namespace earshot::gateway {
namespace {

// Pings, pongs and fragments that a peer may send in a second: as many as it may send messages, and
// as much again.
constexpr std::uint64_t auxiliary_frames_per_second_max = 2 * limits::messages_per_second_max;
// Requests that wait for an answer to the one before them: as long as the longest one. Beyond that
// the peer's TCP waits; the last read may add 16 KiB.
constexpr std::size_t held_bytes_max = http_body_bytes_max;

}  // namespace

ListenerConnection::ListenerConnection(ListenerCore& core, int descriptor, const Endpoint& peer)
    : core_(core), descriptor_(descriptor), peer_(peer), tls_(core.tls_) {}

bool ListenerConnection::open() {
  if (uv_poll_init(core_.loop_, &poll_, descriptor_) != 0) return false;
  poll_.data = this;
  update_poll();
  return true;
}

// --- Above the seam -----------------------------------------------------------------------------

void ListenerConnection::send_text(std::string_view message) {
  if (stage_ != Stage::websocket) return;
  websocket_->send_text(message, core_.frames_);
  send_frames();
}

void ListenerConnection::send_binary(std::string_view message) {
  if (stage_ != Stage::websocket) return;
  websocket_->send_binary(message, core_.frames_);
  send_frames();
}

void ListenerConnection::close(std::uint16_t code, std::string_view reason) {
  if (stage_ != Stage::websocket) return;
  stage_ = Stage::closing;
  // So long for what is queued; on_drained() starts the wait for the peer's answer.
  core_.set_deadline(*this, Deadline::flush);
  websocket_->close(code, reason, core_.frames_);
  send_frames();
}

void ListenerConnection::abort() {
  end(true);
}

std::uint64_t ListenerConnection::acknowledged_position() const {
  int unacknowledged = 0;
  if (is_socket_closed_ || ::ioctl(descriptor_, SIOCOUTQ, &unacknowledged) != 0) return 0;
  const auto waiting = static_cast<std::uint64_t>(unacknowledged);
  return written_ - std::min(written_, waiting);
}

std::optional<Duration> ListenerConnection::round_trip() const {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (is_socket_closed_ || ::getsockopt(descriptor_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
    return std::nullopt;
  if (info.tcpi_rtt == 0) return std::nullopt;
  return microseconds(info.tcpi_rtt);
}

// Encrypts the scratch frames. A queue too long may only mean that the socket was not asked yet.
void ListenerConnection::send_frames() {
  if (core_.frames_.empty()) return;
  tls_.write(core_.frames_);
  // One of them may have been op 4, with the key.
  crypto::zero({reinterpret_cast<std::uint8_t*>(core_.frames_.data()), core_.frames_.size()});
  core_.frames_.clear();
  if (send_queue_bytes() > core_.options_.send_queue_bytes_max && !is_write_blocked_) write_some();
  if (is_ended()) return;
  if (send_queue_bytes() > core_.options_.send_queue_bytes_max) {
    ++core_.counters_.slow_readers;
    end(true);
    return;
  }
  core_.defer_flush(*this);
}

// --- Socket -------------------------------------------------------------------------------------

// While an answer is owed, reading shows whether the peer is still there.
bool ListenerConnection::wants_input() const {
  if (is_handshake_deferred || is_input_ended_) return false;
  return answer_ == Answer::owed ? held_.size() < held_bytes_max : held_.empty();
}

void ListenerConnection::update_poll() {
  if (is_ended()) return;
  int wanted = is_write_blocked_ ? UV_WRITABLE : 0;
  if (wants_input()) wanted |= UV_READABLE;
  if (wanted == poll_events_) return;
  poll_events_ = wanted;
  if (wanted == 0) {
    uv_poll_stop(&poll_);
    return;
  }
  const auto on_event = [](uv_poll_t* handle, int status, int events) {
    static_cast<ListenerConnection*>(handle->data)->on_poll(status, events);
  };
  RELAY_CHECK(uv_poll_start(&poll_, wanted, on_event) == 0);
}

void ListenerConnection::on_poll(int status, int events) {
  if (is_ended()) return;
  if (status < 0) {
    end(false);
    return;
  }
  if ((events & UV_WRITABLE) != 0) {
    is_write_blocked_ = false;
    core_.defer_flush(*this);
    update_poll();
  }
  if ((events & UV_READABLE) == 0 || is_ended()) return;
  if (stage_ == Stage::handshake) {
    core_.defer_handshake(*this);
    update_poll();
  } else {
    receive();
  }
}

// One read per turn, so that nobody holds the loop.
void ListenerConnection::receive() {
  const ssize_t size = ::recv(descriptor_, core_.received_.data(), core_.received_.size(), 0);
  if (size < 0) {
    if (errno != EAGAIN && errno != EINTR) end(false);
    return;
  }
  if (size == 0) {
    is_input_ended_ = true;
    on_end_of_input();
  } else if (stage_ != Stage::lingering) {
    on_ciphertext({core_.received_.data(), static_cast<std::size_t>(size)});
  }
  update_poll();
}

// False when the socket takes no more for now, or is gone.
bool ListenerConnection::write_some() {
  while (!tls_.output().empty()) {
    const std::string_view output = tls_.output();
    const ssize_t size = ::send(descriptor_, output.data(), output.size(), MSG_NOSIGNAL);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) {
        end(false);
        return false;
      }
      is_write_blocked_ = true;
      update_poll();
      return false;
    }
    tls_.consume(static_cast<std::size_t>(size));
    written_ += static_cast<std::uint64_t>(size);
  }
  return true;
}

void ListenerConnection::flush() {
  if (is_ended() || is_write_blocked_) return;
  if (write_some()) on_drained();
}

void ListenerConnection::on_drained() {
  switch (stage_) {
    case Stage::http:
      if (answer_ == Answer::none) {
        read_held();
      } else if (answer_ == Answer::stream && core_.events() != nullptr) {
        core_.events()->on_drained(*this);
      }
      return;
    case Stage::websocket:
      if (is_open_ && core_.events() != nullptr) core_.events()->on_drained(*this);
      return;
    case Stage::closing:
      core_.set_deadline(*this, Deadline::close);
      return;
    case Stage::lingering:
      if (is_input_ended_) {
        end(false);
      } else if (!is_output_ended_) {
        is_output_ended_ = true;
        ::shutdown(descriptor_, SHUT_WR);
        core_.set_deadline(*this, Deadline::close);
      }
      return;
    default:
      return;
  }
}

void ListenerConnection::close_socket() {
  if (std::exchange(is_socket_closed_, true)) return;
  const auto on_closed = [](uv_handle_t* handle) {
    auto& self = *static_cast<ListenerConnection*>(handle->data);
    self.core_.on_connection_closed(self);
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), on_closed);
  ::close(descriptor_);
}

// --- TLS ----------------------------------------------------------------------------------------

void ListenerConnection::continue_handshake() {
  if (stage_ == Stage::handshake) receive();
  update_poll();
}

void ListenerConnection::on_ciphertext(std::string_view ciphertext) {
  core_.plaintext_.clear();
  const TlsStatus status = tls_.feed(ciphertext, core_.plaintext_);
  if (stage_ == Stage::handshake && tls_.is_established()) {
    stage_ = Stage::http;
    http_ = std::make_unique<HttpParser>();
  }
  if (!core_.plaintext_.empty()) on_plaintext(core_.plaintext_);
  if (is_ended()) return;
  if (!tls_.output().empty()) core_.defer_flush(*this);
  if (status != TlsStatus::open && stage_ != Stage::lingering) on_end_of_input();
}

// The peer sends nothing more: FIN, close_notify, or a broken TLS stream.
void ListenerConnection::on_end_of_input() {
  if (stage_ == Stage::handshake) ++core_.counters_.handshakes_failed;
  if (stage_ == Stage::lingering) {
    if (tls_.output().empty()) end(false);
    return;
  }
  // It may still read its answers.
  is_last_request_ = answer_ == Answer::owed && tls_.status() != TlsStatus::failed;
  if (!is_last_request_) linger();
}

void ListenerConnection::on_plaintext(std::string_view bytes) {
  if (stage_ == Stage::http) {
    read_requests(bytes);
  } else if (stage_ == Stage::websocket || stage_ == Stage::closing) {
    read_frames(bytes);
  }
}

// --- HTTP ---------------------------------------------------------------------------------------

// One answer at a time: the next request is read when the last answer has left.
void ListenerConnection::read_requests(std::string_view bytes) {
  while (stage_ == Stage::http && !bytes.empty()) {
    if (answer_ == Answer::stream) return;  // nothing more is answered here
    const bool has_turn = answer_ == Answer::none && held_.empty();
    if (!has_turn || (!tls_.output().empty() && !write_some())) {
      if (!is_ended()) held_.append(bytes);
      return;
    }
    switch (http_->feed(bytes)) {
      case HttpParser::Outcome::need_more:
        if (deadline == Deadline::keep_alive) core_.set_deadline(*this, Deadline::request);
        return;
      case HttpParser::Outcome::wants_continue:
        tls_.write(http_continue);
        core_.defer_flush(*this);
        break;
      case HttpParser::Outcome::request:
        on_request();
        break;
      case HttpParser::Outcome::error:
        ++core_.counters_.requests_refused;
        tls_.write(write_error_response(http_->error_status()));
        linger();
        return;
    }
  }
  // Frames right behind an upgrade.
  if (stage_ == Stage::websocket || stage_ == Stage::closing) read_frames(bytes);
}

void ListenerConnection::read_held() {
  if (!held_.empty()) read_requests(std::exchange(held_, {}));
  if (is_last_request_ && answer_ == Answer::none && held_.empty()) linger();
  update_poll();
}

void ListenerConnection::on_request() {
  ConnectionEvents* events = core_.events();
  if (events == nullptr) return;
  ++core_.counters_.requests;
  // Nothing here needs it any more, and answering may end the parser.
  const HttpRequest request = std::move(http_->request());
  answer_ = Answer::owed;
  answer_options_ = {http_->keeps_alive(), http_->is_http_1_0(), request.method == "HEAD"};
  core_.set_deadline(*this, Deadline::none);
  if (!http_->wants_websocket() || !events->accepts_websocket(request)) {
    if (const auto response = events->on_request(*this, request)) respond(*response);
    return;
  }
  UpgradeVerdict verdict = check_upgrade(request);
  if (core_.is_stopping()) verdict.refusal = problem_response(503, "stopping", "this node stops");
  if (verdict.refusal) {
    ++core_.counters_.requests_refused;
    respond(*verdict.refusal);
  } else {
    answer_ = Answer::none;
    open_websocket(request, verdict.accept);
  }
}

void ListenerConnection::open_websocket(const HttpRequest& request, std::string_view accept) {
  ++core_.counters_.websockets_opened;
  tls_.write(write_upgrade_response(accept));
  http_.reset();
  websocket_ =
      std::make_unique<WebSocket>(WebSocket::Role::server, core_.options_.message_size_max);
  stage_ = Stage::websocket;
  core_.defer_flush(*this);
  is_open_ = true;
  core_.events()->on_open(*this, request);
}

void ListenerConnection::respond(const HttpResponse& response) {
  if (answer_ != Answer::owed) return;
  answer_ = Answer::none;
  if (is_ended()) return;  // the owner aborted it, or it broke
  HttpResponseOptions options = answer_options_;
  options.keeps_alive = options.keeps_alive && !core_.is_stopping();
  tls_.write(write_response(response, options));
  core_.defer_flush(*this);
  if (options.keeps_alive) {
    core_.set_deadline(*this, Deadline::keep_alive);
    update_poll();
  } else {
    linger();
  }
}

bool ListenerConnection::begin_stream(const HttpResponse& head) {
  if (answer_ != Answer::owed) return false;
  answer_ = Answer::none;
  if (is_ended()) return false;
  held_.clear();
  tls_.write(write_stream_head(head, answer_options_.is_http_1_0));
  core_.defer_flush(*this);
  if (answer_options_.is_head || is_last_request_) {
    linger();
    return false;
  }
  answer_ = Answer::stream;
  update_poll();
  return true;
}

bool ListenerConnection::send_stream(std::string_view bytes) {
  if (answer_ != Answer::stream || is_ended()) return false;
  if (answer_options_.is_http_1_0) {
    tls_.write(bytes);
  } else {
    tls_.write(write_chunk(bytes));
  }
  core_.defer_flush(*this);
  const std::size_t size_max = core_.options_.send_queue_bytes_max;
  // A queue too long may only mean that the socket was not asked yet.
  if (send_queue_bytes() > size_max && !is_write_blocked_) write_some();
  if (send_queue_bytes() > 2 * size_max) {
    ++core_.counters_.slow_readers;
    end(true);
  }
  return send_queue_bytes() <= size_max;
}

void ListenerConnection::end_stream() {
  if (answer_ != Answer::stream) return;
  answer_ = Answer::none;
  if (is_ended()) return;
  if (!answer_options_.is_http_1_0) tls_.write(http_last_chunk);
  linger();
}

// --- WebSocket ----------------------------------------------------------------------------------

void ListenerConnection::read_frames(std::string_view bytes) {
  while (stage_ == Stage::websocket || stage_ == Stage::closing) {
    const WebSocket::Event event = websocket_->receive(bytes, core_.frames_);
    send_frames();
    if (is_ended() || !on_frame_event(event)) return;
  }
}

// False: nothing more to read now.
bool ListenerConnection::on_frame_event(WebSocket::Event event) {
  switch (event) {
    case WebSocket::Event::need_more:
      if (exceeds_frame_rate()) close(close_code::policy, "too many control frames");
      return false;
    case WebSocket::Event::text:
      if (stage_ == Stage::websocket && core_.events() != nullptr)
        core_.events()->on_text(*this, websocket_->message());
      return true;
    case WebSocket::Event::binary:
      if (stage_ == Stage::websocket && core_.events() != nullptr) {
        core_.events()->on_binary(*this, websocket_->message());
      }
      return true;
    case WebSocket::Event::closed:
      linger();
      return false;
    case WebSocket::Event::failed:
      ++core_.counters_.protocol_errors;
      linger();
      return false;
  }
  return false;
}

bool ListenerConnection::exceeds_frame_rate() {
  const std::uint64_t frames = websocket_->auxiliary_frames();
  const std::uint64_t now = core_.now_ms();
  if (now - frame_window_ms_ >= 1'000) {
    frame_window_ms_ = now;
    frame_window_start_ = frames;
  }
  const bool exceeds =
      stage_ == Stage::websocket && frames - frame_window_start_ > auxiliary_frames_per_second_max;
  if (exceeds) ++core_.counters_.protocol_errors;
  return exceeds;
}

// --- The end ------------------------------------------------------------------------------------

// Closing the socket now could make the kernel answer what is still coming with a reset, and the
// peer would lose our last bytes.
void ListenerConnection::linger() {
  if (is_ended()) return;
  if (tls_.is_established()) tls_.close();
  stage_ = Stage::lingering;
  http_.reset();
  held_.clear();
  core_.set_deadline(*this, Deadline::flush);
  core_.defer_flush(*this);
  tell_closed(websocket_ ? websocket_->peer_close_code() : close_code::abnormal);
  tell_abandoned();
}

void ListenerConnection::on_deadline() {
  switch (stage_) {
    case Stage::handshake:
      ++core_.counters_.timeouts;
      end(true);
      return;
    case Stage::http:
      ++core_.counters_.timeouts;
      linger();
      return;
    default:
      // What the peer has not read by now it does not want.
      end(!tls_.output().empty());
      return;
  }
}

void ListenerConnection::stop(std::uint16_t code) {
  if (stage_ == Stage::websocket) {
    close(code, {});
  } else if (stage_ == Stage::handshake) {
    end(true);
  } else if (stage_ == Stage::http && answer_ == Answer::stream) {
    core_.events()->on_stopping(*this);
  } else if (stage_ == Stage::http && answer_ == Answer::none && !http_->is_in_request() &&
             held_.empty()) {
    linger();
  }
}

void ListenerConnection::end(bool with_reset) {
  if (is_ended()) return;
  if (stage_ == Stage::handshake) ++core_.counters_.handshakes_failed;
  stage_ = Stage::ended;
  if (with_reset) {
    const struct linger reset { 1, 0 };
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  }
  if (poll_events_ != 0) uv_poll_stop(&poll_);
  core_.set_deadline(*this, Deadline::none);
  core_.defer_end(*this);
}

void ListenerConnection::tell_closed(std::uint16_t code) {
  if (!is_open_) return;
  is_open_ = false;
  if (core_.events() != nullptr) core_.events()->on_closed(*this, code);
}

void ListenerConnection::tell_abandoned() {
  if (std::exchange(answer_, Answer::none) == Answer::none) return;
  if (core_.events() != nullptr) core_.events()->on_abandoned(*this);
}

void ListenerConnection::tell_ended() {
  tell_closed(websocket_ ? websocket_->peer_close_code() : close_code::abnormal);
  tell_abandoned();
  if (core_.events() != nullptr) core_.events()->on_released(peer_.ip);
}

}  // namespace earshot::gateway
