#include "legion/forwarder.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"
#include "legion/sealed.h"
#include "wire/uwsgi_packet.h"

namespace fealty::legion {
namespace {

class FixedClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() const override { return now_ms; }
  [[nodiscard]] std::int64_t unix_s() const override { return now_ms / 1000; }
  std::int64_t now_ms = 1'000'000'000;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string encode(const Pairs& pairs, std::uint8_t modifier1 = 224,
                   std::uint8_t modifier2 = 0) {
  std::string out(wire::kUwsgiPacketBytesMax, '\0');
  wire::UwsgiWriter writer(out);
  for (const auto& [key, value] : pairs) writer.add(key, value);
  out.resize(writer.finish(modifier1, modifier2).size());
  return out;
}

std::string value_of(std::string_view packet, std::string_view key) {
  wire::UwsgiPairReader reader(packet.substr(wire::kUwsgiHeaderBytes));
  wire::UwsgiPair pair;
  while (reader.next(pair) == wire::UwsgiPairReader::Step::kPair) {
    if (pair.key == key) return std::string(pair.value);
  }
  return "(none)";
}

const std::string kPacket = encode({{"key", "a.test"}, {"address", "10.1.0.1:1999"}});

constexpr std::int64_t kNow_s = 1'000'000;

ForwardDrop why(const Result<std::string, ForwardDrop>& result) {
  return result ? ForwardDrop::kCount : result.error();
}

class ForwardWire : public testing::Test {
 protected:
  Result<std::string, ForwardDrop> open(std::string_view datagram,
                                        std::int64_t unix_s = kNow_s) {
    return opener_.open(datagram, unix_s * 1000, unix_s);
  }
  ForwardSealer sealer_{"secret"};
  ForwardOpener opener_{"secret", "our own boot...."};
};

TEST_F(ForwardWire, OpensWhatWasSealedOnce) {
  const std::string datagram = sealer_.seal(kPacket, kNow_s);
  const auto opened = open(datagram);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened.value(), kPacket);
  EXPECT_EQ(why(open(datagram)), ForwardDrop::kReplayed);
  EXPECT_EQ(datagram.find("a.test"), datagram.npos);
}

