#include "tools/client/event_loop.h"

#include <uv.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "relay/base/check.h"

namespace earshot::client {

Time monotonic_now() {
  return {static_cast<std::int64_t>(uv_hrtime())};
}

Loop::Loop() : loop_(new uv_loop_t) {
  RELAY_CHECK(uv_loop_init(loop_) == 0);
}

Loop::~Loop() {
  while (uv_run(loop_, UV_RUN_ONCE) != 0) {
  }
  RELAY_CHECK(uv_loop_close(loop_) == 0);
  delete loop_;
}

void Loop::run() {
  uv_run(loop_, UV_RUN_DEFAULT);
}

void Loop::stop() {
  uv_stop(loop_);
}

bool Loop::run_until(const std::function<bool()>& done, Duration limit) {
  const Time deadline = monotonic_now() + limit;
  // Wakes the loop up when nothing else does.
  Timer waker(loop_, [] {});
  while (!done()) {
    const Duration left = deadline - monotonic_now();
    if (left <= Duration{}) return false;
    waker.start(left);
    uv_run(loop_, UV_RUN_ONCE);
  }
  return true;
}

void Loop::run_for(Duration duration) {
  run_until([] { return false; }, duration);
}

struct Timer::State {
  uv_timer_t handle;
  // Shared, so that a callback that destroys its own timer does not pull the floor from under
  // itself.
  std::shared_ptr<const std::function<void()>> on_expired;
};

Timer::Timer(uv_loop_s* loop, std::function<void()> on_expired) : state_(new State) {
  state_->on_expired = std::make_shared<const std::function<void()>>(std::move(on_expired));
  RELAY_CHECK(uv_timer_init(loop, &state_->handle) == 0);
  state_->handle.data = state_;
}

Timer::~Timer() {
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

void Timer::start(Duration delay) {
  const std::int64_t ns = std::max<std::int64_t>(delay.ns, 0);
  // The loop's own time may be that of the turn's start; a delay counts from now.
  uv_update_time(state_->handle.loop);
  uv_timer_start(
      &state_->handle,
      [](uv_timer_t* handle) {
        const auto callback = static_cast<State*>(handle->data)->on_expired;
        (*callback)();
      },
      static_cast<std::uint64_t>((ns + 999'999) / 1'000'000), 0);
}

void Timer::stop() {
  uv_timer_stop(&state_->handle);
}

bool Timer::is_running() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&state_->handle)) != 0;
}

}  // namespace earshot::client
