#include "router/health.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/router/sockets.h"

namespace fealty::router {
namespace {

using subscription::Announcement;
using subscription::NodeRecord;
using subscription::Protocol;
using subscription::Table;

// An HTTP server that answers each connection with `answer`, or not at all where
// that is empty.
class Web {
 public:
  Web(Loop& loop, const std::string& path) {
    const Address own = test::address_of(path);
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
                                          SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener_.get(), own.data(), own.length()), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    accept_.bind<&Web::on_connection>(loop, this);
    accept_.start(listener_.get(), EV_READ);
  }
  void refuse() {
    accept_.stop();
    listener_.reset();
  }
  std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  std::string asked;       // the last request
  int questions = 0;

 private:
  void on_connection(int) {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) return;
    ++questions;
    char bytes[2048];
    const ssize_t got = ::recv(fd.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) asked.assign(bytes, static_cast<std::size_t>(got));
    if (answer.empty()) {
      silent_.push_back(std::move(fd));
    } else {
      EXPECT_EQ(::send(fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(answer.size()));
    }
  }

  UniqueFd listener_;
  IoWatcher accept_;
  std::vector<UniqueFd> silent_;
};

class HealthTest : public testing::Test {
 protected:
  HealthTest() {
    options_.interval_ms = 60;
    options_.timeout_ms = 50;
  }
  ~HealthTest() override { checker_.reset(); }

  void add(const std::string& key, const std::string& address,
           Protocol protocol = Protocol::kHttp) {
    Announcement announcement;
    announcement.key = key;
    announcement.address_text = address;
    announcement.address = test::address_of(address);
    announcement.protocol = protocol;
    ASSERT_TRUE(table_.apply(announcement, {}));
  }
  void remove(const std::string& key, const std::string& address) {
    Announcement announcement;
    announcement.subscribe = false;
    announcement.key = key;
    announcement.address_text = address;
    announcement.address = test::address_of(address);
    ASSERT_TRUE(table_.apply(announcement, {}));
  }
  HealthChecker& check() {
    checker_.emplace(loop_, clock_, table_, options_);
    checker_->start();
    return *checker_;
  }
  bool run_until(const std::function<bool()>& condition) {
    return test::eventually([&] {
      loop_.run_nowait();
      return condition();
    });
  }
  bool run_until_answers(std::uint64_t more) {
    const std::uint64_t goal = answers() + more;
    return run_until([&] { return answers() >= goal; });
  }
  [[nodiscard]] std::uint64_t answers() const {
    return checker_->counters().passed + checker_->counters().failed;
  }
  bool healthy(const std::string& key) {
    bool healthy = true;
    table_.with_pool(key, [&](const Table::PoolView& pool) {
      for (const NodeRecord* node : pool.nodes) {
        healthy = healthy && node->healthy();
      }
    });
    return healthy;
  }

