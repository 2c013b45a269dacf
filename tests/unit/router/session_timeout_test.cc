// Who is waited for, how long, and what a client is told then.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

using SessionTimeout = SessionTest;

constexpr std::string_view kSlowPost =
    "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\n";
constexpr std::string_view kSlowChunked =
    "POST / HTTP/1.1\r\nHost: example.com\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

TEST_F(SessionTimeout, ConnectionThatSendsNothingIsClosedSilently) {
  auto peer = client();
  settle();
  expire(context().head_deadline);
  EXPECT_EQ(peer.take(), "");
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionTimeout, HeadThatStopsIs408) {
  auto peer = client();
  peer.send("GET / HTTP/1.1\r\nHost:");
  settle();
  expire(context().head_deadline);
  const std::string got = peer.take();
  EXPECT_EQ(status_of(got), "408");
  EXPECT_NE(got.find("timeouts.head"), got.npos);
  EXPECT_NE(got.find("Connection: close"), got.npos);
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionTimeout, HeadIsTimedFromItsFirstByteOn) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_TRUE(context().head_deadline.empty());
  EXPECT_FALSE(context().keepalive_deadline.empty());
  peer.send("G");
  settle();
  const Deadline* const first = context().head_deadline.front();
  ASSERT_NE(first, nullptr);
  EXPECT_TRUE(context().keepalive_deadline.empty());
  // More bytes do not move it: a head may not be dribbled.
  peer.send("ET /");
  settle();
  expire(context().head_deadline);
  EXPECT_EQ(status_of(peer.take()), "408");
}

TEST_F(SessionTimeout, IdleConnectionIsClosedSilently) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
  expire(context().keepalive_deadline);
  EXPECT_EQ(peer.take(), "");
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionTimeout, SilentNodeIs504AndItsConnectionCloses) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  expire(context().node_deadline);
  const std::string got = peer.take();
  EXPECT_EQ(status_of(got), "504");
  EXPECT_NE(got.find("timeouts.node"), got.npos);
  EXPECT_TRUE(connection->ended());
  // The client did nothing wrong.
  EXPECT_FALSE(peer.ended());
  peer.send(kGet);
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionTimeout, NodeThatStopsAmidItsAnswerCutsIt) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
  settle();
  expire(context().node_deadline);
  EXPECT_EQ(peer.take(), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionTimeout, EveryPieceOfAnAnswerMovesTheNodesDeadline) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  for (const char* byte : {"a", "b"}) {
    settle();
    // Armed anew, it has its whole time again.
    EXPECT_EQ(context().node_deadline.pop_passed(
                  coarse_monotonic_ms() + options_.timeouts.node_ms / 2),
              nullptr);
    EXPECT_FALSE(context().node_deadline.empty());
    connection->send(byte);
  }
  connection->answer("c");
  settle();
  EXPECT_TRUE(peer.take().ends_with("abc"));
}

TEST_F(SessionTimeout, BodyThatStopsIs408) {
  auto& node = only_node();
  auto peer = client();
  peer.send(std::string(kSlowPost) + "half");
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  expire(context().client_deadline);
  const std::string got = peer.take();
  EXPECT_EQ(status_of(got), "408");
  EXPECT_NE(got.find("timeouts.client"), got.npos);
  EXPECT_TRUE(connection->ended());
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionTimeout, ChunkedBodyThatStopsIs408) {
  only_node();
  auto peer = client();
  peer.send(std::string(kSlowChunked) + "5\r\nhel");
  settle();
  expire(context().client_deadline);
  EXPECT_EQ(status_of(peer.take()), "408");
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionTimeout, ClientThatDoesNotReadIsCutOff) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
  const std::string part(64 * 1024, 'b');
  while (connection->send_some(part) > 0) settle();
  EXPECT_TRUE(context().node_deadline.empty());
  expire(context().client_deadline);
  EXPECT_TRUE(session().closed());
  EXPECT_TRUE(connection->ended());
}

TEST_F(SessionTimeout, RefusedClientIsReadForAMomentAndThenClosed) {
  auto peer = client();
  peer.send("garbage\r\n\r\n");
  settle();
  EXPECT_EQ(status_of(peer.take()), "400");
  // It may go on sending, so that the page is not reset away.
  for (int i = 0; i < 5; ++i) {
    peer.send(std::string(10'000, 'x'));
    settle();
  }
  EXPECT_FALSE(session().closed());
  EXPECT_EQ(context().buffers.lent(), 0U);
  expire(context().linger_deadline);
  EXPECT_TRUE(session().closed());
}

TEST_F(SessionTimeout, RefusedClientThatEndsIsClosedAtOnce) {
  auto peer = client();
  peer.send("garbage\r\n\r\n");
  settle();
  peer.close();
  settle();
  EXPECT_TRUE(session().closed());
}

// A TCP socket whose queue is full does not answer at all.
class SilentNode : public SessionTest {
 protected:
  SilentNode() : silent_("127.0.0.1:0", 0) {
    for (auto& fd : fillers_) {
      fd.reset(
          ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      static_cast<void>(::connect(fd.get(), silent_.address().data(),
                                  silent_.address().length()));
    }
  }
  test::FakeNode silent_;
  UniqueFd fillers_[8];
};

TEST_F(SilentNode, ConnectionThatDoesNotComeAboutIs504) {
  route_to({test::make_node(silent_.address())});
  auto peer = client();
  peer.send(kGet);
  settle();
  ASSERT_FALSE(context().connect_deadline.empty());
  expire(context().connect_deadline);
  const std::string got = peer.take();
  EXPECT_EQ(status_of(got), "504");
  EXPECT_NE(got.find("timeouts.connect"), got.npos);
  EXPECT_EQ(runtimes_[0]->failed(), 1U);
}

TEST_F(SilentNode, AnotherNodeIsTakenAfterTheTimeout) {
  test::FakeNode good(temp_ / "good");
  route_to(
      {test::make_node(silent_.address()), test::make_node(good.address())});
  auto peer = client();
  peer.send(kGet);
  settle();
  EXPECT_FALSE(accept(good));
  expire(context().connect_deadline);
  serve(good);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SilentNode, FewNodesMayLetARequestWait) {
  std::vector<test::RouteNode> nodes;
  for (int i = 0; i < 10; ++i) {
    nodes.push_back(test::make_node(silent_.address()));
  }
  route_to(nodes);
  auto peer = client();
  peer.send(kGet);
  settle();
  int waits = 0;
  while (!context().connect_deadline.empty() && waits < 20) {
    ++waits;
    expire(context().connect_deadline);
  }
  EXPECT_EQ(waits, 3);
  EXPECT_EQ(status_of(peer.take()), "504");
}

TEST_F(SilentNode, ClientMayEndMeanwhile) {
  route_to({test::make_node(silent_.address())});
  auto peer = tcp_client();
  peer.send(kGet);
  settle();
  peer.reset();
  settle();
  EXPECT_TRUE(session().closed());
  EXPECT_EQ(runtimes_[0]->in_flight.load(), 0U);
}

}  // namespace
}  // namespace fealty::router
