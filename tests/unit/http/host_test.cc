// normalise_host and percent_decode: what routing and PATH_INFO hang on.

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/request_head.h"
#include "tests/unit/http/random_text.h"

namespace fealty::http {
namespace {

using namespace std::string_literals;

std::string host_of(std::string_view authority) {
  Host host;
  return normalise_host(authority, host) ? std::string(host.host()) : "(none)";
}

std::string host_port_of(std::string_view authority) {
  Host host;
  return normalise_host(authority, host) ? std::string(host.host_port())
                                         : "(none)";
}

TEST(AddPort, IsAddedToTheLongestHost) {
  const std::string longest(Host::kBytesMax, 'h');
  for (const std::string& name : {std::string("a.com"), longest}) {
    Host host;
    ASSERT_TRUE(normalise_host(name, host));
    add_port(host, 65535);
    EXPECT_EQ(host.host(), name);
    EXPECT_EQ(host.host_port(), name + ":65535");
  }
}

std::optional<std::string> decoded(std::string_view path) {
  std::string out(path.size(), '\0');
  const std::size_t bytes = percent_decode(path, out.data());
  if (bytes == SIZE_MAX) return std::nullopt;
  out.resize(bytes);
  return out;
}

TEST(NormaliseHost, HostIsLowerCaseWithoutPortAndTrailingDot) {
  for (const auto& [authority, host] :
       std::vector<std::pair<std::string, std::string>>{
           {"example.com", "example.com"},
           {"WWW.Example.COM", "www.example.com"},
           {"example.com.", "example.com"},
           {"example.com.:80", "example.com"},
           {"example.com:8080", "example.com"},
           {"example.com:", "example.com"},
           {"127.0.0.1:80", "127.0.0.1"},
           {"xn--bcher-kva.example", "xn--bcher-kva.example"},
           {"under_score.example", "under_score.example"},
           {"a", "a"},
           {"[::1]", "[::1]"},
           {"[2001:DB8::A]:443", "[2001:db8::a]"},
           {"[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]"},
           {"[::FFFF:102:304]:80", "[::ffff:1.2.3.4]"},
           {"[0:0:0::1]:18080", "[::1]"},
           {"[2001:db8:0:0:0:0:0:0001]", "[2001:db8::1]"},
           {"[v1.A:b]", "[v1.a:b]"}}) {
    EXPECT_EQ(host_of(authority), host) << authority;
  }
}

TEST(NormaliseHost, HostAndPortIsThereOnlyWithAPort) {
  EXPECT_EQ(host_port_of("Example.com:8080"), "example.com:8080");
  EXPECT_EQ(host_port_of("Example.com.:8080"), "example.com:8080");
  EXPECT_EQ(host_port_of("[::1]:8080"), "[::1]:8080");
  EXPECT_EQ(host_port_of("[0:0:0::1]:8080"), "[::1]:8080");
  EXPECT_EQ(host_port_of("example.com"), "");
  EXPECT_EQ(host_port_of("example.com:"), "");
  EXPECT_EQ(host_port_of("[::1]"), "");
}

TEST(NormaliseHost, OneTrailingDotGoesAndNoMore) {
  EXPECT_EQ(host_of("example.com.."), "example.com.");
  EXPECT_EQ(host_of("."), "(none)");
  EXPECT_EQ(host_of(".:80"), "(none)");
}

TEST(NormaliseHost, GarbageIsNoHost) {
  for (const std::string& authority :
       {""s, ":"s, ":80"s, " "s, "a b"s, "a/b"s, "a?b"s, "a#b"s, "a@b"s,
        "user@host"s, "a\\b"s, "a\"b"s, "a<b"s, "a>b"s, "a^b"s, "a`b"s, "a{b"s,
        "a|b"s, "a\tb"s, "a\0b"s, "\x80"s, "b\xc3\xbc.example"s, "a]"s,
        "a:b"s, "a:80x"s, "a:-1"s, "a:+1"s, "a: 80"s, "a:80 "s, "a:123456"s,
        "a:0"s, "a:00000"s, "a:65536"s, "a:99999"s, "[::1]:0"s, "[::1]:65536"s,
        "a:80:80"s, "::1"s, "["s, "[]"s, "[:"s, "[a"s, "[::1"s, "[::1]x"s,
        "[::1]80"s, "[::1]:x"s, "[::g]"s, "[::1 ]"s, "[a/b]"s}) {
    EXPECT_EQ(host_of(authority), "(none)")
        << testing::PrintToString(authority);
  }
}

TEST(NormaliseHost, LongestHostPassesAndNoLonger) {
  const std::string longest(Host::kBytesMax, 'a');
  EXPECT_EQ(host_of(longest), longest);
  EXPECT_EQ(host_port_of(longest + ":65535"), longest + ":65535");
  EXPECT_EQ(host_of(longest + "a"), "(none)");
  EXPECT_EQ(host_of(longest + "a:80"), "(none)");
  const std::string literal = "[" + std::string(Host::kBytesMax - 2, '1') + "]";
  EXPECT_EQ(host_port_of(literal + ":65535"), literal + ":65535");
  EXPECT_EQ(host_of("[1" + literal.substr(1)), "(none)");
}

TEST(NormaliseHost, RandomHostsStayWhatTheyAreTheSecondTime) {
  test::Random random;
  for (int round = 0; round < 20'000; ++round) {
    const std::string text =
        random.text(random.below(20), "aZ.-_:[]0159%@ ");
    Host once;
    if (!normalise_host(text, once)) continue;
    const std::string all(once.host_port().empty() ? once.host()
                                                   : once.host_port());
    for (const char c : all) EXPECT_EQ(c, ascii_lower(c));
    EXPECT_TRUE(once.host_port().empty() ||
                once.host_port().starts_with(once.host()));
    // One trailing dot goes each time.
    Host twice;
    if (once.host().ends_with('.')) continue;
    ASSERT_TRUE(normalise_host(all, twice)) << text;
    EXPECT_EQ(twice.host(), once.host()) << text;
    EXPECT_EQ(twice.host_port(), once.host_port()) << text;
  }
}

TEST(PercentDecode, EscapesAreDecodedOnce) {
  EXPECT_EQ(decoded("/plain"), "/plain");
  EXPECT_EQ(decoded("/a%20b"), "/a b");
  EXPECT_EQ(decoded("%41%61%7e%7E"), "Aa~~");
  EXPECT_EQ(decoded("/a%2Fb%2f"), "/a/b/");
  EXPECT_EQ(decoded("%2541"), "%41");
  EXPECT_EQ(decoded("%ff%80"), "\xff\x80");
  EXPECT_EQ(decoded("%0d%0a"), "\r\n");
  EXPECT_EQ(decoded("a+b"), "a+b");
  EXPECT_EQ(decoded(""), "");
}

TEST(PercentDecode, BrokenEscapesAreRefused) {
  for (const char* path : {"%", "%4", "/a%", "/a%4", "%4g", "%g4", "%%41",
                           "%-1", "% 1", "%u0041", "/%/"}) {
    EXPECT_EQ(decoded(path), std::nullopt) << path;
  }
}

TEST(PercentDecode, NulIsRefused) {
  EXPECT_EQ(decoded("/a%00b"), std::nullopt);
  EXPECT_EQ(decoded("%00"), std::nullopt);
  EXPECT_EQ(decoded("%01"), "\x01");
  EXPECT_EQ(decoded("%10"), "\x10");
}

TEST(PercentDecode, NeverWritesMoreThanItWasGiven) {
  test::Random random;
  for (int round = 0; round < 10'000; ++round) {
    const std::string path = random.text(random.below(20), "%%%0aF/g");
    std::string out(path.size() + 1, '!');
    const std::size_t bytes = percent_decode(path, out.data());
    EXPECT_EQ(out.back(), '!');
    if (bytes != SIZE_MAX) {
      EXPECT_LE(bytes, path.size());
    }
  }
}

std::string without_dots(std::string_view path) {
  std::string out(path.size(), '!');
  out.resize(remove_dot_segments(path, out.data()));
  return out;
}

TEST(RemoveDotSegments, LiteralDotsGoAndNothingElse) {
  EXPECT_EQ(without_dots("/a/../b/./c%2e%2e/%2e%2e/x//y"),
            "/b/c%2e%2e/%2e%2e/x//y");
  EXPECT_EQ(without_dots("/a/b/.."), "/a/");
  EXPECT_EQ(without_dots("/a/b/."), "/a/b/");
  EXPECT_EQ(without_dots("/.."), "/");
  EXPECT_EQ(without_dots("/../../x"), "/x");
  EXPECT_EQ(without_dots("/.hidden/..x/..."), "/.hidden/..x/...");
  EXPECT_EQ(without_dots("/a//../b"), "/a/b");
  EXPECT_EQ(without_dots("/"), "/");
}

TEST(RemoveDotSegments, NeverWritesMoreThanItWasGiven) {
  test::Random random;
  for (int round = 0; round < 10'000; ++round) {
    const std::string path = "/" + random.text(random.below(20), "../a");
    std::string out(path.size() + 1, '!');
    const std::size_t bytes = remove_dot_segments(path, out.data());
    EXPECT_EQ(out.back(), '!') << path;
    ASSERT_LE(bytes, path.size()) << path;
    const std::string plain = out.substr(0, bytes) + "/";
    EXPECT_TRUE(plain.starts_with('/')) << path;
    EXPECT_EQ(plain.find("/../"), std::string::npos) << path;
    EXPECT_EQ(plain.find("/./"), std::string::npos) << path;
  }
}

}  // namespace
}  // namespace fealty::http
