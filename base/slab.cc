#include "base/slab.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/sanitized.h"

namespace fealty {
namespace {

constexpr bool kPassThrough = kAddressSanitized || kThreadSanitized;

constexpr std::size_t rounded(std::size_t bytes) {
  return (bytes + Slab::kAlignment - 1) / Slab::kAlignment * Slab::kAlignment;
}

}  // namespace

Slab& Slab::shared() {
  static Slab* const slab = new Slab;      // objects outlive static destructors
  return *slab;
}

void* Slab::allocate(std::size_t bytes) {
  if (kPassThrough || bytes > kBytesMost) return ::operator new(bytes);
  FEALTY_CHECK(bytes > 0);
  Size& size = size_of(bytes);
  const std::lock_guard lock(size.mutex);
  if (Free* const first = size.free) {
    size.free = first->next;
    return first;
  }
  const std::size_t room = rounded(bytes);
  if (static_cast<std::size_t>(size.end - size.next) < room) {
    size.next = take_piece();
    size.end = size.next + kPieceBytes;
  }
  void* const object = size.next;
  size.next += room;
  return object;
}

void Slab::free(void* object, std::size_t bytes) {
  if (kPassThrough || bytes > kBytesMost) {
    ::operator delete(object);
    return;
  }
  Size& size = size_of(bytes);
  const std::lock_guard lock(size.mutex);
  size.free = new (object) Free{size.free};
}

// Chunks grow from small to a huge page, so that a process with few objects
// stays small.
std::byte* Slab::take_piece() {
  const std::lock_guard lock(chunk_.mutex);
  if (chunk_.next == chunk_.end) {
    const std::size_t bytes = chunk_.bytes;
    chunk_.next =
        static_cast<std::byte*>(::operator new(bytes, std::align_val_t{bytes}));
    chunk_.end = chunk_.next + bytes;
    if (bytes == kChunkBytesMost) ::madvise(chunk_.next, bytes, MADV_HUGEPAGE);
    chunk_.bytes = std::min(bytes * 2, kChunkBytesMost);
  }
  return std::exchange(chunk_.next, chunk_.next + kPieceBytes);
}

}  // namespace fealty
