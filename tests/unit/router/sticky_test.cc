#include "router/sticky.h"

#include <gtest/gtest.h>

#include <string>

namespace fealty::router {
namespace {

constexpr std::uint64_t kToken = 0x0123456789abcdef;

class StickyTest : public testing::Test {
 protected:
  // The cookie's "name=value" as a browser sends it back.
  std::string issued(std::uint64_t token, const std::string& key) {
    char header[StickyCookie::kHeaderBytesMax];
    const std::string line(header, cookie_.write(token, key, false, header));
    const std::string_view prefix = "Set-Cookie: ";
    EXPECT_TRUE(line.starts_with(prefix)) << line;
    return line.substr(prefix.size(), line.find(';') - prefix.size());
  }

  StickyCookie::Secret secret_{1, 2, 3};
  StickyCookie cookie_{"fealty_node", secret_};
};

TEST_F(StickyTest, ItsOwnCookieIsRead) {
  EXPECT_EQ(cookie_.read(issued(kToken, "example.com"), "example.com"), kToken);
}

TEST_F(StickyTest, ItIsFoundAmongOthers) {
  const std::string own = issued(kToken, "example.com");
  EXPECT_EQ(cookie_.read("a=b;" + own + " ; c=d", "example.com"), kToken);
  EXPECT_EQ(cookie_.read("fealty_node=; " + own, "example.com"), kToken);
  EXPECT_EQ(cookie_.read("x" + own, "example.com"), 0U);
  EXPECT_EQ(cookie_.read("", "example.com"), 0U);
}

TEST_F(StickyTest, CookieOfAnotherDomainDoesNotCount) {
  EXPECT_EQ(cookie_.read(issued(kToken, "example.com"), "example.org"), 0U);
}

TEST_F(StickyTest, EveryChangedByteIsNoticed) {
  const std::string own = issued(kToken, "example.com");
  for (std::size_t i = 0; i < own.size(); ++i) {
    std::string changed = own;
    changed[i] = changed[i] == '0' ? '1' : '0';
    EXPECT_EQ(cookie_.read(changed, "example.com"), 0U) << i;
  }
}

TEST_F(StickyTest, AnotherSecretIsNotTrusted) {
  const StickyCookie other("fealty_node", StickyCookie::random_secret());
  EXPECT_EQ(other.read(issued(kToken, "example.com"), "example.com"), 0U);
}

TEST_F(StickyTest, HeaderIsSafeForBrowsersAndBounded) {
  char header[StickyCookie::kHeaderBytesMax];
  const StickyCookie longest(std::string(StickyCookie::kNameBytesMax, 'n'),
                             secret_);
  const std::string line(
      header, longest.write(kToken, std::string(255, 'k'), true, header));
  EXPECT_TRUE(line.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure\r\n"))
      << line;
}

TEST_F(StickyTest, SecretsDiffer) {
  EXPECT_NE(StickyCookie::random_secret(), StickyCookie::random_secret());
}

}  // namespace
}  // namespace fealty::router
