// Requests that wait for a node: of an application that reloads, or whose nodes
// have all left.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

constexpr std::string_view kChunkedPost =
    "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n"
    "\r\n5\r\nhello\r\n0\r\n\r\n";
constexpr std::string_view kPost =
    "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello";

class SessionHold : public SessionTest {
 protected:
  SessionHold() { options_.limits.hold_ms = 60'000; }

  [[nodiscard]] std::size_t held() const { return shared_.held.load(); }
  // As the worker does for each that waits.
  void retry() {
    DeadlineQueue& queue = context().hold_deadline;
    Deadline* const passed = queue.pop_passed(INT64_MAX);
    ASSERT_NE(passed, nullptr) << "nobody waits";
    if (Session::of(*passed).before_retry()) {
      Session::of(*passed).on_deadline(queue);
    }
    settle();
  }
  // A client that has asked and is held.
  test::Peer held_client(std::string_view request = kGet) {
    auto peer = client();
    peer.send(request);
    settle();
    EXPECT_EQ(peer.take(), "");
    EXPECT_EQ(held(), 1U);
    return peer;
  }
};

TEST_F(SessionHold, RequestOfAPoolWithoutNodesWaitsForOne) {
  route_to({});
  auto peer = held_client();
  retry();
  EXPECT_EQ(peer.take(), "");
  auto& node = only_node();
  retry();
  EXPECT_EQ(held(), 0U);
  EXPECT_EQ(serve(node)["REQUEST_URI"], "/path?query");
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(context().counters.held.load(), 1U);
}

TEST_F(SessionHold, RequestWaitsForANodeThatRefuses) {
  only_node().stop_listening();
  auto peer = held_client();
  retry();
  ASSERT_EQ(::unlink((temp_ / "node").c_str()), 0);
  test::FakeNode back(temp_ / "node");
  retry();
  serve(back);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHold, RequestInTheBacklogOfANodeThatGoesWaits) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  settle();
  node.stop_listening();  // never accepted: a reset
  settle();
  EXPECT_EQ(held(), 1U);
  ASSERT_EQ(::unlink((temp_ / "node").c_str()), 0);
  test::FakeNode back(temp_ / "node");
  retry();
  serve(back);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHold, RequestThatItsOnlyNodeDiedWithIsAskedAgain) {
  auto& node = only_node();
  auto peer = client();
  for (int visits = 1; visits <= 3; ++visits) {
    if (visits == 1) {
      peer.send(kGet);
    } else {
      retry();
    }
    auto connection = accept(node);
    ASSERT_TRUE(connection) << visits;
    ASSERT_TRUE(connection->request());
    connection->close();
    settle();
  }
  EXPECT_EQ(status_of(peer.take()), "502");
  EXPECT_EQ(held(), 0U);
}

TEST_F(SessionHold, PostThatItsOnlyNodeDiedWithIsNot) {
  auto& node = only_node();
  auto peer = client();
  peer.send("POST / HTTP/1.1\r\nHost: example.com\r\n\r\n");
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  ASSERT_TRUE(connection->request());
  connection->close();
  settle();
  EXPECT_EQ(status_of(peer.take()), "502");
}

TEST_F(SessionHold, BodiesWaitTooAndGoToWhicheverNodeComes) {
  for (const bool http : {false, true}) {
    for (const std::string_view request : {kPost, kChunkedPost}) {
      route_to({});
      auto peer = held_client(request);
      test::FakeNode node("127.0.0.1:0");
      route_to({http ? test::make_http_node(node.address())
                     : test::make_node(node.address())});
      retry();
      auto connection = node.wait_for_connection();
      ASSERT_TRUE(test::eventually([&] {
        settle();
        connection.read();
        return connection.received().ends_with("hello");
      })) << connection.received();
      if (http) {
        EXPECT_NE(connection.received().find("Content-Length: 5\r\n"),
                  std::string::npos);
      } else {
        EXPECT_EQ((*connection.request())["CONTENT_LENGTH"], "5");
      }
      connection.answer(kOk);
      ASSERT_TRUE(test::eventually([&] {
        settle();
        peer.read();
        return peer.received() == kOk;
      }));
      EXPECT_EQ(::shutdown(peer.fd(), SHUT_RDWR), 0);
      settle();
    }
  }
}

