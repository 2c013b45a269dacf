#include "base/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fealty {
namespace {

std::string text(const Buffer& buffer) {
  return {buffer.data(), buffer.size()};
}

TEST(BufferPool, GivesTheSmallestSizeThatFits) {
  BufferPool pool;
  EXPECT_EQ(pool.acquire(0).capacity(), BufferPool::kSmall);
  EXPECT_EQ(pool.acquire(BufferPool::kSmall).capacity(), BufferPool::kSmall);
  EXPECT_EQ(pool.acquire(BufferPool::kSmall + 1).capacity(),
            BufferPool::kMedium);
  EXPECT_EQ(pool.acquire(BufferPool::kLarge).capacity(), BufferPool::kLarge);
}

TEST(BufferPool, BlockThatCameBackIsLentAgain) {
  BufferPool pool;
  const char* block = nullptr;
  {
    Buffer buffer = pool.acquire(1);
    block = buffer.room().data();
    EXPECT_EQ(pool.lent(), 1U);
  }
  EXPECT_EQ(pool.lent(), 0U);
  Buffer again = pool.acquire(1);
  EXPECT_EQ(again.room().data(), block);
  EXPECT_TRUE(again.empty());
}

TEST(BufferPool, MoreBlocksThanAreKeptGoAway) {
  BufferPool pool;
  std::vector<Buffer> many;
  for (std::size_t i = 0; i < BufferPool::kKeptPerSize[2] + 3; ++i) {
    many.push_back(pool.acquire(BufferPool::kLarge));
  }
  many.clear();  // the leak checker sees to the rest
  EXPECT_EQ(pool.lent(), 0U);
}

TEST(Buffer, FillsAndConsumes) {
  BufferPool pool;
  Buffer buffer = pool.acquire(1);
  EXPECT_EQ(buffer.append(std::string_view("abcdef")), 6U);
  EXPECT_EQ(text(buffer), "abcdef");
  buffer.consume(2);
  EXPECT_EQ(text(buffer), "cdef");
  const std::size_t room = buffer.room().size();
  buffer.compact();
  EXPECT_EQ(text(buffer), "cdef");
  EXPECT_EQ(buffer.room().size(), room + 2);
  std::memcpy(buffer.room().data(), "gh", 2);
  buffer.filled(2);
  EXPECT_EQ(text(buffer), "cdefgh");
}

TEST(Buffer, ConsumedToTheEndHasAllItsRoomAgain) {
  BufferPool pool;
  Buffer buffer = pool.acquire(1);
  buffer.append(std::string_view("abc"));
  buffer.consume(3);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.room().size(), buffer.capacity());
}

TEST(Buffer, AppendTakesWhatFits) {
  BufferPool pool;
  Buffer buffer = pool.acquire(1);
  const std::string much(BufferPool::kSmall + 10, 'x');
  EXPECT_EQ(buffer.append(much), BufferPool::kSmall);
  EXPECT_EQ(buffer.append(much), 0U);
  EXPECT_TRUE(buffer.room().empty());
}

TEST(Buffer, MoveHandsTheBlockOver) {
  BufferPool pool;
  Buffer first = pool.acquire(1);
  first.append(std::string_view("abc"));
  Buffer second = std::move(first);
  EXPECT_FALSE(first.has_block());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(text(second), "abc");
  Buffer third = pool.acquire(1);
  third = std::move(second);
  EXPECT_EQ(text(third), "abc");
  EXPECT_EQ(pool.lent(), 1U);
  third.release();
  EXPECT_EQ(pool.lent(), 0U);
  EXPECT_EQ(third.capacity(), 0U);
}

}  // namespace
}  // namespace fealty
