#include "subscription/budget.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "support.h"

namespace fealty::subscription {
namespace {

using test::FakeClock;

constexpr Hash128 kSpender{9, 9};

class BudgetTest : public testing::Test {
 protected:
  // How many checks of 25 us fail before the source gets no more.
  int fail_all(const Hash128& source) {
    int checks = 0;
    for (; budget_.source_may(source) && checks < 100'000; ++checks) {
      budget_.charge(source, 25);
    }
    return checks;
  }
  void accept_from(const Hash128& source, std::int64_t us = 25) {
    budget_.charge(source, us);
    budget_.settle(source, kSpender, us);
  }
  static Hash128 source(std::uint64_t number) { return {1, number}; }

  FakeClock clock_;
  CheckShares shares_;
  CheckBudget budget_{shares_, clock_};
};

TEST_F(BudgetTest, SourceMayFailOnlySoOften) {
  EXPECT_EQ(fail_all(source(1)), 400);
  EXPECT_FALSE(budget_.source_may(source(1)));
  EXPECT_TRUE(budget_.source_may(source(2)));
}

TEST_F(BudgetTest, SharesRefillWithTime) {
  fail_all(source(1));
  clock_.now_ms += 500;
  EXPECT_EQ(fail_all(source(1)), 200);
  clock_.now_ms += 3'600'000;
  EXPECT_EQ(fail_all(source(1)), 400) << "never more than a second's";
}

TEST_F(BudgetTest, AcceptedPacketsCostTheirSourceNothing) {
  for (int i = 0; i < 3000; ++i) accept_from(source(1));
  EXPECT_EQ(fail_all(source(1)), 400);
}

TEST_F(BudgetTest, CustomerMayUseOnlyHisShare) {
  int accepted = 0;
  while (budget_.owner_may(kSpender) && accepted < 100'000) {
    accept_from(source(1));
    ++accepted;
  }
  EXPECT_EQ(accepted, 4000);
  EXPECT_TRUE(budget_.owner_may({9, 8}));
  clock_.now_ms += 100;
  EXPECT_TRUE(budget_.owner_may(kSpender));
}

TEST_F(BudgetTest, JunkDoesNotTouchTheCustomersShare) {
  fail_all(source(1));
  int accepted = 0;
  for (; budget_.owner_may(kSpender) && accepted < 100'000; ++accepted) {
    accept_from(source(2));
  }
  EXPECT_EQ(accepted, 4000);
}

TEST_F(BudgetTest, InventedSourcesShareOneBudget) {
  int checks = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    if (!budget_.source_may(source(i))) continue;
    budget_.charge(source(i), 25);
    ++checks;
  }
  EXPECT_EQ(checks, 2000);
  EXPECT_LE(budget_.stranger_count(), CheckBudget::kSourcesMax);
}

TEST_F(BudgetTest, KnownSourceLosesNothingToAFloodOfStrangers) {
  accept_from(source(0));
  for (std::uint64_t i = 1; i < 10'000; ++i) {
    if (budget_.source_may(source(i))) budget_.charge(source(i), 25);
  }
  EXPECT_FALSE(budget_.source_may(source(10'001)));
  EXPECT_EQ(fail_all(source(0)), 400);
}

TEST_F(BudgetTest, AllFailedChecksTogetherAreBounded) {
  int checks = 0;
  for (std::uint64_t i = 0; i < 100; ++i) accept_from(source(i));
  for (std::uint64_t i = 0; i < 100; ++i) checks += fail_all(source(i));
  EXPECT_EQ(checks, 10'000);
}

TEST_F(BudgetTest, LiveNodesShareIsUsedUpByItsOwnPacketsOnly) {
  const Hash128 mine{2, 1};
  const Hash128 yours{2, 2};
  fail_all(source(1));
  int checks = 0;
  for (; budget_.node_may(mine) && checks < 100'000; ++checks) {
    budget_.charge_node(mine, 25);
  }
  EXPECT_EQ(checks, 12);
  EXPECT_TRUE(budget_.node_may(yours));
  clock_.now_ms += 100;
  EXPECT_TRUE(budget_.node_may(mine));
}

TEST_F(BudgetTest, AcceptedRefreshesCostTheirNodeNothing) {
  const Hash128 node{2, 1};
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(budget_.node_may(node)) << i;
    budget_.charge_node(node, 25);
    budget_.settle_node(node, source(1), kSpender, 25);
  }
}

TEST_F(BudgetTest, FailedChecksOfAllLiveNodesAreBounded) {
  int checks = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    if (!budget_.node_may({2, i})) continue;
    budget_.charge_node({2, i}, 25);
    ++checks;
  }
  EXPECT_EQ(checks, 4000);
  EXPECT_LE(budget_.node_count(), CheckBudget::kNodesMax);
  EXPECT_TRUE(budget_.source_may(source(1))) << "then the source's counts";
}

TEST(BucketSet, LongestUnusedGivesWay) {
  BucketSet set(100, 2);
  set.at({1, 1}, 0).take(100);
  set.at({1, 2}, 0).take(100);
  EXPECT_FALSE(set.at({1, 1}, 0).has_some(0));
  set.at({1, 3}, 0);
  EXPECT_EQ(set.size(), 2U);
  EXPECT_FALSE(set.at({1, 1}, 0).has_some(0));
  EXPECT_FALSE(set.contains({1, 2}));
}

TEST(TimeBucket, RefillsHoweverOftenItIsAsked) {
  TimeBucket bucket(100, 0);      // 0.1 us a millisecond
  bucket.take(101);
  for (std::int64_t now_ms = 1; now_ms <= 10; ++now_ms) {
    EXPECT_FALSE(bucket.has_some(now_ms)) << now_ms;
  }
  EXPECT_TRUE(bucket.has_some(20));
}

}  // namespace
}  // namespace fealty::subscription
