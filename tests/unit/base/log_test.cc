#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace fealty::log {
namespace {

using namespace std::string_view_literals;

TEST(Printable, EscapesWhatBreaksALine) {
  EXPECT_EQ(printable("plain text 1.2"), "plain text 1.2");
  EXPECT_EQ(printable("a\nb\x1b[0m"), "a\\x0ab\\x1b[0m");
  EXPECT_EQ(printable("\"\\"), "\\x22\\x5c");
  EXPECT_EQ(printable("\0\x7f\xc3\xa9"sv), "\\x00\\x7f\\xc3\\xa9");
}

TEST(Printable, CutsLongText) {
  EXPECT_EQ(printable(std::string(256, 'x')), std::string(256, 'x'));
  EXPECT_EQ(printable(std::string(257, 'x')), std::string(256, 'x') + "...");
}

TEST(Limiter, LetsOneLineThroughAnInterval) {
  Limiter limiter(1000);
  std::uint64_t left_out = 99;
  EXPECT_TRUE(limiter.allow(5, &left_out));
  EXPECT_EQ(left_out, 0U);
  EXPECT_FALSE(limiter.allow(5, &left_out));
  EXPECT_FALSE(limiter.allow(1004, &left_out));
  EXPECT_TRUE(limiter.allow(1005, &left_out));
  EXPECT_EQ(left_out, 2U);
  EXPECT_FALSE(limiter.allow(1006, &left_out));
  EXPECT_TRUE(limiter.allow(9000, &left_out));
  EXPECT_EQ(left_out, 1U);
}

TEST(LineBudget, SaysOnceASecondThatThereIsMore) {
  using enum LineBudget::Verdict;
  LineBudget budget(2);
  for (const std::int64_t second : {5'000, 6'000}) {
    EXPECT_EQ(budget.ask(second), kWrite);
    EXPECT_EQ(budget.ask(second + 1), kWrite);
    EXPECT_EQ(budget.ask(second + 2), kSayMore);
    EXPECT_EQ(budget.ask(second + 999), kNo);
  }
}

TEST(Limiter, FirstLineIsNeverHeldBack) {
  Limiter limiter(1000);
  std::uint64_t left_out = 0;
  EXPECT_TRUE(limiter.allow(0, &left_out));
}

// The logger is one a process: what a test sets, the next one of this program
// sees. Each test here says what it needs.
TEST(Log, LinesBelowTheLevelAreNotWritten) {
  init(Format::kText, Level::kWarning);
  testing::internal::CaptureStderr();
  info("not {}", "this");
  warning("but {}", "that");
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_THAT(lines, testing::MatchesRegex(
                         "....-..-..T..:..:..\\....Z warning but that\n"));
}

TEST(Log, TextThatLooksLikeAFormatIsTextAllTheSame) {
  init(Format::kText, Level::kInfo);
  testing::internal::CaptureStderr();
  write(Level::kInfo, "{} %v {0}");
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("info {} %v {0}\n"));
}

TEST(Log, JsonLineStaysOneObject) {
  init(Format::kJson, Level::kInfo);
  testing::internal::CaptureStderr();
  info("quote \" backslash \\ newline \n end");
  EXPECT_THAT(
      testing::internal::GetCapturedStderr(),
      testing::EndsWith("\"level\":\"info\",\"message\":\"quote \\\" backslash "
                        "\\\\ newline \\u000a end\"}\n"));
}

}  // namespace
}  // namespace fealty::log