TEST_F(ForwardWire, EveryBentBitIsRefusedAndRemembersNothing) {
  const std::string datagram = sealer_.seal("x", kNow_s);
  for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
    std::string bent = datagram;
    bent[bit / 8] = static_cast<char>(bent[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(open(bent)) << bit;
  }
  EXPECT_EQ(opener_.senders(kNow_s * 1000), 0U);
  EXPECT_TRUE(open(datagram));
}

TEST_F(ForwardWire, CutAndLengthenedAreRefused) {
  const std::string datagram = sealer_.seal("some packet", kNow_s);
  for (std::size_t bytes = 0; bytes < datagram.size(); ++bytes) {
    EXPECT_FALSE(open(datagram.substr(0, bytes))) << bytes;
  }
  EXPECT_FALSE(open(datagram + '\0'));
}

TEST_F(ForwardWire, AnotherSecretOpensNothing) {
  ForwardSealer other("secret2");
  EXPECT_EQ(why(open(other.seal(kPacket, kNow_s))), ForwardDrop::kUndecryptable);
}

TEST_F(ForwardWire, PlainPacketsAndALegionsAreRefused) {
  EXPECT_EQ(why(open(kPacket)), ForwardDrop::kNotSealed);
  const SealedWire legion("secret", "cluster");
  std::string announce = legion.seal(std::string(200, 'x'));
  EXPECT_EQ(why(open(announce)), ForwardDrop::kNotSealed);
  announce[3] = 2;
  EXPECT_EQ(why(open(announce)), ForwardDrop::kUndecryptable);
  EXPECT_FALSE(legion.open(sealer_.seal(kPacket, kNow_s)));
}

TEST_F(ForwardWire, OrderMayChangeWithinTheWindow) {
  std::vector<std::string> sent;
  for (std::size_t i = 0; i < ForwardOpener::kWindow + 2; ++i) {
    sent.push_back(sealer_.seal("x", kNow_s));
  }
  EXPECT_TRUE(open(sent[5]));
  EXPECT_TRUE(open(sent[4]));
  EXPECT_EQ(why(open(sent[5])), ForwardDrop::kReplayed);
  EXPECT_TRUE(open(sent.back()));
  EXPECT_TRUE(open(sent[2]));
  EXPECT_EQ(why(open(sent[1])), ForwardDrop::kReplayed) << "out of the window";
}

TEST_F(ForwardWire, StampsBoundForHowLongADatagramCounts) {
  EXPECT_TRUE(open(sealer_.seal("x", kNow_s - 60)));
  EXPECT_TRUE(open(sealer_.seal("x", kNow_s + 60)));
  EXPECT_EQ(why(open(sealer_.seal("x", kNow_s - 61))), ForwardDrop::kStale);
  EXPECT_EQ(why(open(sealer_.seal("x", kNow_s + 61))), ForwardDrop::kStale);
}

TEST_F(ForwardWire, ForgottenSendersPacketsAreStale) {
  const std::string first = sealer_.seal("x", kNow_s + 60);
  EXPECT_TRUE(open(first));
  for (std::size_t i = 1; i < ForwardOpener::kSendersMax; ++i) {
    EXPECT_TRUE(open(ForwardSealer("secret").seal("x", kNow_s)));
  }
  EXPECT_EQ(why(open(ForwardSealer("secret").seal("x", kNow_s + 120),
                     kNow_s + 120)),
            ForwardDrop::kFull);
  EXPECT_TRUE(
      open(ForwardSealer("secret").seal("x", kNow_s + 121), kNow_s + 121));
  EXPECT_EQ(opener_.senders((kNow_s + 121) * 1000), 1U);
  EXPECT_EQ(why(open(first, kNow_s + 121)), ForwardDrop::kStale);
}

TEST_F(ForwardWire, WhoIsSilentIsNotAmongTheSenders) {
  EXPECT_TRUE(open(sealer_.seal("x", kNow_s)));
  EXPECT_TRUE(open(ForwardSealer("secret").seal("x", kNow_s + 60), kNow_s + 60));
  EXPECT_EQ(opener_.senders((kNow_s + 120) * 1000), 2U);
  EXPECT_EQ(opener_.senders((kNow_s + 121) * 1000), 1U);
  EXPECT_EQ(opener_.senders((kNow_s + 181) * 1000), 0U);
}

TEST_F(ForwardWire, OwnDatagramsAreKnown) {
  ForwardOpener own("secret", sealer_.boot());
  EXPECT_EQ(why(own.open(sealer_.seal("x", kNow_s), 0, kNow_s)),
            ForwardDrop::kOwn);
}

TEST(ForwardMark, StandsBehindTheRoutersThatPassedItOn) {
  const auto one = mark_forwarded(kPacket);
  ASSERT_TRUE(one);
  EXPECT_EQ(value_of(one.value(), "via"), "legion");
  EXPECT_EQ(value_of(one.value(), "key"), "a.test");
  EXPECT_TRUE(is_forwarded(one.value()));
  EXPECT_FALSE(is_forwarded(kPacket));
  const auto two =
      mark_forwarded(encode({{"key", "a"}, {"via", "0123 4567"}}, 224, 1));
  ASSERT_TRUE(two);
  EXPECT_EQ(value_of(two.value(), "via"), "0123 4567 legion");
  EXPECT_EQ(two.value()[3], 1);
}

TEST(ForwardMark, WhatCameFromAMemberDoesNotGoOnAgain) {
  for (const char* const via : {"legion", "0123 legion", "legion 4567"}) {
    EXPECT_EQ(why(mark_forwarded(encode({{"key", "a"}, {"via", via}}))),
              ForwardDrop::kCameBack)
        << via;
  }
  EXPECT_TRUE(mark_forwarded(encode({{"key", "a"}, {"via", "legionary"}})));
}

TEST(ForwardMark, OnlyUnsignedSubscriptionsGoOn) {
  EXPECT_EQ(why(mark_forwarded(encode({{"key", "a"}}, 0))),
            ForwardDrop::kNotSubscription);
  EXPECT_EQ(why(mark_forwarded(encode({{"key", "a"}}, 224, 2))),
            ForwardDrop::kNotSubscription);
  EXPECT_EQ(why(mark_forwarded(kPacket.substr(0, kPacket.size() - 1))),
            ForwardDrop::kNotSubscription);
  EXPECT_EQ(why(mark_forwarded("")), ForwardDrop::kNotSubscription);
  EXPECT_EQ(why(mark_forwarded(encode({{"key", "a"}, {"sign", "x"}}))),
            ForwardDrop::kSigned);
}

TEST(ForwardMark, WhatASealedDatagramHoldsGoesOnAndNoMore) {
  const std::size_t others = 4 + (4 + 3) + (4 + 3 + 6);   // header, sni_key, via
  const std::string value(forward::kPacketBytesMax - others - 4, 'x');
  const auto fits = mark_forwarded(encode({{"sni_key", value}}));
  ASSERT_TRUE(fits);
  EXPECT_EQ(fits.value().size(), forward::kPacketBytesMax);
  EXPECT_EQ(ForwardSealer("s").seal(fits.value(), 0).size(),
            forward::kDatagramBytesMax);
  EXPECT_EQ(why(mark_forwarded(encode({{"sni_key", value + "x"}}))),
            ForwardDrop::kOversized);
}

// ------------------------------------------------------------ the forwarder

Address address_of(const std::string& text) {
  const auto address = Address::parse(text);
  EXPECT_TRUE(address) << text;
  return address ? *address : Address{};
}

class Peer {
 public:
  explicit Peer(const Address& address)
      : fd_(::socket(address.family(), SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    EXPECT_EQ(::bind(fd_.get(), address.data(), address.length()), 0);
  }
  [[nodiscard]] Address address() const {
    sockaddr_storage name{};
    socklen_t bytes = sizeof name;
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&name), &bytes);
    return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&name), bytes);
  }
  void send(std::string_view bytes, const Address& to) const {
    EXPECT_EQ(::sendto(fd_.get(), bytes.data(), bytes.size(), 0, to.data(),
                       to.length()),
              static_cast<ssize_t>(bytes.size()));
  }
  [[nodiscard]] std::string receive() {
    std::string bytes(70'000, '\0');
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }

 private:
  UniqueFd fd_;
};

