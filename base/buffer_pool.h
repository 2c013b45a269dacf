#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"

namespace fealty {

class BufferPool;

// A block of bytes lent by a BufferPool, with the filled part [begin, end).
// Movable; goes back to its pool when it is destroyed or released. Empty (no
// block) by default and when it was moved from.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        capacity_(std::exchange(other.capacity_, 0)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      release();
      pool_ = std::exchange(other.pool_, nullptr);
      data_ = std::exchange(other.data_, nullptr);
      capacity_ = std::exchange(other.capacity_, 0);
      begin_ = std::exchange(other.begin_, 0);
      end_ = std::exchange(other.end_, 0);
    }
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }

  inline void release();

  [[nodiscard]] bool has_block() const { return data_ != nullptr; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  // The filled bytes.
  [[nodiscard]] char* data() const { return data_ + begin_; }
  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  // The free bytes behind them.
  [[nodiscard]] std::span<char> room() const {
    return {data_ + end_, capacity_ - end_};
  }
  void filled(std::size_t bytes) {
    FEALTY_CHECK(bytes <= capacity_ - end_);
    end_ += bytes;
  }
  void consume(std::size_t bytes) {
    FEALTY_CHECK(bytes <= size());
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  // Takes the last ones away.
  void shorten(std::size_t bytes) {
    FEALTY_CHECK(bytes <= size());
    end_ -= bytes;
  }
  void clear() { begin_ = end_ = 0; }
  // Copies as much of `bytes` as fits; returns how much.
  std::size_t append(std::span<const char> bytes);
  // Moves the filled bytes to the front, so that all the room is behind them.
  void compact();

 private:
  friend class BufferPool;

  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Blocks of three sizes for one thread, kept for reuse: in steady state no
// request allocates. At most kKeptPerSize idle blocks of a size are kept.
class BufferPool {
 public:
  static constexpr std::size_t kSmall = 4 * 1024;
  static constexpr std::size_t kMedium = 16 * 1024;
  // A whole uwsgi packet (65539 bytes), or a read of 64 KiB with its framing.
  static constexpr std::size_t kLarge = 66 * 1024;
  static constexpr std::array kSizes = {kSmall, kMedium, kLarge};
  static constexpr std::array<std::size_t, 3> kKeptPerSize = {1024, 256, 32};

  BufferPool() {
    for (std::size_t i = 0; i < free_.size(); ++i) {
      free_[i].reserve(kKeptPerSize[i]);
    }
  }
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool() {
    FEALTY_CHECK(lent_ == 0);
    for (const auto& blocks : free_) {
      for (char* block : blocks) delete[] block;
    }
  }

  // A block of at least `bytes` (at most kLarge).
  [[nodiscard]] Buffer acquire(std::size_t bytes) {
    const std::size_t index = index_of(bytes);
    Buffer buffer;
    buffer.pool_ = this;
    buffer.capacity_ = kSizes[index];
    auto& blocks = free_[index];
    if (blocks.empty()) {
      buffer.data_ = new char[buffer.capacity_];
    } else {
      buffer.data_ = blocks.back();
      blocks.pop_back();
    }
    ++lent_;
    return buffer;
  }
  [[nodiscard]] std::size_t lent() const { return lent_; }

 private:
  friend class Buffer;

  [[nodiscard]] static std::size_t index_of(std::size_t bytes) {
    FEALTY_CHECK(bytes <= kLarge);
    return bytes <= kSmall ? 0U : bytes <= kMedium ? 1U : 2U;
  }
  void take_back(char* block, std::size_t capacity) {
    const std::size_t index = index_of(capacity);
    --lent_;
    if (free_[index].size() < kKeptPerSize[index]) {
      free_[index].push_back(block);
    } else {
      delete[] block;
    }
  }

  std::array<std::vector<char*>, 3> free_;
  std::size_t lent_ = 0;
};

inline void Buffer::release() {
  if (data_ != nullptr) pool_->take_back(data_, capacity_);
  pool_ = nullptr;
  data_ = nullptr;
  capacity_ = begin_ = end_ = 0;
}

inline std::size_t Buffer::append(std::span<const char> bytes) {
  const std::size_t fits =
      bytes.size() < room().size() ? bytes.size() : room().size();
  if (fits > 0) std::memcpy(data_ + end_, bytes.data(), fits);
  end_ += fits;
  return fits;
}

inline void Buffer::compact() {
  if (begin_ == 0) return;
  const std::size_t bytes = size();
  if (bytes > 0) std::memmove(data_, data_ + begin_, bytes);
  begin_ = 0;
  end_ = bytes;
}

}  // namespace fealty