TEST_F(SessionHold, WaitEndsWith503AndRetryAfter) {
  options_.limits.hold_ms = 1;
  route_to({});
  auto peer = client();
  peer.send(kGet);
  ASSERT_TRUE(test::eventually([&] {
    settle();
    if (!context().hold_deadline.empty()) retry();
    peer.read();
    return !peer.received().empty();
  }));
  EXPECT_EQ(status_of(peer.received()), "503");
  EXPECT_NE(peer.take().find("\r\nRetry-After: "), std::string::npos);
  EXPECT_FALSE(peer.ended());  // the connection stays
  EXPECT_EQ(held(), 0U);
}

TEST_F(SessionHold, NoMoreWaitThanThereArePlaces) {
  options_.limits.held_requests = 1;
  route_to({});
  auto first = held_client();
  EXPECT_EQ(status_of(refusal(kGet)), "503");
  EXPECT_EQ(held(), 1U);
  auto& node = only_node();
  retry();
  serve(node);
  EXPECT_EQ(first.take(), kOk);
}

TEST_F(SessionHold, ClientThatGoesGivesItsPlaceBack) {
  route_to({});
  auto gone = held_client();
  gone.close();
  settle();
  EXPECT_EQ(held(), 0U);
  EXPECT_TRUE(context().hold_deadline.empty());
  EXPECT_TRUE(session().closed());
  auto reset = tcp_client();
  reset.send(kGet);
  settle();
  EXPECT_EQ(held(), 1U);
  reset.reset();
  settle();
  EXPECT_EQ(held(), 0U);
}

TEST_F(SessionHold, ClientThatGoesAmidItsBodyDoesSoToo) {
  route_to({});
  auto peer = held_client(
      "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 9\r\n\r\nhello");
  peer.close();
  settle();
  EXPECT_EQ(held(), 0U);
  EXPECT_TRUE(session().closed());
}

