#include "cli/advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "support.h"

namespace fealty::cli {
namespace {

using namespace std::string_view_literals;
using testing::HasSubstr;

std::string key(std::string_view text) {
  const auto read = read_key(text);
  return read ? *read : read.error().message;
}
std::string where(std::string_view text) {
  const auto read = read_address(text);
  return read ? read->to_string() : read.error().message;
}

TEST(Key, IsTakenInItsOneForm) {
  EXPECT_EQ(key("Example.COM."), "example.com");
  EXPECT_EQ(key(".Example.com"), ".example.com");
  EXPECT_EQ(key("example.com/shop/"), "example.com/shop");
}

TEST(Key, ThatIsNoneIsExplained) {
  EXPECT_THAT(key("b\xc3\xbc"sv "cher.example"), HasSubstr("punycode"));
  EXPECT_THAT(key("https://example.com"), HasSubstr("without http://"));
  EXPECT_THAT(key("*.example.com"), HasSubstr(".example.com"));
  EXPECT_THAT(key(std::string(256, 'a')), HasSubstr("256 bytes"));
  EXPECT_THAT(key(std::string(64, 'a') + ".test"), HasSubstr("63 bytes"));
  EXPECT_THAT(key("a.test.." + std::string(3, 'b')), HasSubstr("side by side"));
  EXPECT_THAT(key("a test"), HasSubstr("spaces"));
  EXPECT_THAT(key(".a.test:80"), HasSubstr("takes no port"));
  EXPECT_THAT(key(".a.test/x"), HasSubstr("takes no path"));
  EXPECT_THAT(key("a.test:0"), HasSubstr("ports from 1"));
  EXPECT_THAT(key(""), HasSubstr("empty"));
  EXPECT_THAT(key("a\0b"sv), HasSubstr("no key"));
}

TEST(Where, IsReadAsEverywhere) {
  EXPECT_EQ(where("127.0.0.1:3000"), "127.0.0.1:3000");
  EXPECT_EQ(where("[::1]:3000"), "[::1]:3000");
  EXPECT_EQ(where("unix:/run/x"), "/run/x");
  EXPECT_EQ(where("@name"), "@name");
}

TEST(Where, ThatIsNoneIsExplained) {
  EXPECT_THAT(where("localhost:3000"), HasSubstr("write 127.0.0.1:3000"));
  EXPECT_THAT(where("app.internal:80"), HasSubstr("never looked up"));
  EXPECT_THAT(where("run/app.sock"), HasSubstr("absolute"));
  EXPECT_THAT(where("./app.sock"), HasSubstr("absolute"));
  EXPECT_THAT(where("/" + std::string(107, 'x')), HasSubstr("108 bytes"));
  EXPECT_THAT(where("127.0.0.1:0"), HasSubstr("port 0"));
  EXPECT_THAT(where("127.0.0.1"), HasSubstr("no port"));
  EXPECT_THAT(where("::1:3000"), HasSubstr("[::1]:3000"));
  EXPECT_THAT(where("http://127.0.0.1:1/"), HasSubstr("without the scheme"));
  EXPECT_THAT(where("127.0.0.1:66000"), HasSubstr("65535"));
}

TEST(Path, ThatRoutersDoNotFollowIsAProblem) {
  EXPECT_FALSE(path_problem("/run/app.sock"));
  for (const char* const path :
       {"run/app", "/run/../app", "/run//app", "/run/./app", "/run/", "/", ""}) {
    EXPECT_TRUE(path_problem(path)) << path;
  }
}

TEST(Duration, TakesUnits) {
  const auto ms = [](std::string_view text) {
    const auto read = read_duration_ms(text);
    return read ? *read : -1;
  };
  EXPECT_EQ(ms("500ms"), 500);
  EXPECT_EQ(ms("10s"), 10'000);
  EXPECT_EQ(ms("10"), 10'000);
  EXPECT_EQ(ms("2m"), 120'000);
  EXPECT_EQ(ms("1h"), 3'600'000);
  EXPECT_EQ(ms("0"), 0);
  for (const char* const none : {"", "s", "-1s", "1.5s", "1 s", "10d", "ms",
                                 "99999999999s", "1000001"}) {
    EXPECT_EQ(ms(none), -1) << none;
  }
}

TEST(AllowedByDefault, IsWhatRoutersDocument) {
  for (const char* const text :
       {"127.0.0.1:1", "[::1]:1", "10.2.3.4:1", "172.31.0.1:1",
        "192.168.1.1:1", "[fc00::1]:1", "/run/x", "@x", ":3000"}) {
    EXPECT_TRUE(allowed_by_default(test::address(text))) << text;
  }
  for (const char* const text :
       {"8.8.8.8:1", "172.32.0.1:1", "[2001:db8::1]:1"}) {
    EXPECT_FALSE(allowed_by_default(test::address(text))) << text;
  }
}

}  // namespace
}  // namespace fealty::cli
