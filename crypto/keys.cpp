#include "crypto/keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace earshot::crypto {

bool initialize() {
  return sodium_init() >= 0;
}

Key::Key(std::span<const std::uint8_t, key_size> bytes) {
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}
Key::~Key() {
  clear();
}
Key::Key(Key&& other) noexcept : bytes_(other.bytes_) {
  other.clear();
}

Key& Key::operator=(Key&& other) noexcept {
  if (this != &other) {
    bytes_ = other.bytes_;
    other.clear();
  }
  return *this;
}

void Key::clear() {
  zero(bytes_);
}

void zero(std::span<std::uint8_t> bytes) {
  sodium_memzero(bytes.data(), bytes.size());
}

bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void random_bytes(std::span<std::uint8_t> out) {
  // libsodium declares the pointer as never null, and that of an empty span may be.
  if (!out.empty()) randombytes_buf(out.data(), out.size());
}

SecretMemory::SecretMemory(std::size_t size) : size_(size) {
  if (size == 0) return;
  void* mapping = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED || madvise(mapping, size, MADV_DONTDUMP) != 0) {
    std::perror("earshot: cannot map memory for keys");
    std::abort();
  }
  data_ = static_cast<std::uint8_t*>(mapping);
  locked_ = mlock(data_, size_) == 0;
}

SecretMemory::~SecretMemory() {
  if (data_ == nullptr) return;
  zero(bytes());
  munmap(data_, size_);
}

SecretMemory::SecretMemory(SecretMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      locked_(std::exchange(other.locked_, false)) {}

SecretMemory& SecretMemory::operator=(SecretMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(locked_, other.locked_);
  return *this;
}

std::optional<SecretMemory> read_secret_file(const std::string& path, std::size_t size_max) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  SecretMemory buffer(size_max + 1);
  std::size_t size = 0;
  ssize_t taken = 0;
  do {
    taken = ::read(descriptor, buffer.bytes().data() + size, size_max + 1 - size);
    if (taken > 0) size += static_cast<std::size_t>(taken);
  } while ((taken > 0 && size <= size_max) || (taken < 0 && errno == EINTR));
  const int error = taken < 0 ? errno : size > size_max ? EFBIG : ENODATA;
  ::close(descriptor);
  errno = error;
  if (taken < 0 || size == 0 || size > size_max) return std::nullopt;
  SecretMemory content(size);
  std::copy_n(buffer.bytes().begin(), size, content.bytes().begin());
  return content;
}

}  // namespace earshot::crypto
