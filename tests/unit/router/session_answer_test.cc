// Answers on their way back: framing, heads in pieces, what breaks off, and
// clients that do not read.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/unit/http/chunked_model.h"
#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

using namespace std::string_literals;
using SessionAnswer = SessionTest;

constexpr std::string_view kGet10 =
    "GET / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n";

// Head and decoded body of a chunked answer; "" where it is not one, or not to
// its end.
std::string unchunked(const std::string& answer) {
  const std::size_t head_end = answer.find("\r\n\r\n");
  if (head_end == answer.npos) return "";
  const test::ChunkedModel body(std::string_view(answer).substr(head_end + 4));
  if (body.step != http::ChunkedDecoder::Step::kEnd) return "";
  return answer.substr(0, head_end + 4) + body.data;
}

TEST_F(SessionAnswer, AnswerThatEndsByClosingBecomesChunked) {
  EXPECT_EQ(exchange(kGet, "HTTP/1.0 200 OK\r\nA: b\r\n\r\nhello"),
            "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"
            "5\r\nhello\r\n0\r\n\r\n");
  EXPECT_TRUE(idle());
}

TEST_F(SessionAnswer, AnswerThatEndsByClosingEndsSoForHttp10) {
  EXPECT_EQ(exchange(kGet10, "HTTP/1.0 200 OK\r\nA: b\r\n\r\nhello"),
            "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\nhello");
  EXPECT_FALSE(idle());
}

