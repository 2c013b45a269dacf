#include "base/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace fealty {
namespace {

using namespace std::string_view_literals;

std::string round_trip(std::string_view text) {
  const auto address = Address::parse(text);
  return address ? address->to_string() : "refused";
}

bool contains(std::string_view network, std::string_view address) {
  const auto net = Network::parse(network);
  const auto at = Address::parse(address);
  EXPECT_TRUE(net) << network;
  EXPECT_TRUE(at) << address;
  return net && at && net->contains(*at);
}

TEST(Address, TextFormsAreReadAndWritten) {
  EXPECT_EQ(round_trip("127.0.0.1:80"), "127.0.0.1:80");
  EXPECT_EQ(round_trip(":8080"), "0.0.0.0:8080");
  EXPECT_EQ(round_trip("127.0.0.1:0"), "127.0.0.1:0");
  EXPECT_EQ(round_trip("[::1]:65535"), "[::1]:65535");
  EXPECT_EQ(round_trip("[0:0:0:0:0:0:0:1]:1"), "[::1]:1");
  EXPECT_EQ(round_trip("/run/x.sock"), "/run/x.sock");
  EXPECT_EQ(round_trip("unix:/run/x.sock"), "/run/x.sock");
  EXPECT_EQ(round_trip("@name"), "@name");
  EXPECT_EQ(round_trip("unix:@name"), "@name");
}

TEST(Address, WhatIsNoAddressIsRefused) {
  for (const auto text :
       {""sv, "x"sv, "localhost:80"sv, "127.0.0.1"sv, "127.0.0.1:"sv,
        "127.0.0.1:65536"sv, "127.0.0.1:-1"sv, "127.0.0.1:+1"sv,
        "127.0.0.1:80 "sv, " 127.0.0.1:80"sv, "127.0.0:80"sv,
        "127.0.0.01:80"sv, "256.0.0.1:80"sv, "::1:80"sv, "[::1]"sv, "[]:80"sv,
        "[:80"sv, "[127.0.0.1]:80"sv, "[::1%lo]:80"sv, "unix:"sv,
        "unix:relative"sv, "relative/path"sv, "127.0.0.1:0x50"sv}) {
    EXPECT_FALSE(Address::parse(text)) << text;
  }
}

TEST(Address, NulIsRefusedWhereverItIs) {
  EXPECT_FALSE(Address::parse("127.0.0.1\0.evil:80"sv));
  EXPECT_FALSE(Address::parse("[::1\0x]:80"sv));
  EXPECT_FALSE(Address::parse("127.0.0.1:80\0"sv));
  EXPECT_FALSE(Address::parse("/run/x\0y"sv));
  EXPECT_FALSE(Address::parse("@na\0me"sv));
}

TEST(Address, UnixPathIsBoundedByTheKernelsRoom) {
  const std::string longest = "/" + std::string(106, 'x');
  EXPECT_EQ(round_trip(longest), longest);
  EXPECT_FALSE(Address::parse(longest + "x"));
}

TEST(Address, UnixPathIsTerminatedAndEqualTextsAreEqualBytes) {
  const auto one = Address::parse("/run/a/rather/long/path/of/a.sock");
  const auto other = Address::parse("unix:/run/a/rather/long/path/of/a.sock");
  ASSERT_TRUE(one && other);
  ASSERT_EQ(one->length(), other->length());
  EXPECT_EQ(std::memcmp(one->data(), other->data(), one->length()), 0);
  const auto* un = reinterpret_cast<const sockaddr_un*>(one->data());
  EXPECT_EQ(one->length(), offsetof(sockaddr_un, sun_path) +
                               std::strlen(un->sun_path) + 1);
}

TEST(Address, AbstractNameHasNoTerminator) {
  const auto address = Address::parse("@ab");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->length(), offsetof(sockaddr_un, sun_path) + 3);
  EXPECT_EQ(reinterpret_cast<const sockaddr_un*>(address->data())->sun_path[0],
            '\0');
}

