// From node to node: who is asked next, and when nobody may be asked again.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

using namespace std::string_literals;

// Two nodes; the first in turn is `bad`, and the test says how.
class SessionFailover : public SessionTest {
 protected:
  SessionFailover() : bad_(temp_ / "bad"), good_(temp_ / "good") {}

  void route() {
    route_to(
        {test::make_node(bad_.address()), test::make_node(good_.address())});
  }
  [[nodiscard]] subscription::NodeRuntime& bad_runtime() const {
    return *runtimes_.front();
  }

  test::FakeNode bad_;
  test::FakeNode good_;
};

TEST_F(SessionFailover, NodeThatRefusesIsPassedOver) {
  route();
  bad_.stop_listening();
  auto peer = client();
  peer.send(kGet);
  serve(good_);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(bad_runtime().failed(), 1U);
  EXPECT_EQ(bad_runtime().requests.load(), 0U);
}

TEST_F(SessionFailover, NodeWhoseSocketIsGoneIsPassedOver) {
  route();
  ASSERT_EQ(::unlink((temp_ / "bad").c_str()), 0);
  auto peer = client();
  peer.send(kGet);
  serve(good_);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionFailover, NodeThatFailedRests) {
  route();
  bad_.stop_listening();
  auto peer = client();
  for (int i = 0; i < 5; ++i) {
    peer.send(kGet);
    serve(good_);
  }
  EXPECT_EQ(bad_runtime().failed(), 1U);
}

TEST_F(SessionFailover, ResetBeforeReadingGoesToTheNextNode) {
  route();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(bad_);
  ASSERT_TRUE(connection);
  connection->close();  // unread bytes: a reset
  const auto request = serve(good_);
  EXPECT_EQ(request["REQUEST_URI"], "/path?query");
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(context().counters.retries.load(), 1U);
}

TEST_F(SessionFailover, NodeThatDiesWithConnectionsInItsQueueIsPassedOver) {
  route();
  auto peer = client();
  peer.send(kGet);
  settle();
  bad_.stop_listening();  // never accepted
  serve(good_);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionFailover, PostWithoutBodyThatNobodyReadGoesToTheNextNode) {
  route();
  auto peer = client();
  peer.send("POST / HTTP/1.1\r\nHost: example.com\r\n\r\n");
  auto connection = accept(bad_);
  ASSERT_TRUE(connection);
  connection->close();
  EXPECT_EQ(serve(good_)["REQUEST_METHOD"], "POST");
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionFailover, PostWithBodyIsNotSentTwice) {
  route();
  auto peer = client();
  peer.send(with_body("POST", "hello"));
  auto connection = accept(bad_);
  ASSERT_TRUE(connection);
  connection->close();
  EXPECT_FALSE(accept(good_));
  EXPECT_EQ(status_of(peer.take()), "502");
}

