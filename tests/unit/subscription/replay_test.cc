#include "subscription/replay.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "support.h"

namespace fealty::subscription {
namespace {

using Finding = ReplayMemory::Finding;
using test::FakeClock;

constexpr std::int64_t kTolerance_s = 60;
constexpr Hash128 kNode{1, 1};
constexpr Hash128 kOwner{7, 7};

class ReplayTest : public testing::Test {
 protected:
  // Contents differ where their stamps or `variant` do.
  ReplayMemory::Packet packet(std::int64_t offset_s, bool subscribe = true,
                              std::uint64_t variant = 0) const {
    const std::int64_t stamp_s = start_s_ + offset_s;
    return {kNode, {static_cast<std::uint64_t>(stamp_s), variant}, stamp_s,
            subscribe};
  }
  ReplayMemory::Packet of_node(std::uint64_t node) const {
    return {{2, node}, {3, node}, start_s_, true};
  }

  // What look() finds; what is new, and has room, is recorded.
  Finding take(const ReplayMemory::Packet& packet) {
    const Finding finding = memory_.look(packet);
    if (finding == Finding::kNew) {
      EXPECT_TRUE(memory_.has_room(packet, kOwner));
      memory_.record(packet, kOwner);
    }
    return finding;
  }

  void pass(std::int64_t seconds) {
    clock_.now_unix_s += seconds;
    clock_.now_ms += seconds * 1000;
  }

