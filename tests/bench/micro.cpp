// What one step of a packet's life costs, in CPU time of one thread: parse, open, seal, replay
// window, and the whole core from one datagram in to N datagrams out. No sockets: the kernel's part
// is measured elsewhere.
#include <benchmark/benchmark.h>
#include <time.h>

#include <array>
#include <cstring>
#include <vector>

#include "crypto/aead.h"
#include "crypto/keys.h"
#include "crypto/replay_window.h"
#include "relay/wire/rtp.h"
#include "tests/support/core_rig.h"

namespace earshot {
namespace {

constexpr std::size_t frame_size = 120;    // 48 kbit/s in 20 ms
constexpr std::size_t keys_count = 1'000;  // more than fit into the caches next to the CPU

double thread_cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

std::vector<crypto::AeadKey> make_keys(crypto::AeadMode mode) {
  std::vector<crypto::AeadKey> keys(keys_count);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    keys[i].set(mode, test::test_key(static_cast<std::uint32_t>(i)));
  }
  return keys;
}

crypto::Counter to_counter(std::uint32_t n) {
  crypto::Counter counter;
  std::memcpy(counter.data(), &n, sizeof n);
  return counter;
}

void seal(benchmark::State& state, crypto::AeadMode mode) {
  const auto keys = make_keys(mode);
  const std::array<std::uint8_t, 12> header{0x80, 0x78};
  std::array<std::uint8_t, frame_size + crypto::tag_size> data{};
  std::uint32_t n = 0;
  for (auto _ : state) {
    keys[n % keys_count].seal(data, frame_size, header, to_counter(n));
    ++n;
    benchmark::DoNotOptimize(data.data());
  }
}
BENCHMARK_CAPTURE(seal, gcm, crypto::AeadMode::aes256_gcm_rtpsize);
BENCHMARK_CAPTURE(seal, xchacha, crypto::AeadMode::xchacha20_poly1305_rtpsize);

// The copy that in-place decryption needs is part of it: 136 bytes.
void open(benchmark::State& state, crypto::AeadMode mode) {
  const auto keys = make_keys(mode);
  const std::array<std::uint8_t, 12> header{0x80, 0x78};
  std::vector<std::array<std::uint8_t, frame_size + crypto::tag_size>> sealed(keys_count);
  for (std::uint32_t i = 0; i < keys_count; ++i) {
    keys[i].seal(sealed[i], frame_size, header, to_counter(i));
  }
  std::uint32_t n = 0;
  for (auto _ : state) {
    auto data = sealed[n];
    const bool ok = keys[n].open(data, header, to_counter(n));
    if (!ok) state.SkipWithError("does not open");
    if (++n == keys_count) n = 0;
  }
}
BENCHMARK_CAPTURE(open, gcm, crypto::AeadMode::aes256_gcm_rtpsize);
BENCHMARK_CAPTURE(open, xchacha, crypto::AeadMode::xchacha20_poly1305_rtpsize);

void parse(benchmark::State& state) {
  std::array<std::uint8_t, 152> datagram{0x80, 0x78, 0, 1, 0, 0, 3, 192, 0, 0, 0, 7};
  for (auto _ : state) {
    benchmark::DoNotOptimize(datagram.data());
    benchmark::ClobberMemory();
    auto kind = wire::classify(datagram);
    auto header = wire::parse_rtp(datagram);
    benchmark::DoNotOptimize(kind);
    benchmark::DoNotOptimize(header);
  }
}
BENCHMARK(parse);

void replay_window(benchmark::State& state) {
  crypto::ReplayWindow<limits::replay_window_bits> window{};
  std::uint64_t n = 0;
  for (auto _ : state) {
    auto is_new = window.accept(++n);
    benchmark::DoNotOptimize(is_new);
  }
}
BENCHMARK(replay_window);

// One speaker, N listeners: ns per forwarded packet is `Time` / N, printed as its own column.
void fan_out(benchmark::State& state, crypto::AeadMode mode) {
  const auto listeners = static_cast<std::size_t>(state.range(0));
  CoreOptions options = test::CoreRig::small_options();
  options.sessions_max = listeners + 1;
  test::CoreRig rig(options);
  const ChannelRef channel = rig.open_channel(0);
  auto speaker = rig.join(0, channel, {}, mode);
  for (std::size_t i = 1; i <= listeners; ++i)
    rig.join(static_cast<std::uint16_t>(i), channel, {}, mode);

  constexpr std::size_t batch = 16;
  std::vector<std::vector<std::uint8_t>> datagrams(batch);
  const std::vector<std::uint8_t> frame(frame_size, 0x55);
  std::size_t forwarded = 0;
  double seconds_total = 0;
  for (auto _ : state) {
    for (auto& datagram : datagrams) {
      datagram = speaker.client->seal(++speaker.sequence, speaker.timestamp += 960, frame);
    }
    const double start = thread_cpu_seconds();
    for (auto& datagram : datagrams) {
      rig.now = rig.now + milliseconds(20);
      rig.core.on_datagram(rig.now, {speaker.address, make_v4(127, 0, 0, 1), rig.now, datagram},
                           rig.out);
      forwarded += rig.out.datagrams().size();
      rig.out.clear();
    }
    const double elapsed = thread_cpu_seconds() - start;
    seconds_total += elapsed;
    state.SetIterationTime(elapsed);
  }
  if (forwarded != batch * listeners * state.iterations()) state.SkipWithError("not all forwarded");
  state.counters["ns_per_forward"] = seconds_total * 1e9 / static_cast<double>(forwarded);
  state.counters["ns_per_packet"] =
      seconds_total * 1e9 / static_cast<double>(batch * state.iterations());
}
BENCHMARK_CAPTURE(fan_out, gcm, crypto::AeadMode::aes256_gcm_rtpsize)
    ->Arg(10)
    ->Arg(100)
    ->Arg(1000)
    ->UseManualTime();
BENCHMARK_CAPTURE(fan_out, xchacha, crypto::AeadMode::xchacha20_poly1305_rtpsize)
    ->Arg(10)
    ->Arg(100)
    ->Arg(1000)
    ->UseManualTime();

// Memory, not time: what a core allocates for one more slot.
void slot_bytes(benchmark::State& state) {
  CoreOptions options = test::CoreRig::small_options();
  const test::CoreRig rig(options);
  for (auto _ : state) benchmark::ClobberMemory();
  state.counters["bytes"] = static_cast<double>(rig.core.slot_bytes());
}
BENCHMARK(slot_bytes)->Iterations(1);

}  // namespace
}  // namespace earshot

int main(int argc, char** argv) {
  if (!earshot::crypto::initialize()) return 1;
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
