#include "sni/expiry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "support.h"

namespace fealty::sni {
namespace {

constexpr long kDay = 86400;

class ExpiryScanTest : public testing::Test {
 protected:
  void put(const std::string& name, long days) {
    test::Wish wish;
    wish.until_s = days * kDay;
    const auto texts = test::texts_of(test::make_certificate(wish));
    ASSERT_TRUE(store_.put(name, texts.pem()));
  }
  std::size_t walk(std::size_t shards) {
    const SnapshotPtr snapshot = store_.build();
    std::size_t steps = 1;
    due_.clear();
    const auto on_due = [this](const ExpiryScan::Due& due) {
      due_.push_back(std::string(due.name) +
                     (due.what == ExpiryScan::What::kRevocationList ? " list"
                                                                    : ""));
    };
    while (!scan_.step(snapshot, clock_.now_s, 14 * kDay, shards, on_due)) {
      ++steps;
    }
    return steps;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : scan_.soonest()) out.push_back(entry.name);
    return out;
  }

  test::FakeClock clock_;
  Store store_{clock_};
  ExpiryScan scan_;
  std::vector<std::string> due_;
};

TEST_F(ExpiryScanTest, SoonestComeFirst) {
  put("c", 90);
  put("a", 3);
  put("b", 20);
  EXPECT_EQ(walk(kShards), 1U);
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_NEAR(static_cast<double>(scan_.soonest()[0].not_after_s),
              static_cast<double>(clock_.now_s + 3 * kDay), 5);
  EXPECT_EQ(scan_.alarms(), 1U);
}

TEST_F(ExpiryScanTest, TwentyAreTold) {
  for (long i = 0; i < 50; ++i) put(std::to_string(i), 100 - i);
  walk(kShards);
  ASSERT_EQ(names().size(), ExpiryScan::kSoonestMax);
  EXPECT_EQ(names().front(), "49");
  EXPECT_EQ(names().back(), "30");
}

TEST_F(ExpiryScanTest, EachThatIsDueIsToldHoweverManyThereAre) {
  for (int i = 0; i < 50; ++i) put("soon" + std::to_string(i), 1);
  put("victim", 10);
  put("late", 90);
  walk(kShards);
  EXPECT_EQ(due_.size(), 51U);
  EXPECT_NE(std::find(due_.begin(), due_.end(), "victim"), due_.end());
}

TEST_F(ExpiryScanTest, RevocationListIsDueOnItsLastDay) {
  const test::Made ca = test::make_ca("A");
  for (const auto& [name, seconds] :
       {std::pair{"fresh", 2 * kDay}, std::pair{"last", kDay / 2},
        std::pair{"gone", -60L}}) {
    auto texts = test::guarded(test::make_server("x"), ca);
    texts.client_crl = test::make_crl(ca, {}, seconds);
    ASSERT_TRUE(store_.put(name, texts.pem()));
  }
  walk(kShards);
  std::sort(due_.begin(), due_.end());
  EXPECT_EQ(due_, (std::vector<std::string>{"gone list", "last list"}));
}

TEST_F(ExpiryScanTest, WalkGoesInBoundedStepsAndTellsOnlyWhenItIsDone) {
  put("a", 3);
  EXPECT_FALSE(scan_.step(store_.build(), clock_.now_s, 0, kShards - 1));
  EXPECT_TRUE(scan_.soonest().empty());
  EXPECT_TRUE(scan_.step(store_.build(), clock_.now_s, 0, 1));
  EXPECT_EQ(names(), (std::vector<std::string>{"a"}));
  EXPECT_EQ(walk(1024), kShards / 1024);
}

TEST_F(ExpiryScanTest, NextWalkForgetsWhatWent) {
  put("a", 3);
  put("b", 4);
  walk(kShards);
  store_.remove("a");
  walk(kShards);
  EXPECT_EQ(names(), (std::vector<std::string>{"b"}));
  EXPECT_EQ(scan_.alarms(), 1U);
}

}  // namespace
}  // namespace fealty::sni