  FakeClock clock_;
  std::int64_t start_s_ = clock_.now_unix_s;
  ReplayMemory memory_{clock_, kTolerance_s};
};

TEST_F(ReplayTest, EachStampIsTakenOnce) {
  EXPECT_EQ(take(packet(0)), Finding::kNew);
  pass(10);
  EXPECT_EQ(take(packet(10)), Finding::kNew);
  EXPECT_EQ(take(packet(10, false)), Finding::kReplayed);
}

TEST_F(ReplayTest, StampMoreThanTwoSecondsBehindTheGreatestIsStale) {
  EXPECT_EQ(take(packet(10)), Finding::kNew);
  EXPECT_EQ(take(packet(8)), Finding::kNew) << "overtaken on its way";
  EXPECT_EQ(take(packet(7)), Finding::kStale);
  EXPECT_EQ(take(packet(7, false)), Finding::kStale);
}

TEST_F(ReplayTest, DuplicateOfALiveNodesLastSubscribeIsNothing) {
  take(packet(0));
  EXPECT_EQ(take(packet(0)), Finding::kDuplicate);
  EXPECT_EQ(take(packet(0)), Finding::kDuplicate);
}

TEST_F(ReplayTest, DuplicateOfAnEarlierSubscribeIsAReplay) {
  take(packet(0));
  take(packet(1));
  EXPECT_EQ(take(packet(0)), Finding::kReplayed);
}

TEST_F(ReplayTest, SubscribeTurnedIntoUnsubscribeIsAReplay) {
  take(packet(0));
  EXPECT_EQ(take(packet(0, false)), Finding::kReplayed);
  EXPECT_EQ(take(packet(0)), Finding::kDuplicate) << "the node lives on";
}

TEST_F(ReplayTest, UnsubscribeIsTakenOnce) {
  take(packet(0));
  EXPECT_EQ(take(packet(1, false)), Finding::kNew);
  EXPECT_EQ(take(packet(1, false)), Finding::kReplayed);
}

TEST_F(ReplayTest, SubscribeOfADepartedNodeIsAReplay) {
  take(packet(0));
  take(packet(1, false));
  EXPECT_EQ(take(packet(0)), Finding::kReplayed);
}

TEST_F(ReplayTest, SubscribeOfAnExpiredNodeIsAReplay) {
  take(packet(0));
  EXPECT_EQ(take(packet(0)), Finding::kDuplicate);
  memory_.on_node_left(kNode);
  EXPECT_EQ(take(packet(0)), Finding::kReplayed);
}

TEST_F(ReplayTest, RestartWithinTheSecondIsTaken) {
  take(packet(0));
  EXPECT_EQ(take(packet(1, false)), Finding::kNew);
  EXPECT_EQ(take(packet(1)), Finding::kNew) << "the same bytes";
  EXPECT_EQ(take(packet(1)), Finding::kDuplicate);
  EXPECT_EQ(take(packet(1, false)), Finding::kReplayed);
}

TEST_F(ReplayTest, RestartIsTakenUpToTwoSecondsFromItsStamp) {
  take(packet(1, false));
  pass(3);
  EXPECT_EQ(memory_.look(packet(1)), Finding::kNew);
  pass(1);
  EXPECT_EQ(memory_.look(packet(1)), Finding::kReplayed);
}

TEST_F(ReplayTest, UnsubscribeStampedFarAheadIsNoRestart) {
  take(packet(30, false));
  EXPECT_EQ(take(packet(30)), Finding::kReplayed);
}

TEST_F(ReplayTest, RestartCountsOnce) {
  take(packet(1, false));
  take(packet(1));
  memory_.on_node_left(kNode);
  EXPECT_EQ(take(packet(1)), Finding::kReplayed);
}

// The latest that a capture can count is its stamp plus the tolerance, and its
// stamp may lie a tolerance ahead.
TEST_F(ReplayTest, MemoryOutlivesTheNodeForAsLongAsTheToleranceReaches) {
  take(packet(kTolerance_s));
  memory_.on_node_left(kNode);
  pass(2 * kTolerance_s);
  EXPECT_TRUE(memory_.has_room(of_node(1), kOwner));
  EXPECT_EQ(memory_.look(packet(kTolerance_s)), Finding::kReplayed);
  pass(2);
  EXPECT_TRUE(memory_.has_room(of_node(1), kOwner));
  EXPECT_EQ(memory_.node_count(), 0U);
}

TEST_F(ReplayTest, ClockThatJumpsAheadAndBackForgetsNothing) {
  take(packet(0));
  memory_.on_node_left(kNode);
  clock_.now_unix_s += 100'000;
  EXPECT_TRUE(memory_.has_room(of_node(1), kOwner));
  clock_.now_unix_s -= 100'000;
  EXPECT_EQ(take(packet(0)), Finding::kReplayed);
}

TEST_F(ReplayTest, NodeOverItsRateIsRefusedAndNothingForgotten) {
  for (std::uint64_t i = 0; i < ReplayMemory::kContentsMax; ++i) {
    EXPECT_EQ(take(packet(0, true, i)), Finding::kNew);
  }
  EXPECT_FALSE(memory_.has_room(packet(0, true, 99), kOwner));
  EXPECT_FALSE(memory_.has_room(packet(2, true, 99), kOwner));
  EXPECT_EQ(take(packet(0, false, 0)), Finding::kReplayed);
  EXPECT_EQ(take(packet(3, true, 99)), Finding::kNew) << "the next window";
  EXPECT_EQ(memory_.content_count(), 1U);
}

TEST_F(ReplayTest, OneCustomersFloodLeavesRoomForOthers) {
  ReplayMemory small(clock_, kTolerance_s, 100);
  const Hash128 flooder{8, 8};
  std::uint64_t taken = 0;
  while (small.has_room(of_node(taken), flooder)) {
    small.record(of_node(taken), flooder);
    ++taken;
  }
  EXPECT_EQ(taken, 50U);
  EXPECT_TRUE(small.has_room(of_node(1000), kOwner));
  for (std::uint64_t i = 0; i < taken; ++i) {
    ASSERT_EQ(small.look(of_node(i)), Finding::kDuplicate) << i;
  }
}

TEST_F(ReplayTest, WhatIsForgottenMakesRoom) {
  ReplayMemory small(clock_, kTolerance_s, 2);
  small.record(of_node(1), kOwner);
  EXPECT_FALSE(small.has_room(of_node(2), kOwner));
  pass(2 * kTolerance_s + 2);
  EXPECT_TRUE(small.has_room(of_node(2), kOwner));
  EXPECT_EQ(small.content_count(), 0U);
}

TEST_F(ReplayTest, KnownNodeIsRefreshedInAFullMemory) {
  ReplayMemory small(clock_, kTolerance_s, 2);
  small.record(packet(0), kOwner);
  EXPECT_FALSE(small.has_room(of_node(2), kOwner));
  EXPECT_TRUE(small.has_room(packet(10), kOwner));
  small.record(packet(10), kOwner);
  EXPECT_EQ(small.content_count(), 1U);
}

}  // namespace
}  // namespace fealty::subscription
