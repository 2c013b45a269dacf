#include "cli/client/api_url.h"

#include <gtest/gtest.h>

#include <string>

namespace fealty::cli {
namespace {

std::string read(const char* text) {
  const auto url = read_api_url(text);
  return url ? url->to_string() : "";
}

TEST(ApiUrl, WhatIsLeftOutIsWhatItUsuallyIs) {
  EXPECT_EQ(read("https://api.example.com/api"),
            "https://api.example.com:443/api");
  EXPECT_EQ(read("api.example.com"), "https://api.example.com:443/api");
  EXPECT_EQ(read("https://api.example.com/"), "https://api.example.com:443/api");
  EXPECT_EQ(read("http://[::1]:8090/v1/api/"), "http://[::1]:8090/v1/api");
}

TEST(ApiUrl, WhatIsNoneIsRefused) {
  for (const char* const text :
       {"", "https://", "https:///api", "ftp://x", "https://x:0", "https://x:y",
        "https://x:65536", "https://x y", "https://[::g]", "https://x/a?b",
        "https://x/\r\nHost: y", "https://[::1"}) {
    EXPECT_EQ(read(text), "") << text;
  }
}

TEST(ApiUrl, APasswordInItIsRefusedAndNotRepeated) {
  const auto url = read_api_url("https://kratos:deimos@api.example.com");
  ASSERT_FALSE(url);
  EXPECT_EQ(url.error().message.find("deimos"), std::string::npos);
}

TEST(ApiUrl, KnowsWhatStaysOnThisHost) {
  const auto is_loopback = [](const char* text) {
    const auto url = read_api_url(text);
    return url && url->is_loopback();
  };
  EXPECT_TRUE(is_loopback("http://127.0.0.9:1"));
  EXPECT_TRUE(is_loopback("http://localhost"));
  EXPECT_TRUE(is_loopback("http://[::1]"));
  EXPECT_FALSE(is_loopback("http://127.0.0.1.example.com"));
  EXPECT_FALSE(is_loopback("http://10.0.0.1"));
  EXPECT_FALSE(is_loopback("http://localhost.example.com"));
}

}  // namespace
}  // namespace fealty::cli