// docs/decisions/0005: one that crashes its application must not visit all.
TEST_F(SessionFailover, PutWithBodyIsNotSentTwiceEither) {
  route();
  for (const std::size_t bytes : {5U, 100'000U}) {
    auto peer = client();
    peer.send(with_body("PUT", std::string(bytes, 'b')));
    auto connection = accept(bad_);
    ASSERT_TRUE(connection);
    connection->close();
    EXPECT_FALSE(accept(good_));
    EXPECT_EQ(status_of(peer.take()), "502");
    peer.send(kGet);  // the turn of the good one
    settle();
    good_.accept();
  }
}

TEST_F(SessionFailover, BodyGoesToTheNextNodeWhereTheFirstRefused) {
  route();
  bad_.stop_listening();
  auto peer = client();
  peer.send(with_body("POST", "hello"));
  EXPECT_EQ(serve(good_).body, "hello");
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionFailover, ChunkedBodyGoesToTheNextNodeWhereTheFirstRefused) {
  options_.limits.body_memory_bytes = 3;
  route();
  bad_.stop_listening();
  auto peer = client();
  peer.send("PUT / HTTP/1.1\r\nHost: example.com\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
            "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  const auto request = serve(good_);
  EXPECT_EQ(request["CONTENT_LENGTH"], "11");
  EXPECT_EQ(request.body, "hello world");
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionFailover, RequestThatANodeReadIsNotSentTwice) {
  route();
  auto peer = client();
  peer.send("POST / HTTP/1.1\r\nHost: example.com\r\n\r\n");
  auto connection = accept(bad_);
  ASSERT_TRUE(connection);
  ASSERT_TRUE(connection->request());
  connection->close();  // all was read: a regular end
  EXPECT_FALSE(accept(good_));
  EXPECT_EQ(status_of(peer.take()), "502");
}

TEST_F(SessionFailover, AnswerThatHasBegunIsNotBegunAgain) {
  for (const char* begun :
       {"HTTP/1.1 20", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"}) {
    test::FakeNode node("127.0.0.1:0");
    test::FakeNode other(temp_ / "other");
    route_to(
        {test::make_node(node.address()), test::make_node(other.address())});
    auto peer = client();
    peer.send(kGet);
    settle();
    auto connection = node.wait_for_connection();
    ASSERT_TRUE(test::eventually(
        [&] { return settle(), connection.request().has_value(); }));
    connection.send(begun);
    ASSERT_TRUE(test::eventually([&] {
      settle();
      return runtimes_[runtimes_.size() - 2]->received_bytes.load() > 0;
    }));
    connection.reset();
    ASSERT_TRUE(test::eventually([&] {
      settle();
      peer.read();
      return !peer.received().empty() && (peer.ended() || idle());
    }));
    EXPECT_FALSE(accept(other)) << begun;
    ASSERT_EQ(::unlink((temp_ / "other").c_str()), 0);
  }
}

TEST_F(SessionFailover, EveryNodeIsAskedOnce) {
  std::vector<test::RouteNode> nodes;
  for (int i = 0; i < 5; ++i) {
    nodes.push_back(test::make_node(
        test::address_of(temp_ / ("none" + std::to_string(i)))));
  }
  nodes.push_back(test::make_node(good_.address()));
  route_to(nodes);
  auto peer = client();
  peer.send(kGet);
  serve(good_);
  EXPECT_EQ(peer.take(), kOk);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(nodes[static_cast<std::size_t>(i)].runtime->failed(), 1U);
  }
}

TEST_F(SessionFailover, NobodyLeftIs503WithRetryAfter) {
  route();
  bad_.stop_listening();
  good_.stop_listening();
  auto peer = client();
  peer.send(std::string(kGet) + std::string(kGet));
  settle();
  const std::string got = peer.take();
  EXPECT_EQ(status_of(got), "503");
  EXPECT_NE(got.find("\r\nRetry-After: "), got.npos);
  EXPECT_EQ(got.find(temp_.path()), got.npos);
  // Both were answered: the connection stays.
  EXPECT_NE(got.find("HTTP/1.1 503", 1), got.npos);
  EXPECT_FALSE(peer.ended());
}

TEST_F(SessionFailover, PoolWithoutNodesIs503) {
  route_to({});
  EXPECT_EQ(status_of(refusal(kGet)), "503");
}

TEST_F(SessionFailover, NodesThatRestAreAskedWhereNobodyElseIs) {
  route();
  bad_.stop_listening();
  good_.stop_listening();
  EXPECT_EQ(status_of(refusal(kGet)), "503");
  ASSERT_EQ(::unlink((temp_ / "good").c_str()), 0);
  test::FakeNode back(temp_ / "good");
  auto peer = client();
  peer.send(kGet);
  serve(back);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(runtimes_[1]->failures_in_a_row(), 0U);
}

// ------------------------------------------------------------ passive health

TEST_F(SessionFailover, NodeThatDoesNotAnswerInTimeRests) {
  route();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(bad_);
  ASSERT_TRUE(connection);
  expire(context().node_deadline);
  EXPECT_EQ(status_of(peer.take()), "504");
  EXPECT_EQ(bad_runtime().timeouts.load(), 1U);
  EXPECT_TRUE(bad_runtime().resting(coarse_monotonic_ms()));
  auto next = client();
  for (int i = 0; i < 4; ++i) {
    next.send(kGet);
    serve(good_);
  }
}

TEST_F(SessionFailover, NodeThatFallsSilentAmidItsAnswerHasAnswered) {
  route();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(bad_);
  ASSERT_TRUE(connection);
  connection->send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
  settle();
  expire(context().node_deadline);
  EXPECT_EQ(bad_runtime().failed(), 0U);
}

TEST_F(SessionFailover, NodeThatDoesNotTakeTheConnectionInTimeIsSlow) {
  test::FakeNode node("127.0.0.1:0", 0);
  std::vector<UniqueFd> blockers;  // its queue is full: nothing comes back
  for (int i = 0; i < 4; ++i) {
    blockers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    static_cast<void>(::connect(blockers.back().get(), node.address().data(),
                                node.address().length()));
  }
  route_to({test::make_node(node.address()), test::make_node(good_.address())});
  auto peer = client();
  peer.send(kGet);
  settle();
  ASSERT_FALSE(context().connect_deadline.empty());
  expire(context().connect_deadline);
  serve(good_);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(runtimes_[0]->timeouts.load(), 1U);
  EXPECT_EQ(runtimes_[0]->connect_failures.load(), 0U);
}

TEST_F(SessionFailover, NodeThatEndsWithoutAnAnswerAgainAndAgainRests) {
  route();
  const auto& bad = runtimes_[0];
  for (const char* method : {"GET", "POST", "GET"}) {
    EXPECT_FALSE(bad->resting(coarse_monotonic_ms()));
    auto peer = client();
    peer.send(std::string(method) + " / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    auto connection = accept(bad_);
    ASSERT_TRUE(connection);
    ASSERT_TRUE(connection->request());
    connection->close();
    settle();
    if (auto other = good_.accept()) {
      other->answer(kOk);
    } else {
      auto next = client();  // the turn of the good one
      next.send(kGet);
      serve(good_);
    }
    settle();
  }
  EXPECT_EQ(bad->early_closes.load(), 3U);
  EXPECT_TRUE(bad->resting(coarse_monotonic_ms()));
}

// One line when it begins and one when it is over, whatever fails in between.
TEST_F(SessionFailover, RestIsLoggedOnceAndSoIsItsEnd) {
  route();
  bad_.stop_listening();
  testing::internal::CaptureStderr();
  auto peer = client();
  for (int i = 0; i < 4; ++i) {
    peer.send(kGet);
    serve(good_);
  }
  std::string log = testing::internal::GetCapturedStderr();
  const std::string name = temp_ / "bad";
  EXPECT_NE(log.find("node " + name + " of example.com rests: it cannot be "
                     "reached"), log.npos) << log;
  EXPECT_EQ(log.find(name), log.rfind(name)) << log;

  ASSERT_EQ(::unlink(name.c_str()), 0);
  test::FakeNode back(name);
  bad_runtime().rest_until_ms.store(1);  // its rest is over
  testing::internal::CaptureStderr();
  for (int i = 0; i < 4; ++i) {
    peer.send(kGet);
    settle();
    auto connection = back.accept();
    if (!connection) connection = good_.accept();
    ASSERT_TRUE(connection);
    ASSERT_TRUE(connection->request());
    connection->answer(kOk);
    settle();
  }
  log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("node " + name + " of example.com is back: it answered"),
            log.npos) << log;
  EXPECT_EQ(log.find(name), log.rfind(name)) << log;
}

TEST_F(SessionFailover, NodeThatAnswersNeverRests) {
  route();
  auto peer = client();
  bad_runtime().on_timeout(coarse_monotonic_ms() - 10'000);
  ASSERT_EQ(bad_runtime().failures_in_a_row(), 1U);
  peer.send(kGet);
  serve(bad_);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(bad_runtime().failures_in_a_row(), 0U);
}

// Ejection never empties a pool: where all rest, they take turns.
TEST_F(SessionFailover, WhereAllRestTheyAreAskedAllTheSame) {
  route();
  for (const auto& node : runtimes_) {
    for (int i = 0; i < 3; ++i) node->on_timeout(coarse_monotonic_ms());
  }
  auto peer = client();
  peer.send(kGet);
  serve(bad_);
  EXPECT_EQ(peer.take(), kOk);
  peer.send(kGet);
  serve(bad_);  // the one that answered, as long as the other rests
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionFailover, TcpNodesWorkTheSame) {
  test::FakeNode gone("127.0.0.1:0");
  test::FakeNode node("127.0.0.1:0");
  route_to({test::make_node(gone.address()), test::make_node(node.address())});
  gone.stop_listening();
  auto peer = client();
  peer.send(kGet);
  std::optional<test::NodePeer> connection;
  ASSERT_TRUE(test::eventually([&] {
    settle();
    return (connection = node.accept()).has_value();
  }));
  ASSERT_TRUE(test::eventually(
      [&] { return settle(), connection->request().has_value(); }));
  connection->answer(kOk);
  ASSERT_TRUE(test::eventually([&] {
    settle();
    peer.read();
    return peer.received() == kOk;
  }));
  EXPECT_EQ(runtimes_[0]->failed(), 1U);
}

// What a node on TCP has read before it resets cannot be known. The only node
// reads each request and resets its connection.
class ResetOverTcp : public SessionFailover {
 protected:
  ResetOverTcp() : node_("127.0.0.1:0") {
    options_.limits.hold_ms = 60'000;
  }
  void route(bool http) {
    const auto& address = node_.address();
    route_to({http ? test::make_http_node(address) : test::make_node(address)});
  }
  test::Peer ask(std::string_view method) {
    auto peer = client();
    peer.send(std::string(method) + " / HTTP/1.1\r\nHost: example.com\r\n" +
              "Content-Length: 0\r\n\r\n");
    return peer;
  }
  // How often the node gets it, which resets each time, until nobody waits for
  // a node any more and the client has its answer.
  int visits(test::Peer& peer) {
    int count = 0;
    EXPECT_TRUE(test::eventually([&] {
      settle();
      if (auto connection = node_.accept()) {
        EXPECT_TRUE(test::eventually(
            [&] { return settle(), connection->read_some(SIZE_MAX); }));
        connection->reset();
        ++count;
      }
      expire(context().hold_deadline);
      peer.read();
      return !peer.received().empty();
    }));
    return count;
  }

  test::FakeNode node_;
};

TEST_F(ResetOverTcp, PostIsAskedOnce) {
  for (const bool http : {false, true}) {
    route(http);
    auto peer = ask("POST");
    EXPECT_EQ(visits(peer), 1);
    EXPECT_EQ(status_of(peer.take()), "502");
    EXPECT_EQ(shared_.held.load(), 0U);
  }
  EXPECT_EQ(context().counters.held.load(), 0U);
}

TEST_F(ResetOverTcp, WhatMayBeAskedTwiceIsAskedAFewTimes) {
  for (const bool http : {false, true}) {
    for (const char* method : {"GET", "DELETE", "PUT"}) {
      route(http);
      auto peer = ask(method);
      EXPECT_EQ(visits(peer), 3) << method;
      EXPECT_EQ(status_of(peer.take()), "502");
    }
  }
}

// It may have been read over the kept connection, too.
TEST_F(ResetOverTcp, DeadKeptConnectionCountsAmongThem) {
  route(true);
  auto peer = ask("GET");
  settle();
  auto kept = node_.wait_for_connection();
  ASSERT_TRUE(test::eventually(
      [&] { return settle(), kept.read_some(SIZE_MAX); }));
  kept.send(kOk);
  ASSERT_TRUE(test::eventually([&] {
    settle();
    return peer.take() == kOk;
  }));
  ASSERT_EQ(context().node_pool.idle(), 1U);
  peer.send(kGet);
  ASSERT_TRUE(test::eventually(
      [&] { return settle(), kept.read_some(SIZE_MAX); }));
  kept.reset();
  EXPECT_EQ(visits(peer), 2);
  EXPECT_EQ(status_of(peer.take()), "502");
}

TEST_F(SessionFailover, SnapshotMayChangeUnderARequest) {
  route();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(bad_);
  ASSERT_TRUE(connection);
  context().snapshot = test::make_snapshot({}, 2);
  connection->close();
  serve(good_);  // the pool that it began with
  EXPECT_EQ(peer.take(), kOk);
  peer.send(kGet);
  settle();
  EXPECT_EQ(status_of(peer.take()), "404");
}

// ------------------------------------------------------------- full backlogs

class FullBacklog : public SessionTest {
 protected:
  // A node whose queue of connections holds one, and does.
  FullBacklog() : busy_(temp_ / "busy", 0) {
    blocker_ = test::connect_to(busy_.address());
  }
  test::FakeNode busy_;
  UniqueFd blocker_;
};

TEST_F(FullBacklog, RequestWaitsForRoomInTheQueue) {
  route_to({test::make_node(busy_.address())});
  auto peer = client();
  peer.send(kGet);
  settle();
  for (int i = 0; i < 3; ++i) expire(context().retry_deadline);
  EXPECT_EQ(peer.take(), "");
  EXPECT_TRUE(busy_.accept());  // the one before
  expire(context().retry_deadline);
  serve(busy_);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(runtimes_[0]->failed(), 0U);
}

TEST_F(FullBacklog, AnotherNodeIsTakenMeanwhile) {
  test::FakeNode free(temp_ / "free");
  route_to({test::make_node(busy_.address()), test::make_node(free.address())});
  auto peer = client();
  for (int i = 0; i < 4; ++i) {
    peer.send(kGet);
    serve(free);
  }
  EXPECT_EQ(runtimes_[0]->failed(), 0U);
}

TEST_F(FullBacklog, WaitThatTakesTooLongIs504) {
  options_.timeouts.connect_ms = 0;
  route_to({test::make_node(busy_.address())});
  const std::string got = refusal(kGet);
  EXPECT_EQ(status_of(got), "504");
  EXPECT_NE(got.find("timeouts.connect"), got.npos);
}

TEST_F(FullBacklog, ClientMayGiveUpMeanwhile) {
  route_to({test::make_node(busy_.address())});
  auto peer = tcp_client();
  peer.send(kGet);
  settle();
  EXPECT_EQ(context().retry_deadline.empty(), false);
  peer.reset();
  settle();
  EXPECT_TRUE(session().closed());
  EXPECT_TRUE(context().retry_deadline.empty());
}

}  // namespace
}  // namespace fealty::router