class ForwarderTest : public testing::Test {
 protected:
  ForwarderTest() {
    std::string name = "/tmp/fealty-forwarder-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    options_.listen = address_of(directory_ + "/dgram");
    options_.secret = "secret";
  }
  ~ForwarderTest() override { std::filesystem::remove_all(directory_); }

  void start() {
    auto next = std::make_unique<Forwarder>(loop_, clock_, options_,
                                            forwarder_.get());
    const Status bound = next->bind();
    ASSERT_TRUE(bound) << bound.error().message;
    forwarder_ = std::move(next);
    forwarder_->start();
  }
  [[nodiscard]] std::uint64_t drops(ForwardDrop drop) const {
    return forwarder_->counters().drops[static_cast<std::size_t>(drop)];
  }

  std::string directory_;
  FixedClock clock_;
  Loop loop_;
  ForwarderOptions options_;
  std::unique_ptr<Forwarder> forwarder_;
};

TEST_F(ForwarderTest, SealsForEveryMemberAndDeliversWhatTheySend) {
  Peer one(address_of("127.0.0.1:0"));
  Peer two(address_of("127.0.0.1:0"));
  Peer local(address_of(directory_ + "/local"));
  Peer router(address_of(directory_ + "/http"));
  Peer probe(address_of("127.0.0.1:0"));
  options_.to = {one.address(), two.address()};
  options_.receive = address_of("127.0.0.3:" +
                                std::to_string(probe.address().port()));
  options_.deliver = router.address();
  start();
  local.send(kPacket, *options_.listen);
  loop_.run_once();
  ForwardOpener opener("secret", "");
  for (Peer* const peer : {&one, &two}) {
    const auto packet =
        opener.open(peer->receive(), clock_.now_ms, clock_.unix_s());
    if (peer == &one) {
      ASSERT_TRUE(packet);
      EXPECT_EQ(value_of(packet.value(), "key"), "a.test");
    } else {
      EXPECT_EQ(why(packet), ForwardDrop::kReplayed) << "sealed once for all";
    }
  }
  EXPECT_EQ(forwarder_->counters().sent, 2U);

  ForwardSealer sealer("secret");
  const std::string inner = mark_forwarded(kPacket).value();
  one.send(sealer.seal(inner, clock_.unix_s()), *options_.receive);
  one.send(sealer.seal(kPacket, clock_.unix_s()), *options_.receive);
  loop_.run_once();
  EXPECT_EQ(router.receive(), inner);
  EXPECT_EQ(router.receive(), "");
  EXPECT_EQ(drops(ForwardDrop::kNotSubscription), 1U) << "it has no mark";
  EXPECT_EQ(forwarder_->counters().delivered, 1U);
}

TEST_F(ForwarderTest, WhatATurnSendsIsBounded) {
  Peer local(address_of(directory_ + "/local"));
  Peer member(address_of("127.0.0.1:0"));
  options_.to.assign(64, member.address());
  start();
  for (int i = 0; i < 8; ++i) local.send(kPacket, *options_.listen);
  loop_.run_once();
  EXPECT_EQ(forwarder_->counters().taken, 4U);
  loop_.run_once();
  EXPECT_EQ(forwarder_->counters().taken, 8U) << "the next turn has the rest";
}

