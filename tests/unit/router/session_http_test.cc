// HTTP/1.1 nodes: connections that are kept, and when they are not; bodies in
// either framing; what becomes of a request whose connection was dead.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "tests/unit/http/chunked_model.h"
#include "tests/unit/http/random_text.h"
#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

using namespace std::string_literals;

constexpr std::string_view kTruth =
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
    "X-Forwarded-Host: example.com\r\n";
constexpr std::string_view kChunkedHead =
    "POST /form HTTP/1.1\r\nHost: example.com\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

std::string simple(std::string_view method) {
  return std::string(method) + " / HTTP/1.1\r\nHost: example.com\r\n\r\n";
}
std::string chunk(std::string_view data) {
  char line[32];
  std::snprintf(line, sizeof line, "%zx\r\n", data.size());
  return line + std::string(data) + "\r\n";
}

class SessionHttp : public SessionTest {
 protected:
  SessionHttp() : first_(temp_ / "first"), second_(temp_ / "second") {}

  void route_one() { route_to({test::make_http_node(first_.address())}); }
  void route_two() {
    route_to({test::make_http_node(first_.address()),
              test::make_http_node(second_.address())});
  }
  // What has reached a node on this connection now.
  std::string take(test::Peer& node) {
    settle();
    return node.take();
  }
  // A connection that has served one GET and idles; the client is idle too.
  test::NodePeer kept(test::Peer& peer, test::FakeNode& node) {
    peer.send(kGet);
    auto connection = accept(node);
    EXPECT_TRUE(connection);
    if (!connection) return {};
    connection->take();
    answer(*connection);
    EXPECT_EQ(peer.take(), kOk);
    EXPECT_EQ(context().node_pool.idle(), 1U);
    return std::move(*connection);
  }
  void answer(test::Peer& node, std::string_view text = kOk) {
    node.send(text);
    settle();
  }
  [[nodiscard]] std::size_t idle_nodes() { return context().node_pool.idle(); }
  // Whether the connection is kept where the node answers a request so.
  bool keeps(std::string_view request, std::string_view text) {
    auto peer = client();
    peer.send(request);
    auto connection = accept(first_);
    EXPECT_TRUE(connection);
    if (!connection) return false;
    connection->take();
    answer(*connection, text);
    got_ = peer.take();
    const bool kept = idle_nodes() == 1;
    EXPECT_EQ(kept, !connection->ended());
    context().node_pool.expire(INT64_MAX);
    return kept;
  }

  test::FakeNode first_;
  test::FakeNode second_;
  std::string got_;
};

// ------------------------------------------------------- kept connections

TEST_F(SessionHttp, RequestIsHttpAndTheConnectionIsKept) {
  route_one();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  const std::string wanted = "GET /path?query HTTP/1.1\r\n"
                             "Host: example.com\r\n" +
                             std::string(kTruth) + "\r\n";
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(take(*connection), wanted);
    answer(*connection);
    EXPECT_EQ(peer.take(), kOk);
    EXPECT_TRUE(idle());
    peer.send(kGet);
  }
  EXPECT_FALSE(accept(first_));
  EXPECT_EQ(context().counters.node_opened.load(), 1U);
  EXPECT_EQ(context().counters.node_reused.load(), 5U);
  EXPECT_EQ(runtimes_[0]->in_flight.load(), 1U);
}

TEST_F(SessionHttp, ClientsShareWhatIsKept) {
  route_one();
  auto peer = client();
  auto connection = kept(peer, first_);
  auto other = client();
  other.send(kGet);
  EXPECT_NE(take(connection), "");
  peer.send(kGet);  // the only one is in use
  EXPECT_TRUE(accept(first_));
}

TEST_F(SessionHttp, PipelinedRequestsUseOneConnection) {
  route_one();
  auto peer = client();
  peer.send(std::string(kGet) + std::string(kGet) + std::string(kGet));
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(take(*connection), "");
    answer(*connection);
  }
  EXPECT_EQ(peer.take(), std::string(kOk) + std::string(kOk) + std::string(kOk));
  EXPECT_FALSE(accept(first_));
}

