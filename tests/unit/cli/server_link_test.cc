#include "cli/server_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support.h"

namespace fealty::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using wire::SubscriptionCommand;

// A link to a server of the test's own. Datagrams are "+KEY" and "-KEY".
class ServerLinkTest : public testing::Test {
 protected:
  void open_link(const Address& to, std::vector<std::string> keys = {"a"},
                 bool local = true) {
    plan_.keys = std::move(keys);
    plan_.every_ms = every_ms_;
    server_ = {to, local};
    link_.emplace(
        loop_, clock_, plan_, server_,
        [this](const ServerTarget&, std::size_t key,
               SubscriptionCommand command) -> Result<std::string> {
          const bool leaves = command == SubscriptionCommand::kUnsubscribe;
          return (leaves ? "-" : "+") + plan_.keys[key];
        },
        ServerLink::Events{nullptr, [this] { ++rounds_taken_; }});
  }

  // What came meanwhile.
  std::vector<std::string> received() {
    std::vector<std::string> all;
    char bytes[100];
    while (inbox_) {
      const ssize_t got =
          ::recv(inbox_->fd.get(), bytes, sizeof bytes, MSG_DONTWAIT);
      if (got < 0) break;
      all.emplace_back(bytes, static_cast<std::size_t>(got));
    }
    return all;
  }
  bool until(const std::function<bool()>& condition) {
    return test::run_until(loop_, condition);
  }

  Loop loop_;
  SystemClock clock_;
  test::TempDir directory_;
  Address path_ = test::address(directory_ / "server");
  std::optional<test::Bound> inbox_;
  std::int64_t every_ms_ = 3'600'000;
  Plan plan_;
  ServerTarget server_;
  int rounds_taken_ = 0;
  std::optional<ServerLink> link_;
};

TEST_F(ServerLinkTest, ARoundHasEveryKey) {
  inbox_.emplace(SOCK_DGRAM, path_);
  open_link(path_, {"a", "b"});
  link_->announce();
  EXPECT_THAT(received(), ElementsAre("+a", "+b"));
  EXPECT_TRUE(link_->taken());
  EXPECT_EQ(rounds_taken_, 1);
  link_->withdraw();
  EXPECT_THAT(received(), ElementsAre("-a", "-b"));
  EXPECT_TRUE(link_->quiet());
}

TEST_F(ServerLinkTest, RoundsGoOnUntilItIsWithdrawn) {
  inbox_.emplace(SOCK_DGRAM, path_);
  every_ms_ = 20;
  open_link(path_);
  link_->announce();
  EXPECT_TRUE(until([&] { return rounds_taken_ >= 5; }));
  link_->withdraw();
  EXPECT_EQ(received().back(), "-a");
  const int rounds = rounds_taken_;
  loop_.run();                     // nothing is left to be waited for
  EXPECT_EQ(rounds_taken_, rounds);
}

TEST_F(ServerLinkTest, WithdrawingWhatWasNotAnnouncedSaysNothing) {
  inbox_.emplace(SOCK_DGRAM, path_);
  open_link(path_);
  link_->withdraw();
  EXPECT_THAT(received(), ElementsAre());
  EXPECT_TRUE(link_->quiet());
}

TEST_F(ServerLinkTest, AServerThatIsAwayIsTriedUntilItIsThere) {
  open_link(path_);
  testing::internal::CaptureStderr();
  link_->announce();
  EXPECT_FALSE(link_->taken());
  EXPECT_TRUE(until([&] { return link_->failures() >= 3; }));
  inbox_.emplace(SOCK_DGRAM, path_);
  EXPECT_TRUE(until([&] { return link_->taken(); }));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(received(), ElementsAre("+a"));
  EXPECT_EQ(said.find("no such socket"), said.rfind("no such socket"));
  EXPECT_THAT(said, HasSubstr("no such socket"));
  EXPECT_THAT(said, HasSubstr("takes announcements again"));
}

