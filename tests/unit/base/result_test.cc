#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace fealty {
namespace {

enum class Why { kSomething, kOther };

Result<int, Why> half_of_even(int number) {
  if (number % 2 != 0) return Why::kOther;
  return number / 2;
}

TEST(Result, HoldsAValueOrAnError) {
  const auto fine = half_of_even(4);
  ASSERT_TRUE(fine);
  EXPECT_EQ(*fine, 2);
  const auto wrong = half_of_even(3);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error(), Why::kOther);
}

TEST(Result, ValueIsMovedOut) {
  Result<std::unique_ptr<int>> held(std::make_unique<int>(7));
  ASSERT_TRUE(held);
  const std::unique_ptr<int> taken = *std::move(held);
  EXPECT_EQ(*taken, 7);
}

TEST(Result, MembersAreReachedThroughIt) {
  Result<std::string> text(std::string("abc"));
  EXPECT_EQ(text->size(), 3U);
  text->push_back('d');
  EXPECT_EQ(*text, "abcd");
}

TEST(Result, StatusIsSuccessWithoutAValue) {
  const Status fine = Ok{};
  EXPECT_TRUE(fine);
  const Status wrong = Error{"why"};
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message, "why");
}

TEST(ResultDeathTest, ReadingTheSideThatIsNotThereEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto wrong = half_of_even(3);
  EXPECT_DEATH((void)wrong.value(), "check failed");
  const auto fine = half_of_even(4);
  EXPECT_DEATH((void)fine.error(), "check failed");
}

}  // namespace
}  // namespace fealty
