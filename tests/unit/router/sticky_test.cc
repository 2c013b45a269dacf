#include "router/sticky.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "tests/unit/router/sockets.h"

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

TEST_F(StickyTest, CookieIsForThePathThatTheKeyIsMountedAt) {
  char header[StickyCookie::kHeaderBytesMax];
  const auto written = [&](const std::string& key) {
    return std::string(header, cookie_.write(kToken, key, false, header));
  };
  EXPECT_NE(written("example.com").find("; Path=/; "), std::string::npos);
  EXPECT_NE(written("example.com/a/b").find("; Path=/a/b; "),
            std::string::npos);
  EXPECT_NE(written("example.com/a;Domain=x").find("; Path=/; "),
            std::string::npos);
}

TEST_F(StickyTest, EveryCookieHeaderIsLookedAt) {
  http::RequestHead head;
  const std::string text = "GET / HTTP/1.1\r\nHost: example.com\r\n"
                           "Cookie: a=b\r\nCookie: " +
                           issued(kToken, "example.com") + "\r\n\r\n";
  ASSERT_EQ(http::parse_request_head(text, head).status, 0);
  EXPECT_EQ(cookie_.read(head, "example.com"), kToken);
  EXPECT_EQ(cookie_.read(head, "example.org"), 0U);
}

TEST_F(StickyTest, SecretFileIsMadeOnceAndReadAgain) {
  const test::TempDir folder;
  const std::string path = folder / "secret";
  const auto made = StickyCookie::load_secret(path);
  ASSERT_TRUE(made) << made.error().message;
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const auto again = StickyCookie::load_secret(path);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *made);
  const auto other = StickyCookie::load_secret(folder / "other");
  ASSERT_TRUE(other);
  EXPECT_NE(*other, *made);
}

TEST_F(StickyTest, SecretFileThatCannotBeOneIsAnError) {
  const test::TempDir folder;
  std::ofstream(folder / "short") << "15 bytes are no";
  for (const std::string& path :
       {folder / "short", folder / "no/such", folder.path()}) {
    const auto secret = StickyCookie::load_secret(path);
    ASSERT_FALSE(secret) << path;
    EXPECT_NE(secret.error().message.find("sticky_secret_file"),
              std::string::npos);
  }
}

TEST_F(StickyTest, SecretsDiffer) {
  EXPECT_NE(StickyCookie::random_secret(), StickyCookie::random_secret());
}

}  // namespace
}  // namespace fealty::router
