#include "crypto/keys.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>

using namespace earshot::crypto;

namespace {

static_assert(!std::is_copy_constructible_v<Key> && !std::is_copy_assignable_v<Key>);
static_assert(std::is_nothrow_move_constructible_v<Key> && std::is_nothrow_move_assignable_v<Key>);
static_assert(!std::is_copy_constructible_v<SecretMemory> &&
              !std::is_copy_assignable_v<SecretMemory>);
static_assert(std::is_nothrow_move_constructible_v<SecretMemory> &&
              std::is_nothrow_move_assignable_v<SecretMemory>);

// The sanitizers' run-time libraries turn mlock() into nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool can_lock = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool can_lock = false;
#else
constexpr bool can_lock = true;
#endif
#else
constexpr bool can_lock = true;
#endif

bool is_zero(std::span<const std::uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](auto b) { return b == 0; });
}

constexpr std::array<std::uint8_t, key_size> sample = [] {
  std::array<std::uint8_t, key_size> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i + 1);
  return bytes;
}();

bool holds_sample(const Key& key) {
  return std::equal(sample.begin(), sample.end(), key.bytes().begin());
}

// The flags of the mapping that holds `address` (proc(5), VmFlags), or nothing.
std::set<std::string> flags_of(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool is_inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::istringstream head(line);
    if (head >> std::hex >> begin >> dash >> end && dash == '-')
      is_inside = begin <= wanted && wanted < end;
    if (!is_inside || !line.starts_with("VmFlags:")) continue;
    std::istringstream flags(line.substr(8));
    std::set<std::string> found;
    for (std::string flag; flags >> flag;) found.insert(flag);
    return found;
  }
  return {};
}

}  // namespace

TEST_CASE("a key is zeroed when it ends, is cleared, or is moved from") {
  CHECK(is_zero(Key{}.bytes()));

  alignas(Key) std::uint8_t memory[sizeof(Key)];
  Key* key = new (memory) Key(sample);
  CHECK(holds_sample(*key));
  key->~Key();
  CHECK(is_zero(memory));

  Key first{sample};
  Key second{std::move(first)};
  CHECK(is_zero(first.bytes()));
  CHECK(holds_sample(second));

  Key third;
  third = std::move(second);
  CHECK(is_zero(second.bytes()));
  CHECK(holds_sample(third));
  Key& same = third;
  third = std::move(same);
  CHECK(holds_sample(third));

  third.clear();
  CHECK(is_zero(third.bytes()));
  std::copy(sample.begin(), sample.end(), third.mutable_bytes().begin());
  CHECK(holds_sample(third));
}

TEST_CASE("zero() overwrites all of it, and takes nothing for an answer") {
  std::array<std::uint8_t, 100> bytes;
  bytes.fill(0xEE);
  zero(std::span(bytes).subspan(1, 98));
  CHECK(bytes.front() == 0xEE);
  CHECK(bytes.back() == 0xEE);
  CHECK(is_zero(std::span(bytes).subspan(1, 98)));
  zero({});
}

TEST_CASE("equality: every byte and the size count") {
  std::array<std::uint8_t, 40> a;
  a.fill(0x5A);
  for (std::size_t size = 0; size <= a.size(); ++size) {
    const auto b = a;
    CHECK(equal_constant_time(std::span(a).first(size), std::span(b).first(size)));
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      auto b = a;
      b[i] = static_cast<std::uint8_t>(b[i] ^ (1 << bit));
      CHECK_FALSE(equal_constant_time(a, b));
    }
  }
  CHECK_FALSE(equal_constant_time(a, std::span(a).first(39)));
  CHECK_FALSE(equal_constant_time({}, std::span(a).first(1)));
  CHECK(equal_constant_time({}, {}));
}

