#include "router/node_pool.h"

#include <gtest/gtest.h>

#include <fcntl.h>

#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "tests/unit/http/random_text.h"
#include "tests/unit/router/sockets.h"

namespace fealty::router {
namespace {

using subscription::NodeRecord;
using NodeRef = Ref<NodeRecord>;

NodeRef make_node() { return NodeRecord::make("node", {}); }

class User final : public NodeUser {
 public:
  void on_node(int events) override { ready |= events; }
  int ready = 0;
};

class NodePoolTest : public testing::Test {
 protected:
  void make_pool(const NodePoolLimits& limits = {}) {
    pool_ = std::make_unique<NodePool>(poller_, limits);
  }
  // A connection in use; its node's end is in ends_.
  NodeConnection& open() {
    if (pool_ == nullptr) make_pool();
    auto [ours, theirs] = test::unix_pair();
    ends_.emplace_back(std::move(theirs));
    NodeConnection& connection = *pool_->open(std::move(ours), user_);
    EXPECT_TRUE(connection.io.start(connection.stream.fd(), EV_READ));
    return connection;
  }
  NodeConnection& idle(const NodeRef& node,
                       std::int64_t now_ms = 0) {
    NodeConnection& connection = open();
    pool_->keep(connection, *node, now_ms);
    return connection;
  }
  NodeConnection* take(const NodeRef& node) {
    return pool_->take(*node, user_);
  }
  void settle() {
    for (int i = 0; i < 5; ++i) loop_.run_nowait();
  }

