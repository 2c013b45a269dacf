#include "base/deadline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <random>
#include <vector>

namespace fealty {
namespace {

TEST(DeadlineQueue, PassesInOrderOfArming) {
  DeadlineQueue queue(100);
  Deadline first;
  Deadline second;
  queue.arm(first, 0);
  queue.arm(second, 10);
  EXPECT_EQ(queue.pop_passed(99), nullptr);
  EXPECT_EQ(queue.pop_passed(100), &first);
  EXPECT_EQ(queue.pop_passed(109), nullptr);
  EXPECT_EQ(queue.pop_passed(110), &second);
  EXPECT_EQ(queue.pop_passed(1000), nullptr);
  EXPECT_FALSE(first.armed());
}

TEST(DeadlineQueue, ArmingAgainMovesToTheEnd) {
  DeadlineQueue queue(100);
  Deadline first;
  Deadline second;
  queue.arm(first, 0);
  queue.arm(second, 1);
  queue.arm(first, 50);
  EXPECT_EQ(queue.front(), &second);
  EXPECT_EQ(queue.pop_passed(101), &second);
  EXPECT_EQ(queue.pop_passed(149), nullptr);
  EXPECT_EQ(queue.pop_passed(150), &first);
}

TEST(DeadlineQueue, ArmingElsewhereLeavesTheOldQueue) {
  DeadlineQueue head(10);
  DeadlineQueue body(20);
  Deadline deadline;
  head.arm(deadline, 0);
  body.arm(deadline, 5);
  EXPECT_TRUE(head.empty());
  EXPECT_EQ(deadline.queue(), &body);
  EXPECT_EQ(body.pop_passed(24), nullptr);
  EXPECT_EQ(body.pop_passed(25), &deadline);
}

TEST(Deadline, LeavesItsQueueWhenDestroyed) {
  DeadlineQueue queue(10);
  {
    Deadline deadline;
    queue.arm(deadline, 0);
    EXPECT_FALSE(queue.empty());
  }
  EXPECT_TRUE(queue.empty());
}

TEST(Deadline, DisarmedOneDoesNotPass) {
  DeadlineQueue queue(10);
  Deadline deadline;
  deadline.disarm();
  queue.arm(deadline, 0);
  deadline.disarm();
  EXPECT_FALSE(deadline.armed());
  EXPECT_EQ(queue.pop_passed(1000), nullptr);
}

TEST(DeadlineQueue, RandomStepsMatchAList) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  DeadlineQueue queue(100);
  std::array<Deadline, 8> deadlines;
  std::vector<std::pair<std::int64_t, Deadline*>> model;
  std::int64_t now_ms = 0;
  for (int step = 0; step < 20'000; ++step) {
    now_ms += static_cast<std::int64_t>(random() % 30);
    Deadline& deadline = deadlines[random() % deadlines.size()];
    std::erase_if(model, [&](const auto& item) {
      return item.second == &deadline;
    });
    if (random() % 3 == 0) {
      deadline.disarm();
    } else {
      queue.arm(deadline, now_ms);
      model.emplace_back(now_ms + 100, &deadline);
    }
    while (Deadline* const passed = queue.pop_passed(now_ms)) {
      ASSERT_FALSE(model.empty());
      ASSERT_LE(model.front().first, now_ms);
      ASSERT_EQ(model.front().second, passed);
      model.erase(model.begin());
    }
    ASSERT_TRUE(model.empty() || model.front().first > now_ms);
    ASSERT_EQ(queue.empty(), model.empty());
  }
}

TEST(DeadlineQueue, AnotherDurationCountsForThoseThatWaitAndKeepsTheirOrder) {
  DeadlineQueue queue(500);
  Deadline first;
  Deadline second;
  queue.arm(first, 1000);
  queue.set_duration(10);
  queue.arm(second, 1020);
  EXPECT_EQ(queue.pop_passed(1009), nullptr);
  EXPECT_EQ(queue.pop_passed(1010), &first);
  EXPECT_EQ(queue.pop_passed(1029), nullptr);
  queue.set_duration(100);
  EXPECT_EQ(queue.pop_passed(1119), nullptr);
  EXPECT_EQ(queue.pop_passed(1120), &second);
}

}  // namespace
}  // namespace fealty
