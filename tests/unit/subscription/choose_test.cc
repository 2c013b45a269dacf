#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "subscription/pool.h"

namespace fealty::subscription {
namespace {

using testing::ElementsAre;

constexpr std::int64_t kNow_ms = 1'000'000;

Pool pool_of(const std::vector<std::uint32_t>& weights) {
  Pool pool;
  pool.runtime = std::make_shared<PoolRuntime>();
  for (const std::uint32_t weight : weights) {
    Node node;
    node.name = std::string(1, static_cast<char>('a' + pool.nodes.size()));
    node.weight = weight;
    node.runtime = std::make_shared<NodeRuntime>();
    pool.nodes.push_back(std::move(node));
  }
  pool.schedule = make_schedule(pool.nodes);
  return pool;
}

std::string pick(const Pool& pool, const TriedNodes& tried = {},
                 std::int64_t now_ms = kNow_ms) {
  const Node* const node = choose(pool, tried, now_ms);
  return node == nullptr ? "-" : node->name;
}

std::string picks(const Pool& pool, int count, const TriedNodes& tried = {}) {
  std::string names;
  for (int i = 0; i < count; ++i) names += pick(pool, tried);
  return names;
}

std::map<std::string, int> shares(const Pool& pool, int count) {
  std::map<std::string, int> shares;
  for (int i = 0; i < count; ++i) ++shares[pick(pool)];
  return shares;
}

void rest(const Pool& pool, std::size_t node) {
  pool.nodes[node].runtime->on_connect_failure(kNow_ms);
}

TEST(Choose, EqualNodesTakeTurns) {
  EXPECT_EQ(picks(pool_of({1, 1, 1}), 7), "abcabca");
}

TEST(Choose, WeightsAreProportions) {
  EXPECT_EQ(picks(pool_of({5, 1, 1}), 14), "aabacaaaabacaa");
}

TEST(Choose, EmptyPoolHasNobody) { EXPECT_EQ(pick(pool_of({})), "-"); }

TEST(Choose, RestingNodeIsPassedOverAndItsShareSplitEvenly) {
  const Pool pool = pool_of({1, 1, 1, 1});
  rest(pool, 1);
  EXPECT_EQ(shares(pool, 3000), (std::map<std::string, int>{
                                    {"a", 1000}, {"c", 1000}, {"d", 1000}}));
}

TEST(Choose, TwoNeighboursRestAndTheOthersStillShareEvenly) {
  const Pool pool = pool_of({1, 1, 1, 1, 1});
  rest(pool, 1);
  rest(pool, 2);
  EXPECT_EQ(shares(pool, 3000), (std::map<std::string, int>{
                                    {"a", 1000}, {"d", 1000}, {"e", 1000}}));
}

TEST(Choose, RestedNodeComesBack) {
  const Pool pool = pool_of({1, 1});
  rest(pool, 0);
  EXPECT_EQ(picks(pool, 4), "bbbb");
  EXPECT_EQ(pick(pool, {}, kNow_ms + 499), "b");
  std::map<std::string, int> later;
  for (int i = 0; i < 4; ++i) ++later[pick(pool, {}, kNow_ms + 500)];
  EXPECT_EQ(later["a"], 2);
}

TEST(Choose, TriedNodeIsNotPickedAgain) {
  const Pool pool = pool_of({1, 1, 1});
  TriedNodes tried;
  tried.add(&pool.nodes[0]);
  tried.add(&pool.nodes[2]);
  EXPECT_EQ(picks(pool, 5, tried), "bbbbb");
}

TEST(Choose, RetriesReachEveryNodeOnce) {
  const Pool pool = pool_of({3, 1, 2, 1});
  TriedNodes tried;
  std::string names;
  while (const Node* node = choose(pool, tried, kNow_ms)) {
    names += node->name;
    tried.add(node);
    rest(pool, static_cast<std::size_t>(node - pool.nodes.data()));
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, "abcd");
}

TEST(Choose, AllTriedIsNobody) {
  const Pool pool = pool_of({1, 1});
  TriedNodes tried;
  tried.add(&pool.nodes[0]);
  tried.add(&pool.nodes[1]);
  EXPECT_EQ(pick(pool, tried), "-");
}

TEST(Choose, AllRestingAreAskedInTurnAllTheSame) {
  const Pool pool = pool_of({1, 1, 1});
  for (std::size_t i = 0; i < 3; ++i) rest(pool, i);
  EXPECT_EQ(shares(pool, 300), (std::map<std::string, int>{
                                   {"a", 100}, {"b", 100}, {"c", 100}}));
}

TEST(Choose, UntriedRestingNodeIsBetterThanNone) {
  const Pool pool = pool_of({1, 1});
  rest(pool, 1);
  TriedNodes tried;
  tried.add(&pool.nodes[0]);
  EXPECT_EQ(pick(pool, tried), "b");
}

TEST(Choose, AwakeNodeIsPreferredToAnUntriedRestingOne) {
  const Pool pool = pool_of({1, 1, 1});
  rest(pool, 0);
  TriedNodes tried;
  tried.add(&pool.nodes[1]);
  EXPECT_EQ(picks(pool, 3, tried), "ccc");
}

TEST(Choose, NewVersionOfThePoolGoesOnWhereTheOldOneWas) {
  const Pool before = pool_of({1, 1, 1});
  EXPECT_EQ(picks(before, 2), "ab");
  Pool after = pool_of({1, 1, 1});
  after.runtime = before.runtime;
  EXPECT_EQ(picks(after, 2), "ca");
}

TEST(Choose, ThreadsTogetherGiveEqualShares) {
  constexpr int kThreads = 4;
  constexpr int kEach = 30'000;
  const Pool pool = pool_of({1, 1, 1});
  std::array<std::atomic<int>, 3> counts{};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        const Node* const node = choose(pool, {}, kNow_ms);
        ++counts[static_cast<std::size_t>(node - pool.nodes.data())];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counts[0], kThreads * kEach / 3);
  EXPECT_EQ(counts[1], kThreads * kEach / 3);
  EXPECT_EQ(counts[2], kThreads * kEach / 3);
}

TEST(Choose, ThreadsFindTheOnlyAwakeNode) {
  const Pool pool = pool_of({1, 1, 1, 1, 1, 1, 1, 1});
  for (std::size_t i = 0; i < 8; ++i) {
    if (i != 5) rest(pool, i);
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5'000; ++i) {
        if (choose(pool, {}, kNow_ms) != &pool.nodes[5]) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(NodeRuntime, RestDoublesUpToHalfAMinute) {
  NodeRuntime node;
  std::int64_t now_ms = kNow_ms;
  std::vector<std::int64_t> rests;
  for (int i = 0; i < 9; ++i) {
    node.on_connect_failure(now_ms);
    rests.push_back(node.rest_until_ms - now_ms);
    EXPECT_TRUE(node.resting(now_ms));
    now_ms = node.rest_until_ms;
    EXPECT_FALSE(node.resting(now_ms));
  }
  EXPECT_THAT(rests, ElementsAre(500, 1000, 2000, 4000, 8000, 16'000, 30'000,
                                 30'000, 30'000));
  EXPECT_EQ(node.failures, 9U);
}

TEST(NodeRuntime, FailuresOfOneMomentAreOne) {
  NodeRuntime node;
  for (int i = 0; i < 64; ++i) node.on_connect_failure(kNow_ms);
  EXPECT_EQ(node.failures, 1U);
  EXPECT_EQ(node.rest_until_ms, kNow_ms + 500);
  EXPECT_EQ(node.failed, 64U);
}

TEST(NodeRuntime, SuccessEndsTheRestAndStartsAnew) {
  NodeRuntime node;
  node.on_connect_failure(kNow_ms);
  node.on_connect_failure(kNow_ms + 500);
  node.on_success();
  EXPECT_FALSE(node.resting(kNow_ms + 501));
  EXPECT_EQ(node.failures, 0U);
  node.on_connect_failure(kNow_ms + 600);
  EXPECT_EQ(node.rest_until_ms, kNow_ms + 600 + 500);
}

TEST(TriedNodes, HoldsNoMoreThanItMay) {
  const std::vector<Node> nodes(TriedNodes::kMost + 1);
  TriedNodes tried;
  for (const Node& node : nodes) tried.add(&node);
  EXPECT_TRUE(tried.full());
  EXPECT_EQ(tried.size(), TriedNodes::kMost);
  EXPECT_TRUE(tried.contains(&nodes[0]));
  EXPECT_FALSE(tried.contains(&nodes[TriedNodes::kMost]));
  tried.clear();
  EXPECT_FALSE(tried.contains(&nodes[0]));
}

}  // namespace
}  // namespace fealty::subscription