TEST_F(ForwarderTest, SocketIsOpenToNobodyElse) {
  start();
  struct stat file{};
  ASSERT_EQ(::stat(options_.listen->unix_path().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0660U);
}

TEST_F(ForwarderTest, GroupThatIsNotThereIsAnError) {
  options_.listen_group = "nobody-at-all";
  Forwarder forwarder(loop_, clock_, options_, nullptr);
  const Status bound = forwarder.bind();
  ASSERT_FALSE(bound);
  EXPECT_NE(bound.error().message.find("'nobody-at-all'"), std::string::npos);
}

TEST_F(ForwarderTest, FullOrMissingRouterDropsAndCounts) {
  Peer member(address_of("127.0.0.1:0"));
  Peer probe(address_of("127.0.0.1:0"));
  options_.listen.reset();
  options_.receive = address_of("127.0.0.3:" +
                                std::to_string(probe.address().port()));
  options_.deliver = address_of(directory_ + "/http");
  start();
  ForwardSealer sealer("secret");
  const std::string inner = mark_forwarded(kPacket).value();
  member.send(sealer.seal(inner, clock_.unix_s()), *options_.receive);
  loop_.run_once();
  EXPECT_EQ(forwarder_->counters().undelivered, 1U);
  Peer router(*options_.deliver);               // nobody reads it
  for (int i = 0; i < 100'000 && forwarder_->counters().undelivered == 1; ++i) {
    member.send(sealer.seal(inner, clock_.unix_s()), *options_.receive);
    loop_.run_once();
    ++clock_.now_ms;
  }
  EXPECT_EQ(forwarder_->counters().undelivered, 2U);
}

TEST_F(ForwarderTest, BurstOfMoreThanTheRoutersSocketHoldsArrivesWhole) {
  Peer member(address_of("127.0.0.1:0"));
  Peer probe(address_of("127.0.0.1:0"));
  options_.listen.reset();
  options_.receive = address_of("127.0.0.3:" +
                                std::to_string(probe.address().port()));
  options_.deliver = address_of(directory_ + "/http");
  Peer router(*options_.deliver);
  start();
  ForwardSealer sealer("secret");
  const std::string inner = mark_forwarded(kPacket).value();
  constexpr std::uint64_t kBurst = 600;
  for (std::uint64_t i = 0; i < kBurst; ++i) {
    member.send(sealer.seal(inner, clock_.unix_s()), *options_.receive);
  }
  std::uint64_t got = 0;
  for (int turn = 0; turn < 10'000 && got < kBurst; ++turn) {
    loop_.run_once();
    while (got < kBurst && !router.receive().empty()) ++got;
  }
  EXPECT_EQ(got, kBurst);
  EXPECT_EQ(forwarder_->counters().undelivered, 0U);
}

TEST_F(ForwarderTest, ReloadKeepsSocketsAndWhatIsRemembered) {
  Peer one(address_of("127.0.0.1:0"));
  Peer two(address_of("127.0.0.1:0"));
  Peer local(address_of(directory_ + "/local"));
  options_.to = {one.address()};
  start();
  local.send(kPacket, *options_.listen);        // waits in the socket meanwhile
  options_.to = {two.address()};
  start();
  loop_.run_once();
  EXPECT_EQ(one.receive(), "");
  EXPECT_NE(two.receive(), "");
  local.send(kPacket, *options_.listen);
  loop_.run_once();
  EXPECT_EQ(forwarder_->counters().taken, 2U);
}

TEST_F(ForwarderTest, TakenSocketIsAnErrorAndChangesNothing) {
  Peer one(address_of("127.0.0.1:0"));
  Peer other(address_of(directory_ + "/taken"));
  Peer local(address_of(directory_ + "/local"));
  options_.to = {one.address()};
  start();
  ForwarderOptions wanted = options_;
  wanted.listen = address_of(directory_ + "/taken");
  Forwarder next(loop_, clock_, wanted, forwarder_.get());
  EXPECT_FALSE(next.bind());
  local.send(kPacket, *options_.listen);
  loop_.run_once();
  EXPECT_NE(one.receive(), "");
}

TEST_F(ForwarderTest, StrangersPacketsDoNotCount) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become a stranger";
  Peer one(address_of("127.0.0.1:0"));
  options_.to = {one.address()};
  std::filesystem::permissions(directory_, std::filesystem::perms::all);
  start();
  const auto send_as = [&](uid_t uid) {
    Peer local(address_of("@fealty-" + std::to_string(::getpid()) + "-" +
                          std::to_string(uid)));
    ASSERT_EQ(::setresuid(uid, uid, 0), 0);
    local.send(kPacket, *options_.listen);
    ASSERT_EQ(::setresuid(0, 0, 0), 0);
    loop_.run_once();
  };
  send_as(12345);
  EXPECT_EQ(drops(ForwardDrop::kStranger), 1U);
  options_.listen_users = {"12345", "no-such-user"};
  start();
  send_as(12345);
  EXPECT_EQ(drops(ForwardDrop::kStranger), 1U);
  EXPECT_EQ(forwarder_->counters().taken, 1U);
}

}  // namespace
}  // namespace fealty::legion
