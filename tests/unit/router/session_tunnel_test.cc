// WebSockets: switched to by a node's 101 alone, then bytes both ways.

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/http/random_text.h"
#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

constexpr std::string_view kAsk =
    "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: a2V5\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Accept: yes\r\n\r\n";
constexpr std::string_view kSwitched =
    "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: yes\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

// A test for each of the two protocols.
class SessionTunnel : public SessionTest,
                      public testing::WithParamInterface<bool> {
 protected:
  SessionTunnel() : fake_(temp_ / "node") {}

  void route() {
    route_to({GetParam() ? test::make_http_node(fake_.address())
                         : test::make_node(fake_.address())});
  }
  // The node's end, after the request has arrived there.
  test::NodePeer asked(test::Peer& peer, std::string_view ask = kAsk) {
    peer.send(ask);
    auto node = accept(fake_);
    EXPECT_TRUE(node);
    if (!node) return {};
    request_ = node->take();
    return std::move(*node);
  }
  test::NodePeer switched(test::Peer& peer) {
    auto node = asked(peer);
    node.send(kSwitch);
    settle();
    EXPECT_EQ(peer.take(), kSwitched);
    EXPECT_EQ(open_tunnels(), 1U);
    return node;
  }
  [[nodiscard]] std::uint64_t open_tunnels() {
    return context().counters.tunnels_open.load();
  }

  test::FakeNode fake_;
  std::string request_;
};

INSTANTIATE_TEST_SUITE_P(Protocols, SessionTunnel, testing::Bool(),
                         [](const auto& which) {
                           return which.param ? "Http" : "Uwsgi";
                         });

