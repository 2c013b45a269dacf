#include "router/error_page.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "http/response_head.h"

namespace fealty::router {
namespace {

constexpr int kStatuses[] = {400, 404, 408, 413, 417, 431,
                             500, 501, 502, 503, 504, 505};

std::string page(const ErrorPage& wanted) {
  std::array<char, kErrorPageBytesMax> out;
  return {out.data(), write_error_page(wanted, out)};
}

std::string body_of(const std::string& text) {
  return text.substr(text.find("\r\n\r\n") + 4);
}

TEST(ErrorPage, EveryStatusIsAWellFormedAnswer) {
  for (const int status : kStatuses) {
    const std::string text =
        page({status, "Why it is so.", 0xabc, false, false});
    http::ResponseHead head;
    const std::size_t head_bytes = http::find_head_end(text);
    ASSERT_NE(head_bytes, 0U) << status;
    ASSERT_TRUE(http::parse_response_head(
        std::string_view(text).substr(0, head_bytes), false, head));
    EXPECT_EQ(head.status, status);
    EXPECT_EQ(head.reason, status_title(status));
    EXPECT_FALSE(head.reason.empty()) << status;
    EXPECT_EQ(head.framing, http::AnswerFraming::kLength);
    EXPECT_EQ(head.content_length, text.size() - head_bytes);
    EXPECT_NE(text.find("Why it is so."), text.npos);
    EXPECT_NE(text.find("Cache-Control: no-store\r\n"), text.npos);
  }
}

TEST(ErrorPage, RequestIdIsInHeadAndPage) {
  const std::string text = page({502, "x", 0x0123456789abcdef, true, false});
  EXPECT_NE(text.find("X-Request-Id: 0123456789abcdef\r\n"), text.npos);
  EXPECT_NE(body_of(text).find("0123456789abcdef"), text.npos);
  EXPECT_NE(page({502, "x", 7, true, false})
                .find("X-Request-Id: 0000000000000007\r\n"),
            text.npos);
}

TEST(ErrorPage, ConnectionIsSaid) {
  EXPECT_NE(page({404, "x", 1, true, false}).find("Connection: keep-alive\r\n"),
            std::string::npos);
  EXPECT_NE(page({404, "x", 1, false, false}).find("Connection: close\r\n"),
            std::string::npos);
}

TEST(ErrorPage, AnswerToHeadHasTheSameHeadAndNoBody) {
  const std::string with = page({404, "x", 1, true, false});
  const std::string without = page({404, "x", 1, true, true});
  EXPECT_EQ(without, with.substr(0, with.size() - body_of(with).size()));
}

TEST(ErrorPage, OnlyUnavailableSaysWhenToComeAgain) {
  for (const int status : kStatuses) {
    const bool there = page({status, "x", 1, false, false})
                           .find("\r\nRetry-After: 5\r\n") != std::string::npos;
    EXPECT_EQ(there, status == 503) << status;
  }
}

TEST(ErrorPage, LongestReasonStaysWithinItsBound) {
  const std::string reason(5'000, 'r');
  const std::string text = page({503, reason, 1, false, false});
  EXPECT_LE(text.size(), kErrorPageBytesMax);
  http::ResponseHead head;
  const std::size_t head_bytes = http::find_head_end(text);
  ASSERT_TRUE(http::parse_response_head(
      std::string_view(text).substr(0, head_bytes), false, head));
  EXPECT_EQ(head.content_length, text.size() - head_bytes);
}

TEST(ErrorPage, OtherStatusesHaveNoTitle) {
  EXPECT_EQ(status_title(200), "");
  EXPECT_EQ(status_title(0), "");
  EXPECT_EQ(status_title(418), "");
}

}  // namespace
}  // namespace fealty::router
