#include "subscription/census.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace fealty::subscription {
namespace {

using test::announce;

class CensusTest : public testing::Test {
 protected:
  void add(const std::string& key, const std::string& address = "/run/x") {
    ASSERT_TRUE(table_.apply(announce(key, address), {}));
  }
  void drain(const std::string& key) {
    ASSERT_EQ(table_.set_drained(key, "/run/x", true), Table::Drain::kDone);
  }
  static std::string key(std::size_t i) { return "k" + std::to_string(i); }

  test::FakeClock clock_;
  Table table_{clock_, 30'000, true};
  NodeCensus census_{table_, clock_};
};

TEST_F(CensusTest, EachStateIsCounted) {
  ASSERT_TRUE(table_.apply_permanent(announce("fixed", "/run/0")));
  auto vassal = announce("v", "/run/v");
  vassal.vassal = "v";
  vassal.inactive = true;
  ASSERT_TRUE(table_.apply(vassal, {}));
  for (const char* const node : {"/run/x", "/run/2", "/run/3"}) add("n", node);
  const auto snapshot = table_.build();
  const auto nodes = snapshot->find_exact("n")->nodes();
  nodes[0].runtime->on_timeout(clock_.now_ms);
  nodes[1].runtime->set_checked(false);
  drain("n");
  const auto counts = census_.counts();
  EXPECT_EQ(counts.resting, 1U);
  EXPECT_EQ(counts.ill, 1U);
  EXPECT_EQ(counts.sleeping, 1U);
  EXPECT_EQ(counts.drained, 1U);
  EXPECT_EQ(counts.permanent, 1U);
  clock_.now_ms += 60'000;
  EXPECT_EQ(census_.counts().resting, 0U) << "its rest is over";
}

TEST_F(CensusTest, LargeTableIsCountedBitByBit) {
  constexpr std::size_t kNodes = 3 * NodeCensus::kAtOnceMost;
  for (std::size_t i = 0; i < kNodes; ++i) add(key(i));
  for (std::size_t i = 0; i < kNodes; i += 10) drain(key(i));
  census_.step();
  EXPECT_EQ(census_.counts().drained, 0U) << "no round is whole yet";
  for (int step = 0; step < 4; ++step) census_.step();
  EXPECT_EQ(census_.counts().drained, kNodes / 10);
}

}  // namespace
}  // namespace fealty::subscription
