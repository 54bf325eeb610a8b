// Secret memory and key material. Owner: one thread at a time; nothing here locks.
// Keys live in memory that is locked (mlock), left out of core dumps (MADV_DONTDUMP) and zeroed on
// destruction. Deliberately no copy: a key moves by being written into the place where it is used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace earshot::crypto {

// Initialises libsodium. Call once before anything else here; false if the library refuses to work.
[[nodiscard]] bool initialize();

constexpr std::size_t key_size = 32;

// 32 secret bytes. Zeroed on destruction; not copyable. Where it stands decides whether it is
// locked: put long-lived ones into SecretMemory.
class Key {
 public:
  Key() = default;
  explicit Key(std::span<const std::uint8_t, key_size> bytes);
  ~Key();
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  Key(Key&& other) noexcept;  // zeroes `other`
  Key& operator=(Key&& other) noexcept;

  std::span<const std::uint8_t, key_size> bytes() const { return bytes_; }
  std::span<std::uint8_t, key_size> mutable_bytes() { return bytes_; }
  void clear();

 private:
  std::array<std::uint8_t, key_size> bytes_{};
};

// Overwrites memory in a way the compiler keeps.
void zero(std::span<std::uint8_t> bytes);
// Equal in constant time for equal sizes (the size itself is not secret).
[[nodiscard]] bool equal_constant_time(std::span<const std::uint8_t> a,
                                       std::span<const std::uint8_t> b);
// From the operating system. Start-up, control path and tests; never inside relay/core.
void random_bytes(std::span<std::uint8_t> out);

// A zero-filled, page-aligned mapping for keys and AES schedules: MADV_DONTDUMP, mlock if the limit
// allows, zeroed and unmapped on destruction. A refused mlock is no error (RLIMIT_MEMLOCK is often
// 8 MiB): is_locked() tells.
class SecretMemory {
 public:
  explicit SecretMemory(
      std::size_t size);  // size in bytes, may be 0; aborts if the mapping itself fails
  ~SecretMemory();
  SecretMemory(SecretMemory&& other) noexcept;
  SecretMemory& operator=(SecretMemory&& other) noexcept;
  SecretMemory(const SecretMemory&) = delete;
  SecretMemory& operator=(const SecretMemory&) = delete;

  std::span<std::uint8_t> bytes() { return {data_, size_}; }
  bool is_empty() const { return size_ == 0; }
  bool is_locked() const { return locked_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  bool locked_ = false;
};

// A whole file, at most `size_max` bytes, of which no copy is left behind. Nothing if it cannot be
// read, is empty or larger; errno then says why.
std::optional<SecretMemory> read_secret_file(const std::string& path, std::size_t size_max);

}  // namespace earshot::crypto