TEST_F(SessionHttp, WholeAnswersKeepTheConnection) {
  route_one();
  EXPECT_TRUE(keeps(kGet, kOk));
  EXPECT_TRUE(keeps(kGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                          "\r\n2\r\nok\r\n0\r\n\r\n"));
  EXPECT_TRUE(keeps(kGet, "HTTP/1.1 204 No Content\r\n\r\n"));
  EXPECT_TRUE(keeps(kGet, "HTTP/1.1 304 Not Modified\r\n\r\n"));
  EXPECT_TRUE(keeps(with_body("POST", "hello"), kOk));
  EXPECT_TRUE(keeps(kGet, "HTTP/1.1 100 Continue\r\n\r\n" + std::string(kOk)));
  EXPECT_TRUE(keeps(kGet, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n"
                          "Content-Length: 0\r\n\r\n"));
}

TEST_F(SessionHttp, WhatEndsWithTheConnectionOrSaysSoIsNotKept) {
  route_one();
  EXPECT_FALSE(keeps(kGet, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                           "Content-Length: 2\r\n\r\nok"));
  EXPECT_EQ(got_, kOk);  // the client's connection is its own
  EXPECT_FALSE(keeps(kGet, "HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\n"
                           "Content-Length: 2\r\n\r\nok"));
  EXPECT_FALSE(keeps(kGet, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  EXPECT_FALSE(keeps(kGet, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
                           "Content-Length: 2\r\n\r\nok"));
}

// Some nodes send it all the same.
TEST_F(SessionHttp, NodeThatAnnouncesABodyWhereThereIsNoneIsNotKept) {
  route_one();
  EXPECT_FALSE(keeps(kGet, "HTTP/1.1 304 Not Modified\r\n"
                           "Content-Length: 100\r\n\r\n"));
  EXPECT_FALSE(keeps(simple("HEAD"),
                     "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"));
  EXPECT_EQ(got_, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
}

TEST_F(SessionHttp, SurplusBytesPoisonNothing) {
  route_one();
  const std::string evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
  EXPECT_FALSE(keeps(kGet, std::string(kOk) + evil));
  EXPECT_EQ(got_, kOk);
  EXPECT_FALSE(keeps(kGet, std::string(kOk) + "\n"));
  EXPECT_FALSE(keeps(kGet, "HTTP/1.1 204 No Content\r\n\r\n" + evil));
  EXPECT_FALSE(keeps(simple("HEAD"), kOk));
  EXPECT_FALSE(keeps(kGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                           "\r\n2\r\nok\r\n0\r\n\r\n" + evil));
}

// They came so late that the next request was on its way already.
TEST_F(SessionHttp, LeftoversInFrontOfAnAnswerMeanANewConnection) {
  route_one();
  auto peer = client();
  auto connection = kept(peer, first_);
  peer.send(kGet);
  settle();
  connection.send("204");
  connection.send(kOk);
  auto next = accept(first_);
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->take().starts_with("GET /path?query "));
  answer(*next);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_TRUE(connection.ended());
  context().node_pool.expire(INT64_MAX);
}

TEST_F(SessionHttp, BytesThatComeLaterCloseWhatIsKept) {
  route_one();
  auto peer = client();
  auto connection = kept(peer, first_);
  answer(connection, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  EXPECT_EQ(idle_nodes(), 0U);
  EXPECT_TRUE(connection.ended());
  peer.send(kGet);
  auto next = accept(first_);
  ASSERT_TRUE(next);
  next->take();
  answer(*next);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHttp, AnswerThatEndsWithTheConnectionIsWhole) {
  route_one();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  answer(*connection, "HTTP/1.1 200 OK\r\n\r\nto the end");
  connection->close();
  settle();
  EXPECT_EQ(peer.take(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "a\r\nto the end\r\n0\r\n\r\n");
  EXPECT_TRUE(idle());
  EXPECT_EQ(idle_nodes(), 0U);
}

TEST_F(SessionHttp, OldClientGetsWhatANewNodeChunks) {
  route_one();
  auto peer = client();
  peer.send("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n");
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  EXPECT_TRUE(take(*connection).starts_with("GET / HTTP/1.1\r\n"));
  answer(*connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "2\r\nok\r\n0\r\n\r\n");
  EXPECT_EQ(peer.take(),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok");
  EXPECT_EQ(idle_nodes(), 1U);
}

TEST_F(SessionHttp, CutAnswerIsCutForTheClient) {
  route_one();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  connection->answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(idle_nodes(), 0U);
}

TEST_F(SessionHttp, ClientThatLeavesTakesTheConnectionWithIt) {
  route_one();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  answer(*connection, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
  session().abort();
  EXPECT_TRUE(connection->ended());
  EXPECT_EQ(idle_nodes(), 0U);
}

TEST_F(SessionHttp, SilentNodeIsNotKept) {
  route_one();
  auto peer = client();
  auto connection = kept(peer, first_);
  peer.send(kGet);
  settle();
  expire(context().node_deadline);
  EXPECT_EQ(status_of(peer.take()), "504");
  connection.take();
  EXPECT_TRUE(connection.ended());
  EXPECT_EQ(idle_nodes(), 0U);
}

TEST_F(SessionHttp, NothingIsKeptWhileDraining) {
  route_one();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  context().draining = true;
  answer(*connection);
  EXPECT_EQ(idle_nodes(), 0U);
}

// ---------------------------------------------------------- dead ones

TEST_F(SessionHttp, GetOverADeadConnectionIsAskedAgain) {
  route_one();
  const std::vector<std::function<void(test::NodePeer&)>> deaths = {
      [](test::NodePeer& node) { node.close(); },  // unread: a reset
      [](test::NodePeer& node) {
        node.take();
        node.close();  // a regular end
      }};
  for (const auto& die : deaths) {
    auto peer = client();
    auto connection = kept(peer, first_);
    peer.send(kGet);
    settle();
    die(connection);
    auto next = accept(first_);
    ASSERT_TRUE(next);
    EXPECT_TRUE(next->take().starts_with("GET /path?query "));
    answer(*next);
    EXPECT_EQ(peer.take(), kOk);
    EXPECT_EQ(runtimes_[0]->failed(), 0U);  // the node did no wrong
    context().node_pool.expire(INT64_MAX);
  }
  EXPECT_EQ(context().counters.node_stale.load(), 2U);
}

TEST_F(SessionHttp, DeadConnectionThatIsWrittenToIsReplaced) {
  route_one();
  auto peer = client();
  auto connection = kept(peer, first_);
  // The client's request and the node's end arrive in one turn of the loop.
  connection.close();
  peer.send(kGet);
  auto next = accept(first_);
  ASSERT_TRUE(next);
  next->take();
  answer(*next);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHttp, DeadConnectionGivesOneMoreTryOnly) {
  route_one();
  auto peer = client();
  auto connection = kept(peer, first_);
  peer.send(kGet);
  settle();
  connection.take();
  connection.close();
  auto next = accept(first_);
  ASSERT_TRUE(next);
  next->take();
  next->close();
  settle();
  EXPECT_EQ(status_of(peer.take()), "502");
  EXPECT_FALSE(accept(first_));
}

TEST_F(SessionHttp, AnswerThatHasBegunIsNotAskedForAgain) {
  for (const std::string& begun : {"H"s, "HTTP/1.1 103 Early Hints\r\n\r\n"s}) {
    route_one();
    auto peer = client();
    auto connection = kept(peer, first_);
    peer.send(kGet);
    EXPECT_NE(take(connection), "");
    answer(connection, begun);
    connection.close();
    EXPECT_FALSE(accept(first_)) << begun;
    EXPECT_NE(peer.take().find("502 Bad Gateway"), std::string::npos);
  }
}

TEST_F(SessionHttp, TimeoutOfAnIdleConnectionIsNoAnswer) {
  route_one();
  const std::string timeout =
      "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
      "Content-Length: 0\r\n\r\n";
  auto peer = client();
  auto connection = kept(peer, first_);
  peer.send(kGet);
  EXPECT_NE(take(connection), "");
  connection.answer(timeout);
  auto next = accept(first_);
  ASSERT_TRUE(next);
  next->take();
  answer(*next, timeout);  // this one means the request
  EXPECT_EQ(status_of(peer.take()), "408");
}

TEST_F(SessionHttp, WhatMustNotBeAskedTwiceGoesOverANewConnection) {
  route_one();
  for (const std::string& request :
       {simple("POST"), simple("PATCH"), with_body("POST", "hello"),
        simple("LOCK")}) {
    auto peer = client();
    auto connection = kept(peer, first_);
    peer.send(request);
    auto next = accept(first_);
    ASSERT_TRUE(next) << request;
    EXPECT_EQ(connection.take(), "");
    EXPECT_NE(next->take(), "");
    answer(*next);
    EXPECT_EQ(peer.take(), kOk);
    EXPECT_EQ(idle_nodes(), 2U);  // it may be kept afterwards
    context().node_pool.expire(INT64_MAX);
  }
}

TEST_F(SessionHttp, PostThatWasReadIsNeverSentTwice) {
  route_two();
  auto peer = client();
  peer.send(simple("POST"));
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  connection->close();
  EXPECT_FALSE(accept(first_));
  EXPECT_FALSE(accept(second_));
  EXPECT_EQ(status_of(peer.take()), "502");
}

TEST_F(SessionHttp, WholeIdempotentBodyMayUseAKeptConnection) {
  route_one();
  auto peer = client();
  auto connection = kept(peer, first_);
  peer.send(with_body("PUT", "hello"));
  settle();
  connection.close();
  auto next = accept(first_);
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->take().ends_with("Content-Length: 5\r\n\r\nhello"));
  answer(*next);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHttp, BodyThatIsNotAllHereUsesANewConnection) {
  route_one();
  auto peer = client();
  auto connection = kept(peer, first_);
  peer.send("PUT / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhe");
  auto next = accept(first_);
  ASSERT_TRUE(next);
  EXPECT_EQ(connection.take(), "");
  peer.send("llo");
  EXPECT_TRUE(take(*next).ends_with("\r\n\r\nhello"));
  answer(*next);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(idle_nodes(), 2U);
}

// ------------------------------------------------------ from node to node

TEST_F(SessionHttp, NodeThatRefusesIsPassedOverAndLosesWhatWasKept) {
  route_two();
  auto peer = client();
  auto connection = kept(peer, first_);
  auto other = client();
  first_.stop_listening();
  other.send(simple("POST"));  // to the second, whose turn it is
  auto second = accept(second_);
  ASSERT_TRUE(second);
  second->answer(kOk);
  settle();
  peer.send(simple("POST"));  // the first refuses
  second = accept(second_);
  ASSERT_TRUE(second);
  connection.read();
  EXPECT_TRUE(connection.ended());
  second->take();
  answer(*second);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(runtimes_[0]->failed(), 1U);
}

TEST_F(SessionHttp, GetOfAKilledNodeIsGivenToTheNext) {
  route_two();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  connection->close();
  auto next = accept(second_);
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->take().starts_with("GET /path?query "));
  answer(*next);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_EQ(context().counters.retries.load(), 1U);
}

TEST_F(SessionHttp, RequestThatKillsItsNodesVisitsFewOfThem) {
  std::vector<test::RouteNode> nodes;
  std::vector<std::unique_ptr<test::FakeNode>> fakes;
  for (int i = 0; i < 6; ++i) {
    fakes.push_back(
        std::make_unique<test::FakeNode>(temp_ / ("n" + std::to_string(i))));
    nodes.push_back(test::make_http_node(fakes.back()->address()));
  }
  route_to(nodes);
  auto peer = client();
  peer.send(kGet);
  int visited = 0;
  for (int round = 0; round < 10; ++round) {
    for (const auto& fake : fakes) {
      if (auto connection = accept(*fake)) {
        ++visited;
        connection->take();
      }
    }
  }
  settle();
  EXPECT_EQ(visited, 3);
  EXPECT_EQ(status_of(peer.take()), "502");
}

TEST_F(SessionHttp, PutWithABodyThatKilledItsNodeIsNotRepeated) {
  route_two();
  auto peer = client();
  peer.send(with_body("PUT", "hello"));
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  connection->close();
  EXPECT_FALSE(accept(second_));
  EXPECT_EQ(status_of(peer.take()), "502");
}

TEST_F(SessionHttp, NodesOfBothProtocolsStandInForEachOther) {
  const auto uwsgi = test::make_node(first_.address());
  const auto http = test::make_http_node(second_.address());
  first_.stop_listening();
  route_to({uwsgi, http});
  auto peer = client();
  peer.send(with_body("POST", "hello"));
  auto connection = accept(second_);
  ASSERT_TRUE(connection);
  EXPECT_EQ(connection->take(), "POST / HTTP/1.1\r\nHost: example.com\r\n" +
                                    std::string(kTruth) +
                                    "Content-Length: 5\r\n\r\nhello");
  answer(*connection);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHttp, UwsgiNodeStandsInForAnHttpNode) {
  const auto http = test::make_http_node(first_.address());
  const auto uwsgi = test::make_node(second_.address(), 7);
  first_.stop_listening();
  route_to({http, uwsgi});
  auto peer = client();
  peer.send(with_body("POST", "hello"));
  const auto request = serve(second_);
  EXPECT_EQ(request.modifier1, 7);
  EXPECT_EQ(request["CONTENT_LENGTH"], "5");
  EXPECT_EQ(request["REMOTE_ADDR"], "192.0.2.7");
  EXPECT_EQ(request.body, "hello");
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHttp, ChunkedBodyIsCollectedWhereOneNodeWouldNeedItsLength) {
  for (const bool uwsgi_first : {true, false}) {
    test::FakeNode dead(temp_ / (uwsgi_first ? "dead1" : "dead2"));
    test::FakeNode live(temp_ / (uwsgi_first ? "live1" : "live2"));
    dead.stop_listening();
    route_to({uwsgi_first ? test::make_node(dead.address())
                          : test::make_http_node(dead.address()),
              uwsgi_first ? test::make_http_node(live.address())
                          : test::make_node(live.address())});
    auto peer = client();
    peer.send(std::string(kChunkedHead) + chunk("hel") + chunk("lo") +
              "0\r\n\r\n");
    auto connection = accept(live);
    ASSERT_TRUE(connection);
    if (uwsgi_first) {
      EXPECT_TRUE(
          connection->take().ends_with("\r\nContent-Length: 5\r\n\r\nhello"));
    } else {
      EXPECT_EQ((*connection->request())["CONTENT_LENGTH"], "5");
      EXPECT_EQ(connection->request()->body, "hello");
    }
    connection->answer(kOk);
    settle();
    EXPECT_EQ(peer.take(), kOk);
  }
}

// ----------------------------------------------------------------- bodies

TEST_F(SessionHttp, SmallChunkedBodyGoesWithTheHead) {
  route_one();
  auto peer = client();
  peer.send(std::string(kChunkedHead) + chunk("hel") + chunk("lo") +
            "0\r\nX-Trailer: gone\r\n\r\n" + std::string(kGet));
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  EXPECT_EQ(connection->take(),
            "POST /form HTTP/1.1\r\nHost: example.com\r\n" +
                std::string(kTruth) +
                "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  answer(*connection);
  EXPECT_TRUE(take(*connection).starts_with("GET /path?query "));
  answer(*connection);
  EXPECT_EQ(peer.take(), std::string(kOk) + std::string(kOk));
}

TEST_F(SessionHttp, ChunksGoOnAsTheyComeAndNothingIsStored) {
  route_one();
  auto peer = client();
  peer.send(kChunkedHead);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  peer.send(chunk("hello"));
  EXPECT_EQ(take(*connection), "5\r\nhello\r\n");
  peer.send("6\r\n wo");
  EXPECT_EQ(take(*connection), "3\r\n wo\r\n");
  peer.send("r");
  EXPECT_EQ(take(*connection), "1\r\nr\r\n");
  peer.send("ld\r\n0\r\n");
  EXPECT_EQ(take(*connection), "2\r\nld\r\n");
  peer.send("\r\n");
  EXPECT_EQ(take(*connection), "0\r\n\r\n");
  answer(*connection);
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_TRUE(idle());
  EXPECT_EQ(idle_nodes(), 1U);
}

TEST_F(SessionHttp, RandomChunksArriveWholeInBoundedMemory) {
  route_one();
  test::Random random;
  for (int round = 0; round < 8; ++round) {
    const std::string body = random.bytes(1 + random.below(3'000'000));
    std::string sent(kChunkedHead);
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t size = 1 + random.below(200'000);
      sent += chunk(std::string_view(body).substr(at, size));
      at += size;
    }
    sent += "0\r\n\r\n";
    sent += kGet;  // the next one must be found
    auto peer = client();
    std::size_t at = peer.send_some(sent);
    auto connection = accept(first_);
    ASSERT_TRUE(connection);
    std::string got;
    for (bool moved = true; moved;) {
      const std::size_t now =
          peer.send_some(std::string_view(sent).substr(at, 90'000));
      at += now;
      settle();
      EXPECT_LE(context().buffers.lent(), 4U);
      const std::string part = connection->take();
      got += part;
      moved = now > 0 || !part.empty();
    }
    const std::size_t head_bytes = got.find("\r\n\r\n") + 4;
    const test::ChunkedModel model(std::string_view(got).substr(head_bytes));
    ASSERT_EQ(model.step, http::ChunkedDecoder::Step::kEnd);
    EXPECT_TRUE(model.data == body);
    answer(*connection);
    EXPECT_TRUE(take(*connection).starts_with("GET "));
    answer(*connection);
    EXPECT_EQ(peer.take(), std::string(kOk) + std::string(kOk));
    context().node_pool.expire(INT64_MAX);
  }
}

TEST_F(SessionHttp, NodeThatReadsNoChunksStopsTheClient) {
  route_one();
  auto peer = client();
  peer.send(kChunkedHead);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  const std::string piece = chunk(std::string(50'000, 'b'));
  std::size_t sent = 0;
  for (std::size_t now = 1; now > 0 && sent < (8U << 20);) {
    now = peer.send_some(piece);
    sent += now;
    settle();
    if (now < piece.size()) break;
  }
  EXPECT_LT(sent, 2U << 20);
  EXPECT_LE(context().buffers.lent(), 4U);
}

TEST_F(SessionHttp, MalformedChunkEndsBothSides) {
  route_one();
  auto peer = client();
  peer.send(kChunkedHead);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  peer.send(chunk("hello") + "zz\r\n");
  settle();
  EXPECT_EQ(status_of(peer.take()), "400");
  EXPECT_EQ(connection->take().find("0\r\n\r\n"), std::string::npos);
  EXPECT_TRUE(connection->ended());
  EXPECT_EQ(idle_nodes(), 0U);
}

TEST_F(SessionHttp, MalformedChunkWithTheHeadReachesNobody) {
  route_one();
  auto peer = client();
  peer.send(std::string(kChunkedHead) + "5\nhello");
  EXPECT_FALSE(accept(first_));
  EXPECT_EQ(status_of(peer.take()), "400");
}

TEST_F(SessionHttp, ChunksBeyondTheLimitAreRefused) {
  options_.limits.body_bytes = 10;
  route_one();
  auto peer = client();
  peer.send(std::string(kChunkedHead) + chunk("0123456789"));
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  peer.send(chunk("x"));
  settle();
  EXPECT_EQ(status_of(peer.take()), "413");
  connection->take();
  EXPECT_TRUE(connection->ended());
}

TEST_F(SessionHttp, ChunkedClientThatLeavesIsNoEndOfTheBody) {
  route_one();
  auto peer = client();
  peer.send(std::string(kChunkedHead) + chunk("hello"));
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  peer.close();
  EXPECT_TRUE(take(*connection).ends_with("\r\n5\r\nhello\r\n"));
  EXPECT_TRUE(connection->ended());
}

TEST_F(SessionHttp, ChunkedBodyIsSentOnTheRouters100) {
  route_one();
  auto peer = client();
  peer.send("POST / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  EXPECT_EQ(peer.take(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(connection->take().find("Expect"), std::string::npos);
  peer.send("0\r\n\r\n");
  EXPECT_EQ(take(*connection), "0\r\n\r\n");
  answer(*connection);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionHttp, AnswerAheadOfTheBodysEndKeepsNothing) {
  route_one();
  for (const std::string& head :
       {std::string(kChunkedHead) + chunk("hello"),
        "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 9\r\n\r\nhe"s}) {
    auto peer = client();
    peer.send(head);
    auto connection = accept(first_);
    ASSERT_TRUE(connection);
    connection->take();
    answer(*connection);
    EXPECT_EQ(peer.take(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                           "Connection: close\r\n\r\nok");
    EXPECT_TRUE(connection->ended());
    EXPECT_EQ(idle_nodes(), 0U);
    peer.send(chunk("more that nobody reads"));
    settle();
  }
}

TEST_F(SessionHttp, BodyGoesOnWhileItsAnswerComes) {
  route_one();
  auto peer = client();
  peer.send(kChunkedHead);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  answer(*connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  peer.send(chunk("ping"));
  EXPECT_EQ(take(*connection), "4\r\nping\r\n");
  answer(*connection, "4\r\npong\r\n");
  EXPECT_TRUE(peer.take().ends_with("4\r\npong\r\n"));
  peer.send("0\r\n\r\n");
  EXPECT_EQ(take(*connection), "0\r\n\r\n");
  answer(*connection, "0\r\n\r\n");
  EXPECT_EQ(peer.take(), "0\r\n\r\n");
  EXPECT_EQ(idle_nodes(), 1U);  // whole, both ways
}

TEST_F(SessionHttp, LargeAnswerToASlowClientEndsKept) {
  route_one();
  test::Random random;
  const std::string body = random.bytes(3'000'000);
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n\r\n" + body;
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(first_);
  ASSERT_TRUE(connection);
  connection->take();
  std::size_t sent = 0;
  bool moved = true;
  while (moved) {
    const std::size_t now =
        connection->send_some(std::string_view(text).substr(sent, 100'000));
    sent += now;
    settle();
    EXPECT_LE(context().buffers.lent(), 3U);
    moved = peer.read_some(9'000) || now > 0;
  }
  EXPECT_TRUE(peer.take() == text);
  EXPECT_TRUE(idle());
  EXPECT_EQ(idle_nodes(), 1U);
}

}  // namespace
}  // namespace fealty::router
