#include "router/node_pool.h"

#include "base/check.h"
#include "base/clock.h"

namespace fealty::router {

NodeConnection::NodeConnection(NodePool& pool, Poller& poller) : pool_(pool) {
  io.bind<&NodeConnection::on_ready>(poller, this);
  idle_.connection = this;
}

void NodeConnection::on_ready(int events) {
  if (user_ != nullptr) {
    user_->on_node(events);
  } else {
    pool_.drop_idle(*this);
  }
}

NodePool::NodePool(Poller& poller, const NodePoolLimits& limits)
    : poller_(poller), limits_(limits), idle_queue_(limits.idle_ms),
      buckets_(kBuckets, nullptr) {}

NodePool::~NodePool() = default;

NodeConnection* NodePool::open(UniqueFd fd, NodeUser& user) {
  NodeConnection* connection = free_;
  if (connection != nullptr) {
    free_ = connection->below_;
    connection->below_ = nullptr;
  } else {
    all_.push_back(std::make_unique<NodeConnection>(*this, poller_));
    connection = all_.back().get();
  }
  connection->stream = Stream(std::move(fd));
  connection->user_ = &user;
  connection->opened_ms_ = coarse_monotonic_ms();
  return connection;
}

NodeConnection* NodePool::take(const subscription::NodeRuntime& node,
                               NodeUser& user) {
  if (idle_count_ == 0) return nullptr;
  NodeConnection* const top = *find(&node);
  if (top == nullptr) return nullptr;
  remove(*top);
  top->user_ = &user;
  return top;
}

void NodePool::keep(NodeConnection& connection,
                    subscription::NodeRuntime& node, std::int64_t now_ms) {
  FEALTY_CHECK(connection.user_ != nullptr && connection.stream.open());
  NodeConnection** const place = find(&node);
  const bool crowded =
      *place != nullptr && (*place)->count_ >= limits_.idle_per_node;
  if (crowded || limits_.idle_per_node == 0 ||
      now_ms - connection.opened_ms_ >= limits_.age_ms) {
    close(connection);
    return;
  }
  connection.user_ = nullptr;
  if (connection.node_.get() != &node) {
    connection.node_ = Ref<subscription::NodeRuntime>::share(&node);
  }
  connection.io.want(EV_READ);
  idle_queue_.arm(connection.idle_, now_ms);
  push(connection, place);
  if (idle_count_ > kIdleMost) drop_oldest();
}

void NodePool::close(NodeConnection& connection) {
  FEALTY_CHECK(connection.stream.open());
  connection.io.stop();
  connection.stream.close();
  connection.user_ = nullptr;
  connection.node_.reset();
  connection.below_ = free_;
  free_ = &connection;
}

void NodePool::drop(const subscription::NodeRuntime& node) {
  if (idle_count_ == 0) return;
  while (NodeConnection* const top = *find(&node)) drop_idle(*top);
}

void NodePool::expire(std::int64_t now_ms) {
  while (Deadline* const passed = idle_queue_.pop_passed(now_ms)) {
    drop_idle(*static_cast<NodeConnection::OwnedDeadline&>(*passed).connection);
  }
}

bool NodePool::drop_oldest() {
  Deadline* const oldest = idle_queue_.front();
  if (oldest == nullptr) return false;
  drop_idle(*static_cast<NodeConnection::OwnedDeadline&>(*oldest).connection);
  return true;
}

NodeConnection** NodePool::find(const subscription::NodeRuntime* node) {
  // Nodes stand on addresses aligned to 16.
  const auto hash = reinterpret_cast<std::uintptr_t>(node) / 16 *
                    std::uintptr_t{0x9E3779B97F4A7C15U};
  NodeConnection** place = &buckets_[hash >> 54];
  while (*place != nullptr && (*place)->node_.get() != node) {
    place = &(*place)->next_;
  }
  return place;
}

void NodePool::push(NodeConnection& connection, NodeConnection** place) {
  NodeConnection* const top = *place;
  connection.below_ = top;
  connection.next_ = top != nullptr ? top->next_ : nullptr;
  connection.count_ = top != nullptr ? top->count_ + 1 : 1;
  *place = &connection;
  ++idle_count_;
}

void NodePool::remove(NodeConnection& connection) {
  NodeConnection** const place = find(connection.node_.get());
  NodeConnection* const top = *place;
  FEALTY_CHECK(top != nullptr);
  if (top == &connection) {
    NodeConnection* const below = top->below_;
    *place = below != nullptr ? below : top->next_;
    if (below != nullptr) {
      below->next_ = top->next_;
      below->count_ = top->count_ - 1;
    }
  } else {
    NodeConnection* above = top;
    while (above->below_ != &connection) above = above->below_;
    above->below_ = connection.below_;
    --top->count_;
  }
  connection.below_ = connection.next_ = nullptr;
  connection.idle_.disarm();
  --idle_count_;
}

void NodePool::drop_idle(NodeConnection& connection) {
  remove(connection);
  close(connection);
}

}  // namespace fealty::router