  Loop loop_;
  Poller poller_{loop_};
  User user_;
  std::unique_ptr<NodePool> pool_;
  std::vector<test::Peer> ends_;
  std::vector<UniqueFd> theirs_;
  NodeRef one_ = make_node();
  NodeRef two_ = make_node();
};

TEST_F(NodePoolTest, ConnectionOfANodeIsForThatNode) {
  NodeConnection& kept = idle(one_);
  EXPECT_EQ(take(two_), nullptr);
  EXPECT_EQ(take(one_), &kept);
  EXPECT_EQ(take(one_), nullptr);
  EXPECT_EQ(pool_->idle(), 0U);
  pool_->close(kept);
}

TEST_F(NodePoolTest, NewestIsTakenFirst) {
  NodeConnection& first = idle(one_);
  NodeConnection& other = idle(two_);
  NodeConnection& second = idle(one_);
  EXPECT_EQ(take(one_), &second);
  EXPECT_EQ(take(one_), &first);
  EXPECT_EQ(take(two_), &other);
}

TEST_F(NodePoolTest, IdleOneThatEndsIsGone) {
  NodeConnection& kept = idle(one_);
  const int fd = kept.stream.fd();
  ends_[0].close();
  settle();
  EXPECT_EQ(take(one_), nullptr);
  EXPECT_FALSE(kept.stream.open());
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  EXPECT_EQ(user_.ready, 0);
}

TEST_F(NodePoolTest, IdleOneThatSpeaksUnaskedIsGone) {
  idle(one_);
  ends_[0].send("HTTP/1.1 200 OK\r\n\r\n");
  settle();
  EXPECT_EQ(take(one_), nullptr);
  EXPECT_TRUE(ends_[0].ended());
}

TEST_F(NodePoolTest, OneInUseSpeaksToItsUser) {
  idle(one_);
  ASSERT_NE(take(one_), nullptr);
  ends_[0].send("x");
  settle();
  EXPECT_EQ(user_.ready, EV_READ);
}

TEST_F(NodePoolTest, ThoseThatIdleTooLongAreClosed) {
  make_pool({.idle_ms = 100});
  idle(one_, 1'000);
  NodeConnection& later = idle(one_, 1'050);
  pool_->expire(1'099);
  EXPECT_EQ(pool_->idle(), 2U);
  pool_->expire(1'100);
  EXPECT_EQ(pool_->idle(), 1U);
  EXPECT_TRUE(ends_[0].ended());
  EXPECT_EQ(take(one_), &later);
  pool_->expire(INT64_MAX);  // in use: not its time
  EXPECT_FALSE(ends_[1].ended());
}

TEST_F(NodePoolTest, OldOneIsNotKeptAgain) {
  make_pool({.age_ms = 1'000});
  NodeConnection& connection = open();
  pool_->keep(connection, *one_, coarse_monotonic_ms() + 999 - 100);
  ASSERT_EQ(take(one_), &connection);
  pool_->keep(connection, *one_, coarse_monotonic_ms() + 1'000);
  EXPECT_EQ(pool_->idle(), 0U);
  EXPECT_TRUE(ends_[0].ended());
}

TEST_F(NodePoolTest, NodeHasABoundedNumber) {
  make_pool({.idle_per_node = 2});
  for (int i = 0; i < 3; ++i) idle(one_);
  idle(two_);
  EXPECT_EQ(pool_->idle(), 3U);
  EXPECT_TRUE(ends_[2].ended());
  // Room again once one is used.
  ASSERT_NE(take(one_), nullptr);
  idle(one_);
  EXPECT_EQ(pool_->idle(), 3U);
  EXPECT_FALSE(ends_[4].ended());
}

TEST_F(NodePoolTest, NoneAreKeptWhereNoneMay) {
  make_pool({.idle_per_node = 0});
  idle(one_);
  EXPECT_EQ(pool_->idle(), 0U);
  EXPECT_TRUE(ends_[0].ended());
}

TEST_F(NodePoolTest, OldestGivesWay) {
  make_pool();
  EXPECT_FALSE(pool_->drop_oldest());
  idle(one_);
  idle(two_);
  EXPECT_TRUE(pool_->drop_oldest());
  EXPECT_TRUE(ends_[0].ended());
  EXPECT_FALSE(ends_[1].ended());
}

TEST_F(NodePoolTest, DroppedNodeHasNoneAndOthersKeepTheirs) {
  for (int i = 0; i < 3; ++i) idle(one_);
  NodeConnection& other = idle(two_);
  pool_->drop(*one_);
  EXPECT_EQ(take(one_), nullptr);
  EXPECT_EQ(take(two_), &other);
}

// A departed node's address in memory must not become another's.
TEST_F(NodePoolTest, NodeLivesAsLongAsItsConnectionIdles) {
  idle(one_);
  const NodeRecord* const record = one_.get();
  record->acquire();
  one_.reset();
  EXPECT_FALSE(record->unique());
  pool_->expire(INT64_MAX);
  EXPECT_TRUE(record->unique());
  record->release();
}

TEST_F(NodePoolTest, ClosedObjectsAreUsedAgain) {
  NodeConnection& first = open();
  pool_->close(first);
  EXPECT_EQ(&open(), &first);
}

// Against a model: whatever the order, each node's own, newest first.
TEST_F(NodePoolTest, RandomOrderKeepsToTheModel) {
  make_pool({.idle_per_node = 20});
  test::Random random;
  constexpr std::size_t kNodes = 6;
  std::vector<NodeRef> nodes;
  std::vector<std::vector<NodeConnection*>> model(kNodes);
  for (std::size_t i = 0; i < kNodes; ++i) {
    nodes.push_back(make_node());
  }
  const auto forget = [&](NodeConnection* gone) {
    for (auto& stack : model) std::erase(stack, gone);
  };
  std::vector<NodeConnection*> by_age;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t which = random.below(kNodes);
    auto& stack = model[which];
    switch (random.below(8)) {
      case 0: case 1: case 2: {
        auto [ours, theirs] = test::unix_pair();
        NodeConnection* const made = pool_->open(std::move(ours), user_);
        ASSERT_TRUE(made->io.start(made->stream.fd(), EV_READ));
        pool_->keep(*made, *nodes[which], 0);
        if (stack.size() < 20) {
          stack.push_back(made);
          by_age.push_back(made);
          theirs_.push_back(std::move(theirs));
        }
        break;
      }
      case 3: case 4: case 5: {
        NodeConnection* const taken = take(nodes[which]);
        ASSERT_EQ(taken, stack.empty() ? nullptr : stack.back());
        if (taken == nullptr) break;
        stack.pop_back();
        std::erase(by_age, taken);
        pool_->close(*taken);
        break;
      }
      case 6:
        if (!by_age.empty()) {
          forget(by_age.front());
          by_age.erase(by_age.begin());
          ASSERT_TRUE(pool_->drop_oldest());
        }
        break;
      default:
        if (random.one_in(10)) {
          for (NodeConnection* gone : stack) std::erase(by_age, gone);
          stack.clear();
          pool_->drop(*nodes[which]);
        }
    }
    ASSERT_EQ(pool_->idle(), by_age.size());
    if (theirs_.size() > 200) theirs_.erase(theirs_.begin());
  }
}

}  // namespace
}  // namespace fealty::router
