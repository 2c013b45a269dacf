#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "subscription/announcement.h"
#include "subscription/schedule.h"

namespace fealty::subscription {
namespace {

using Weights = std::vector<std::uint32_t>;

std::vector<std::uint16_t> schedule(const Weights& weights) {
  return make_schedule(weights);
}

std::string letters(const Weights& weights) {
  std::string text;
  for (const std::uint16_t node : schedule(weights)) {
    text += static_cast<char>('a' + node);
  }
  return text;
}

std::vector<std::size_t> turns(const Weights& weights) {
  std::vector<std::size_t> counts(weights.size());
  for (const std::uint16_t node : schedule(weights)) ++counts[node];
  return counts;
}

// Smooth weighted round robin as it is usually told: everybody gains their
// weight each turn, the richest is served and pays the whole round.
std::vector<std::uint16_t> naive(const Weights& weights) {
  const std::int64_t total =
      std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
  std::vector<std::int64_t> credit(weights.size());
  std::vector<std::uint16_t> order;
  for (std::int64_t turn = 0; turn < total; ++turn) {
    for (std::size_t i = 0; i < weights.size(); ++i) credit[i] += weights[i];
    const auto best = std::max_element(credit.begin(), credit.end());
    *best -= total;
    order.push_back(static_cast<std::uint16_t>(best - credit.begin()));
  }
  return order;
}

TEST(Schedule, HasNoTurnsWithoutNodes) { EXPECT_TRUE(schedule({}).empty()); }

TEST(Schedule, EqualNodesTakeTurns) {
  EXPECT_EQ(letters({1, 1, 1}), "abc");
  EXPECT_EQ(letters({7, 7, 7}), "abc");
  EXPECT_EQ(letters({5}), "a");
}

TEST(Schedule, HeavyNodeComesWithoutBursts) {
  EXPECT_EQ(letters({5, 1, 1}), "aabacaa");
  EXPECT_EQ(letters({10, 20}), "bab");
  EXPECT_EQ(letters({2, 1}), "aba");
}

TEST(Schedule, IsThatOfSmoothWeightedRoundRobin) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    Weights weights(1 + random() % 12);
    for (auto& weight : weights) {
      weight = static_cast<std::uint32_t>(1 + random() % 9);
    }
    weights.push_back(1);  // no common divisor
    EXPECT_EQ(schedule(weights), naive(weights));
  }
}

TEST(Schedule, LongRoundIsScaledDownInProportion) {
  const auto counts = turns({1'000'000, 500'000, 250'001});
  const auto total = std::accumulate(counts.begin(), counts.end(), 0UL);
  EXPECT_LE(total, kScheduleLengthMax);
  EXPECT_GT(total, kScheduleLengthMax - 3);
  EXPECT_NEAR(static_cast<double>(counts[0]) / static_cast<double>(counts[1]),
              2.0, 0.01);
  EXPECT_NEAR(static_cast<double>(counts[0]) / static_cast<double>(counts[2]),
              4.0, 0.02);
}

TEST(Schedule, SmallShareNeverFallsToNothing) {
  const auto counts = turns({1'000'000, 1, 999'999, 1});
  EXPECT_EQ(counts[1], 1U);
  EXPECT_EQ(counts[3], 1U);
  EXPECT_NEAR(static_cast<double>(counts[0]), 2047, 2);
}

TEST(Schedule, LargestPoolKeepsItsBounds) {
  Weights weights(kPoolNodesMax, 1);
  EXPECT_EQ(schedule(weights).size(), kPoolNodesMax);
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (const std::uint32_t most : {2U, 10U, kWeightMax}) {
    for (auto& weight : weights) {
      weight = static_cast<std::uint32_t>(1 + random() % most);
    }
    const auto counts = turns(weights);
    EXPECT_EQ(*std::min_element(counts.begin(), counts.end()), 1U);
    EXPECT_LE(std::accumulate(counts.begin(), counts.end(), 0UL),
              kScheduleLengthMax);
  }
}

TEST(Schedule, HeavierNodeNeverGetsFewerTurns) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 100; ++round) {
    Weights weights(2 + random() % 200);
    for (auto& weight : weights) {
      weight = static_cast<std::uint32_t>(1 + random() % kWeightMax);
    }
    std::sort(weights.begin(), weights.end());
    const auto counts = turns(weights);
    EXPECT_TRUE(std::is_sorted(counts.begin(), counts.end()));
    EXPECT_GE(counts.front(), 1U);
  }
}

}  // namespace
}  // namespace fealty::subscription
