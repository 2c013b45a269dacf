#include "subscription/refusals.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

namespace fealty::subscription {
namespace {

class RefusalsTest : public testing::Test {
 protected:
  void refuse(std::uint64_t source, Rejection why = Rejection::kStale,
              int times = 1) {
    for (int i = 0; i < times; ++i) {
      refusals_.add(why, Hash128{1, source}, [&] {
        ++named_;
        return "source " + std::to_string(source);
      });
    }
  }
  static std::uint64_t sum(const Refusals::Counts& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  }
  // What all sources have, those that left the list included.
  [[nodiscard]] std::uint64_t sum_of_all() const {
    std::uint64_t all = sum(refusals_.others());
    for (const auto& source : refusals_.sources()) all += sum(source.counts);
    return all;
  }
  [[nodiscard]] std::uint64_t counted(const std::string& name) const {
    for (const auto& source : refusals_.sources()) {
      if (source.name == name) return sum(source.counts);
    }
    return 0;
  }

  Refusals refusals_;
  int named_ = 0;
};

TEST_F(RefusalsTest, AreCountedByReasonAndSource) {
  refuse(1, Rejection::kStale, 3);
  refuse(1, Rejection::kNoKey);
  refuse(2, Rejection::kNoKey);
  const auto at = [](const Refusals::Counts& counts, Rejection reason) {
    return counts[static_cast<std::size_t>(reason)];
  };
  EXPECT_EQ(at(refusals_.total(), Rejection::kStale), 3U);
  EXPECT_EQ(at(refusals_.total(), Rejection::kNoKey), 2U);
  ASSERT_EQ(refusals_.sources().size(), 2U);
  EXPECT_EQ(refusals_.sources()[0].name, "source 1");
  EXPECT_EQ(at(refusals_.sources()[0].counts, Rejection::kNoKey), 1U);
  EXPECT_EQ(named_, 2) << "a known source is not named again";
}

TEST_F(RefusalsTest, SourcesAreBoundedAndNothingIsLost) {
  for (std::uint64_t source = 0; source < 10'000; ++source) refuse(source);
  EXPECT_EQ(refusals_.sources().size(), Refusals::kSourcesMost);
  EXPECT_EQ(sum(refusals_.total()), 10'000U);
  EXPECT_EQ(sum_of_all(), 10'000U);
}

TEST_F(RefusalsTest, WhoSendsTheMostIsListedAmongAFloodOfOthers) {
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    refuse(1'000'000 + i);
    if (i % 10 == 0) refuse(7);
  }
  EXPECT_EQ(counted("source 7"), 1000U);
  EXPECT_EQ(sum_of_all(), 11'000U);
}

}  // namespace
}  // namespace fealty::subscription
