#include "subscription/resubscribe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "support.h"
#include "wire/uwsgi_packet.h"

namespace fealty::subscription {
namespace {

using test::address_of;
using test::announce;
using test::FakeClock;
using test::Pairs;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// A subscription server that only receives.
class Target {
 public:
  explicit Target(const Address& address)
      : fd_(::socket(address.family(),
                     SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    EXPECT_EQ(::bind(fd_.get(), address.data(), address.length()), 0)
        << std::strerror(errno);
  }
  [[nodiscard]] Address address() const {
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    auto* const at = reinterpret_cast<sockaddr*>(&bound);
    EXPECT_EQ(::getsockname(fd_.get(), at, &length), 0);
    return Address::from_sockaddr(at, length);
  }
  // The next datagram's command byte and pairs; empty if nothing is there.
  struct Got {
    int command = -1;
    Pairs pairs;
    Address from;
    [[nodiscard]] std::string value(const std::string& key) const {
      for (const auto& [name, text] : pairs) {
        if (name == key) return text;
      }
      return "(none)";
    }
  };
  Got receive() {
    Got got;
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const ssize_t size =
        ::recvfrom(fd_.get(), packet_.data(), packet_.size(), 0,
                   reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0) return got;
    last_.assign(packet_.data(), static_cast<std::size_t>(size));
    got.from = Address::from_sockaddr(
        reinterpret_cast<const sockaddr*>(&from), length);
    got.command = last_[3];
    wire::UwsgiPairReader reader(std::string_view(last_).substr(4));
    wire::UwsgiPair pair;
    while (reader.next(pair) == wire::UwsgiPairReader::Step::kPair) {
      got.pairs.emplace_back(pair.key, pair.value);
    }
    return got;
  }
  [[nodiscard]] const std::string& last() const { return last_; }

 private:
  UniqueFd fd_;
  std::vector<char> packet_ = std::vector<char>(65'536);
  std::string last_;
};

class ResubscribeTest : public testing::Test {
 protected:
  ResubscribeTest() {
    options_.own_address = address_of("127.0.0.1:8080");
    options_.resubscribe = {address_of(dir_ / "front")};
  }
  Resubscriber& open() {
    resubscriber_.emplace(options_, clock_);
    const Status opened = resubscriber_->open();
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    return *resubscriber_;
  }
  void pass_on(const std::string& key = "k") {
    resubscriber_->pass_on(announce(key, "/run/node"), nullptr);
  }
  // With what it says of certificates.
  void pass_on(const Announcement& announcement) {
    const SniSource sni = look_at(announcement);
    resubscriber_->pass_on(announcement, &sni);
  }
  // As of a sender who is this user.
  [[nodiscard]] SniSource look_at(const Announcement& announcement) const {
    auto source = SniFiles(options_).open(
        announcement, Credentials{::getpid(), ::getuid(), ::getgid()});
    EXPECT_TRUE(source);
    return source ? *std::move(source) : SniSource{};
  }
  [[nodiscard]] Resubscriber::TargetCount count() const {
    return resubscriber_->counts().front();
  }

  TempDir dir_;
  FakeClock clock_;
  Options options_;
  std::optional<Resubscriber> resubscriber_;
};

TEST_F(ResubscribeTest, FieldsAndOrderAreUwsgisWithTheRoutersOwnAddress) {
  Target front(options_.resubscribe.front());
  options_.own_protocol = Protocol::kUwsgi;
  open();
  auto announcement = announce("example.com", "/run/node");
  announcement.modifier1 = 5;
  announcement.modifier2 = 6;
  announcement.weight = 3;
  announcement.notify = "/run/notify";
  resubscriber_->pass_on(announcement, nullptr);
  const auto got = front.receive();
  EXPECT_EQ(got.command, 0);
  EXPECT_THAT(got.pairs,
              ElementsAre(Pair("key", "example.com"),
                          Pair("address", "127.0.0.1:8080"),
                          Pair("modifier1", "5"), Pair("modifier2", "6"),
                          Pair("cores", "0"), Pair("load", "0"),
                          Pair("weight", "0"), Pair("via", testing::_)));
  EXPECT_TRUE(parse_announcement(front.last()));
  EXPECT_EQ(count().sent, 1U);
}

TEST_F(ResubscribeTest, ListenerThatSpeaksHttpIsAnnouncedAsSuch) {
  Target front(options_.resubscribe.front());
  open();
  pass_on();
  EXPECT_EQ(front.receive().value("proto"), "http");
}

TEST_F(ResubscribeTest, EveryTargetIsTold) {
  Target front(options_.resubscribe.front());
  Target other(address_of("127.0.0.1:0"));
  options_.resubscribe.push_back(other.address());
  open();
  pass_on();
  EXPECT_EQ(front.receive().value("key"), "k");
  EXPECT_EQ(other.receive().value("key"), "k");
}

TEST_F(ResubscribeTest, LastNodesLeaveIsPassedOnAsAnUnsubscribe) {
  Target front(options_.resubscribe.front());
  open();
  pass_on();
  resubscriber_->withdraw("k");
  pass_on();
  EXPECT_EQ(front.receive().command, 0);
  const auto gone = front.receive();
  EXPECT_EQ(gone.command, 1);
  EXPECT_EQ(gone.value("address"), "127.0.0.1:8080");
  EXPECT_EQ(front.receive().command, 0) << "who comes back has a turn at once";
}

TEST_F(ResubscribeTest, KeyIsPassedOnOnceAnInterval) {
  Target front(options_.resubscribe.front());
  open();
  for (int i = 0; i < 5; ++i) pass_on("a");
  pass_on("b");
  EXPECT_EQ(front.receive().value("key"), "a");
  EXPECT_EQ(front.receive().value("key"), "b");
  EXPECT_EQ(front.receive().command, -1);
  EXPECT_EQ(resubscriber_->held_back(), 4U);
  clock_.now_ms += Resubscriber::kInterval_ms;
  pass_on("a");
  EXPECT_EQ(front.receive().value("key"), "a");
}

TEST_F(ResubscribeTest, RoutersOnTheWayAreListedAndRecogniseTheirOwn) {
  Target front(options_.resubscribe.front());
  Resubscriber& first = open();
  pass_on();
  static_cast<void>(front.receive());
  const std::string packet = front.last();
  const auto passed = parse_announcement(packet);
  ASSERT_TRUE(passed);
  EXPECT_TRUE(first.is_own(*passed));
  Resubscriber second(options_, clock_);
  ASSERT_TRUE(second.open());
  EXPECT_FALSE(second.is_own(*passed));
  second.pass_on(*passed, nullptr);
  static_cast<void>(front.receive());
  const auto returned = parse_announcement(front.last());
  ASSERT_TRUE(returned);
  EXPECT_TRUE(first.is_own(*returned));
  EXPECT_TRUE(second.is_own(*returned));
}

TEST_F(ResubscribeTest, NothingGoesOnWithoutEnd) {
  Target front(options_.resubscribe.front());
  std::string packet = test::encode(test::plain_pairs("k", "/run/node"));
  std::size_t hops = 0;
  for (;; ++hops) {
    ASSERT_LE(hops, Resubscriber::kHopsMost);
    const auto announcement = parse_announcement(packet);
    ASSERT_TRUE(announcement);
    Resubscriber next(options_, clock_);
    ASSERT_TRUE(next.open());
    next.pass_on(*announcement, nullptr);
    if (front.receive().command < 0) break;
    packet = front.last();
  }
  EXPECT_EQ(hops, Resubscriber::kHopsMost);
}

TEST_F(ResubscribeTest, FullOrMissingSocketDropsCountsAndSaysSoOnceASecond) {
  open();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 100; ++i) pass_on("missing" + std::to_string(i));
  EXPECT_EQ(count().dropped, 100U);
  Target front(options_.resubscribe.front());
  for (int i = 0; count().dropped == 100U; ++i) {
    ASSERT_LT(i, 1'000'000) << "the socket is never full";
    pass_on("full" + std::to_string(i));
  }
  EXPECT_GT(count().sent, 0U);
  clock_.now_ms += 1000;
  pass_on("later");
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_THAT(lines, HasSubstr("No such file"));
  EXPECT_THAT(lines, HasSubstr("more since the last line"));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  while (front.receive().command >= 0) {}
  pass_on("again");
  EXPECT_EQ(front.receive().value("key"), "again");
}

TEST_F(ResubscribeTest, ListenerOnEveryAddressIsAnnouncedAsTheTargetReachesIt) {
  Target front(options_.resubscribe.front());
  Target other(address_of("127.0.0.1:0"));
  options_.resubscribe.push_back(other.address());
  options_.own_address = address_of("0.0.0.0:81");
  open();
  pass_on();
  EXPECT_EQ(front.receive().value("address"), "127.0.0.1:81");
  EXPECT_EQ(other.receive().value("address"), "127.0.0.1:81");
}

TEST_F(ResubscribeTest, TargetThatCannotReachTheListenerIsAnError) {
  options_.resubscribe = {address_of("[::1]:1")};
  options_.own_address = address_of("0.0.0.0:81");
  Resubscriber resubscriber(options_, clock_);
  const Status opened = resubscriber.open();
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("set resubscribe_as"));
}

TEST_F(ResubscribeTest, DatagramsComeFromTheAddressThatIsBound) {
  Target other(address_of("127.0.0.1:0"));
  options_.resubscribe = {other.address()};
  options_.resubscribe_bind = address_of("127.0.0.2:0");
  open();
  pass_on();
  EXPECT_EQ(other.receive().from.host(), "127.0.0.2");
}

TEST_F(ResubscribeTest, CertificatesGoOnAsTextWhereTheyWereLookedAt) {
  Target front(options_.resubscribe.front());
  options_.allow_sni_paths = {dir_.path()};
  open();
  test::write_file(dir_ / "a.key", "the key");
  test::write_file(dir_ / "a.crt", "the chain");
  test::write_file(dir_ / "ca.crt", "the CA");
  const std::string key = dir_ / "a.key";
  const std::string crt = dir_ / "a.crt";
  const std::string ca = "!" + (dir_ / "ca.crt");
  auto announcement = announce("a", "/run/node");
  announcement.sni_key = key;
  announcement.sni_crt = crt;
  announcement.sni_ca = ca;
  resubscriber_->pass_on(announcement, nullptr);
  const auto bare = front.receive();
  EXPECT_EQ(bare.value("sni_key"), "(none)");
  EXPECT_EQ(bare.value("sni_ca"), "!") << "nobody gets in without a certificate";
  announcement.key = "b";
  pass_on(announcement);
  const auto got = front.receive();
  EXPECT_EQ(got.value("sni_key"), "the key");
  EXPECT_EQ(got.value("sni_crt"), "the chain");
  EXPECT_EQ(got.value("sni_ca"), "!the CA");
}

TEST_F(ResubscribeTest, EachCertificateAndDemandOfAKeyHasItsTurn) {
  Target front(options_.resubscribe.front());
  open();
  auto plain = announce("a", "/run/node");
  auto guarded = announce("a", "/run/other");
  guarded.sni_ca = "!";
  auto rsa = announce("a", "/run/rsa");
  rsa.sni_crt = "-----BEGIN RSA";
  auto ecdsa = announce("a", "/run/ecdsa");
  ecdsa.sni_crt = "-----BEGIN ECDSA";
  for (int i = 0; i < 3; ++i) {
    for (const auto* const each : {&plain, &guarded, &rsa, &ecdsa}) {
      pass_on(*each);
    }
  }
  EXPECT_EQ(front.receive().value("sni_ca"), "(none)");
  EXPECT_EQ(front.receive().value("sni_ca"), "!");
  EXPECT_EQ(front.receive().value("sni_crt"), "-----BEGIN RSA");
  EXPECT_EQ(front.receive().value("sni_crt"), "-----BEGIN ECDSA");
  EXPECT_TRUE(front.receive().pairs.empty()) << "once an interval each";
  resubscriber_->withdraw("a");
  EXPECT_EQ(front.receive().command, 1);
  for (const auto* const each : {&plain, &guarded, &rsa, &ecdsa}) {
    pass_on(*each);
    EXPECT_FALSE(front.receive().pairs.empty()) << "who comes back is told at once";
  }
}

TEST_F(ResubscribeTest, OneKeysCertificatesAreNotPassedOnWithoutEnd) {
  Target front(options_.resubscribe.front());
  open();
  auto announcement = announce("a", "/run/node");
  const auto pass_on_all = [&] {
    std::size_t got = 0;
    for (int i = 0; i < 100; ++i) {
      const std::string chain = "-----BEGIN " + std::to_string(i);
      announcement.sni_crt = chain;
      pass_on(announcement);
      if (!front.receive().pairs.empty()) ++got;
    }
    return got;
  };
  EXPECT_EQ(pass_on_all(), Resubscriber::kWays);
  EXPECT_EQ(pass_on_all(), 0U);
  clock_.now_ms += Resubscriber::kInterval_ms;
  EXPECT_EQ(pass_on_all(), Resubscriber::kWays);
}

TEST_F(ResubscribeTest, BareDemandOfACertificateGoesOn) {
  Target front(options_.resubscribe.front());
  open();
  auto announcement = announce("a", "/run/node");
  announcement.sni_ca = "!";
  pass_on(announcement);
  EXPECT_EQ(front.receive().value("sni_ca"), "!");
}

TEST_F(ResubscribeTest, PrivateKeyGoesToUnixSocketsOnly) {
  Target front(options_.resubscribe.front());
  Target far(address_of("127.0.0.1:0"));
  options_.resubscribe.push_back(far.address());
  open();
  auto announcement = announce("a", "/run/node");
  announcement.sni_key = "-----BEGIN PRIVATE KEY-----";
  announcement.sni_crt = "-----BEGIN CERTIFICATE-----";
  announcement.sni_ca = "!-----BEGIN CERTIFICATE-----";
  pass_on(announcement);
  EXPECT_EQ(front.receive().value("sni_key"), "-----BEGIN PRIVATE KEY-----");
  const auto got = far.receive();
  EXPECT_EQ(got.value("key"), "a");
  EXPECT_EQ(got.value("sni_key"), "(none)");
  EXPECT_EQ(got.value("sni_crt"), "(none)");
  EXPECT_EQ(got.value("sni_ca"), "!") << "the demand goes everywhere";
}

TEST_F(ResubscribeTest, WithoutTargetsNothingIsDone) {
  options_.resubscribe.clear();
  open();
  EXPECT_FALSE(resubscriber_->enabled());
  pass_on();
  resubscriber_->withdraw("k");
  EXPECT_FALSE(resubscriber_->is_own(announce("k", "/run/1")));
}

}  // namespace
}  // namespace fealty::subscription