TEST_F(SessionAnswer, ChunkedAnswerStaysChunked) {
  const std::string answer = exchange(
      kGet,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
      "3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n");
  EXPECT_EQ(unchunked(answer),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello");
  EXPECT_EQ(answer.find("X-Sum"), answer.npos);
  EXPECT_TRUE(idle());
}

TEST_F(SessionAnswer, ChunkedAnswerIsDecodedForHttp10) {
  EXPECT_EQ(exchange(kGet10,
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
  EXPECT_FALSE(idle());
}

TEST_F(SessionAnswer, AnswersWithoutBodyHaveNone) {
  for (const char* status : {"204 No Content", "304 Not Modified"}) {
    EXPECT_EQ(exchange(kGet, "HTTP/1.1 "s + status + "\r\nA: b\r\n\r\nstray"),
              "HTTP/1.1 "s + status + "\r\nA: b\r\n\r\n");
    EXPECT_TRUE(idle());
  }
}

TEST_F(SessionAnswer, AnswerToHeadHasNoBodyButItsHeaders) {
  const std::string head = "HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n";
  EXPECT_EQ(exchange(head, kOk),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(exchange(head, "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
  EXPECT_TRUE(idle());
}

TEST_F(SessionAnswer, RefusedHeadRequestGetsNoPage) {
  only_node();
  const std::string answer =
      refusal("HEAD / HTTP/1.1\r\nHost: unknown.example\r\n\r\n");
  EXPECT_EQ(status_of(answer), "404");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
  EXPECT_EQ(answer.find("<"), answer.npos);
}

TEST_F(SessionAnswer, HopByHopHeadersStayBehind) {
  EXPECT_EQ(exchange(kGet,
                     "HTTP/1.1 200 OK\r\nConnection: close, x-a\r\nX-A: 1\r\n"
                     "Keep-Alive: 5\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(idle());
}

TEST_F(SessionAnswer, EveryCutOfAnAnswerGivesTheSame) {
  const std::string answer =
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\nhello";
  auto& node = only_node();
  auto peer = client();
  for (std::size_t cut = 0; cut <= answer.size(); ++cut) {
    peer.send(kGet);
    auto connection = accept(node);
    ASSERT_TRUE(connection);
    connection->send(answer.substr(0, cut));
    settle();
    connection->answer(answer.substr(cut));
    settle();
    ASSERT_EQ(peer.take(), answer) << cut;
  }
}

TEST_F(SessionAnswer, AnswerByteByByteGivesTheSame) {
  const std::string head =
      "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nA: b\n\n";
  const std::string body = "5\r\nhello\r\n0\r\n\r\n";
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  for (const char c : head + body) {
    connection->send({&c, 1});
    settle();
  }
  connection->close();
  settle();
  EXPECT_EQ(unchunked(peer.take()),
            "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"
            "hello");
}

TEST_F(SessionAnswer, InterimAnswersPass) {
  const std::string hints = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
  EXPECT_EQ(exchange(kGet, hints + hints + std::string(kOk)),
            hints + hints + std::string(kOk));
}

TEST_F(SessionAnswer, ContinueIsNotTheNodesToSay) {
  EXPECT_EQ(exchange(kGet, "HTTP/1.1 100 Continue\r\n\r\n" + std::string(kOk)),
            kOk);
}

TEST_F(SessionAnswer, InterimAnswersAreNotForHttp10) {
  const std::string answer = exchange(
      kGet10, "HTTP/1.1 103 Early Hints\r\n\r\n" + std::string(kOk));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
}

// An interim head in two pieces, and nothing behind it yet.
TEST_F(SessionAnswer, AnswerMayFollowAnInterimThatCameInPieces) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->send("HTTP/1.1 103 Early Hints\r\n");
  settle();
  connection->send("Link: x\r\n\r\n");
  settle();
  connection->answer(kOk);
  settle();
  EXPECT_EQ(peer.take(), "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
                             std::string(kOk));
}

TEST_F(SessionAnswer, InvalidAnswersAre502) {
  for (const char* answer :
       {"garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
        "\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/2 200\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"}) {
    const std::string got = exchange(kGet, answer);
    EXPECT_EQ(status_of(got), "502") << answer;
    EXPECT_EQ(got.find("HTTP/1.1", 1), got.npos) << answer;
  }
}

TEST_F(SessionAnswer, AnswerThatNeverBeginsIs502) {
  constexpr std::string_view kPost =
      "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(status_of(exchange(kPost, "")), "502");
  EXPECT_EQ(context().counters.retries.load(), 0U);
  // What may be asked again is; but nobody is left to be asked.
  EXPECT_EQ(status_of(exchange(kGet, "")), "502");
  EXPECT_EQ(context().counters.retries.load(), 1U);
  EXPECT_EQ(status_of(exchange(kGet, "HTTP/1.1 200")), "502");
  EXPECT_EQ(context().counters.retries.load(), 1U);
}

TEST_F(SessionAnswer, HeadTooLargeIs502) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  const std::string head = "HTTP/1.1 200 OK\r\nA: " + std::string(70'000, 'x');
  for (std::size_t at = 0; at < head.size() && session().closed() == false;
       at += 10'000) {
    connection->send_some(std::string_view(head).substr(at, 10'000));
    settle();
  }
  EXPECT_EQ(status_of(peer.take()), "502");
}

TEST_F(SessionAnswer, WhatIsBeyondTheLengthIsDropped) {
  EXPECT_EQ(exchange(kGet, std::string(kOk) + "HTTP/1.1 200 OK\r\n\r\nforged"),
            kOk);
  EXPECT_TRUE(idle());
}

// ------------------------------------------------------------ broken answers

TEST_F(SessionAnswer, AnswerShorterThanItsLengthIsCut) {
  auto& node = only_node();
  auto peer = client();
  peer.send(std::string(kGet) + std::string(kGet));
  serve(node, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
  EXPECT_EQ(peer.take(),
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(context().counters.truncated.load(), 1U);
}

TEST_F(SessionAnswer, ChunkedAnswerWithoutItsEndIsCut) {
  for (const char* body :
       {"5\r\nhello\r\n", "5\r\nhel", "5\r\nhello\r\n0\r\n"}) {
    auto& node = node_ ? *node_ : only_node();
    auto peer = client();
    peer.send(kGet);
    serve(node,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"s + body);
    const std::string got = peer.take();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << body;
    EXPECT_EQ(unchunked(got), "") << body;
    EXPECT_TRUE(peer.ended()) << body;
  }
}

TEST_F(SessionAnswer, ChunkedAnswerThatIsMalformedIsCut) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->send(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  settle();
  connection->answer("5 \r\nworld\r\n0\r\n\r\n");
  settle();
  const std::string got = peer.take();
  EXPECT_NE(got.find("hello"), got.npos);
  EXPECT_EQ(unchunked(got), "");
  EXPECT_TRUE(peer.ended());
}

TEST_F(SessionAnswer, MalformedChunksBehindTheHeadAre502) {
  const std::string got = exchange(
      kGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
  EXPECT_EQ(status_of(got), "502");
}

// Where the end of the connection would be the body's end, only a reset tells.
TEST_F(SessionAnswer, BrokenAnswerResetsAnHttp10Client) {
  auto& node = only_node();
  auto peer = tcp_client();
  peer.send(kGet10);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->send(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  settle();
  EXPECT_NE(peer.take().find("hello"), std::string::npos);
  connection->close();
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(peer.end(), ECONNRESET);
}

TEST_F(SessionAnswer, ResetOfTheNodeAmidABodyCutsTheAnswer) {
  test::FakeNode node("127.0.0.1:0");
  route_to({test::make_node(node.address())});
  auto peer = client();
  peer.send(kGet);
  settle();
  auto connection = node.wait_for_connection();
  connection.send("HTTP/1.0 200 OK\r\n\r\nhalf of it");
  ASSERT_TRUE(test::eventually([&] {
    settle();
    peer.read();
    return peer.received().find("half of it") != std::string::npos;
  }));
  connection.reset();
  ASSERT_TRUE(test::eventually([&] { return settle(), peer.ended(); }));
  EXPECT_EQ(unchunked(peer.received()), "");
  EXPECT_EQ(context().counters.truncated.load(), 1U);
}

// An application that does not read a body resets its connection by closing it.
TEST_F(SessionAnswer, ResetOfAnIgnoredBodyIsAsGoodAsAnEnd) {
  auto& node = only_node();
  auto peer = client();
  peer.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\n"
            "hello");
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->answer("HTTP/1.0 200 OK\r\n\r\nnever read it");
  settle();
  EXPECT_EQ(unchunked(peer.take()),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            "never read it");
  EXPECT_TRUE(idle());
}

TEST_F(SessionAnswer, ResetBeforeThePromisedLengthIsNoEndEvenThen) {
  auto& node = only_node();
  auto peer = client();
  peer.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\n"
            "hello");
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->answer("HTTP/1.0 200 OK\r\nContent-Length: 50\r\n\r\nhalf");
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(context().counters.truncated.load(), 1U);
}

TEST_F(SessionAnswer, AbortAmidAnHttp10AnswerIsAReset) {
  auto& node = only_node();
  auto peer = tcp_client();
  peer.send(kGet10);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->send("HTTP/1.0 200 OK\r\n\r\nsome of it");
  settle();
  session().abort();
  EXPECT_TRUE(peer.wait_for_end());
  EXPECT_EQ(peer.end(), ECONNRESET);
}

TEST_F(SessionAnswer, NothingOfTheRoutersFollowsABrokenAnswer) {
  const std::string got =
      exchange(kGet, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
  EXPECT_EQ(got.find("502"), got.npos);
  EXPECT_EQ(got.find("html"), got.npos);
}

// -------------------------------------------------- clients that do not read

// As much as the node's connection takes while nobody reads at the other end.
std::size_t send_until_stuck(test::NodePeer& node, std::string_view text,
                             const std::function<void()>& settle) {
  std::size_t sent = 0;
  for (std::size_t now = 1; now > 0 && sent < text.size(); sent += now) {
    now = node.send_some(text.substr(sent, 64 * 1024));
    settle();
  }
  return sent;
}

TEST_F(SessionAnswer, ClientThatDoesNotReadStopsTheNode) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  const std::string body(8 << 20, 'b');
  connection->send("HTTP/1.1 200 OK\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n\r\n");
  const auto settle_all = [this] { settle(); };
  std::size_t sent = send_until_stuck(*connection, body, settle_all);
  EXPECT_LT(sent, 2U << 20);                // two sockets' buffers, one block
  EXPECT_LE(context().buffers.lent(), 3U);

  // As it reads on, all of it arrives.
  std::string got;
  while (got.size() < body.size() && sent <= body.size()) {
    const std::string part = peer.take();
    got += part;
    settle();
    const std::size_t now = send_until_stuck(
        *connection, std::string_view(body).substr(sent), settle_all);
    sent += now;
    if (part.empty() && now == 0) break;
  }
  got += peer.take();
  EXPECT_EQ(sent, body.size());
  ASSERT_TRUE(got.ends_with(std::string(100, 'b')));
  EXPECT_EQ(got.size() - got.find("\r\n\r\n") - 4, body.size());
  EXPECT_TRUE(idle());
  EXPECT_EQ(context().buffers.lent(), 0U);
}

// A client whose socket holds a few KiB only: what is larger waits in the
// router.
class NarrowClient : public SessionTest {
 protected:
  test::Peer narrow_client() {
    auto ends = test::unix_pair();
    const int least = 1;
    EXPECT_EQ(::setsockopt(ends.first.get(), SOL_SOCKET, SO_SNDBUF, &least,
                           sizeof least),
              0);
    return client_on(std::move(ends));
  }
  // Everything that comes, read in turns with the router.
  std::string read_all(test::Peer& peer) {
    std::string all;
    for (int idle = 0; idle < 2;) {
      const std::string part = peer.take();
      idle = part.empty() ? idle + 1 : 0;
      all += part;
      settle();
    }
    return all;
  }
  // The node sends `answer` in one piece, while the client does not read; then
  // it does. What it gets.
  std::string exchange_narrowly(std::string_view answer) {
    auto& node = only_node();
    auto peer = narrow_client();
    peer.send(kGet);
    auto connection = accept(node);
    EXPECT_TRUE(connection);
    if (!connection) return "";
    connection->answer(answer);
    settle();
    return read_all(peer);
  }
};

TEST_F(NarrowClient, LargeAnswerComesWhole) {
  const std::string body(60'000, 'b');
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + body;
  EXPECT_EQ(exchange_narrowly(answer), answer);
}

TEST_F(NarrowClient, PipelinedAnswersComeWholeAndInOrder) {
  auto& node = only_node();
  auto peer = narrow_client();
  std::string wanted;
  for (int i = 0; i < 5; ++i) peer.send(kGet);
  std::string got;
  for (int i = 0; i < 5; ++i) {
    const std::string answer =
        "HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" +
        std::string(30'000, static_cast<char>('a' + i));
    serve(node, answer);
    got += read_all(peer);
    wanted += answer;
  }
  EXPECT_EQ(got, wanted);
}

// A head whose lines end in LF alone grows on its way to the client; with the
// body that came in the same read it is more than a block.
TEST_F(NarrowClient, HeadThatGrowsBeyondABlockIsNoHarm) {
  std::string answer = "HTTP/1.1 200 OK\n";
  for (int i = 0; i < 15'000; ++i) answer += "a:\n";
  const std::string body(19'000, 'b');
  answer += "Content-Length: 19000\n\n" + body;
  ASSERT_LT(answer.size(), 64U * 1024);
  const std::string got = exchange_narrowly(answer);
  EXPECT_TRUE(status_of(got) == "502" || got.ends_with("\r\n\r\n" + body))
      << got.substr(0, 100);
}

TEST_F(NarrowClient, ManyInterimAnswersAtOnceAreNoHarm) {
  std::string answer;
  while (answer.size() < 64'000) answer += "HTTP/1.1 103\n\n";
  answer += "HTTP/1.1 200 OK\nContent-Length: 2\n\nok";
  const std::string got = exchange_narrowly(answer);
  // The whole answer, or an end that cannot be taken for one.
  const bool whole = got.ends_with("\r\n\r\nok");
  EXPECT_TRUE(whole || got.find("HTTP/1.1 200") == got.npos) << got.size();
  EXPECT_TRUE(whole || !idle());
}

TEST_F(NarrowClient, ManyInterimAnswersInARowAreNoHarm) {
  auto& node = only_node();
  auto peer = narrow_client();
  peer.send(kGet);
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  const std::string interim =
      "HTTP/1.1 103 Hints\r\nLink: " + std::string(20'000, 'l') + "\r\n\r\n";
  std::size_t sent = 0;
  for (int i = 0; i < 100; ++i) {
    sent += connection->send_some(interim);
    settle();
    EXPECT_LE(context().buffers.lent(), 4U);
  }
  // The router stopped reading: the node's socket is full.
  EXPECT_LT(sent, 1'000'000U);
  connection->close();
  read_all(peer);
}

TEST_F(NarrowClient, PageThatDoesNotFitComesAsTheClientReads) {
  only_node();
  auto peer = narrow_client();
  std::string requests;
  for (int i = 0; i < 40; ++i) {
    requests += "GET / HTTP/1.1\r\nHost: unknown.example\r\n\r\n";
  }
  peer.send(requests);
  settle();
  const std::string got = read_all(peer);
  std::size_t answers = 0;
  for (std::size_t at = 0; (at = got.find("HTTP/1.1 404", at)) != got.npos;
       ++at) {
    ++answers;
  }
  EXPECT_EQ(answers, 40U);
}

}  // namespace
}  // namespace fealty::router
