#include "base/slab.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

namespace fealty {
namespace {

TEST(SlabTest, ObjectsAreAlignedAndDoNotOverlap) {
  Slab& slab = Slab::shared();
  struct Piece {
    unsigned char* place;
    std::size_t bytes;
  };
  std::vector<Piece> objects;
  for (std::size_t bytes = 1; bytes <= Slab::kBytesMost + 100; ++bytes) {
    auto* const place = static_cast<unsigned char*>(slab.allocate(bytes));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(place) % Slab::kAlignment, 0U);
    std::memset(place, static_cast<int>(bytes % 251), bytes);
    objects.push_back({place, bytes});
  }
  for (const Piece& object : objects) {
    for (std::size_t i = 0; i < object.bytes; ++i) {
      ASSERT_EQ(object.place[i], object.bytes % 251);
    }
    slab.free(object.place, object.bytes);
  }
}

TEST(SlabTest, MoreThanAChunkOfOneSize) {
  Slab& slab = Slab::shared();
  constexpr std::size_t kCount = 300'000;
  std::vector<void*> objects;
  for (std::size_t i = 0; i < kCount; ++i) objects.push_back(slab.allocate(24));
  EXPECT_EQ(std::set<void*>(objects.begin(), objects.end()).size(), kCount);
  for (void* const object : objects) slab.free(object, 24);
}

TEST(SlabTest, FreedInOneThreadAndUsedInAnother) {
  Slab& slab = Slab::shared();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&slab, thread] {
      for (int round = 0; round < 20'000; ++round) {
        auto* const place = static_cast<int*>(slab.allocate(64));
        place[15] = thread;
        ASSERT_EQ(place[15], thread);
        slab.free(place, 64);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace fealty
