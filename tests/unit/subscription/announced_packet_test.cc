// What an announcer's encoder (wire/subscription_packet.h) makes is what this
// room reads and believes.

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "subscription/announcement.h"
#include "subscription/verify.h"
#include "support.h"
#include "wire/subscription_packet.h"

namespace fealty::subscription {
namespace {

using test::FakeClock;
using test::Signer;
using test::TempDir;
using wire::SubscriptionCommand;
using wire::SubscriptionPacket;

constexpr auto kSubscribe = SubscriptionCommand::kSubscribe;
constexpr auto kUnsubscribe = SubscriptionCommand::kUnsubscribe;

std::string encoded(const SubscriptionPacket& packet,
                    SubscriptionCommand command = kSubscribe) {
  auto bytes = wire::encode_subscription(packet, command, 1000, nullptr);
  EXPECT_TRUE(bytes);
  return bytes ? *bytes : std::string();
}

TEST(AnnouncedPacket, ComesThroughWithEveryField) {
  SubscriptionPacket packet;
  packet.key = "example.com/shop";
  packet.address = "[fc00::1]:3000";
  packet.modifier1 = 255;
  packet.modifier2 = 1;
  packet.cores = std::numeric_limits<std::uint32_t>::max();
  packet.load = 7;
  packet.weight = kWeightMax;
  packet.backup = std::numeric_limits<std::uint32_t>::max();
  packet.proto = "http";
  packet.algo = "sticky";
  packet.sni_key = "/k";
  packet.sni_crt = "-----BEGIN CERTIFICATE-----\n";
  packet.sni_ca = "!/a";
  packet.notify = "127.0.0.1:9";
  packet.nonce = "0123456789abcdef.1";
  const std::string bytes = encoded(packet, kUnsubscribe);
  const auto read = parse_announcement(bytes);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_FALSE(read->subscribe);
  EXPECT_EQ(read->key, packet.key);
  EXPECT_EQ(read->address_text, packet.address);
  EXPECT_EQ(read->modifier1, packet.modifier1);
  EXPECT_EQ(read->modifier2, packet.modifier2);
  EXPECT_EQ(read->cores, packet.cores);
  EXPECT_EQ(read->load, packet.load);
  EXPECT_EQ(read->weight, packet.weight);
  EXPECT_EQ(read->backup, packet.backup);
  EXPECT_EQ(read->protocol, Protocol::kHttp);
  EXPECT_EQ(read->algorithm, Algorithm::kSticky);
  EXPECT_EQ(read->sni_key, packet.sni_key);
  EXPECT_EQ(read->sni_crt, packet.sni_crt);
  EXPECT_EQ(read->sni_ca, packet.sni_ca);
  EXPECT_EQ(read->notify, packet.notify);
  EXPECT_TRUE(read->signature.empty());
}

TEST(AnnouncedPacket, ComesThroughWithRandomFields) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto number = [&](std::uint32_t most) {
    return std::uniform_int_distribution<std::uint32_t>(0, most)(random);
  };
  for (int i = 0; i < 10'000; ++i) {
    SubscriptionPacket packet;
    packet.key = "a" + std::to_string(number(1'000'000)) + ".test";
    packet.address = "10.0.0.1:" + std::to_string(1 + number(65'534));
    packet.weight = number(kWeightMax);
    packet.backup = number(UINT32_MAX);
    packet.modifier1 = static_cast<std::uint8_t>(number(255));
    packet.sni_crt.assign(number(3000), 'c');
    const std::string bytes = encoded(packet);
    const auto read = parse_announcement(bytes);
    ASSERT_TRUE(read) << to_string(read.error());
    EXPECT_EQ(read->key, packet.key);
    EXPECT_EQ(read->address_text, packet.address);
    EXPECT_EQ(read->weight, packet.weight == 0 ? 1 : packet.weight);
    EXPECT_EQ(read->backup, packet.backup);
    EXPECT_EQ(read->modifier1, packet.modifier1);
    EXPECT_EQ(read->sni_crt, packet.sni_crt);
  }
}

TEST(AnnouncedPacket, TheLargestOneIsRead) {
  SubscriptionPacket packet;
  packet.key = "a.test";
  packet.address = "127.0.0.1:1";
  packet.sni_crt = "x";
  packet.sni_crt.assign(
      1 + wire::kSubscriptionBytesMax - encoded(packet).size(), 'x');
  const std::string bytes = encoded(packet);
  ASSERT_EQ(bytes.size(), wire::kSubscriptionBytesMax);
  EXPECT_TRUE(parse_announcement(bytes));
}

// A router that checks signatures, and an announcer.
class SignedPacket : public testing::TestWithParam<wire::Digest> {
 protected:
  SignedPacket() {
    SignCheck check;
    check.keys = directory_.path();
    switch (GetParam()) {
      case wire::Digest::kSha1: check.digest = Digest::kSha1; break;
      case wire::Digest::kSha256: check.digest = Digest::kSha256; break;
      case wire::Digest::kSha512: check.digest = Digest::kSha512; break;
    }
    options_.sign_check = check;
    packet_.key = "example.com";
    packet_.address = "127.0.0.1:3000";
    verifier_.emplace(options_, clock_);
  }

  // The rejection's name, "duplicate", or "accepted".
  std::string judged(const Signer& signer, SubscriptionCommand command) {
    test::write_file(directory_ / "example.com.pem", signer.public_pem());
    auto key = wire::SigningKey::parse(signer.private_pem(), GetParam());
    EXPECT_TRUE(key);
    const auto bytes = wire::encode_subscription(packet_, command,
                                                 clock_.now_unix_s, &*key);
    const auto read = parse_announcement(*bytes);
    EXPECT_TRUE(read);
    const auto accepted = verifier_->check(*read, {});
    if (!accepted) return std::string(to_string(accepted.error()));
    if (accepted->duplicate) return "duplicate";
    verifier_->commit(*accepted);
    return "accepted";
  }

  TempDir directory_;
  FakeClock clock_;
  Options options_;
  SubscriptionPacket packet_;
  int port_ = 3000;
  std::optional<Verifier> verifier_;
};

TEST_P(SignedPacket, OfEveryKeyTypeIsAccepted) {
  for (const Signer& signer :
       {Signer::rsa(2048), Signer::ec("P-256"), Signer::ec("P-384"),
        Signer::ed25519()}) {
    packet_.address = "127.0.0.1:" + std::to_string(++port_);
    packet_.nonce = "n" + std::to_string(port_);
    EXPECT_EQ(judged(signer, kSubscribe), "accepted");
    clock_.now_unix_s += 10;
  }
}

// Start, stop and start again, as often as one likes within one second: with a
// nonce no content is ever signed twice.
TEST_P(SignedPacket, ThatComesBackWithinTheSecondIsAccepted) {
  const Signer signer = Signer::rsa(2048);
  for (int round = 0; round < 4; ++round) {
    packet_.nonce = "start" + std::to_string(round);
    EXPECT_EQ(judged(signer, kSubscribe), "accepted");
    packet_.nonce = "stop" + std::to_string(round);
    EXPECT_EQ(judged(signer, kUnsubscribe), "accepted");
  }
}

INSTANTIATE_TEST_SUITE_P(Digests, SignedPacket,
                         testing::Values(wire::Digest::kSha1,
                                         wire::Digest::kSha256,
                                         wire::Digest::kSha512),
                         [](const auto& tested) {
                           return std::string(wire::to_string(tested.param));
                         });

}  // namespace
}  // namespace fealty::subscription
