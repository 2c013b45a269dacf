#include "wire/subscription_packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support.h"
#include "wire/uwsgi_packet.h"

namespace fealty::wire {
namespace {

using test::vector_file;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr auto kSubscribe = SubscriptionCommand::kSubscribe;
constexpr auto kUnsubscribe = SubscriptionCommand::kUnsubscribe;

SigningKey customer() {
  auto key = SigningKey::parse(vector_file("customer.key"), Digest::kSha1);
  EXPECT_TRUE(key);
  return std::move(*key);
}

Pairs announced(std::string_view packet) {
  const auto header = decode_uwsgi_header(packet);
  EXPECT_TRUE(header);
  EXPECT_EQ(header->modifier1, kModifierSubscription);
  EXPECT_EQ(header->data_bytes, packet.size() - kUwsgiHeaderBytes);
  UwsgiPairReader reader(packet.substr(kUwsgiHeaderBytes));
  UwsgiPair pair;
  Pairs pairs;
  while (reader.next(pair) == UwsgiPairReader::Step::kPair) {
    pairs.emplace_back(pair.key, pair.value);
  }
  return pairs;
}

SubscriptionPacket plain() {
  SubscriptionPacket packet;
  packet.key = "example.com";
  packet.address = "127.0.0.1:3000";
  return packet;
}

TEST(SubscriptionPacket, HasTheFieldsInUwsgisOrder) {
  const auto bytes = encode_subscription(plain(), kSubscribe, 1000, nullptr);
  ASSERT_TRUE(bytes);
  EXPECT_EQ((*bytes)[3], 0);
  EXPECT_THAT(announced(*bytes),
              ElementsAre(Pair("key", "example.com"),
                          Pair("address", "127.0.0.1:3000"),
                          Pair("modifier1", "0"), Pair("modifier2", "0"),
                          Pair("cores", "1"), Pair("load", "0"),
                          Pair("weight", "1")));
}

TEST(SubscriptionPacket, HasTheOptionalFieldsBeforeTheSignature) {
  SubscriptionPacket packet = plain();
  packet.backup = 2;
  packet.proto = "http";
  packet.algo = "lrc";
  packet.sni_key = "/k";
  packet.sni_crt = "/c";
  packet.sni_ca = "!/a";
  packet.notify = "127.0.0.1:9";
  packet.nonce = "n";
  const SigningKey key = customer();
  const auto bytes = encode_subscription(packet, kSubscribe, 1000, &key);
  ASSERT_TRUE(bytes);
  const Pairs pairs = announced(*bytes);
  std::vector<std::string> names;
  for (const auto& [name, value] : pairs) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("key", "address", "modifier1", "modifier2",
                                 "cores", "load", "weight", "backup", "proto",
                                 "algo", "sni_key", "sni_crt", "sni_ca",
                                 "notify", "nonce", "unix", "sign"));
}

TEST(SubscriptionPacket, AnUnsubscribeSignsTheNextSecond) {
  const SigningKey key = customer();
  const auto stamp = [&](SubscriptionCommand command) {
    const auto bytes = encode_subscription(plain(), command, 1000, &key);
    const Pairs pairs = announced(*bytes);
    EXPECT_EQ(pairs[pairs.size() - 2].first, "unix");
    return std::pair((*bytes)[3], pairs[pairs.size() - 2].second);
  };
  EXPECT_THAT(stamp(kSubscribe), Pair(0, "1000"));
  EXPECT_THAT(stamp(kUnsubscribe), Pair(1, "1001"));
}

// uWSGI's own packet, made again from its fields.
TEST(SubscriptionPacket, IsByteForByteWhatUwsgiSends) {
  const std::string captured = vector_file("signed.0.bin");
  SubscriptionPacket packet;
  packet.key = ".bar.example.com";
  packet.address = "/tmp/cap/app.sock";
  packet.weight = 3;
  packet.sni_key = "/tmp/cap/a.key";
  packet.sni_crt = "/tmp/cap/a.crt";
  packet.sni_ca = "!/tmp/cap/ca.crt";
  const SigningKey key = customer();
  const auto bytes =
      encode_subscription(packet, kSubscribe, 1'795'308'705, &key);
  ASSERT_TRUE(bytes);
  EXPECT_EQ(*bytes, captured);
}

TEST(SubscriptionPacket, SaysHowLongItWereIfItDoesNotFit) {
  SubscriptionPacket packet = plain();
  packet.sni_crt.assign(70'000, 'x');
  const auto bytes = encode_subscription(packet, kSubscribe, 1000, nullptr);
  ASSERT_FALSE(bytes);
  EXPECT_THAT(bytes.error().message, HasSubstr("70"));
  EXPECT_THAT(bytes.error().message, HasSubstr("65507"));
}

TEST(SubscriptionPacket, TheLargestThatFitsIsMade) {
  SubscriptionPacket packet = plain();
  const SigningKey key = customer();
  packet.sni_crt = "x";
  const auto small = encode_subscription(packet, kSubscribe, 1000, &key);
  packet.sni_crt.assign(1 + kSubscriptionBytesMax - small->size(), 'x');
  const auto largest = encode_subscription(packet, kSubscribe, 1000, &key);
  ASSERT_TRUE(largest);
  EXPECT_EQ(largest->size(), kSubscriptionBytesMax);
  packet.sni_crt += 'x';
  EXPECT_FALSE(encode_subscription(packet, kSubscribe, 1000, &key));
}

}  // namespace
}  // namespace fealty::wire
