#include "router/admin.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/unit/router/sockets.h"

namespace fealty::router {
namespace {

TEST(QueryValue, ValueIsFoundByName) {
  EXPECT_EQ(query_value("host=a.example", "host"), "a.example");
  EXPECT_EQ(query_value("x=1&host=a&y=2", "host"), "a");
  EXPECT_EQ(query_value("x=1&host=a", "y"), "");
  EXPECT_EQ(query_value("", "host"), "");
}

TEST(QueryValue, NamesAreWhole) {
  EXPECT_EQ(query_value("xhost=1&hostx=2&HOST=3", "host"), "");
  EXPECT_EQ(query_value("host", "host"), "");
  EXPECT_EQ(query_value("&&host=a&&", "host"), "a");
}

TEST(QueryValue, FirstValueCounts) {
  EXPECT_EQ(query_value("host=a&host=b", "host"), "a");
  EXPECT_EQ(query_value("host=&host=b", "host"), "");
}

TEST(QueryValue, ValueIsDecodedAndMayHoldEqualsSigns) {
  EXPECT_EQ(query_value("host=a%2eb%3A80", "host"), "a.b:80");
  EXPECT_EQ(query_value("host=a=b", "host"), "a=b");
}

TEST(QueryValue, MalformedEscapesGiveNothing) {
  EXPECT_EQ(query_value("host=%", "host"), "");
  EXPECT_EQ(query_value("host=%zz", "host"), "");
  EXPECT_EQ(query_value("host=a%00b", "host"), "");
}

class AdminTest : public testing::Test {
 protected:
  AdminTest()
      : admin_(loop_, [this](const Admin::Request& request) {
          return answer(request);
        }) {
    listen({test::address_of("127.0.0.1:0"),
            test::address_of(temp_ / "admin")});
    admin_.start();
  }
  Admin::Answer answer(const Admin::Request& request) {
    ++asked_;
    if (request.method != "GET") return {405, "text/plain", "GET!", "GET"};
    return {request.path == "/missing" ? 404 : 200, "text/plain",
            std::string(request.path) + "|" + std::string(request.query)};
  }
  test::Peer connect() {
    return test::Peer(test::connect_to(bound_.front()));
  }
  void listen(const std::vector<Address>& addresses) {
    auto listeners = admin_.prepare(addresses);
    ASSERT_TRUE(listeners);
    bound_ = Admin::bound(*listeners);
    admin_.adopt(*std::move(listeners));
  }
  // Turns the loop until the answer has ended.
  std::string answer_of(test::Peer& peer) {
    EXPECT_TRUE(test::eventually([&] {
      loop_.run_nowait();
      return peer.ended();
    }));
    return peer.take();
  }
  std::string ask(std::string_view request) {
    auto peer = connect();
    peer.send(request);
    return answer_of(peer);
  }

  test::TempDir temp_;
  Loop loop_;
  int asked_ = 0;
  std::vector<Address> bound_;
  Admin admin_;
};

// A link to the socket, announced as a node, would have a worker come.
TEST_F(AdminTest, OwnProcessIsNotAnsweredOnAUnixSocket) {
  test::Peer peer(test::connect_to(test::address_of(temp_ / "admin")));
  peer.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(answer_of(peer), "");
  EXPECT_EQ(asked_, 0);
}

TEST_F(AdminTest, GetIsAnsweredAndTheConnectionEnds) {
  EXPECT_EQ(ask("GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
            "Content-Length: 12\r\nCache-Control: no-store\r\n"
            "Connection: close\r\n\r\n/metrics|a=b");
}

TEST_F(AdminTest, HeadIsAnsweredWithoutBody) {
  const std::string got = ask("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(got.ends_with("\r\n\r\n"));
}

TEST_F(AdminTest, RequestMayComeInPieces) {
  auto peer = connect();
  for (const char c : std::string("GET / HTTP/1.0\r\n\r\n")) {
    peer.send({&c, 1});
    loop_.run_nowait();
  }
  EXPECT_TRUE(answer_of(peer).ends_with("\r\n\r\n/|"));
}

TEST_F(AdminTest, SilentConnectionGetsTheBareStats) {
  auto peer = connect();
  EXPECT_EQ(answer_of(peer), "/|");
}

TEST_F(AdminTest, ConnectionThatEndsWithoutAWordGetsThemAtOnce) {
  auto peer = connect();
  peer.shut_down_writing();
  EXPECT_EQ(answer_of(peer), "/|");
}

TEST_F(AdminTest, StatusOfTheHandlerIsTheAnswers) {
  EXPECT_TRUE(ask("GET /missing HTTP/1.0\r\n\r\n")
                  .starts_with("HTTP/1.1 404 Not Found\r\n"));
}

TEST_F(AdminTest, HandlerSeesTheMethodAndMaySayWhichAreAllowed) {
  EXPECT_EQ(ask("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\n"
            "Content-Length: 4\r\nCache-Control: no-store\r\n"
            "Connection: close\r\nAllow: GET\r\n\r\nGET!");
}

TEST_F(AdminTest, GarbageIsRefused) {
  EXPECT_TRUE(ask("garbage\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(ask("GET / HTTP/1.1\n\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\nA: " + std::string(9'000, 'x') + "\r\n")
                  .starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(asked_, 0);
}

TEST_F(AdminTest, ConnectionsAreBounded) {
  std::vector<test::Peer> peers;
  for (std::size_t i = 0; i < Admin::kConnectionsMax; ++i) {
    peers.push_back(connect());
    peers.back().send("G");  // silent ones would be answered
    for (int turn = 0; turn < 3; ++turn) loop_.run_nowait();
  }
  auto one_more = connect();
  EXPECT_EQ(answer_of(one_more), "");
  peers.front().close();
  for (int turn = 0; turn < 3; ++turn) loop_.run_nowait();
  EXPECT_NE(ask("GET / HTTP/1.0\r\n\r\n"), "");
}

TEST_F(AdminTest, ClientThatGoesAwayLeavesTheOthers) {
  {
    auto peer = connect();
    peer.send("GET /");
    loop_.run_nowait();
  }
  EXPECT_NE(ask("GET / HTTP/1.0\r\n\r\n"), "");
}

}  // namespace
}  // namespace fealty::router
