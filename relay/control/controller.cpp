#include "relay/control/controller.h"

#include <sched.h>
#include <uv.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "crypto/keys.h"
#include "relay/base/check.h"
#include "relay/control/api.h"
#include "relay/control/event_feed.h"
#include "relay/control/event_hub.h"
#include "relay/control/listener_watch.h"
#include "relay/control/log.h"
#include "relay/control/media_address.h"
#include "relay/control/sessions.h"
#include "relay/gateway/listener.h"
#include "relay/io/clock.h"

namespace earshot::control {
namespace {

// A node ends within 3 s of a signal. Clients get this long to read the close frame; the
// application's side, which hears that the node is not ready and of the end of all others, the
// rest.
constexpr Duration stop_grace = milliseconds(1'500);
constexpr Duration stop_time_max = milliseconds(2'300);
constexpr std::uint64_t tick_ms = 5;

std::size_t workers_count(const Config& config) {
  if (config.media_workers > 0) return config.media_workers;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::clamp<std::size_t>(static_cast<std::size_t>(CPU_COUNT(&set)), 1, limits::workers_max);
}

Result<std::vector<gateway::TokenKey>> read_token_keys(const Config& config) {
  std::vector<gateway::TokenKey> keys;
  for (const TokenKeyEntry& entry : config.tokens_keys) {
    auto bytes = gateway::read_key_file(entry.file);
    if (!bytes) return bytes.error();
    const auto algorithm = *gateway::parse_token_algorithm(entry.algorithm);
    const bool is_symmetric = algorithm == gateway::TokenAlgorithm::hs256;
    const std::size_t size = bytes.value().size();
    if (is_symmetric ? size < 32 : size != 32) {
      return Error{entry.file + (is_symmetric ? ": an HS256 key has at least 32 bytes"
                                              : ": an EdDSA public key has 32 bytes")};
    }
    keys.push_back({entry.id, algorithm, std::move(bytes.value())});
  }
  return keys;
}

Result<ApiKeys> read_api_keys(const Config& config) {
  if (config.admin_keys_file.empty()) return ApiKeys{};
  return ApiKeys::load(config.admin_keys_file);
}

std::vector<crypto::AeadMode> available_modes(const Config& config) {
  std::vector<crypto::AeadMode> modes = config.media_encryption_modes;
  std::erase_if(modes, [](crypto::AeadMode mode) { return !crypto::is_available(mode); });
  return modes;
}

std::uint64_t random_seed() {
  std::array<std::uint8_t, sizeof(std::uint64_t)> bytes;
  crypto::random_bytes(bytes);
  std::uint64_t seed = 0;
  std::memcpy(&seed, bytes.data(), sizeof seed);
  return seed;
}

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Clock system_clock() {
  return {io::monotonic_now, [] { return unix_ms() / 1'000; }};
}

// What another machine would have to use to reach a wildcard address is not known here.
Endpoint reachable(Endpoint endpoint) {
  if (endpoint.ip.is_unspecified()) endpoint.ip = make_v4(127, 0, 0, 1);
  return endpoint;
}

}  // namespace

struct Controller::State {
  State(uv_loop_t* l, const Config& c) : loop(l), config(c) {
    RELAY_CHECK(uv_async_init(loop, &wake, [](uv_async_t* handle) {
                  static_cast<State*>(handle->data)->on_wake();
                }) == 0);
    RELAY_CHECK(uv_timer_init(loop, &sweep) == 0 && uv_timer_init(loop, &tick) == 0);
    wake.data = sweep.data = tick.data = this;
  }

  Result<void> open();
  Result<void> open_workers();
  Result<void> open_listeners();
  void on_wake();
  void on_sweep();
  void start_ticking();
  void open_api(ApiKeys keys);
  void add_metrics(NodeMetrics& metrics) const;
  void reload();
  void stop();
  void on_listener_stopped();
  void close_handles();
  void report() const;

  uv_loop_t* loop;
  Config config;
  uv_async_t wake{};
  uv_timer_t sweep{};
  uv_timer_t tick{};
  std::unique_ptr<WorkerGroup> workers;
  std::unique_ptr<Commands> commands;
  std::unique_ptr<Membership> membership;
  std::unique_ptr<gateway::TokenVerifier> verifier;
  std::unique_ptr<Sessions> sessions;
  std::unique_ptr<EventHub> events;
  std::unique_ptr<EventFeed> feed;
  std::unique_ptr<Api> api;
  std::unique_ptr<gateway::Listener> gateway_listener;
  std::unique_ptr<gateway::Listener> admin_listener;
  ListenerWatch gateway_watch{"gateway"};
  ListenerWatch admin_watch{"admin"};
  Endpoint media;
  Time started_at = io::monotonic_now();
  int listeners_left = 0;
  bool is_stopping = false;
  bool are_handles_closed = false;
};

Result<void> check_files(const Config& config) {
  if (auto tls = gateway::TlsContext::make_server(config.gateway_tls_cert, config.gateway_tls_key);
      !tls) {
    return tls.error();
  }
  if (auto keys = read_token_keys(config); !keys) return keys.error();
  if (auto keys = read_api_keys(config); !keys) return keys.error();
  return {};
}

Result<void> Controller::State::open() {
  auto keys = read_token_keys(config);
  if (!keys) return keys.error();
  verifier = std::make_unique<gateway::TokenVerifier>(config.cluster_name, std::move(keys.value()));
  if (auto opened = open_workers(); !opened) return opened.error();
  if (auto opened = open_listeners(); !opened) return opened.error();
  const auto interval = static_cast<std::uint64_t>(limits::sweep_interval.ms());
  uv_timer_start(
      &sweep, [](uv_timer_t* handle) { static_cast<State*>(handle->data)->on_sweep(); }, interval,
      interval);
  feed->on_node_state("ready");
  report();
  return {};
}

Result<void> Controller::State::open_workers() {
  WorkerGroupOptions options;
  options.listen = config.media_listen;
  options.workers_count = workers_count(config);
  options.is_pinned = config.media_pin_workers;
  options.node = config.node_id;
  options.loopback_only = config.media_loopback_only;
  options.stale_max = milliseconds(config.media_stale_ms_max);
  options.sessions_per_worker_max = config.media_sessions_per_worker_max;
  options.seed = random_seed();
  options.wake_controller = [this] { uv_async_send(&wake); };
  auto created = WorkerGroup::create(options);
  if (!created) return Error{"media.listen: " + created.error().text};
  workers = std::move(created.value());
  media = {media_address(config, interface_addresses()), workers->bound().port};

  commands = std::make_unique<Commands>(*workers);
  commands->on_ready([this] { uv_async_send(&wake); });
  MembershipOptions membership_options;
  membership_options.node = config.node_id;
  membership_options.channel_participants_per_worker_max =
      config.media_channel_participants_per_worker_max;
  membership_options.channel_speakers_max = config.media_channel_speakers_max;
  membership_options.late_ms_max = config.media_late_ms_max;
  membership_options.sessions_per_worker_max = config.media_sessions_per_worker_max;
  membership = std::make_unique<Membership>(*commands, membership_options);
  return {};
}

Result<void> Controller::State::open_listeners() {
  auto tls = gateway::TlsContext::make_server(config.gateway_tls_cert, config.gateway_tls_key);
  if (!tls) return tls.error();
  SessionsOptions options;
  options.media = media;
  options.modes = available_modes(config);
  options.unidentified_per_address_max = config.gateway_unidentified_per_address_max;
  options.bad_tokens_per_address_max = config.gateway_bad_tokens_per_address_max;
  sessions = std::make_unique<Sessions>(*membership, *commands, *verifier, std::move(options),
                                        system_clock());
  gateway::ListenerOptions gateway_options;
  gateway_options.endpoints = config.gateway_listen;
  auto opened = gateway::Listener::create(loop, gateway_options, tls.value(), *sessions);
  if (!opened) return Error{"gateway.listen: " + opened.error().text};
  gateway_listener = std::move(opened.value());

  auto api_keys = read_api_keys(config);
  if (!api_keys) return api_keys.error();
  open_api(std::move(api_keys.value()));
  gateway::ListenerOptions admin_options;
  admin_options.endpoints = config.admin_listen;
  auto admin = gateway::Listener::create(loop, admin_options, tls.value(), *api);
  if (!admin) return Error{"admin.listen: " + admin.error().text};
  admin_listener = std::move(admin.value());
  return {};
}

void Controller::State::open_api(ApiKeys keys) {
  ApiOptions options;
  options.labels = {EARSHOT_VERSION, config.node_id, config.node_region, config.cluster_name};
  options.endpoint = config.gateway_endpoint.empty()
                         ? reachable(gateway_listener->bound().front()).to_string()
                         : config.gateway_endpoint;
  options.media = media;
  options.keys = std::move(keys);
  events = std::make_unique<EventHub>(random_seed());
  feed = std::make_unique<EventFeed>(*events, unix_ms);
  sessions->set_observer(feed.get());
  api = std::make_unique<Api>(
      std::move(options), Api::Parts{*sessions, *membership, *commands, *verifier, *events, *feed,
                                     [this](NodeMetrics& m) { add_metrics(m); }});
}

void Controller::State::add_metrics(NodeMetrics& metrics) const {
  metrics.uptime = io::monotonic_now() - started_at;
  metrics.is_secret_memory_locked = workers->is_secret_memory_locked();
  metrics.listeners.push_back(
      {"gateway", gateway_listener->counters(), gateway_listener->connections_count()});
  metrics.listeners.push_back(
      {"admin", admin_listener->counters(), admin_listener->connections_count()});
}

void Controller::State::reload() {
  const auto tell = [](const auto& result) {
    if (!result) log::error("reload_failed", {{"reason", result.error().text}});
    return result.ok();
  };
  if (auto keys = read_api_keys(config); tell(keys)) api->set_keys(std::move(keys.value()));
  if (auto keys = read_token_keys(config); tell(keys)) verifier->set_keys(std::move(keys.value()));
  auto tls = gateway::TlsContext::make_server(config.gateway_tls_cert, config.gateway_tls_key);
  if (tell(tls)) {
    gateway_listener->set_tls_context(tls.value());
    admin_listener->set_tls_context(std::move(tls.value()));
  }
  log::info("reloaded");
}

void Controller::State::report() const {
  log::info("node_started", {{"version", EARSHOT_VERSION},
                             {"node", config.node_id.value},
                             {"cluster", config.cluster_name},
                             {"region", config.node_region},
                             {"gateway", log::Own{gateway_listener->bound().front()}},
                             {"media", log::Own{workers->bound()}},
                             {"admin", log::Own{admin_listener->bound().front()}},
                             {"workers", workers->size()}});
  if (media.ip.is_private() && !config.media_loopback_only) {
    log::warn("media_address_is_private", {{"media", log::Own{media}}});
  }
  if (!workers->is_secret_memory_locked()) log::warn("keys_are_not_locked");
  if (std::find(config.media_encryption_modes.begin(), config.media_encryption_modes.end(),
                crypto::AeadMode::aes256_gcm_rtpsize) != config.media_encryption_modes.end() &&
      !crypto::is_available(crypto::AeadMode::aes256_gcm_rtpsize)) {
    log::warn("aes_is_missing");
  }
}

void Controller::State::on_wake() {
  commands->poll();
  Event event;
  while (workers->poll_event(event)) sessions->on_event(event);
  start_ticking();
}

void Controller::State::on_sweep() {
  sessions->on_sweep();
  events->on_timeout(io::monotonic_now());
  const Time now = io::monotonic_now();
  gateway_watch.look(now, gateway_listener->counters());
  admin_watch.look(now, admin_listener->counters());
}

void Controller::State::start_ticking() {
  if (!sessions->needs_ticks() || uv_is_active(reinterpret_cast<uv_handle_t*>(&tick)) != 0) return;
  uv_timer_start(
      &tick,
      [](uv_timer_t* handle) {
        Sessions& due = *static_cast<State*>(handle->data)->sessions;
        due.on_tick();
        if (!due.needs_ticks()) uv_timer_stop(handle);
      },
      tick_ms, tick_ms);
}

void Controller::State::stop() {
  if (std::exchange(is_stopping, true)) return;
  log::info("node_stopping", {{"sessions", sessions->sessions_count()},
                              {"connections", gateway_listener->connections_count()}});
  listeners_left = 2;
  api->begin_stop();
  feed->on_node_state("stopping");
  sessions->tell_stopping();
  const auto going_away = static_cast<std::uint16_t>(gateway::CloseCode::going_away);
  const Time end = io::monotonic_now() + stop_time_max;
  gateway_listener->stop(stop_grace, going_away, [this, going_away, end] {
    on_listener_stopped();
    const Duration rest = std::max(end - io::monotonic_now(), stop_time_max - stop_grace);
    admin_listener->stop(rest, going_away, [this] { on_listener_stopped(); });
  });
}

void Controller::State::on_listener_stopped() {
  if (--listeners_left > 0) return;
  close_handles();
}

// Workers first: they are who wakes the loop.
void Controller::State::close_handles() {
  if (std::exchange(are_handles_closed, true)) return;
  if (workers) workers->stop();
  gateway_listener.reset();
  admin_listener.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&wake), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&sweep), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&tick), nullptr);
}

Controller::Controller(std::unique_ptr<State> state) : state_(std::move(state)) {}

// The handles live in the state, so it goes when the loop has let go of them.
Controller::~Controller() {
  state_->close_handles();
  uv_run(state_->loop, UV_RUN_DEFAULT);
}

Result<std::unique_ptr<Controller>> Controller::create(uv_loop_t* loop, const Config& config) {
  std::unique_ptr<Controller> controller(new Controller(std::make_unique<State>(loop, config)));
  if (auto opened = controller->state_->open(); !opened) return opened.error();
  return controller;
}

NodeEndpoints Controller::endpoints() const {
  return {reachable(state_->gateway_listener->bound().front()), state_->media,
          reachable(state_->admin_listener->bound().front())};
}

void Controller::reload() {
  state_->reload();
}

void Controller::stop() {
  state_->stop();
}

}  // namespace earshot::control
