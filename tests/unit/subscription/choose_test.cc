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

#include "subscription/choose.h"
#include "support.h"

namespace fealty::subscription {
namespace {

using testing::ElementsAre;

constexpr std::int64_t kNow_ms = 1'000'000;

using test::make_pool;
using test::PoolShape;

PoolRef pool_of(const std::vector<std::uint32_t>& weights) {
  return make_pool({.weights = weights});
}

std::string pick(const PoolRef& pool, const TriedNodes& tried = {},
                 std::int64_t now_ms = kNow_ms) {
  const Node* const node = choose(*pool, tried, {.now_ms = now_ms});
  return node == nullptr ? "-" : std::string(node->name());
}

std::string pick_for(const PoolRef& pool, std::uint64_t client,
                     const TriedNodes& tried = {}) {
  const Node* const node =
      choose(*pool, tried, {.now_ms = kNow_ms, .client_hash = client});
  return node == nullptr ? "-" : std::string(node->name());
}

std::string picks(const PoolRef& pool, int count, const TriedNodes& tried = {}) {
  std::string names;
  for (int i = 0; i < count; ++i) names += pick(pool, tried);
  return names;
}

std::map<std::string, int> shares(const PoolRef& pool, int count) {
  std::map<std::string, int> shares;
  for (int i = 0; i < count; ++i) ++shares[pick(pool)];
  return shares;
}

void rest(const PoolRef& pool, std::size_t node) {
  pool->nodes()[node].runtime->on_connect_failure(kNow_ms);
}

TEST(Choose, EqualNodesTakeTurns) {
  EXPECT_EQ(picks(pool_of({1, 1, 1}), 7), "abcabca");
}

TEST(Choose, WeightsAreProportions) {
  EXPECT_EQ(picks(pool_of({5, 1, 1}), 14), "aabacaaaabacaa");
}

TEST(Choose, EmptyPoolHasNobody) { EXPECT_EQ(pick(pool_of({})), "-"); }

TEST(Choose, RestingNodeIsPassedOverAndItsShareSplitEvenly) {
  const PoolRef pool = pool_of({1, 1, 1, 1});
  rest(pool, 1);
  EXPECT_EQ(shares(pool, 3000), (std::map<std::string, int>{
                                    {"a", 1000}, {"c", 1000}, {"d", 1000}}));
}

TEST(Choose, TwoNeighboursRestAndTheOthersStillShareEvenly) {
  const PoolRef pool = pool_of({1, 1, 1, 1, 1});
  rest(pool, 1);
  rest(pool, 2);
  EXPECT_EQ(shares(pool, 3000), (std::map<std::string, int>{
                                    {"a", 1000}, {"d", 1000}, {"e", 1000}}));
}

TEST(Choose, RestedNodeComesBack) {
  const PoolRef pool = pool_of({1, 1});
  rest(pool, 0);
  EXPECT_EQ(picks(pool, 4), "bbbb");
  EXPECT_EQ(pick(pool, {}, kNow_ms + 499), "b");
  std::map<std::string, int> later;
  for (int i = 0; i < 4; ++i) ++later[pick(pool, {}, kNow_ms + 500)];
  EXPECT_EQ(later["a"], 2);
}

TEST(Choose, TriedNodeIsNotPickedAgain) {
  const PoolRef pool = pool_of({1, 1, 1});
  TriedNodes tried;
  tried.add(&pool->nodes()[0]);
  tried.add(&pool->nodes()[2]);
  EXPECT_EQ(picks(pool, 5, tried), "bbbbb");
}

TEST(Choose, RetriesReachEveryNodeOnce) {
  const PoolRef pool = pool_of({3, 1, 2, 1});
  TriedNodes tried;
  std::string names;
  while (const Node* node = choose(*pool, tried, {.now_ms = kNow_ms})) {
    names += node->name();
    tried.add(node);
    rest(pool, static_cast<std::size_t>(node - pool->nodes().data()));
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, "abcd");
}

TEST(Choose, AllTriedIsNobody) {
  const PoolRef pool = pool_of({1, 1});
  TriedNodes tried;
  tried.add(&pool->nodes()[0]);
  tried.add(&pool->nodes()[1]);
  EXPECT_EQ(pick(pool, tried), "-");
}

TEST(Choose, AllRestingAreAskedInTurnAllTheSame) {
  const PoolRef pool = pool_of({1, 1, 1});
  for (std::size_t i = 0; i < 3; ++i) rest(pool, i);
  EXPECT_EQ(shares(pool, 300), (std::map<std::string, int>{
                                   {"a", 100}, {"b", 100}, {"c", 100}}));
}

TEST(Choose, UntriedRestingNodeIsBetterThanNone) {
  const PoolRef pool = pool_of({1, 1});
  rest(pool, 1);
  TriedNodes tried;
  tried.add(&pool->nodes()[0]);
  EXPECT_EQ(pick(pool, tried), "b");
}

TEST(Choose, AwakeNodeIsPreferredToAnUntriedRestingOne) {
  const PoolRef pool = pool_of({1, 1, 1});
  rest(pool, 0);
  TriedNodes tried;
  tried.add(&pool->nodes()[1]);
  EXPECT_EQ(picks(pool, 3, tried), "ccc");
}

TEST(Choose, NewVersionOfThePoolGoesOnWhereTheOldOneWas) {
  const PoolRef before = pool_of({1, 1, 1});
  EXPECT_EQ(picks(before, 2), "ab");
  const PoolRef after =
      make_pool({.weights = {1, 1, 1}, .runtime = before->runtime()});
  EXPECT_EQ(picks(after, 2), "ca");
}

TEST(Choose, ThreadsTogetherGiveEqualShares) {
  constexpr int kThreads = 4;
  constexpr int kEach = 30'000;
  const PoolRef pool = pool_of({1, 1, 1});
  std::array<std::atomic<int>, 3> counts{};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        const Node* const node = choose(*pool, {}, {.now_ms = kNow_ms});
        ++counts[static_cast<std::size_t>(node - pool->nodes().data())];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counts[0], kThreads * kEach / 3);
  EXPECT_EQ(counts[1], kThreads * kEach / 3);
  EXPECT_EQ(counts[2], kThreads * kEach / 3);
}

TEST(Choose, ThreadsFindTheOnlyAwakeNode) {
  const PoolRef pool = pool_of({1, 1, 1, 1, 1, 1, 1, 1});
  for (std::size_t i = 0; i < 8; ++i) {
    if (i != 5) rest(pool, i);
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5'000; ++i) {
        if (choose(*pool, {}, {.now_ms = kNow_ms}) != &pool->nodes()[5]) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(NodeRuntime, RestDoublesUpToHalfAMinute) {
  const auto made = NodeRecord::make("a", {});
  NodeRuntime& node = *made;
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
  EXPECT_EQ(node.failures_in_a_row(), 9U);
}

TEST(NodeRuntime, FailuresOfOneMomentAreOne) {
  const auto made = NodeRecord::make("a", {});
  NodeRuntime& node = *made;
  for (int i = 0; i < 64; ++i) node.on_connect_failure(kNow_ms);
  EXPECT_EQ(node.failures_in_a_row(), 1U);
  EXPECT_EQ(node.rest_until_ms, kNow_ms + 500);
  EXPECT_EQ(node.failed(), 64U);
}

TEST(NodeRuntime, SuccessEndsTheRestAndStartsAnew) {
  const auto made = NodeRecord::make("a", {});
  NodeRuntime& node = *made;
  node.on_connect_failure(kNow_ms);
  node.on_connect_failure(kNow_ms + 500);
  node.on_success();
  EXPECT_FALSE(node.resting(kNow_ms + 501));
  EXPECT_EQ(node.failures_in_a_row(), 0U);
  node.on_connect_failure(kNow_ms + 600);
  EXPECT_EQ(node.rest_until_ms, kNow_ms + 600 + 500);
}

TEST(NodeRuntime, EarlyClosesMakeItRestOnlyWhereManyFollowOneAnother) {
  const auto node = NodeRecord::make("a", {});
  for (int i = 0; i < 100; ++i) {
    node->on_early_close(kNow_ms);
    node->on_early_close(kNow_ms);
    EXPECT_FALSE(node->resting(kNow_ms));
    node->on_success();
  }
  for (int i = 0; i < 3; ++i) node->on_early_close(kNow_ms);
  EXPECT_TRUE(node->resting(kNow_ms + 499));
  EXPECT_FALSE(node->resting(kNow_ms + 500));
  node->on_early_close(kNow_ms + 500);  // and still nothing but these
  EXPECT_TRUE(node->resting(kNow_ms + 500 + 999));
  EXPECT_EQ(node->early_closes, 204U);
}

TEST(NodeRuntime, EveryKindOfFailureIsCountedAndMakesItRest) {
  const auto made = NodeRecord::make("a", {});
  made->on_timeout(kNow_ms);
  EXPECT_TRUE(made->resting(kNow_ms + 499));
  made->on_early_close(kNow_ms + 500);
  EXPECT_FALSE(made->resting(kNow_ms + 500));
  made->on_connect_failure(kNow_ms + 1500);
  EXPECT_EQ(made->timeouts, 1U);
  EXPECT_EQ(made->early_closes, 1U);
  EXPECT_EQ(made->connect_failures, 1U);
  EXPECT_EQ(made->failed(), 3U);
  made->on_announced(kNow_ms + 1600);
  EXPECT_FALSE(made->resting(kNow_ms + 1600));
  EXPECT_EQ(made->failures_in_a_row(), 0U);
}

TEST(NodeRuntime, KnowsItsNames) {
  const auto path = NodeRecord::make("/run/a", *Address::parse("/run/a"), "v");
  EXPECT_EQ(path->name(), "/run/a");
  EXPECT_EQ(path->vassal(), "v");
  EXPECT_EQ(path->address().to_string(), "/run/a");
  for (const char* const text :
       {"unix:/run/a", "@abstract", "[::1]:80", "127.0.0.1:80"}) {
    const auto node = NodeRecord::make(text, *Address::parse(text), "vassal");
    EXPECT_EQ(node->name(), text);
    EXPECT_EQ(node->vassal(), "vassal");
    EXPECT_EQ(node->address().to_string(), Address::parse(text)->to_string());
  }
  const auto asleep = NodeRecord::make("v", {}, "v");
  EXPECT_EQ(asleep->name(), "v");
  EXPECT_EQ(asleep->address().length(), 0U);
}

TEST(Choose, IllNodeIsNotPickedUntilACheckSaysOtherwise) {
  const PoolRef pool = pool_of({1, 1});
  pool->nodes()[0].runtime->set_checked(false);
  EXPECT_EQ(picks(pool, 4), "bbbb");
  pool->nodes()[0].runtime->on_success();
  EXPECT_EQ(picks(pool, 4), "bbbb");
  pool->nodes()[1].runtime->set_checked(false);
  EXPECT_EQ(shares(pool, 10), (std::map<std::string, int>{{"a", 5}, {"b", 5}}))
      << "an ill pool is still asked";
  pool->nodes()[0].runtime->set_checked(true);
  EXPECT_EQ(picks(pool, 4), "aaaa");
}

TEST(Choose, WeightsOneTwoThreeAreExactShares) {
  EXPECT_EQ(shares(pool_of({1, 2, 3}), 6000),
            (std::map<std::string, int>{{"a", 1000}, {"b", 2000}, {"c", 3000}}));
}

// Whatever the weights become, and at whatever turn: within three turns of
// what it was to get.
TEST(Choose, ChangedWeightsTakeEffectWithoutABurst) {
  const auto runtime = Ref<PoolRuntime>::adopt(new PoolRuntime);
  std::uint32_t state = 1;
  double due = 0;
  int got = 0;
  for (int change = 0; change < 200; ++change) {
    state = state * 1664525 + 1013904223;
    const std::vector<std::uint32_t> weights = {1 + state % 7, 1 + state % 5,
                                                1 + state % 3};
    const double share = static_cast<double>(weights[0]) /
                         (weights[0] + weights[1] + weights[2]);
    due = 0;
    got = 0;
    const PoolRef pool =
        make_pool({.weights = weights, .runtime = runtime.get()});
    const int count = static_cast<int>(state % 37);
    for (int i = 0; i < count; ++i) {
      due += share;
      got += pick(pool) == "a" ? 1 : 0;
      ASSERT_NEAR(got, due, 2.0) << change << ' ' << i;
    }
  }
}

TEST(Choose, BackupLevelIsUsedOnlyWhenNoLowerOneIsAlive) {
  const PoolRef pool =
      make_pool({.weights = {1, 1, 1, 1, 1}, .levels = {0, 0, 1, 1, 2}});
  EXPECT_EQ(picks(pool, 4), "abab");
  rest(pool, 0);
  EXPECT_EQ(picks(pool, 4), "bbbb");
  rest(pool, 1);
  EXPECT_EQ(shares(pool, 100),
            (std::map<std::string, int>{{"c", 50}, {"d", 50}}));
  rest(pool, 2);
  rest(pool, 3);
  EXPECT_EQ(picks(pool, 3), "eee");
  rest(pool, 4);
  EXPECT_EQ(shares(pool, 100),
            (std::map<std::string, int>{{"a", 50}, {"b", 50}}))
      << "all rest: the lowest level first";
  pool->nodes()[0].runtime->on_success();
  EXPECT_EQ(picks(pool, 3), "aaa");
}

TEST(Choose, RequestThatTriedALevelInVainGoesToTheNext) {
  for (const Algorithm algorithm :
       {Algorithm::kWrr, Algorithm::kLrc, Algorithm::kWlrc, Algorithm::kIphash,
        Algorithm::kSticky}) {
    const PoolRef pool = make_pool(
        {.weights = {1, 1, 1}, .levels = {0, 0, 1}, .algorithm = algorithm});
    TriedNodes tried;
    tried.add(&pool->nodes()[0]);
    tried.add(&pool->nodes()[1]);
    EXPECT_EQ(picks(pool, 2, tried), "cc");
    tried.add(&pool->nodes()[2]);
    EXPECT_EQ(pick(pool, tried), "-");
  }
}

TEST(LeastBusy, TheIdlestIsPicked) {
  const PoolRef pool =
      make_pool({.weights = {1, 1, 1}, .algorithm = Algorithm::kLrc});
  pool->nodes()[0].runtime->in_flight = 2;
  pool->nodes()[1].runtime->in_flight = 1;
  pool->nodes()[2].runtime->in_flight = 3;
  EXPECT_EQ(picks(pool, 3), "bbb");
  rest(pool, 1);
  EXPECT_EQ(picks(pool, 3), "aaa");
}

TEST(LeastBusy, EqualsTakeTurns) {
  const PoolRef pool =
      make_pool({.weights = {1, 5, 1}, .algorithm = Algorithm::kLrc});
  EXPECT_EQ(shares(pool, 300), (std::map<std::string, int>{
                                   {"a", 100}, {"b", 100}, {"c", 100}}))
      << "lrc knows no weights";
}

TEST(LeastBusy, LoadFollowsTheWeightsWithWlrc) {
  const PoolRef pool =
      make_pool({.weights = {1, 2, 3}, .algorithm = Algorithm::kWlrc});
  std::map<std::string, int> held;
  for (int i = 0; i < 600; ++i) {
    const Node* const node = choose(*pool, {}, {.now_ms = kNow_ms});
    ++node->runtime->in_flight;
    ++held[std::string(node->name())];
  }
  EXPECT_EQ(held, (std::map<std::string, int>{
                      {"a", 100}, {"b", 200}, {"c", 300}}));
}

TEST(Iphash, ClientStaysWithItsNode) {
  const PoolRef pool =
      make_pool({.weights = {1, 1, 1}, .algorithm = Algorithm::kIphash});
  for (std::uint64_t client = 0; client < 100; ++client) {
    const std::string node = pick_for(pool, client);
    EXPECT_EQ(pick_for(pool, client), node);
  }
}

TEST(Iphash, OnlyTheClientsOfALostNodeMove) {
  const PoolRef pool =
      make_pool({.weights = {1, 1, 1, 1}, .algorithm = Algorithm::kIphash});
  std::vector<std::string> before;
  for (std::uint64_t client = 0; client < 1000; ++client) {
    before.push_back(pick_for(pool, client));
  }
  rest(pool, 2);
  std::map<std::string, int> moved;
  for (std::uint64_t client = 0; client < 1000; ++client) {
    const std::string now = pick_for(pool, client);
    if (before[client] == "c") {
      ++moved[now];
    } else {
      EXPECT_EQ(now, before[client]);
    }
  }
  EXPECT_EQ(moved.count("c"), 0U);
  EXPECT_EQ(moved.size(), 3U) << "they are spread over the others";
}

TEST(Iphash, ClientsAreSharedByWeight) {
  const PoolRef pool =
      make_pool({.weights = {1, 2, 3}, .algorithm = Algorithm::kIphash});
  std::map<std::string, int> clients;
  for (std::uint64_t client = 0; client < 60'000; ++client) {
    ++clients[pick_for(pool, client)];
  }
  EXPECT_NEAR(clients["a"], 10'000, 400);
  EXPECT_NEAR(clients["b"], 20'000, 500);
  EXPECT_NEAR(clients["c"], 30'000, 500);
}

TEST(Sticky, CookieDecidesAsLongAsItsNodeIsEligible) {
  const PoolRef pool =
      make_pool({.weights = {1, 1, 1}, .algorithm = Algorithm::kSticky});
  const auto with_cookie = [&](std::uint64_t token) {
    const Node* const node =
        choose(*pool, {}, {.now_ms = kNow_ms, .sticky = token});
    return std::string(node->name());
  };
  const std::uint64_t token = sticky_token(pool->nodes()[1]);
  EXPECT_EQ(with_cookie(token), "b");
  EXPECT_EQ(with_cookie(token), "b");
  EXPECT_EQ(picks(pool, 3), "abc") << "without a cookie as wrr";
  rest(pool, 1);
  EXPECT_NE(with_cookie(token), "b");
  EXPECT_EQ(sticky_token("b"), token);
  std::map<std::string, int> strangers;
  for (int i = 0; i < 10; ++i) ++strangers[with_cookie(12345)];
  EXPECT_EQ(strangers, (std::map<std::string, int>{{"a", 5}, {"c", 5}}));
}

class SlowStart : public testing::TestWithParam<Algorithm> {};

TEST_P(SlowStart, ShareOfANewNodeGrows) {
  const PoolRef pool =
      make_pool({.weights = {1, 1}, .algorithm = GetParam()});
  pool->runtime()->slow_start_ms = 10'000;
  pool->nodes()[1].runtime->eligible_since_ms = kNow_ms;
  const auto share_at = [&](std::int64_t now_ms) {
    int given = 0;
    for (std::uint64_t i = 0; i < 4000; ++i) {
      const Choice choice = {.now_ms = now_ms, .client_hash = i};
      const Node* const node = choose(*pool, {}, choice);
      if (node == &pool->nodes()[1]) ++given;
    }
    return given / 4000.0;
  };
  EXPECT_NEAR(share_at(kNow_ms), 0.08, 0.05);
  EXPECT_NEAR(share_at(kNow_ms + 5'000), 0.29, 0.05);
  EXPECT_NEAR(share_at(kNow_ms + 10'000), 0.5, 0.03);
}
INSTANTIATE_TEST_SUITE_P(Algorithms, SlowStart,
                         testing::Values(Algorithm::kWrr, Algorithm::kIphash));

TEST(SlowStartOf, ReturnFromRestBeginsWhenTheRestEnds) {
  const PoolRef pool = pool_of({1, 1});
  pool->runtime()->slow_start_ms = 10'000;
  rest(pool, 1);
  EXPECT_EQ(picks(pool, 4), "aaaa");
  int given = 0;
  for (int i = 0; i < 1000; ++i) {
    if (pick(pool, {}, kNow_ms + 500) == "b") ++given;
  }
  EXPECT_NEAR(given, 60, 60);
  EXPECT_GT(given, 0);
}

TEST(SlowStartOf, OnlyNodeGetsEverything) {
  const PoolRef pool = pool_of({1, 1});
  pool->runtime()->slow_start_ms = 10'000;
  pool->nodes()[1].runtime->eligible_since_ms = kNow_ms;
  rest(pool, 0);
  EXPECT_EQ(picks(pool, 5), "bbbbb");
}

TEST(Choose, SleepingNodeIsNeverPicked) {
  const PoolRef pool = make_pool({.weights = {1}, .sleeping = {"v", "w"}});
  EXPECT_EQ(picks(pool, 3), "aaa");
  const PoolRef asleep = make_pool({.weights = {}, .sleeping = {"v", "w"}});
  EXPECT_EQ(pick(asleep), "-");
  EXPECT_EQ(asleep->vassal_to_wake(), "v");
  EXPECT_EQ(pool_of({1})->vassal_to_wake(), "");
}

TEST(LevelInUse, IsTheFirstWithAnEligibleNode) {
  const PoolRef pool = make_pool({.weights = {1, 1}, .levels = {0, 1}});
  EXPECT_EQ(level_in_use(*pool, kNow_ms), 0U);
  rest(pool, 0);
  EXPECT_EQ(level_in_use(*pool, kNow_ms), 1U);
  pool->nodes()[1].runtime->set_checked(false);
  EXPECT_EQ(level_in_use(*pool, kNow_ms), std::nullopt);
  EXPECT_EQ(level_in_use(*pool_of({}), kNow_ms), std::nullopt);
}

TEST(SharePercent, GrowsWithSlowStart) {
  const PoolRef pool = pool_of({1, 1});
  const Node& node = pool->nodes()[0];
  EXPECT_EQ(share_percent(*pool, node, kNow_ms), 100);
  pool->runtime()->slow_start_ms = 10'000;
  node.runtime->eligible_since_ms = kNow_ms - 5'000;
  EXPECT_EQ(share_percent(*pool, node, kNow_ms), 50);
  EXPECT_EQ(share_percent(*pool, node, kNow_ms + 5'000), 100);
  node.runtime->eligible_since_ms = kNow_ms;
  EXPECT_EQ(share_percent(*pool, node, kNow_ms), 10);
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