TEST_CASE("random bytes fill all of the span and do not repeat") {
  REQUIRE(initialize());
  REQUIRE(initialize());  // a second time changes nothing
  std::set<std::array<std::uint8_t, 32>> seen;
  std::array<std::uint8_t, 32> ever{};
  for (int i = 0; i < 100; ++i) {
    std::array<std::uint8_t, 32> bytes{};
    random_bytes(bytes);
    CHECK(seen.insert(bytes).second);
    for (std::size_t k = 0; k < bytes.size(); ++k) ever[k] |= bytes[k];
  }
  CHECK(std::none_of(ever.begin(), ever.end(), [](auto b) { return b == 0; }));
  random_bytes({});
}

TEST_CASE("secret memory is zero, left out of core dumps, and locked where that is allowed") {
  for (const std::size_t size : {std::size_t{1}, std::size_t{4'096}, std::size_t{100'000}}) {
    CAPTURE(size);
    SecretMemory memory(size);
    REQUIRE(memory.bytes().size() == size);
    CHECK(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % 4'096 == 0);
    CHECK(is_zero(memory.bytes()));
    std::fill(memory.bytes().begin(), memory.bytes().end(), std::uint8_t{0xEE});
    for (const void* at : {&memory.bytes().front(), &memory.bytes().back()}) {
      const auto flags = flags_of(at);
      CHECK(flags.contains("dd"));
      if (can_lock) CHECK(flags.contains("lo") == memory.is_locked());
    }
  }
}

TEST_CASE("a refused lock is told, and is no error") {
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_MEMLOCK, &before) == 0);
  const rlimit none{0, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
  {
    SecretMemory memory(8'192);
    const auto flags = flags_of(memory.bytes().data());
    CHECK(flags.contains("dd"));
    // Who may lock whatever the limit says (CAP_IPC_LOCK) gets the lock.
    if (can_lock) CHECK(flags.contains("lo") == memory.is_locked());
    std::fill(memory.bytes().begin(), memory.bytes().end(), std::uint8_t{1});
  }
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &before) == 0);
}

TEST_CASE("secret memory is given back when it ends") {
  const void* address = nullptr;
  {
    SecretMemory memory(1u << 20);
    address = memory.bytes().data();
    REQUIRE(flags_of(address).contains("dd"));
  }
  CHECK_FALSE(flags_of(address).contains("dd"));
}

TEST_CASE("secret memory moves with its content") {
  SecretMemory first(100);
  first.bytes()[99] = 7;
  const auto* address = first.bytes().data();
  const bool was_locked = first.is_locked();
  SecretMemory second(std::move(first));
  CHECK(first.bytes().empty());
  CHECK_FALSE(first.is_locked());
  CHECK(second.bytes().data() == address);
  CHECK(second.is_locked() == was_locked);
  SecretMemory third(5);
  third = std::move(second);
  CHECK(third.bytes().size() == 100);
  CHECK(third.bytes()[99] == 7);
  SecretMemory nothing(0);
  CHECK(nothing.bytes().empty());
  CHECK_FALSE(nothing.is_locked());
  third = std::move(nothing);
  CHECK(third.bytes().empty());
}

TEST_CASE("a secret file is read whole, or not at all") {
  const auto folder =
      std::filesystem::temp_directory_path() / ("earshot-keys-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "key").string();
  const auto write = [&](const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
  };
  const auto read = [&](std::size_t size_max) -> std::optional<std::string> {
    auto memory = read_secret_file(path, size_max);
    if (!memory) return std::nullopt;
    return std::string(memory->bytes().begin(), memory->bytes().end());
  };
  CHECK_FALSE(read(10));
  CHECK(errno == ENOENT);
  write("");
  CHECK_FALSE(read(10));
  write("0123456789");
  CHECK(read(10) == "0123456789");
  CHECK(read(11) == "0123456789");
  CHECK_FALSE(read(9));
  CHECK(errno == EFBIG);
  const std::string large(100'000, 'x');
  write(large);
  CHECK(read(100'000) == large);
  CHECK_FALSE(read_secret_file(folder.string(), 10));
  std::filesystem::remove_all(folder);
}
