#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/deadline.h"
#include "base/fd.h"
#include "base/poller.h"
#include "base/ref.h"
#include "router/stream.h"
#include "subscription/node.h"

namespace fealty::router {

class NodePool;

// Who is told of what a node's connection is ready for.
class NodeUser {
 public:
  virtual void on_node(int events) = 0;

 protected:
  ~NodeUser() = default;
};

// A connection to a node: a session's while it has a request there, its pool's
// before and after. The watcher belongs to the connection, so that one which is
// kept stays known to the kernel from request to request.
class NodeConnection {
 public:
  NodeConnection(NodePool& pool, Poller& poller);

  Stream stream;
  Poller::Watcher io;

 private:
  friend class NodePool;

  struct OwnedDeadline : Deadline {
    NodeConnection* connection = nullptr;
  };
  void on_ready(int events);

  NodePool& pool_;
  NodeUser* user_ = nullptr;           // null: idle, or not in use at all
  std::int64_t opened_ms_ = 0;
  // Whose connection it is, once it was kept: as long as it is held, nothing
  // else can have that address.
  Ref<subscription::NodeRuntime> node_;
  OwnedDeadline idle_;
  // Idle ones of one node, the newest on top; the topmost also stands in the
  // chain of its bucket and knows their number. Free ones use below_ too.
  NodeConnection* below_ = nullptr;
  NodeConnection* next_ = nullptr;
  std::uint32_t count_ = 0;
};

struct NodePoolLimits {
  std::int64_t idle_ms = 4'000;        // unused for so long: closed
  std::int64_t age_ms = 300'000;       // older: not kept again
  std::uint32_t idle_per_node = 256;
};

// A worker's connections to nodes: those in use, and those that idle between
// two requests of an HTTP node, to be used again last in, first out.
//
// An idle connection has nothing to say: what becomes readable (its end, or
// bytes that nobody asked for) is closed and never used again. That is known
// without asking the kernel, since idle ones stay watched. Nodes that departed
// are not asked for any more, and theirs end with the idle limit.
//
// Bounds: `idle_per_node`, kIdleMost in all (the longest idle goes for the
// newest). Objects are reused; in steady state nothing is allocated. One
// thread: its worker's.
class NodePool {
 public:
  static constexpr std::size_t kIdleMost = 4'096;

  NodePool(Poller& poller, const NodePoolLimits& limits);
  NodePool(const NodePool&) = delete;
  NodePool& operator=(const NodePool&) = delete;
  ~NodePool();

  // A new connection, on the way or made; not watched yet.
  [[nodiscard]] NodeConnection* open(UniqueFd fd, NodeUser& user);
  // The idle connection of this node that was used last; null: there is none.
  [[nodiscard]] NodeConnection* take(const subscription::NodeRuntime& node,
                                     NodeUser& user);
  // It may be used again: everything was sent, and all that was read was the
  // whole of an answer. Closed where it is too old or there are too many.
  void keep(NodeConnection& connection,
            subscription::NodeRuntime& node, std::int64_t now_ms);
  // Its request, and it, are over.
  void close(NodeConnection& connection);

  // The node does not take connections: those that it had are not trusted.
  void drop(const subscription::NodeRuntime& node);
  // Closes those that have idled too long.
  void expire(std::int64_t now_ms);
  // For what idles already too, but for how many do.
  void set_limits(const NodePoolLimits& limits) {
    limits_ = limits;
    idle_queue_.set_duration(limits.idle_ms);
  }
  // Gives a descriptor back where the process has run out of them. False:
  // none idles.
  bool drop_oldest();

  [[nodiscard]] std::size_t idle() const { return idle_count_; }

 private:
  friend class NodeConnection;
  static constexpr std::size_t kBuckets = 1'024;

  // Where the topmost idle connection of the node stands, or would.
  [[nodiscard]] NodeConnection** find(const subscription::NodeRuntime* node);
  void push(NodeConnection& connection, NodeConnection** place);
  void remove(NodeConnection& connection);
  void drop_idle(NodeConnection& connection);

  Poller& poller_;
  NodePoolLimits limits_;
  DeadlineQueue idle_queue_;           // the longest idle first
  std::vector<NodeConnection*> buckets_;
  std::vector<std::unique_ptr<NodeConnection>> all_;
  NodeConnection* free_ = nullptr;
  std::size_t idle_count_ = 0;
};

}  // namespace fealty::router
