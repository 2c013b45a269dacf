// Bodies on their way to the node: with a length, chunked, expected, large,
// broken off.

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/http/random_text.h"
#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

using SessionBody = SessionTest;

std::string post(std::size_t length, std::string_view headers = "") {
  return "POST /form HTTP/1.1\r\nHost: example.com\r\nContent-Length: " +
         std::to_string(length) + "\r\n" + std::string(headers) + "\r\n";
}

constexpr std::string_view kChunked =
    "POST /form HTTP/1.1\r\nHost: example.com\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

// Reads a node's connection on while client and router move.
struct Upload {
  std::string body;
  std::size_t lent_most = 0;
};

class SessionUpload : public SessionTest {
 protected:
  // `sent` bytes of the body are on their way already.
  Upload upload(test::Peer& peer, test::NodePeer& node, std::string_view body,
                std::size_t sent = 0) {
    Upload result;
    const auto request = node.request();
    EXPECT_TRUE(request);
    const std::size_t packet_bytes =
        node.received().size() - (request ? request->body.size() : 0);
    std::string all = node.take();
    while (all.size() < packet_bytes + body.size()) {
      const std::size_t now = peer.send_some(body.substr(sent, 100'000));
      sent += now;
      settle();
      result.lent_most = std::max(result.lent_most, context().buffers.lent());
      const std::string part = node.take();
      all += part;
      if (now == 0 && part.empty()) break;  // nothing moves any more
    }
    result.body = all.substr(packet_bytes);
    return result;
  }
};

TEST_F(SessionBody, BodyThatCameWithTheHeadGoesWithThePacket) {
  auto& node = only_node();
  auto peer = client();
  peer.send(post(5, "Content-Type: text/plain\r\n") + "hello");
  const auto request = serve(node);
  EXPECT_EQ(request["CONTENT_LENGTH"], "5");
  EXPECT_EQ(request["CONTENT_TYPE"], "text/plain");
  EXPECT_EQ(request["HTTP_CONTENT_LENGTH"], "(none)");
  EXPECT_EQ(request.body, "hello");
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionBody, RequestBehindABodyIsTheNextOne) {
  auto& node = only_node();
  auto peer = client();
  peer.send(post(5) + "hello" + std::string(kGet));
  EXPECT_EQ(serve(node).body, "hello");
  EXPECT_EQ(serve(node)["REQUEST_METHOD"], "GET");
  EXPECT_EQ(peer.take(), std::string(kOk) + std::string(kOk));
}

TEST_F(SessionBody, BodyByteByByteArrives) {
  auto& node = only_node();
  auto peer = client();
  peer.send(post(11));
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  for (const char c : std::string("hello world")) {
    peer.send({&c, 1});
    settle();
  }
  EXPECT_EQ(connection->request()->body, "hello world");
  connection->answer(kOk);
  settle();
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_TRUE(idle());
}

TEST_F(SessionUpload, LargeBodyArrivesInBoundedMemory) {
  auto& node = only_node();
  auto peer = client();
  test::Random random;
  const std::string body = random.bytes(5'000'000);
  peer.send(post(body.size()));
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  const Upload result = upload(peer, *connection, body);
  EXPECT_TRUE(result.body == body) << result.body.size();
  EXPECT_LE(result.lent_most, 4U);
  connection->answer(kOk);
  settle();
  EXPECT_EQ(peer.take(), kOk);
  EXPECT_TRUE(idle());
}

TEST_F(SessionUpload, BodyPartOfWhichCameWithTheHeadArrivesInOrder) {
  auto& node = only_node();
  test::Random random;
  for (const std::size_t first : {1U, 3'000U, 15'000U, 16'384U, 50'000U}) {
    const std::string body = random.bytes(300'000);
    auto peer = client();
    peer.send(post(body.size()) + body.substr(0, first));
    auto connection = accept(node);
    ASSERT_TRUE(connection);
    const Upload result =
        upload(peer, *connection, body, first);
    EXPECT_TRUE(result.body == body) << first << ": " << result.body.size();
    connection->answer(kOk);
    settle();
    EXPECT_EQ(peer.take(), kOk);
  }
}

TEST_F(SessionBody, NodeThatDoesNotReadStopsTheClient) {
  auto& node = only_node();
  auto peer = client();
  const std::string body(8 << 20, 'b');
  peer.send(post(body.size()));
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  std::size_t sent = 0;
  for (std::size_t now = 1; now > 0;) {
    now = peer.send_some(std::string_view(body).substr(sent));
    sent += now;
    settle();
  }
  EXPECT_LT(sent, 2U << 20);
  EXPECT_LE(context().buffers.lent(), 4U);
}

TEST_F(SessionBody, AnswerMayComeBeforeTheBodyIsThere) {
  auto& node = only_node();
  auto peer = client();
  peer.send(post(100'000) + "only a little");
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->answer("HTTP/1.1 413 Content Too Large\r\n"
                     "Content-Length: 0\r\n\r\n");
  settle();
  const std::string got = peer.take();
  EXPECT_EQ(status_of(got), "413");
  EXPECT_NE(got.find("Connection: close"), got.npos);
  // What is left of the body must not be taken for a request.
  peer.send_some(kGet);
  EXPECT_FALSE(accept(node));
  EXPECT_EQ(peer.take(), "");
}

TEST_F(SessionBody, NodeThatRefusesTheRestOfABodyMayStillAnswer) {
  auto& node = only_node();
  auto peer = client();
  const std::string body(3'000'000, 'b');
  peer.send(post(body.size()));
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  connection->send("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!");
  connection->close();  // with bytes unread: a reset
  // The client does not read before it has sent everything.
  std::size_t sent = 0;
  for (int i = 0; i < 1'000 && sent < body.size(); ++i) {
    sent += peer.send_some(std::string_view(body).substr(sent, 50'000));
    settle();
  }
  EXPECT_EQ(sent, body.size());
  const std::string got = peer.take();
  EXPECT_EQ(status_of(got), "403");
  EXPECT_TRUE(got.ends_with("no!"));
}

TEST_F(SessionBody, BodyBrokenOffEndsTheNodesRequest) {
  auto& node = only_node();
  auto peer = client();
  peer.send(post(100) + "half");
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  peer.close();
  settle();
  EXPECT_TRUE(connection->ended());
  EXPECT_EQ(closed_, 1);
}

TEST_F(SessionBody, LengthBeyondTheLimitIs413) {
  options_.limits.body_bytes = 10;
  auto& node = only_node();
  auto peer = client();
  peer.send(post(11) + "hello world");
  settle();
  EXPECT_EQ(status_of(peer.take()), "413");
  EXPECT_FALSE(accept(node));
  auto other = client();
  other.send(post(10) + "hello worl");
  serve(node);
  EXPECT_EQ(other.take(), kOk);
}

// --------------------------------------------------------------- expectation

TEST_F(SessionBody, ContinueIsSaidBeforeTheBody) {
  auto& node = only_node();
  auto peer = client();
  peer.send(post(5, "Expect: 100-continue\r\n"));
  settle();
  EXPECT_EQ(peer.take(), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("hello");
  EXPECT_EQ(serve(node).body, "hello");
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionBody, ContinueIsNotSaidWhereTheBodyCameAlready) {
  auto& node = only_node();
  auto peer = client();
  peer.send(post(5, "Expect: 100-continue\r\n") + "hello");
  serve(node);
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionBody, ContinueIsNotSaidToWhatIsRefused) {
  options_.limits.body_bytes = 3;
  only_node();
  EXPECT_EQ(status_of(refusal(post(5, "Expect: 100-continue\r\n"))), "413");
  EXPECT_EQ(status_of(refusal(
                "POST / HTTP/1.1\r\nHost: unknown.example\r\n"
                "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")),
            "404");
}

TEST_F(SessionBody, ContinueIsSaidBeforeAChunkedBody) {
  auto& node = only_node();
  auto peer = client();
  peer.send("POST / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
  settle();
  EXPECT_EQ(peer.take(), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("5\r\nhello\r\n0\r\n\r\n");
  EXPECT_EQ(serve(node).body, "hello");
  EXPECT_EQ(peer.take(), kOk);
}

// ------------------------------------------------------------------- chunked

TEST_F(SessionBody, ChunkedBodyBecomesOneWithALength) {
  auto& node = only_node();
  auto peer = client();
  peer.send(std::string(kChunked) + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  const auto request = serve(node);
  EXPECT_EQ(request["CONTENT_LENGTH"], "11");
  EXPECT_EQ(request["HTTP_TRANSFER_ENCODING"], "(none)");
  EXPECT_EQ(request.body, "hello world");
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionBody, NodeHearsOfAChunkedBodyOnceItIsWhole) {
  auto& node = only_node();
  auto peer = client();
  peer.send(kChunked);
  EXPECT_FALSE(accept(node));
  const std::string chunks = "5;x=y\r\nhello\r\n0\r\nTrailer-Field: x\r\n\r\n";
  for (const char c : chunks) {
    EXPECT_FALSE(accept(node));
    peer.send({&c, 1});
  }
  EXPECT_EQ(serve(node).body, "hello");
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionBody, EmptyChunkedBodyHasLengthZero) {
  auto& node = only_node();
  auto peer = client();
  peer.send(std::string(kChunked) + "0\r\n\r\n");
  const auto request = serve(node);
  EXPECT_EQ(request["CONTENT_LENGTH"], "0");
  EXPECT_EQ(request.body, "");
}

TEST_F(SessionBody, RequestBehindAChunkedBodyIsTheNextOne) {
  auto& node = only_node();
  auto peer = client();
  peer.send(std::string(kChunked) + "2\r\nhi\r\n0\r\n\r\n" + std::string(kGet));
  EXPECT_EQ(serve(node).body, "hi");
  EXPECT_EQ(serve(node)["REQUEST_METHOD"], "GET");
  EXPECT_EQ(peer.take(), std::string(kOk) + std::string(kOk));
}

TEST_F(SessionBody, ChunkedBodyBeyondMemoryGoesThroughAFileWithoutAName) {
  options_.limits.body_memory_bytes = 10'000;
  auto& node = only_node();
  auto peer = client();
  test::Random random;
  const std::string body = random.bytes(1'000'000);
  peer.send(kChunked);
  for (std::size_t at = 0; at < body.size(); at += 50'000) {
    peer.send("c350\r\n" + body.substr(at, 50'000) + "\r\n");
    settle();
  }
  EXPECT_TRUE(std::filesystem::is_socket(temp_ / "node"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(temp_.path()),
                          std::filesystem::directory_iterator()),
            1);  // the node's socket alone
  peer.send("0\r\n\r\n");
  auto connection = accept(node);
  ASSERT_TRUE(connection);
  std::optional<test::NodeRequest> request;
  for (int i = 0; i < 200; ++i) {
    request = connection->request();
    settle();
    if (request && request->body.size() == body.size()) break;
  }
  ASSERT_TRUE(request);
  EXPECT_EQ((*request)["CONTENT_LENGTH"], "1000000");
  EXPECT_TRUE(request->body == body);
  EXPECT_LE(context().buffers.lent(), 3U);
  connection->answer(kOk);
  settle();
  EXPECT_EQ(peer.take(), kOk);
}

TEST_F(SessionBody, ChunkedBodyBeyondTheLimitIs413) {
  options_.limits.body_bytes = 10;
  auto& node = only_node();
  EXPECT_EQ(status_of(refusal(std::string(kChunked) + "b\r\nhello world\r\n")),
            "413");
  EXPECT_EQ(status_of(refusal(std::string(kChunked) +
                              "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")),
            "413");
  EXPECT_FALSE(accept(node));
  auto peer = client();
  peer.send(std::string(kChunked) + "a\r\nhello worl\r\n0\r\n\r\n");
  EXPECT_EQ(serve(node).body, "hello worl");
}

TEST_F(SessionBody, MalformedChunkedBodyIs400AndNoNodeHearsOfIt) {
  auto& node = only_node();
  for (const char* body : {"x\r\n", "5\nhello", "5\r\nhelloX", "-1\r\n",
                           "0\r\nHost: x\r\n\r\n", "8000000000000000\r\n"}) {
    auto peer = client();
    peer.send(std::string(kChunked) + body + std::string(kGet));
    settle();
    EXPECT_EQ(status_of(peer.take()), "400") << body;
    EXPECT_TRUE(peer.ended()) << body;
    EXPECT_FALSE(accept(node)) << body;
  }
}

TEST_F(SessionBody, ChunkedBodyBrokenOffIsForgotten) {
  auto& node = only_node();
  auto peer = client();
  peer.send(std::string(kChunked) + "5\r\nhel");
  settle();
  peer.close();
  EXPECT_FALSE(accept(node));
  EXPECT_EQ(closed_, 1);
}

TEST_F(SessionBody, BodyThatCannotBeStoredIs500) {
  options_.temp_dir = temp_ / "not there";
  options_.limits.body_memory_bytes = 4;
  only_node();
  const std::string got =
      refusal(std::string(kChunked) + "5\r\nhello\r\n0\r\n\r\n");
  EXPECT_EQ(status_of(got), "500");
  EXPECT_EQ(got.find(temp_.path()), got.npos);
}

}  // namespace
}  // namespace fealty::router
