#include "tests/support/allocation_count.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <thread>

namespace earshot::test {
namespace {

std::atomic<bool> is_counting{false};
std::atomic<std::uint64_t> count{0};
thread_local bool is_exempt = false;

void* allocate(std::size_t size, std::size_t alignment) {
  if (is_counting.load(std::memory_order_relaxed) && !is_exempt)
    count.fetch_add(1, std::memory_order_relaxed);
  void* memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size == 0 ? 1 : size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* allocate_or_null(std::size_t size) noexcept {
  try {
    return allocate(size, 1);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace

void begin_counting_allocations() {
  is_exempt = true;
  count = 0;
  is_counting = true;
}

std::uint64_t end_counting_allocations() {
  is_counting = false;
  return count;
}

}  // namespace earshot::test

void* operator new(std::size_t size) {
  return earshot::test::allocate(size, 1);
}
void* operator new[](std::size_t size) {
  return earshot::test::allocate(size, 1);
}
// The sanitizers' own one would not match our delete.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return earshot::test::allocate_or_null(size);
}
void* operator new(std::size_t size, std::align_val_t a) {
  return earshot::test::allocate(size, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t size, std::align_val_t a) {
  return earshot::test::allocate(size, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
