#include "tools/load/poller.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <span>

#include "relay/base/check.h"

namespace earshot::load {
namespace {

constexpr std::size_t patient_per_turn = 8;

}  // namespace

Time monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return {now.tv_sec * 1'000'000'000LL + now.tv_nsec};
}

Poller::Poller() : descriptor_(epoll_create1(EPOLL_CLOEXEC)) {
  RELAY_CHECK(descriptor_ >= 0);
}

Poller::~Poller() {
  ::close(descriptor_);
}

void Poller::watch(int descriptor, std::uint32_t events, Watched& watched) {
  epoll_event event{events, {&watched}};
  RELAY_CHECK(epoll_ctl(descriptor_, EPOLL_CTL_ADD, descriptor, &event) == 0);
}

void Poller::change(int descriptor, std::uint32_t events, Watched& watched) {
  epoll_event event{events, {&watched}};
  RELAY_CHECK(epoll_ctl(descriptor_, EPOLL_CTL_MOD, descriptor, &event) == 0);
}

void Poller::call_at(Time at, Timed& timed, std::uint64_t token) {
  calls_.push({at, &timed, token});
}

void Poller::turn(Duration limit) {
  const Time now = monotonic_now();
  Duration wait = limit;
  if (!calls_.empty()) wait = std::clamp(calls_.top().at - now, Duration{}, limit);
  const timespec timeout{wait.ns / 1'000'000'000, wait.ns % 1'000'000'000};
  std::array<epoll_event, 256> events;
  const int count = epoll_pwait2(descriptor_, events.data(), events.size(), &timeout, nullptr);
  const auto ready = std::span(events).first(static_cast<std::size_t>(std::max(count, 0)));
  std::array<const epoll_event*, patient_per_turn> patient;
  std::size_t patient_count = 0;
  for (const epoll_event& event : ready) {
    auto& watched = *static_cast<Watched*>(event.data.ptr);
    if (watched.is_urgent()) {
      watched.on_ready(event.events);
    } else if (patient_count < patient.size()) {
      patient[patient_count++] = &event;
    }
  }
  // The rest is ready again next time.
  for (std::size_t i = 0; i < patient_count; ++i) {
    static_cast<Watched*>(patient[i]->data.ptr)->on_ready(patient[i]->events);
  }
  const Time due = monotonic_now();
  while (!calls_.empty() && calls_.top().at <= due) {
    const Call call = calls_.top();
    calls_.pop();
    call.timed->on_time(call.token);
  }
}

}  // namespace earshot::load
