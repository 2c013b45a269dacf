#include "api/throttle.h"

#include <gtest/gtest.h>

namespace fealty::api {
namespace {

TEST(Throttle, FailuresUseUpTheBurstAndTimeGivesItBack) {
  Throttle throttle(3, 1000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(throttle.take("a", 5000));
  EXPECT_FALSE(throttle.take("a", 5000));
  EXPECT_TRUE(throttle.take("b", 5000));
  EXPECT_FALSE(throttle.take("a", 5999));
  EXPECT_TRUE(throttle.take("a", 6000));
}

TEST(Throttle, TriesSideBySideAreCountedBeforeTheyEnd) {
  Throttle throttle(3, 1000);
  int under_way = 0;
  for (int i = 0; i < 100; ++i) under_way += throttle.take("a", 0) ? 1 : 0;
  EXPECT_EQ(under_way, 3);
}

TEST(Throttle, WhatWentWellIsGivenBack) {
  Throttle throttle(3, 1000);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(throttle.take("a", 0));
    throttle.give_back("a");
  }
}

}  // namespace
}  // namespace fealty::api
