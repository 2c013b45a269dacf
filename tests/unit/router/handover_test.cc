#include "router/handover.h"

#include <gtest/gtest.h>

#include <string>

namespace fealty::router {
namespace {

Handover made() {
  Handover handover;
  handover.sockets.push_back(
      {Handover::Kind::kListener, "127.0.0.1:80", -1, false, {5, 6}});
  handover.sockets.push_back(
      {Handover::Kind::kAdmin, "/run/admin", 7, true, {}});
  handover.ticket_keys = std::string("\0keys", 5);
  handover.sticky_secret = "secret";
  handover.cluster_key = "cluster";
  auto& identity = handover.identities.emplace_back();
  identity.name = "example.com";
  identity.chain = "chain";
  identity.key = "key";
  identity.client_ca = "ca";
  identity.client_demanded = true;
  identity.client_depth = 3;
  auto& node = handover.nodes.emplace_back();
  node.key = "example.com";
  node.name = "/run/1";
  node.weight = 7;
  node.drained = true;
  node.last_seen_ms = -5;
  node.requests = UINT64_MAX;
  node.sender = subscription::Credentials{1, 2, 3};
  return handover;
}

TEST(Handover, ComesOutAsItWentIn) {
  const auto read = Handover::decode(made().encode());
  ASSERT_TRUE(read);
  ASSERT_EQ(read->sockets.size(), 2U);
  EXPECT_EQ(read->sockets[0].fds, (std::vector<int>{5, 6}));
  EXPECT_EQ(read->sockets[1].kind, Handover::Kind::kAdmin);
  EXPECT_EQ(read->sockets[1].inherited_fd, 7);
  EXPECT_EQ(read->ticket_keys, made().ticket_keys);
  EXPECT_EQ(read->cluster_key, "cluster");
  ASSERT_EQ(read->identities.size(), 1U);
  EXPECT_EQ(read->identities[0].key, "key");
  EXPECT_TRUE(read->identities[0].client_demanded);
  ASSERT_EQ(read->nodes.size(), 1U);
  const auto& node = read->nodes[0];
  EXPECT_EQ(node.name, "/run/1");
  EXPECT_EQ(node.weight, 7U);
  EXPECT_TRUE(node.drained);
  EXPECT_EQ(node.last_seen_ms, -5);
  EXPECT_EQ(node.requests, UINT64_MAX);
  ASSERT_TRUE(node.sender);
  EXPECT_EQ(node.sender->uid, 2U);
  EXPECT_EQ(read->encode(), made().encode());
}

TEST(Handover, EveryCutIsNoticed) {
  const std::string whole = made().encode();
  std::size_t taken = 0;
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    if (Handover::decode(whole.substr(0, bytes))) ++taken;
  }
  EXPECT_EQ(taken, 7U);  // between two records: shorter, but whole
}

TEST(Handover, WhatIsNotKnownIsSkipped) {
  std::string bytes = made().encode();
  bytes += std::string("\xf0\3\0\0\0abc", 8);
  const auto read = Handover::decode(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->nodes.size(), 1U);
  EXPECT_FALSE(Handover::decode("fealty handover 2\n"));
}

}  // namespace
}  // namespace fealty::router
