// What a request brings to the choice of its node: the client's address, its
// cookie; and backup levels, as the sessions see them.

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/unit/router/session_fixture.h"

namespace fealty::router {
namespace {

using subscription::Algorithm;

class SessionChoice : public SessionTest {
 protected:
  // `count` nodes of example.com, all on level 0.
  void make_nodes(std::size_t count, Algorithm algorithm,
                  subscription::Protocol protocol =
                      subscription::Protocol::kUwsgi) {
    std::vector<test::RouteNode> routes;
    for (std::size_t i = 0; i < count; ++i) {
      nodes_.push_back(std::make_unique<test::FakeNode>(
          temp_ / ("node" + std::to_string(i))));
      routes.push_back(test::make_node(nodes_.back()->address()));
      routes.back().protocol = protocol;
    }
    route_to(routes, algorithm);
  }
  // Who got the client's request, and what the client got.
  struct Exchange {
    std::size_t node = SIZE_MAX;
    std::string answer;
  };
  Exchange ask(test::Peer& peer, const std::string& cookies = {},
               std::string_view answer = kOk) {
    std::string request = "GET / HTTP/1.1\r\nHost: example.com\r\n";
    if (!cookies.empty()) request += "Cookie: " + cookies + "\r\n";
    peer.send(request + "\r\n");
    settle();
    Exchange done;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      auto connection = nodes_[i]->accept();
      if (!connection) continue;
      EXPECT_EQ(done.node, SIZE_MAX) << "two nodes were asked";
      done.node = i;
      connection->read();
      connection->answer(answer);
      settle();
    }
    done.answer = peer.take();
    return done;
  }
  // "name=value" of the cookie that an answer sets; "" where it sets none.
  static std::string cookie_of(const std::string& answer) {
    constexpr std::string_view kField = "\r\nSet-Cookie: ";
    const std::size_t at = answer.find(kField);
    if (at == answer.npos) return {};
    const std::size_t from = at + kField.size();
    return answer.substr(from, answer.find(';', from) - from);
  }

  std::vector<std::unique_ptr<test::FakeNode>> nodes_;
};

// -------------------------------------------------------------------- sticky

TEST_F(SessionChoice, StickyClientComesBackToItsNode) {
  make_nodes(3, Algorithm::kSticky);
  auto peer = client();
  const Exchange first = ask(peer);
  const std::string cookie = cookie_of(first.answer);
  ASSERT_NE(cookie, "") << first.answer;
  EXPECT_NE(first.answer.find("; Path=/; HttpOnly; SameSite=Lax\r\n"),
            std::string::npos);
  for (int i = 0; i < 10; ++i) {
    auto another = client();  // on any connection
    const Exchange next = ask(another, "a=b; " + cookie);
    EXPECT_EQ(next.node, first.node);
    EXPECT_EQ(next.answer, kOk);  // nothing new to say
  }
}

TEST_F(SessionChoice, ClientsWithoutCookieTakeTurns) {
  make_nodes(3, Algorithm::kSticky);
  auto peer = client();
  std::set<std::size_t> seen;
  for (int i = 0; i < 3; ++i) seen.insert(ask(peer).node);
  EXPECT_EQ(seen.size(), 3U);
}

TEST_F(SessionChoice, StickyClientMovesOnlyWhenItsOwnNodeDies) {
  make_nodes(3, Algorithm::kSticky);
  auto peer = client();
  const Exchange first = ask(peer);
  const std::string cookie = cookie_of(first.answer);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (i != first.node) nodes_[i]->stop_listening();
  }
  EXPECT_EQ(ask(peer, cookie).node, first.node);
}

TEST_F(SessionChoice, StickyClientGetsAnotherCookieWithAnotherNode) {
  make_nodes(2, Algorithm::kSticky);
  auto peer = client();
  const Exchange first = ask(peer);
  nodes_[first.node]->stop_listening();
  const Exchange moved = ask(peer, cookie_of(first.answer));
  EXPECT_EQ(moved.node, 1 - first.node);
  const std::string cookie = cookie_of(moved.answer);
  EXPECT_NE(cookie, "");
  EXPECT_NE(cookie, cookie_of(first.answer));
  EXPECT_EQ(ask(peer, cookie).answer, kOk);
}