  test::TempDir temp_;
  Loop loop_;
  SystemClock clock_;
  Table table_{clock_, 60'000, true};
  HealthCheck options_;
  std::optional<HealthChecker> checker_;
};

TEST_F(HealthTest, NodeIsAskedWithItsKeyAsHost) {
  Web web(loop_, temp_ / "web");
  options_.path = "/up?full=1";
  add(".example.com", temp_ / "web");
  check();
  ASSERT_TRUE(run_until([&] { return web.asked != ""; }));
  EXPECT_TRUE(web.asked.starts_with(
      "GET /up?full=1 HTTP/1.1\r\nHost: example.com\r\n"))
      << web.asked;
  EXPECT_TRUE(web.asked.ends_with("\r\n\r\n"));
}

TEST_F(HealthTest, FallAndRiseDecideAndEachChangeIsLoggedOnce) {
  Web web(loop_, temp_ / "web");
  options_.fall = 2;
  options_.rise = 2;
  add("k", temp_ / "web");
  testing::internal::CaptureStderr();
  check();
  ASSERT_TRUE(run_until_answers(2));
  web.answer = "HTTP/1.1 503 Busy\r\n\r\n";
  ASSERT_TRUE(run_until([&] { return checker_->counters().failed == 1; }));
  EXPECT_TRUE(healthy("k")) << "once is not enough";
  ASSERT_TRUE(run_until([&] { return checker_->counters().failed == 4; }));
  EXPECT_FALSE(healthy("k"));
  web.answer = "HTTP/1.0 302 Found\r\n\r\n";
  const std::uint64_t passed = checker_->counters().passed;
  ASSERT_TRUE(run_until([&] {
    return checker_->counters().passed == passed + 1;
  }));
  EXPECT_FALSE(healthy("k")) << "once is not enough";
  ASSERT_TRUE(run_until([&] { return healthy("k"); }));
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2) << lines;
  EXPECT_NE(lines.find("is ill: it answered 503"), lines.npos) << lines;
  EXPECT_NE(lines.find("is well again"), lines.npos) << lines;
}

TEST_F(HealthTest, OneGoodAnswerBreaksARowOfBadOnes) {
  Web web(loop_, temp_ / "web");
  options_.fall = 2;
  add("k", temp_ / "web");
  check();
  for (int i = 0; i < 3; ++i) {
    web.answer = "HTTP/1.1 500 No\r\n\r\n";
    ASSERT_TRUE(run_until_answers(1));
    web.answer = "HTTP/1.1 200 OK\r\n\r\n";
    ASSERT_TRUE(run_until_answers(1));
  }
  EXPECT_TRUE(healthy("k"));
}

TEST_F(HealthTest, EveryKindOfFailureCounts) {
  Web web(loop_, temp_ / "web");
  options_.fall = 1;
  add("k", temp_ / "web");
  check();
  for (const char* const answer :
       {"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP", "\n", ""}) {
    web.answer = answer;
    ASSERT_TRUE(run_until([&] { return !healthy("k"); })) << answer;
    web.answer = "HTTP/1.1 204 Fine\r\n\r\n";
    ASSERT_TRUE(run_until([&] { return healthy("k"); })) << answer;
  }
  web.refuse();
  ASSERT_TRUE(run_until([&] { return !healthy("k"); }));
}

TEST_F(HealthTest, OnlyHttpNodesAreAsked) {
  Web web(loop_, temp_ / "web");
  Web other(loop_, temp_ / "other");
  add("k", temp_ / "web");
  add("other", temp_ / "other", Protocol::kUwsgi);
  check();
  ASSERT_TRUE(run_until([&] { return web.questions >= 3; }));
  EXPECT_EQ(other.questions, 0);
}

TEST_F(HealthTest, FullBacklogIsWaitedForUntilTheTimeout) {
  const std::string path = temp_ / "full";
  const Address own = test::address_of(path);
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), own.data(), own.length()), 0);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  const UniqueFd first = test::connect_to(own);
  options_.fall = 1;
  options_.interval_ms = 200;
  options_.timeout_ms = 200;
  add("k", path);
  check();
  ASSERT_TRUE(run_until([&] { return checker_->probing() == 1; }));
  EXPECT_TRUE(healthy("k"));
  ASSERT_TRUE(run_until([&] { return !healthy("k"); }));
}

TEST_F(HealthTest, NodeThatLeavesWhileItIsAskedIsForgotten) {
  Web web(loop_, temp_ / "web");
  web.answer.clear();
  options_.timeout_ms = 60;
  add("k", temp_ / "web");
  check();
  ASSERT_TRUE(run_until([&] { return checker_->probing() == 1; }));
  remove("k", temp_ / "web");
  ASSERT_TRUE(run_until([&] { return checker_->probing() == 0; }));
  EXPECT_EQ(table_.node_count(), 0U);
  add("k", temp_ / "web");
  EXPECT_TRUE(healthy("k")) << "it is another node";
}

TEST_F(HealthTest, ManyNodesAreAskedFewAtATime) {
  Web web(loop_, temp_ / "web");
  web.answer.clear();
  options_.interval_ms = 100;
  options_.timeout_ms = 100;
  options_.fall = 100;
  for (int i = 0; i < 1000; ++i) add("k" + std::to_string(i), temp_ / "web");
  check();
  std::size_t most = 0;
  ASSERT_TRUE(run_until([&] {
    most = std::max(most, checker_->probing());
    return answers() >= 1000;
  }));
  EXPECT_LE(most, HealthChecker::kProbesMost);
}

TEST_F(HealthTest, StoppedCheckerLeavesNothingBehind) {
  Web web(loop_, temp_ / "web");
  web.answer.clear();
  add("k", temp_ / "web");
  check();
  ASSERT_TRUE(run_until([&] { return checker_->probing() == 1; }));
  checker_->stop();
  EXPECT_EQ(checker_->probing(), 0U);
}

}  // namespace
}  // namespace fealty::router
