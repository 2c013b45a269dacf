#include "subscription/announcement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "support.h"

namespace fealty::subscription {
namespace {

using namespace std::string_view_literals;
using test::encode;
using test::Pairs;
using test::plain_pairs;
using test::vector_file;

constexpr auto kNodeAt = "127.0.0.1:3031";

// "accepted", or the reason's name.
std::string outcome(std::string_view packet) {
  const auto announcement = parse_announcement(packet);
  if (announcement) return "accepted";
  return std::string(to_string(announcement.error()));
}

std::string outcome(const Pairs& pairs) { return outcome(encode(pairs)); }

// What becomes of a good packet with one more pair.
std::string with(const std::string& key, const std::string& value) {
  Pairs pairs = {{"key", "example.com"}, {"address", kNodeAt}};
  pairs.emplace_back(key, value);
  return outcome(pairs);
}

std::string with_key(std::string_view key) {
  return outcome(plain_pairs(std::string(key), kNodeAt));
}
std::string with_address(std::string_view address) {
  return outcome(plain_pairs("example.com", std::string(address)));
}

TEST(Announcement, PlainVectorIsDecoded) {
  const std::string packet = vector_file("plain.0.bin");
  const auto decoded = parse_announcement(packet);
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(decoded->subscribe);
  EXPECT_EQ(decoded->key, "foo.example.com");
  EXPECT_EQ(decoded->address_text, "127.0.0.1:41100");
  EXPECT_EQ(decoded->address.to_string(), "127.0.0.1:41100");
  EXPECT_EQ(decoded->modifier1, 0);
  EXPECT_EQ(decoded->modifier2, 0);
  EXPECT_EQ(decoded->cores, 1U);
  EXPECT_EQ(decoded->load, 0U);
  EXPECT_EQ(decoded->weight, 1U) << "0 on the wire means 1";
  EXPECT_EQ(decoded->protocol, Protocol::kUwsgi);
  EXPECT_EQ(decoded->unix_s, 0);
  EXPECT_TRUE(decoded->signature.empty());
  EXPECT_EQ(decoded->signed_bytes, std::string_view(packet).substr(4));
  EXPECT_EQ(parse_announcement(vector_file("plain.1.bin"))->weight, 3U);
}

TEST(Announcement, SignedVectorIsDecoded) {
  const std::string packet = vector_file("signed.0.bin");
  const auto decoded = parse_announcement(packet);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->key, ".bar.example.com");
  EXPECT_EQ(decoded->address.unix_path(), "/tmp/cap/app.sock");
  EXPECT_EQ(decoded->weight, 3U);
  EXPECT_EQ(decoded->unix_s, 1'795'308'705);
  EXPECT_EQ(decoded->signature.size(), 256U);
  // The `sign` pair: two lengths, its key, its value.
  const std::size_t pair_bytes = 2 + 4 + 2 + 256;
  EXPECT_EQ(decoded->signed_bytes,
            std::string_view(packet).substr(4, packet.size() - 4 - pair_bytes));
  const std::string second = vector_file("signed.1.bin");
  EXPECT_EQ(parse_announcement(second)->unix_s, 1'795'308'706);
}

TEST(Announcement, LegionPacketIsNoSubscription) {
  EXPECT_EQ(outcome(vector_file("legion.0.bin")), "not-subscription");
}

TEST(Announcement, SecondModifierIsTheCommand) {
  const Pairs pairs = plain_pairs("example.com", kNodeAt);
  EXPECT_TRUE(parse_announcement(encode(pairs, 0))->subscribe);
  EXPECT_FALSE(parse_announcement(encode(pairs, 1))->subscribe);
  EXPECT_EQ(outcome(encode(pairs, 2)), "not-subscription");
  EXPECT_EQ(outcome(encode(pairs, 0, 0)), "not-subscription");
}

TEST(Announcement, EveryOtherLengthThanTheHeadersIsRefused) {
  const std::string packet = vector_file("signed.0.bin");
  for (std::size_t cut = 0; cut < packet.size(); ++cut) {
    EXPECT_EQ(outcome(packet.substr(0, cut)), "truncated") << cut;
  }
  EXPECT_EQ(outcome(packet + "x"), "truncated");
}

TEST(Announcement, PairBeyondThePacketIsRefused) {
  std::string packet = encode(plain_pairs("example.com", kNodeAt));
  packet[4] = 'x';  // the first key's length
  packet[5] = 'x';
  EXPECT_EQ(outcome(packet), "malformed");
}

TEST(Announcement, AllFieldsAreRead) {
  const auto decoded = parse_announcement(encode({{"key", "Example.COM."},
                                                  {"address", "[::1]:80"},
                                                  {"modifier1", "5"},
                                                  {"modifier2", "255"},
                                                  {"cores", "8"},
                                                  {"load", "4294967295"},
                                                  {"weight", "1000000"},
                                                  {"backup", "2"},
                                                  {"algo", "lrc"},
                                                  {"proto", "http"},
                                                  {"notify", "/run/n"},
                                                  {"unix", "17"}}));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->key, "example.com");
  EXPECT_EQ(decoded->modifier1, 5);
  EXPECT_EQ(decoded->modifier2, 255);
  EXPECT_EQ(decoded->cores, 8U);
  EXPECT_EQ(decoded->load, 4'294'967'295U);
  EXPECT_EQ(decoded->weight, 1'000'000U);
  EXPECT_EQ(decoded->backup, 2U);
  EXPECT_EQ(decoded->protocol, Protocol::kHttp);
  EXPECT_EQ(decoded->notify, "/run/n");
  EXPECT_EQ(decoded->unix_s, 17);
}

TEST(Announcement, UnknownFieldsAreIgnored) {
  EXPECT_EQ(with("future", "x"), "accepted");
  EXPECT_EQ(with("", ""), "accepted");
  EXPECT_EQ(with("KEY", "other.example.com"), "accepted");
  EXPECT_EQ(with("future", std::string("\0", 1)), "accepted");
}

TEST(Announcement, EveryKnownFieldMayComeOnlyOnce) {
  for (const char* field :
       {"key", "address", "modifier1", "modifier2", "cores", "load", "weight",
        "backup", "algo", "proto", "notify", "vassal", "inactive", "clear",
        "sni_key", "sni_crt", "sni_ca", "via", "unix"}) {
    Pairs pairs = {{field, "0"}, {field, "0"}};
    EXPECT_EQ(outcome(pairs), "duplicate-field") << field;
  }
}

// The first of two keys cannot be the one that is verified while the second is
// the one that is served.
TEST(Announcement, SecondKeyIsRefusedAndNotTaken) {
  Pairs pairs = plain_pairs("mine.example.com", kNodeAt);
  pairs.emplace_back("key", "yours.example.com");
  EXPECT_EQ(outcome(pairs), "duplicate-field");
}

TEST(Announcement, LargestDatagramOfGarbageIsRefused) {
  std::string garbage(65'507, '\xff');
  EXPECT_EQ(outcome(garbage), "not-subscription");
  garbage[0] = '\xe0';
  garbage[1] = '\xdf';  // 65503 bytes, as there are
  garbage[2] = '\xff';
  garbage[3] = 0;
  EXPECT_EQ(outcome(garbage), "malformed");
}

TEST(Announcement, NothingMayFollowTheSignature) {
  EXPECT_EQ(with("sign", "x"), "accepted");
  Pairs pairs = plain_pairs("example.com", kNodeAt);
  pairs.emplace_back("sign", "x");
  pairs.emplace_back("weight2", "9");
  EXPECT_EQ(outcome(pairs), "after-signature");
  pairs.back() = {"sign", "y"};
  EXPECT_EQ(outcome(pairs), "after-signature");
}

TEST(Announcement, KeyIsBounded) {
  EXPECT_EQ(outcome({{"address", kNodeAt}}), "bad-key");
  EXPECT_EQ(with_key(""), "bad-key");
  const std::string labels = std::string(63, 'a') + '.' +
                             std::string(63, 'b') + '.' +
                             std::string(63, 'c') + '.' + std::string(63, 'd');
  EXPECT_EQ(labels.size(), 255U);
  EXPECT_EQ(with_key(labels), "accepted");
  EXPECT_EQ(with_key(labels + "."), "bad-key");
  EXPECT_EQ(with_key("x." + labels), "bad-key");
  EXPECT_EQ(with_key(std::string(63, 'a')), "accepted");
  EXPECT_EQ(with_key(std::string(64, 'a')), "bad-key");
  EXPECT_EQ(with_key("exa mple.com"), "bad-key");
  EXPECT_EQ(with_key("exa\0mple.com"sv), "bad-value");
  EXPECT_EQ(with_key("example.com/blog"), "accepted");
  EXPECT_EQ(with_key("../../etc"), "bad-key");
}

TEST(Announcement, AddressIsBounded) {
  EXPECT_EQ(outcome({{"key", "a"}}), "bad-address");
  EXPECT_EQ(with_address(""), "bad-address");
  EXPECT_EQ(with_address("localhost:80"), "bad-address");
  EXPECT_EQ(with_address("127.0.0.1:0"), "bad-address");
  EXPECT_EQ(with_address("relative.sock"), "bad-address");
  EXPECT_EQ(with_address("/run/\0x"sv), "bad-value");
  EXPECT_EQ(with_address("127.0.0.1\0:80"sv), "bad-value");
  EXPECT_EQ(with_address("/" + std::string(106, 'x')), "accepted");
  EXPECT_EQ(with_address("/" + std::string(107, 'x')), "bad-address");
  EXPECT_EQ(with_address("/" + std::string(300, 'x')), "bad-address");
  EXPECT_EQ(with_address("@abstract"), "accepted");
  EXPECT_EQ(with_address(":3031"), "accepted");
}

TEST(Announcement, OnlyAVassalMayComeWithoutAddress) {
  const std::string packet =
      encode({{"key", "a"}, {"vassal", "app.ini"}, {"inactive", "1"}});
  const auto decoded = parse_announcement(packet);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->vassal, "app.ini");
  EXPECT_EQ(decoded->address_text, "");
  EXPECT_EQ(decoded->address.length(), 0U);
  EXPECT_TRUE(decoded->inactive);
  EXPECT_FALSE(decoded->clear);
  EXPECT_EQ(outcome({{"key", "a"}, {"inactive", "1"}}), "bad-address");
  EXPECT_EQ(outcome({{"key", "a"}, {"clear", "1"}}), "bad-address");
  EXPECT_EQ(outcome({{"key", "a"}, {"vassal", "v"}, {"address", ""}}),
            "bad-address");
}

TEST(Announcement, VassalMayHaveAnAddressToo) {
  const auto decoded = parse_announcement(
      encode({{"key", "a"}, {"address", kNodeAt}, {"vassal", "v"}}));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->vassal, "v");
  EXPECT_EQ(decoded->address_text, kNodeAt);
}

TEST(Announcement, VassalsNameIsBounded) {
  EXPECT_EQ(with("vassal", "app-1.ini"), "accepted");
  EXPECT_EQ(with("vassal", std::string(255, 'v')), "accepted");
  EXPECT_EQ(with("vassal", std::string(256, 'v')), "bad-value");
  for (const auto name : {""sv, "."sv, ".."sv, "a/b"sv, "/etc/x"sv, "../x"sv,
                          "a..b"sv, "a\0b"sv, "a\nb"sv, "a\x7f"sv}) {
    EXPECT_EQ(with("vassal", std::string(name)), "bad-value") << name;
  }
}

TEST(Announcement, FlagsAreTrueUnlessZero) {
  const auto flags = [](const std::string& value) {
    const auto decoded = parse_announcement(encode({{"key", "a"},
                                                    {"vassal", "v"},
                                                    {"inactive", value},
                                                    {"clear", value}}));
    return decoded && decoded->inactive && decoded->clear;
  };
  EXPECT_TRUE(flags("1"));
  EXPECT_TRUE(flags(""));
  EXPECT_TRUE(flags("yes"));
  EXPECT_FALSE(flags("0"));
  EXPECT_EQ(with("inactive", std::string("1\0", 2)), "bad-value");
}

TEST(Announcement, NumbersAreDecimalDigitsWithinBounds) {
  for (const char* field : {"modifier1", "modifier2", "cores", "load", "weight",
                            "backup", "unix"}) {
    for (const auto value : {""sv, "-1"sv, "+1"sv, " 1"sv, "1 "sv, "0x1"sv,
                             "1e3"sv, "1.0"sv, "x"sv, "1\0"sv, "\0"sv,
                             "99999999999999999999"sv,
                             "18446744073709551616"sv}) {
      EXPECT_EQ(with(field, std::string(value)), "bad-number")
          << field << "=" << value;
    }
    EXPECT_EQ(with(field, "0"), "accepted") << field;
  }
  EXPECT_EQ(with("modifier1", "256"), "bad-number");
  EXPECT_EQ(with("modifier2", "256"), "bad-number");
  for (const char* field : {"cores", "load", "backup"}) {
    EXPECT_EQ(with(field, "4294967295"), "accepted") << field;
    EXPECT_EQ(with(field, "4294967296"), "bad-number") << field;
  }
  EXPECT_EQ(with("weight", "1000000"), "accepted");
  EXPECT_EQ(with("weight", "1000001"), "bad-number");
  EXPECT_EQ(with("unix", "253402300799"), "accepted");
  EXPECT_EQ(with("unix", "253402300800"), "bad-number");
  EXPECT_EQ(with("unix", "9223372036854775808"), "bad-number");
}

TEST(Announcement, WeightOfZeroMeansOne) {
  const auto weight = [](const Pairs& more) {
    Pairs pairs = {{"key", "a"}, {"address", kNodeAt}};
    pairs.insert(pairs.end(), more.begin(), more.end());
    const auto decoded = parse_announcement(encode(pairs));
    return decoded ? decoded->weight : 0;
  };
  EXPECT_EQ(weight({}), 1U);
  EXPECT_EQ(weight({{"weight", "0"}}), 1U);
  EXPECT_EQ(weight({{"weight", "00"}}), 1U);
  EXPECT_EQ(weight({{"weight", "2"}}), 2U);
}

TEST(Announcement, FirstLetterOfProtoDecides) {
  const auto protocol = [](const std::string& text) {
    const auto decoded = parse_announcement(
        encode({{"key", "a"}, {"address", kNodeAt}, {"proto", text}}));
    return decoded ? std::string(to_string(decoded->protocol)) : "refused";
  };
  EXPECT_EQ(protocol("u"), "uwsgi");
  EXPECT_EQ(protocol("uwsgi"), "uwsgi");
  EXPECT_EQ(protocol("http"), "http");
  EXPECT_EQ(protocol("fastcgi"), "fastcgi");
  EXPECT_EQ(protocol("scgi"), "scgi");
  EXPECT_EQ(with("proto", ""), "bad-value");
  EXPECT_EQ(with("proto", "x"), "bad-value");
  EXPECT_EQ(with("proto", std::string("u\0", 2)), "bad-value");
}

TEST(Announcement, OtherValuesAreBounded) {
  for (const char* algorithm : {"wrr", "lrc", "wlrc", "iphash", "sticky"}) {
    EXPECT_EQ(with("algo", algorithm), "accepted") << algorithm;
  }
  EXPECT_EQ(with("algo", "best"), "bad-value");
  EXPECT_EQ(with("notify", ""), "accepted");
  EXPECT_EQ(with("notify", std::string(256, 'x')), "bad-value");
  EXPECT_EQ(with("notify", std::string("/run/\0n", 7)), "bad-value");
  EXPECT_EQ(with("sni_key", "/x.key"), "accepted");
}

TEST(Announcement, ReasonsHaveNamesOfTheirOwn) {
  constexpr auto kReasons = static_cast<std::size_t>(Rejection::kCount);
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < kReasons; ++i) {
    names.push_back(to_string(static_cast<Rejection>(i)));
  }
  EXPECT_THAT(names, testing::Not(testing::Contains("unknown")));
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace fealty::subscription