TEST_F(SessionHold, BodyMayComeMeanwhile) {
  route_to({});
  auto peer = held_client(
      "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100000\r\n\r\n"
      "hello");
  const std::string rest(99'995, 'b');
  std::size_t sent = peer.send_some(rest);
  settle();
  auto& node = only_node();
  retry();
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  ASSERT_TRUE(test::eventually([&] {
    sent += peer.send_some(std::string_view(rest).substr(sent));
    settle();
    const auto request = connection->request();
    return request && request->body.size() == 100'000;
  }));
  EXPECT_EQ(connection->request()->body, "hello" + rest);
  connection->answer(kOk);
  settle();
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHold, ClientThatOnlySendsNoMoreIsToldAtOnce) {
  route_to({});
  auto peer = held_client();
  peer.shut_down_writing();
  settle();
  EXPECT_EQ(status_of(peer.take()), "503");
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionHold, WhatTheClientPipelinesComesAfterwards) {
  route_to({});
  auto peer = held_client();
  peer.send("GET /second HTTP/1.1\r\nHost: example.com\r\n\r\n");
  settle();
  auto& node = only_node();
  retry();
  EXPECT_EQ(serve(node)["PATH_INFO"], "/path");
  EXPECT_EQ(serve(node)["PATH_INFO"], "/second");
  EXPECT_EQ(peer.take(), std::string(kOk) + std::string(kOk));
}

TEST_F(SessionHold, KeyThatIsGoneForAMomentIsWaitedFor) {
  route_to({});
  auto peer = held_client();
  context().snapshot = test::make_snapshot({}, 2);
  retry();
  EXPECT_EQ(peer.take(), "");
  auto& node = only_node();
  retry();
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
}

// What was encoded for one protocol cannot be read by the other any more.
TEST_F(SessionHold, NodeOfAnotherProtocolIsNotGivenWhatItCannotRead) {
  only_node().stop_listening();
  auto peer = held_client();
  test::FakeNode http(temp_ / "http");
  route_to({test::make_http_node(http.address())});
  retry();
  EXPECT_FALSE(accept(http));
  EXPECT_EQ(status_of(peer.take()), "503");
}

// ----------------------------------------------------------------- on demand

class SessionSpawn : public SessionHold {
 protected:
  SessionSpawn() {
    options_.emperor = test::address_of("@emperor");
    shared_.sleepers.open<&SessionSpawn::on_sleepers>(control_loop_, this);
  }
  void route_to_sleeper(std::vector<test::RouteNode> nodes = {}) {
    context().snapshot = test::make_snapshot({test::make_pool(
        "example.com", nodes, subscription::Algorithm::kWrr,
        {test::make_sleeper("app.ini")})});
  }
  // Which pools the control thread was asked to wake.
  std::vector<std::string> asked() {
    control_loop_.run_nowait();
    return std::exchange(asked_, {});
  }
  void on_sleepers() {
    std::vector<subscription::PoolRef> pools;
    shared_.sleepers.take(pools);
    for (const auto& pool : pools) asked_.emplace_back(pool->key());
  }

  std::vector<std::string> asked_;
};

TEST_F(SessionSpawn, RequestForASleepingApplicationAsksForItAndWaits) {
  options_.limits.hold_ms = 0;  // this wait is another one
  route_to_sleeper();
  auto peer = held_client(kPost);
  EXPECT_EQ(asked(), std::vector<std::string>{"example.com"});
  retry();  // the Emperor may have missed it
  EXPECT_EQ(asked(), std::vector<std::string>{"example.com"});
  auto& node = only_node();
  retry();
  EXPECT_EQ(serve(node).body, "hello");
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(asked(), std::vector<std::string>{});
}

TEST_F(SessionSpawn, SleeperIsAskedForWhereTheLiveOnesAreGone) {
  test::FakeNode gone(temp_ / "gone");
  gone.stop_listening();
  route_to_sleeper({test::make_node(gone.address())});
  auto peer = held_client();
  EXPECT_EQ(asked().size(), 1U);
}

TEST_F(SessionSpawn, NobodyIsWokenWhileSomebodyAnswers) {
  test::FakeNode node(temp_ / "up");
  const auto up = test::make_node(node.address());
  route_to_sleeper({up});
  auto peer = client();
  peer.send(kGet);
  serve(node);
  EXPECT_EQ(asked().size(), 0U);
}

TEST_F(SessionSpawn, ApplicationThatDoesNotStartInTimeIs503) {
  options_.timeouts.spawn_ms = 1;
  route_to_sleeper();
  auto peer = client();
  peer.send(kGet);
  ASSERT_TRUE(test::eventually([&] {
    settle();
    if (!context().hold_deadline.empty()) retry();
    peer.read();
    return !peer.received().empty();
  }));
  EXPECT_EQ(status_of(peer.received()), "503");
  EXPECT_NE(peer.take().find("timeouts.spawn"), std::string::npos);
}

TEST_F(SessionSpawn, FullInboxOnlyDelays) {
  route_to_sleeper();
  auto peer = held_client();
  while (shared_.sleepers.post(subscription::PoolRef::share(
      context().snapshot->find_exact("example.com")))) {
  }
  retry();
  EXPECT_EQ(held(), 1U);
  EXPECT_EQ(asked().size(), 256U);
  retry();
  EXPECT_EQ(asked().size(), 1U);
}

TEST_F(SessionSpawn, WithoutEmperorASleeperIsWaitedForAsAnyOther) {
  options_.emperor.reset();
  route_to_sleeper();
  auto peer = held_client();
  EXPECT_EQ(asked().size(), 0U);
  auto& node = only_node();
  retry();
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHold, ZeroTurnsItOff) {
  options_.limits.hold_ms = 0;
  route_to({});
  EXPECT_EQ(status_of(refusal(kGet)), "503");
  EXPECT_EQ(context().counters.held.load(), 0U);
}

}  // namespace
}  // namespace fealty::router