TEST_P(SessionTunnel, NodeIsAskedWhatTheClientAsked) {
  route();
  auto peer = client();
  const auto node = asked(peer);
  const auto has = [&](std::string_view text) {
    EXPECT_NE(request_.find(text), std::string::npos) << text;
  };
  if (GetParam()) {
    has("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    has("\r\nSec-WebSocket-Key: a2V5\r\n");
  } else {
    has("HTTP_UPGRADE");
    has("HTTP_CONNECTION");
    has("HTTP_SEC_WEBSOCKET_KEY");
  }
}

TEST_P(SessionTunnel, BytesGoBothWaysAsTheyAre) {
  route();
  auto peer = client();
  auto node = switched(peer);
  const std::string bytes = "\x81\x04ping\0\r\n\r\nGET / HTTP/1.1\r\n";
  for (int i = 0; i < 3; ++i) {
    peer.send(bytes);
    settle();
    EXPECT_EQ(node.take(), bytes);
    node.send("HTTP/1.1 200 OK\r\n\r\n");
    settle();
    EXPECT_EQ(peer.take(), "HTTP/1.1 200 OK\r\n\r\n");
  }
  EXPECT_EQ(context().counters.tunnels.load(), 1U);
  EXPECT_EQ(context().counters.answers[1].load(), 1U);
  EXPECT_EQ(context().buffers.lent(), 0U);
}

TEST_P(SessionTunnel, HoldsNoBlockForTheAccessLog) {
  static AccessLog log(1);  // outlives the sessions
  options_.access_log.emplace();
  Settings settings{options_};
  settings.access_log = &log;
  context().adopt(std::make_shared<const Settings>(std::move(settings)));
  route();
  auto peer = client();
  auto node = switched(peer);
  EXPECT_EQ(context().buffers.lent(), 0U);
}

TEST_P(SessionTunnel, BytesThatComeWithTheSwitchAreNotLost) {
  route();
  auto peer = client();
  auto node = asked(peer, std::string(kAsk) + "eager");
  node.send(std::string(kSwitch) + "hello");
  settle();
  EXPECT_EQ(peer.take(), std::string(kSwitched) + "hello");
  EXPECT_EQ(node.take(), "eager");
}

TEST_P(SessionTunnel, EachSidesEndIsHandedOn) {
  route();
  auto peer = client();
  auto node = switched(peer);
  peer.send("last");
  peer.shut_down_writing();
  settle();
  EXPECT_EQ(node.take(), "last");
  EXPECT_EQ(node.end(), 0);
  node.send("and yet");  // the other direction is open
  settle();
  EXPECT_EQ(peer.take(), "and yet");
  EXPECT_FALSE(peer.end());
  node.close();
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_TRUE(session().closed());
  EXPECT_EQ(open_tunnels(), 0U);
}

TEST_P(SessionTunnel, NodesEndIsHandedOn) {
  route();
  auto peer = client();
  auto node = switched(peer);
  node.send("bye");
  node.shut_down_writing();
  settle();
  EXPECT_EQ(peer.take(), "bye");
  EXPECT_EQ(peer.end(), 0);
  peer.send("bye too");
  settle();
  EXPECT_EQ(node.take(), "bye too");
  peer.close();
  settle();
  EXPECT_TRUE(node.ended());
  EXPECT_TRUE(session().closed());
}

TEST_P(SessionTunnel, SlowSideStopsTheOther) {
  route();
  auto peer = client();
  auto node = switched(peer);
  for (auto [from, to] : {std::pair<test::Peer*, test::Peer*>{&peer, &node},
                          std::pair<test::Peer*, test::Peer*>{&node, &peer}}) {
    test::Random random;
    const std::string bytes = random.bytes(8 << 20);
    std::size_t sent = 0;
    for (std::size_t now = 1; now > 0;) {
      now = from->send_some(std::string_view(bytes).substr(sent));
      sent += now;
      settle();
    }
    EXPECT_LT(sent, 2U << 20);
    EXPECT_EQ(context().buffers.lent(), 1U);
    std::string got;
    while (got.size() < bytes.size()) {
      const std::string part = to->take();
      got += part;
      const std::size_t now =
          from->send_some(std::string_view(bytes).substr(sent));
      sent += now;
      settle();
      if (part.empty() && now == 0) break;
    }
    EXPECT_TRUE(got == bytes) << got.size();
    EXPECT_EQ(context().buffers.lent(), 0U);
  }
}

TEST_P(SessionTunnel, EndComesBehindWhatWasBeforeIt) {
  route();
  auto peer = client();
  auto node = switched(peer);
  const std::string bytes(3 << 20, 'x');
  std::size_t sent = 0;
  std::string got;
  while (sent < bytes.size()) {
    sent += peer.send_some(std::string_view(bytes).substr(sent));
    settle();
    if (node.read_some(4'096)) got += node.take();
  }
  peer.shut_down_writing();
  while (!node.end()) {
    settle();
    got += node.take();
  }
  EXPECT_TRUE(got == bytes) << got.size();
}

TEST_P(SessionTunnel, SilentTunnelEnds) {
  route();
  auto peer = client();
  auto node = switched(peer);
  expire(context().node_deadline);
  EXPECT_TRUE(session().closed());
  EXPECT_TRUE(peer.ended());
  EXPECT_TRUE(node.ended());
  EXPECT_EQ(open_tunnels(), 0U);
}

TEST_P(SessionTunnel, NodeThatVanishesIsNoRegularEnd) {
  test::FakeNode tcp("127.0.0.1:0");
  route_to({GetParam() ? test::make_http_node(tcp.address())
                       : test::make_node(tcp.address())});
  auto peer = tcp_client();
  peer.send(kAsk);
  settle();
  auto node = tcp.wait_for_connection();
  ASSERT_TRUE(test::eventually([&] { return settle(), !node.take().empty(); }));
  node.send(kSwitch);
  ASSERT_TRUE(test::eventually([&] { return settle(), open_tunnels() == 1; }));
  node.reset();
  ASSERT_TRUE(test::eventually([&] { return settle(), peer.ended(); }));
  EXPECT_EQ(peer.end(), ECONNRESET);
}

TEST_P(SessionTunnel, AnyOtherAnswerIsAnAnswer) {
  route();
  auto peer = client();
  auto node = asked(peer);
  node.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  settle();
  EXPECT_EQ(peer.take(), "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_TRUE(idle());
  EXPECT_EQ(context().counters.tunnels.load(), 0U);
}

TEST_P(SessionTunnel, SwitchThatNobodyAskedForIsRefused) {
  route();
  const std::string h2c =
      "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n"
      "Upgrade: h2c\r\n\r\n";
  for (const std::string& ask : {std::string(kGet), h2c}) {
    auto peer = client();
    auto node = asked(peer, ask);
    node.send(kSwitch);
    settle();
    EXPECT_EQ(status_of(peer.take()), "502") << ask;
    EXPECT_TRUE(node.ended());
  }
}

TEST_P(SessionTunnel, SwitchToSomethingElseIsRefused) {
  route();
  for (const char* to : {"Upgrade: h2c\r\n", "", "Upgrade: websocket, h2c\r\n"}) {
    auto peer = client();
    auto node = asked(peer);
    node.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" +
              std::string(to) + "\r\n");
    settle();
    EXPECT_EQ(status_of(peer.take()), "502") << to;
  }
}

TEST_P(SessionTunnel, SwitchHasNoBodysLength) {
  route();
  auto peer = client();
  auto node = asked(peer);
  node.send("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n");
  settle();
  EXPECT_EQ(peer.take(), "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n"
                         "Upgrade: websocket\r\n\r\n");
}

}  // namespace
}  // namespace fealty::router
