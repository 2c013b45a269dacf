#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace fealty {

// Records of bytes from one thread to another, without a lock: whole or not at
// all. A full ring refuses; it never waits. `capacity` is a power of two. A push and
// a peek stand in one order with whatever else is sequentially consistent: so a
// reader may say that it sleeps, look once more, and miss nothing.
class ByteRing {
 public:
  explicit ByteRing(std::size_t capacity)
      : capacity_(capacity), bytes_(new char[capacity]) {}

  // The writing thread. False: there is no room.
  bool push(std::span<const char> record) {
    const std::uint64_t end = end_.load(std::memory_order_relaxed);
    const std::uint64_t begin = begin_.load(std::memory_order_acquire);
    if (record.size() > capacity_ - (end - begin)) return false;
    const std::size_t at = end & (capacity_ - 1);
    const std::size_t first = std::min(record.size(), capacity_ - at);
    std::memcpy(bytes_.get() + at, record.data(), first);
    std::memcpy(bytes_.get(), record.data() + first, record.size() - first);
    end_.store(end + record.size());
    return true;
  }
  // The reading thread: the records that wait, as far as they lie together.
  // They stay until consume().
  [[nodiscard]] std::span<const char> peek() const {
    const std::uint64_t begin = begin_.load(std::memory_order_relaxed);
    const std::uint64_t end = end_.load();
    const std::size_t at = begin & (capacity_ - 1);
    return {bytes_.get() + at,
            std::min(static_cast<std::size_t>(end - begin), capacity_ - at)};
  }
  void consume(std::size_t bytes) {
    begin_.store(begin_.load(std::memory_order_relaxed) + bytes,
                 std::memory_order_release);
  }

 private:
  const std::size_t capacity_;
  std::unique_ptr<char[]> bytes_;
  alignas(64) std::atomic<std::uint64_t> begin_{0};
  alignas(64) std::atomic<std::uint64_t> end_{0};
};

}  // namespace fealty