TEST_F(SessionChoice, ForgedCookieCountsAsNone) {
  make_nodes(2, Algorithm::kSticky);
  auto peer = client();
  std::string cookie = cookie_of(ask(peer).answer);
  cookie.back() = cookie.back() == '0' ? '1' : '0';
  std::set<std::size_t> seen;
  for (int i = 0; i < 4; ++i) {
    const Exchange next = ask(peer, cookie);
    EXPECT_NE(cookie_of(next.answer), "");
    seen.insert(next.node);
  }
  EXPECT_EQ(seen.size(), 2U);
}

TEST_F(SessionChoice, OneNodeAloneIsRememberedToo) {
  make_nodes(1, Algorithm::kSticky);
  auto peer = client();
  const std::string cookie = cookie_of(ask(peer).answer);
  EXPECT_NE(cookie, "");
  EXPECT_EQ(ask(peer, cookie).answer, kOk);
}

TEST_F(SessionChoice, CookieIsSetOnTheFinalAnswerOnce) {
  make_nodes(1, Algorithm::kSticky);
  auto peer = client();
  const std::string answer =
      ask(peer, "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
                        std::string(kOk))
          .answer;
  const std::size_t at = answer.find("Set-Cookie: ");
  EXPECT_GT(at, answer.find("HTTP/1.1 200"));
  EXPECT_EQ(answer.find("Set-Cookie: ", at + 1), std::string::npos);
}

TEST_F(SessionChoice, HttpNodesAreStickyToo) {
  make_nodes(2, Algorithm::kSticky, subscription::Protocol::kHttp);
  auto peer = client();
  const Exchange first = ask(peer);
  const std::string cookie = cookie_of(first.answer);
  ASSERT_NE(cookie, "");
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(ask(peer, cookie).node, first.node);
  }
}

TEST_F(SessionChoice, OtherAlgorithmsSetNoCookie) {
  make_nodes(2, Algorithm::kIphash);
  auto peer = client();
  EXPECT_EQ(ask(peer).answer, kOk);
}

// -------------------------------------------------------------------- iphash

TEST_F(SessionChoice, ClientsAddressDecidesWithIphash) {
  make_nodes(3, Algorithm::kIphash);
  std::set<std::size_t> seen;
  for (int i = 1; i < 40; ++i) {
    const std::string host = "192.0.2." + std::to_string(i);
    auto peer = client_from(host + ":1000");
    const std::size_t node = ask(peer).node;
    seen.insert(node);
    auto again = client_from(host + ":2000");
    EXPECT_EQ(ask(again).node, node) << host;
  }
  EXPECT_EQ(seen.size(), 3U);
}

TEST_F(SessionChoice, DeathOfANodeMovesItsOwnClientsOnlyWithIphash) {
  make_nodes(3, Algorithm::kIphash);
  std::map<std::string, std::size_t> before;
  for (int i = 1; i < 30; ++i) {
    const std::string address = "192.0.2." + std::to_string(i) + ":1";
    auto peer = client_from(address);
    before[address] = ask(peer).node;
  }
  nodes_[1]->stop_listening();
  for (const auto& [address, node] : before) {
    auto peer = client_from(address);
    const std::size_t now = ask(peer).node;
    EXPECT_NE(now, 1U);
    if (node != 1) EXPECT_EQ(now, node) << address;
  }
}

// -------------------------------------------------------------------- levels

TEST_F(SessionChoice, BackupIsUsedOnlyWhileNobodyElseAnswers) {
  for (const char* name : {"first", "second", "backup"}) {
    nodes_.push_back(std::make_unique<test::FakeNode>(temp_ / name));
  }
  std::vector<test::RouteNode> routes;
  for (const auto& node : nodes_) {
    routes.push_back(test::make_node(node->address()));
  }
  routes[2].level = 1;
  route_to(routes);
  auto peer = client();
  for (int i = 0; i < 6; ++i) EXPECT_LT(ask(peer).node, 2U);
  nodes_[0]->stop_listening();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(ask(peer).node, 1U);
  nodes_[1]->stop_listening();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(ask(peer).node, 2U);
  runtimes_[0]->on_announced(coarse_monotonic_ms());
  ASSERT_EQ(::unlink((temp_ / "first").c_str()), 0);
  nodes_[0] = std::make_unique<test::FakeNode>(temp_ / "first");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(ask(peer).node, 0U);
}

}  // namespace
}  // namespace fealty::router
