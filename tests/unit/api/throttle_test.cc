#include "api/throttle.h"

#include <gtest/gtest.h>

namespace fealty::api {
namespace {

TEST(Throttle, FailuresUseUpTheBurstAndTimeGivesItBack) {
  Throttle throttle(3, 1000);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(throttle.allows("a", 5000));
    throttle.charge("a", 5000);
  }
  EXPECT_FALSE(throttle.allows("a", 5000));
  EXPECT_TRUE(throttle.allows("b", 5000));
  EXPECT_FALSE(throttle.allows("a", 5999));
  EXPECT_TRUE(throttle.allows("a", 6000));
}

TEST(Throttle, OwesNoMoreThanAFullBucket) {
  Throttle throttle(3, 1000);
  for (int i = 0; i < 1000; ++i) throttle.charge("a", 0);
  EXPECT_FALSE(throttle.allows("a", 999));
  EXPECT_TRUE(throttle.allows("a", 1000));
}

}  // namespace
}  // namespace fealty::api
