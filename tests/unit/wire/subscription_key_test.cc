#include "wire/subscription_key.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace fealty::wire {
namespace {

using namespace std::string_view_literals;

std::string normalised(std::string_view key) {
  std::string out;
  return normalise_key(key, out) ? out : "refused";
}

TEST(NormaliseKey, FoldsCaseAndDropsOneTrailingDot) {
  EXPECT_EQ(normalised("Foo.Example.COM"), "foo.example.com");
  EXPECT_EQ(normalised("example.com."), "example.com");
  EXPECT_EQ(normalised("example.com.:8080"), "example.com:8080");
  EXPECT_EQ(normalised(".Example.com."), ".example.com");
  EXPECT_EQ(normalised("localhost"), "localhost");
  EXPECT_EQ(normalised("a_b-c.example.com"), "a_b-c.example.com");
  EXPECT_EQ(normalised("10.0.0.1:80"), "10.0.0.1:80");
}

TEST(NormaliseKey, RefusesWhatIsNoDomain) {
  for (const auto key :
       {""sv, "."sv, ".."sv, "a..b"sv, "..a"sv, "a.."sv, ":80"sv, ".:80"sv,
        "a:"sv, "a:0"sv, "a:080"sv, "a:65536"sv, "a:8x"sv, "a:80:80"sv,
        "a b"sv, "a\0b"sv, "*.a"sv, "a\x80"sv, "[]"sv, "[::1"sv, "::1"sv,
        "[::1]x"sv, "[127.0.0.1]"sv, "[::1%lo]"sv, "[::1]:"sv, "[::1\0]"sv,
        "[a]b]"sv, "_fc00__1_"sv, ".a:80"sv}) {
    EXPECT_EQ(normalised(key), "refused") << key;
  }
}

TEST(NormaliseKey, LabelsHaveAtMost63Bytes) {
  const std::string longest(63, 'a');
  EXPECT_EQ(normalised(longest + ".com"), longest + ".com");
  EXPECT_EQ(normalised(longest + "a.com"), "refused");
  EXPECT_EQ(normalised("." + longest + "a"), "refused");
}

TEST(NormaliseKey, InternationalNamesComeAsPunycodeOrNotAtAll) {
  EXPECT_EQ(normalised("xn--bcher-kva.example"), "xn--bcher-kva.example");
  EXPECT_EQ(normalised("b\xc3\xbc" "cher.example"), "refused");
  EXPECT_EQ(normalised("b\xfc" "cher.example"), "refused");
  EXPECT_EQ(normalised("\xef\xbd\x81.example"), "refused") << "a wide letter";
  EXPECT_EQ(normalised("example\xe3\x80\x82" "com"), "refused") << "a wide dot";
}

TEST(NormaliseKey, AddressesHaveOneSpelling) {
  EXPECT_EQ(normalised("[FC00::1]"), "[fc00::1]");
  EXPECT_EQ(normalised("[fc00:0:0:0:0:0:0:1]:443"), "[fc00::1]:443");
  EXPECT_EQ(normalised("[fc00:0000::0001]"), "[fc00::1]");
  EXPECT_EQ(normalised("[::FFFF:0a00:0001]"), "[::ffff:10.0.0.1]");
}

TEST(NormaliseKey, MountpointFollowsTheHost) {
  EXPECT_EQ(normalised("Example.com/Blog"), "example.com/Blog");
  EXPECT_EQ(normalised("example.com./a/b/c"), "example.com/a/b/c");
  EXPECT_EQ(normalised("example.com:80/a"), "example.com:80/a");
  EXPECT_EQ(normalised("[::1]:80/a]:b"), "[::1]:80/a]:b");
  EXPECT_EQ(normalised("example.com/~x/.well-known/a:b@c;d"),
            "example.com/~x/.well-known/a:b@c;d");
}

TEST(NormaliseKey, SlashAtTheEndIsDropped) {
  EXPECT_EQ(normalised("example.com/"), "example.com");
  EXPECT_EQ(normalised("example.com/blog/"), "example.com/blog");
}

TEST(NormaliseKey, MountpointIsPlain) {
  for (const auto key :
       {"a//"sv, "a//b"sv, "a/b//"sv, "a/."sv, "a/.."sv, "a/../b"sv,
        "a/b/./c"sv, "a/b?c"sv, "a/b#c"sv, "a/%2e"sv, "a/b\\c"sv, "a/b c"sv,
        "a/<b>"sv, "a/\"b"sv, "a/b\0c"sv, "a/b\tc"sv, "a/b\x7f"sv,
        "a/\xc3\xa4"sv, "/a"sv, "/"sv}) {
    EXPECT_EQ(normalised(key), "refused") << key;
  }
}

TEST(NormaliseKey, WildcardHasNoMountpoint) {
  EXPECT_EQ(normalised(".example.com/blog"), "refused");
}

TEST(NormaliseKey, IsItsOwnNormalForm) {
  for (const char* key :
       {"Foo.Example.COM.:81", ".A.b.", "[FC00::1]:1", "x", "X.y./Z/z/"}) {
    const std::string once = normalised(key);
    EXPECT_NE(once, "refused") << key;
    EXPECT_EQ(normalised(once), once);
  }
}

TEST(KeyParts, AreTheHostAndTheSite) {
  EXPECT_EQ(without_mountpoint("a.b:80/c:d"), "a.b:80");
  EXPECT_EQ(without_port("a.b:80/c:d"), "a.b");
  EXPECT_EQ(without_port("[fc00::1]:80/x"), "[fc00::1]");
  EXPECT_EQ(without_port("[fc00::1]"), "[fc00::1]");
  EXPECT_EQ(without_port("a.b"), "a.b");
}

TEST(KeyFileName, IsTheKeyWithoutItsMountpoint) {
  EXPECT_EQ(key_file_name("foo.example.com"), "foo.example.com.pem");
  EXPECT_EQ(key_file_name(".example.com"), ".example.com.pem");
  EXPECT_EQ(key_file_name("foo.example.com:8080"), "foo.example.com_8080.pem");
  EXPECT_EQ(key_file_name("foo.example.com/blog"), "foo.example.com.pem");
  EXPECT_EQ(key_file_name("foo.example.com:80/a:b"), "foo.example.com_80.pem");
  EXPECT_EQ(key_file_name("[fc00::1]:80"), "_fc00__1__80.pem");
  EXPECT_EQ(key_file_name("a_b.example.com"), "a_b.example.com.pem");
  EXPECT_EQ(key_file_name("../etc/passwd"), "...pem");
  EXPECT_EQ(key_file_name(std::string_view("a\0b", 3)), "a_b.pem");
}

TEST(KeyFileName, DomainThatLooksLikeAPortsSharesIt) {
  EXPECT_TRUE(shares_key_file("foo.com_80"));
  EXPECT_TRUE(shares_key_file("foo.com_80/blog"));
  EXPECT_TRUE(shares_key_file("_fc00__1__80"));
  for (const char* key : {"foo.com:80", "foo.com", "a_1.example.com", "a_b",
                          "a_080", "a_65536", "a_", "_80", ".a.b_80",
                          "a_1:80", "[fc00::1]"}) {
    EXPECT_FALSE(shares_key_file(key)) << key;
  }
}

}  // namespace
}  // namespace fealty::wire
