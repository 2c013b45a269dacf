#include "base/home_cells.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace fealty {
namespace {

constexpr std::size_t kBytes = HomeCells::kCellBytes;

struct Object {
  unsigned char* place;
  std::uint64_t hash;
  std::size_t bytes;
};

class HomeCellsTest : public testing::Test {
 protected:
  Object make(std::size_t bytes, std::uint64_t hash) {
    auto* const place =
        static_cast<unsigned char*>(cells_->allocate(bytes, hash));
    std::memset(place, static_cast<int>(hash % 251), bytes);
    return {place, hash, bytes};
  }
  void free(const Object& object) {
    for (std::size_t i = 0; i < object.bytes; ++i) {
      ASSERT_EQ(object.place[i], object.hash % 251);
    }
    cells_->free(object.place, object.bytes);
  }
  bool at_home(const Object& object) {
    return !cells_->should_move(object.place, object.bytes);
  }

  // Not the shared one, which hands out nothing under a sanitizer.
  std::unique_ptr<HomeCells> cells_ = std::make_unique<HomeCells>();
  std::mt19937_64 random_{1};
};

TEST_F(HomeCellsTest, AHashLeadsToTwoNeighbours) {
  const std::uint64_t hash = random_();
  const Object first = make(kBytes, hash);
  const Object second = make(1, hash);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first.place) % (2 * kBytes), 0U);
  EXPECT_EQ(second.place, first.place + kBytes);
  const Object third = make(kBytes, hash);   // for which there is none left
  EXPECT_FALSE(at_home(third));
  free(first);
  const Object fourth = make(kBytes, hash);
  EXPECT_EQ(fourth.place, first.place);
  free(second);
  free(third);
  free(fourth);
}

TEST_F(HomeCellsTest, WhatIsLargerHasNoHome) {
  const Object large = make(kBytes + 1, 7);
  EXPECT_TRUE(at_home(large));               // there is nothing better for it
  free(large);
  EXPECT_EQ(cells_->growths(), 0U);
}

TEST_F(HomeCellsTest, GrowsAndKeepsWhatIsThere) {
  std::vector<Object> objects;
  std::set<unsigned char*> places;
  for (int i = 0; i < 200'000; ++i) {
    objects.push_back(make(1 + random_() % kBytes, random_()));
    EXPECT_TRUE(places.insert(objects.back().place).second);
  }
  EXPECT_GT(cells_->growths(), 5U);
  for (const Object& object : objects) free(object);
}

TEST_F(HomeCellsTest, MostAreAtHomeAfterTheyMoved) {
  std::vector<Object> objects;
  for (int i = 0; i < 100'000; ++i) objects.push_back(make(kBytes, random_()));
  const auto count_at_home = [&] {
    return std::count_if(objects.begin(), objects.end(), [&](const Object& it) {
      return at_home(it);
    });
  };
  EXPECT_LT(count_at_home(), 80'000);
  for (std::uint64_t growths = ~std::uint64_t{0};
       std::exchange(growths, cells_->growths()) != cells_->growths();) {
    for (Object& object : objects) {
      if (at_home(object)) continue;
      const Object moved = make(object.bytes, object.hash);
      free(object);
      object = moved;
    }
  }
  EXPECT_GT(count_at_home(), 70'000);
  for (const Object& object : objects) free(object);
}

// What was the home of many is given back, and a long life needs no more.
TEST_F(HomeCellsTest, ComingAndGoingDoesNotGrowIt) {
  std::vector<Object> objects;
  for (int i = 0; i < 50'000; ++i) objects.push_back(make(kBytes, random_()));
  for (Object& object : objects) {
    free(object);
    object = make(kBytes, random_());
  }
  const std::uint64_t growths = cells_->growths();
  for (int i = 0; i < 500'000; ++i) {
    Object& object = objects[random_() % objects.size()];
    free(object);
    object = make(kBytes, random_());
  }
  EXPECT_LE(cells_->growths(), growths + 1);
  for (const Object& object : objects) free(object);
}

TEST_F(HomeCellsTest, ManyThreads) {
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this, thread] {
      std::mt19937_64 random(thread);
      std::vector<Object> mine;
      for (int round = 0; round < 30'000; ++round) {
        const std::uint64_t hash = random();
        cells_->prefetch(hash);
        mine.push_back(make(kBytes, hash));
        if (mine.size() < 2000) continue;
        const std::size_t at = random() % mine.size();
        free(mine[at]);
        mine[at] = mine.back();
        mine.pop_back();
      }
      for (const Object& object : mine) free(object);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace fealty