TEST_F(ServerLinkTest, ASocketThatWasMadeAnewIsToldAtOnce) {
  inbox_.emplace(SOCK_DGRAM, path_);
  open_link(path_);
  link_->announce();
  inbox_.reset();
  std::filesystem::remove(directory_ / "server");
  inbox_.emplace(SOCK_DGRAM, path_);
  std::vector<std::string> came;
  EXPECT_TRUE(until([&] {
    came = received();
    return !came.empty();
  }));
  EXPECT_THAT(came, ElementsAre("+a"));
}

// The kernel lets some ten datagrams wait in a Unix socket.
TEST_F(ServerLinkTest, AFullQueueLosesNoKey) {
  inbox_.emplace(SOCK_DGRAM, path_);
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back(std::to_string(i));
  open_link(path_, keys);
  link_->announce();
  EXPECT_FALSE(link_->taken());
  std::vector<std::string> came;
  EXPECT_TRUE(until([&] {
    for (auto& one : received()) came.push_back(one);
    return link_->taken();
  }));
  for (auto& one : received()) came.push_back(one);
  ASSERT_EQ(came.size(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(came[i], "+" + keys[i]);
}

TEST_F(ServerLinkTest, OverUdpItIsNoticedThatNobodyListens) {
  Address gone;
  {
    const test::Bound was(SOCK_DGRAM);
    gone = was.at;
  }
  open_link(gone);
  testing::internal::CaptureStderr();
  link_->announce();
  EXPECT_TRUE(until([&] { return link_->failures() > 0; }));
  inbox_.emplace(SOCK_DGRAM, gone);
  std::string said;
  EXPECT_TRUE(until([&] {
    std::fflush(stderr);
    return link_->failures() == 0;
  }));
  said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("nobody listens there"));
  EXPECT_THAT(said, HasSubstr("takes announcements again"));
  EXPECT_FALSE(received().empty());
}

TEST_F(ServerLinkTest, OverANetworkAnUnsubscribeGoesOutTwice) {
  inbox_.emplace(SOCK_DGRAM);
  open_link(inbox_->at, {"a"}, false);
  link_->announce();
  link_->withdraw();
  EXPECT_FALSE(link_->quiet());
  EXPECT_TRUE(until([&] { return link_->quiet(); }));
  EXPECT_THAT(received(), ElementsAre("+a", "-a", "-a"));
}

TEST_F(ServerLinkTest, OnceIsOneRoundAndNoRetry) {
  inbox_.emplace(SOCK_DGRAM, path_);
  open_link(path_);
  link_->send_once(SubscriptionCommand::kUnsubscribe);
  EXPECT_THAT(received(), ElementsAre("-a"));
  EXPECT_TRUE(link_->quiet());
  EXPECT_TRUE(link_->taken());
  inbox_.reset();
  testing::internal::CaptureStderr();
  link_->send_once(SubscriptionCommand::kSubscribe);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("nobody reads that socket"));
  EXPECT_TRUE(link_->quiet());
  EXPECT_FALSE(link_->taken());
}

// That nobody listens is known a moment after sending.
TEST_F(ServerLinkTest, OnceOverUdpHearsThatNobodyListens) {
  open_link(test::Bound(SOCK_DGRAM).at);  // closed by now
  testing::internal::CaptureStderr();
  link_->send_once(SubscriptionCommand::kSubscribe);
  EXPECT_TRUE(until([&] { return link_->quiet(); }));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("nobody listens there"));
  EXPECT_FALSE(link_->taken());
}

TEST_F(ServerLinkTest, AStreamSocketIsNoSubscriptionServer) {
  const test::Bound stream(SOCK_STREAM, path_);
  open_link(path_);
  testing::internal::CaptureStderr();
  link_->send_once(SubscriptionCommand::kSubscribe);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("no subscription server"));
}

}  // namespace
}  // namespace fealty::cli
