#include "http/head_scanner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "tests/unit/http/head_model.h"
#include "tests/unit/http/random_text.h"

namespace fealty::http {
namespace {

using namespace std::string_view_literals;
using Scan = HeadScanner::Step;

constexpr std::string_view kHead =
    "GET /some/path?and=query HTTP/1.1\r\nHost: www.example.com\r\n"
    "User-Agent: a browser\twith a tab\r\nX-High: \x80\xff\r\nEmpty:\r\n\r\n"sv;

Scan scan_at_once(std::string_view head, std::size_t* head_bytes = nullptr) {
  HeadScanner scanner;
  const Scan step = scanner.scan(head);
  if (head_bytes != nullptr) *head_bytes = scanner.head_bytes();
  return step;
}

// A line of `bytes` bytes, then `tail`: `tail` moves over the borders of the
// 16-byte blocks that the scanner takes at once.
std::string after_line(std::size_t bytes, std::string_view tail) {
  return std::string(bytes, 'a') + std::string(tail);
}

TEST(HeadScanner, WholeHeadIsComplete) {
  std::size_t bytes = 0;
  EXPECT_EQ(scan_at_once(kHead, &bytes), Scan::kComplete);
  EXPECT_EQ(bytes, kHead.size());
}

TEST(HeadScanner, WhatFollowsTheHeadIsNotLookedAt) {
  std::size_t bytes = 0;
  const std::string with_body = std::string(kHead) + "\n\r body";
  EXPECT_EQ(scan_at_once(with_body, &bytes), Scan::kComplete);
  EXPECT_EQ(bytes, kHead.size());
}

TEST(HeadScanner, SplitAtEveryByteFindsTheSameEnd) {
  for (std::size_t split = 0; split <= kHead.size(); ++split) {
    HeadScanner scanner;
    const Scan first = scanner.scan(kHead.substr(0, split));
    ASSERT_EQ(first, split == kHead.size() ? Scan::kComplete : Scan::kNeedMore)
        << split;
    if (first == Scan::kNeedMore) {
      ASSERT_EQ(scanner.scan(kHead), Scan::kComplete) << split;
    }
    ASSERT_EQ(scanner.head_bytes(), kHead.size()) << split;
  }
}

TEST(HeadScanner, ByteByByteFindsTheSameEnd) {
  HeadScanner scanner;
  for (std::size_t end = 0; end < kHead.size(); ++end) {
    ASSERT_EQ(scanner.scan(kHead.substr(0, end)), Scan::kNeedMore) << end;
  }
  EXPECT_EQ(scanner.scan(kHead), Scan::kComplete);
  EXPECT_EQ(scanner.head_bytes(), kHead.size());
}

TEST(HeadScanner, NothingNewNeedsMore) {
  HeadScanner scanner;
  EXPECT_EQ(scanner.scan(""), Scan::kNeedMore);
  EXPECT_EQ(scanner.scan("GET"), Scan::kNeedMore);
  EXPECT_EQ(scanner.scan("GET"), Scan::kNeedMore);
}

TEST(HeadScanner, BareLineFeedIsBadWhereverItStands) {
  for (std::size_t bytes = 0; bytes < 50; ++bytes) {
    EXPECT_EQ(scan_at_once(after_line(bytes, "\n")), Scan::kBad) << bytes;
    EXPECT_EQ(scan_at_once(after_line(bytes, "\n\r\n")), Scan::kBad) << bytes;
  }
}

TEST(HeadScanner, BareCarriageReturnIsBadWhereverItStands) {
  for (std::size_t bytes = 0; bytes < 50; ++bytes) {
    EXPECT_EQ(scan_at_once(after_line(bytes, "\rb")), Scan::kBad) << bytes;
    EXPECT_EQ(scan_at_once(after_line(bytes, "\r\r\n")), Scan::kBad) << bytes;
    EXPECT_EQ(scan_at_once(after_line(bytes, "\r")), Scan::kNeedMore) << bytes;
  }
}

TEST(HeadScanner, EveryControlCharacterButTabIsBadAtEveryPlaceOfABlock) {
  for (int value = 0; value < 256; ++value) {
    if (value == '\r' || value == '\n') continue;
    const bool bad = (value < 0x20 && value != '\t') || value == 0x7f;
    for (std::size_t bytes = 1; bytes < 40; ++bytes) {
      const char c = static_cast<char>(value);
      const std::string head =
          after_line(bytes, std::string(1, c) + "rest of it\r\n\r\n");
      ASSERT_EQ(scan_at_once(head), bad ? Scan::kBad : Scan::kComplete)
          << value << " after " << bytes;
    }
  }
}

TEST(HeadScanner, FoldedLineIsBad) {
  for (const auto fold : {" "sv, "\t"sv}) {
    for (std::size_t bytes = 1; bytes < 40; ++bytes) {
      const std::string head =
          after_line(bytes, "\r\n" + std::string(fold) + "more\r\n\r\n");
      ASSERT_EQ(scan_at_once(head), Scan::kBad) << bytes;
    }
  }
}

TEST(HeadScanner, BlankAtTheVeryStartIsBad) {
  EXPECT_EQ(scan_at_once(" GET / HTTP/1.1\r\n\r\n"), Scan::kBad);
  EXPECT_EQ(scan_at_once("\tGET / HTTP/1.1\r\n\r\n"), Scan::kBad);
}

TEST(HeadScanner, EmptyLineAloneIsAHeadOfTwoBytes) {
  std::size_t bytes = 0;
  EXPECT_EQ(scan_at_once("\r\nGET", &bytes), Scan::kComplete);
  EXPECT_EQ(bytes, 2U);
}

TEST(HeadScanner, EndIsFoundAtEveryPlaceOfABlock) {
  for (std::size_t bytes = 1; bytes < 70; ++bytes) {
    const std::string head = after_line(bytes, "\r\n\r\n");
    std::size_t found = 0;
    ASSERT_EQ(scan_at_once(head + std::string(40, 'b'), &found),
              Scan::kComplete);
    ASSERT_EQ(found, head.size());
  }
}

TEST(HeadScanner, BadStaysBad) {
  HeadScanner scanner;
  std::string head = "GET\n";
  EXPECT_EQ(scanner.scan(head), Scan::kBad);
  head += " / HTTP/1.1\r\n\r\n";
  EXPECT_EQ(scanner.scan(head), Scan::kBad);
  EXPECT_EQ(scanner.scan(head), Scan::kBad);
}

TEST(HeadScanner, ResetBeginsAnew) {
  HeadScanner scanner;
  EXPECT_EQ(scanner.scan("GET\r"), Scan::kNeedMore);
  scanner.reset();
  EXPECT_EQ(scanner.scan("GET / HTTP/1.1\r\n\r\n"), Scan::kComplete);
  EXPECT_EQ(scanner.head_bytes(), 18U);
}

TEST(HeadScanner, RandomInputAgreesWithTheModelHoweverItIsSplit) {
  test::Random random;
  // Mostly plain bytes, so that lines get long enough for whole blocks.
  const std::string alphabet =
      std::string(40, 'x') + "\r\n\r\n\r\n \t:\x80" + std::string(1, '\0') +
      "\x7f\x1f";
  for (int round = 0; round < 20'000; ++round) {
    std::string head;
    while (random.below(6) != 0) {
      head += random.text(random.below(40),
                          random.one_in(3) ? alphabet : "abcdefgh: ");
      if (!random.one_in(8)) head += random.one_in(5) ? "\r\n\r\n" : "\r\n";
    }
    const test::HeadModel model = test::model_head(head);
    HeadScanner scanner;
    Scan step = Scan::kNeedMore;
    for (std::size_t end = 0; step == Scan::kNeedMore && end < head.size();) {
      end = std::min(head.size(), end + 1 + random.below(20));
      step = scanner.scan(std::string_view(head).substr(0, end));
    }
    ASSERT_EQ(step, model.step) << testing::PrintToString(head);
    if (step == Scan::kComplete) {
      ASSERT_EQ(scanner.head_bytes(), model.head_bytes);
    }
  }
}

}  // namespace
}  // namespace fealty::http