TEST(Address, PartsAreTold) {
  const auto v4 = Address::parse("10.1.2.3:70");
  const auto v6 = Address::parse("[fc00::1]:71");
  const auto path = Address::parse("/x");
  ASSERT_TRUE(v4 && v6 && path);
  EXPECT_TRUE(v4->is_ip());
  EXPECT_EQ(v4->host(), "10.1.2.3");
  EXPECT_EQ(v4->port(), 70);
  EXPECT_EQ(v6->host(), "fc00::1");
  EXPECT_EQ(v6->port(), 71);
  EXPECT_TRUE(path->is_unix());
  EXPECT_EQ(path->host(), "");
  EXPECT_EQ(path->port(), 0);
  EXPECT_EQ(path->unix_path(), "/x");
  EXPECT_EQ(v4->unix_path(), "");
}

TEST(Address, MappedClientIsShownAsIpv4) {
  EXPECT_EQ(round_trip("[::ffff:10.0.0.9]:80"), "10.0.0.9:80");
}

TEST(Address, EmptyAddressIsNeitherKind) {
  const Address nothing;
  EXPECT_FALSE(nothing.is_unix());
  EXPECT_FALSE(nothing.is_ip());
  EXPECT_EQ(nothing.to_string(), "");
  EXPECT_EQ(nothing.port(), 0);
}

TEST(Address, UnnamedSocketHasNoPath) {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  const auto address = Address::from_sockaddr(
      reinterpret_cast<const sockaddr*>(&un), sizeof(sa_family_t));
  EXPECT_TRUE(address.is_unix());
  EXPECT_EQ(address.unix_path(), "");
}

TEST(Address, KernelsFormIsRead) {
  const auto made = Address::parse("[fe80::2]:9");
  ASSERT_TRUE(made);
  const auto copy = Address::from_sockaddr(made->data(), made->length());
  EXPECT_EQ(copy.to_string(), "[fe80::2]:9");
  EXPECT_EQ(copy.length(), made->length());
}

TEST(Address, MessageSaysWhatWasWrong) {
  const auto refused = Address::parse("localhost:80");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              testing::AllOf(testing::HasSubstr("'localhost:80'"),
                             testing::HasSubstr("not numeric")));
}

TEST(Network, ContainsItsAddressesAndNoOthers) {
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.255.255:1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0:1"));
  EXPECT_TRUE(contains("172.16.0.0/12", "172.31.255.255:1"));
  EXPECT_FALSE(contains("172.16.0.0/12", "172.32.0.0:1"));
  EXPECT_FALSE(contains("172.16.0.0/12", "172.15.255.255:1"));
  EXPECT_TRUE(contains("fc00::/7", "[fd12::1]:1"));
  EXPECT_FALSE(contains("fc00::/7", "[fe80::1]:1"));
  EXPECT_TRUE(contains("0.0.0.0/0", "8.8.8.8:1"));
  EXPECT_TRUE(contains("127.0.0.1/32", "127.0.0.1:1"));
  EXPECT_FALSE(contains("127.0.0.1/32", "127.0.0.0:1"));
  EXPECT_TRUE(contains("::1/128", "[::1]:1"));
  EXPECT_FALSE(contains("::1/128", "[::2]:1"));
}

TEST(Network, BareAddressIsItself) {
  EXPECT_TRUE(contains("10.0.0.1", "10.0.0.1:1"));
  EXPECT_FALSE(contains("10.0.0.1", "10.0.0.2:1"));
}

TEST(Network, FamiliesDoNotMixButForMappedAddresses) {
  EXPECT_FALSE(contains("0.0.0.0/0", "[::1]:1"));
  EXPECT_FALSE(contains("::/0", "127.0.0.1:1"));
  EXPECT_TRUE(contains("10.0.0.0/8", "[::ffff:10.1.1.1]:1"));
  EXPECT_FALSE(contains("::/0", "[::ffff:10.1.1.1]:1"));
  EXPECT_FALSE(contains("0.0.0.0/0", "/run/x"));
}

TEST(Network, WhatIsNoNetworkIsRefused) {
  for (const auto text : {""sv, "/8"sv, "10.0.0.0/"sv, "10.0.0.0/33"sv,
                          "10.0.0.0/-1"sv, "10.0.0.0/8x"sv, "10.0.0/8"sv,
                          "fc00::/129"sv, "x"sv, "10.0.0.0\0/8"sv}) {
    EXPECT_FALSE(Network::parse(text)) << text;
  }
}

}  // namespace
}  // namespace fealty
