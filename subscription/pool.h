#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "subscription/announcement.h"

namespace fealty::subscription {

// What changes with every request and is shared by all threads: atomics only,
// relaxed, on a cache line of its own. It outlives the snapshots: a node that
// was removed drains here.
struct alignas(64) NodeRuntime {
  std::atomic<std::uint32_t> in_flight{0};      // requests being answered
  std::atomic<std::uint32_t> failures{0};       // in a row; success clears
  std::atomic<std::int64_t> rest_until_ms{0};   // monotonic; 0: not resting
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> failed{0};         // connections, ever
  std::atomic<std::uint64_t> sent_bytes{0};     // to the node
  std::atomic<std::uint64_t> received_bytes{0}; // from the node

  // A node that could not be reached rests: 0.5 s, doubled with each failure
  // in a row, up to 30 s. Requests that set out together and fail together
  // count as one failure: those that come in while it rests already only add
  // to `failed`. Any thread.
  void on_connect_failure(std::int64_t now_ms);
  // It answered, or it announced itself: eligible at once.
  void on_success() {
    if (failures.load(std::memory_order_relaxed) == 0 &&
        rest_until_ms.load(std::memory_order_relaxed) == 0) {
      return;
    }
    failures.store(0, std::memory_order_relaxed);
    rest_until_ms.store(0, std::memory_order_relaxed);
  }
  [[nodiscard]] bool resting(std::int64_t now_ms) const {
    const auto until = rest_until_ms.load(std::memory_order_relaxed);
    return until != 0 && now_ms < until;
  }
};

// One application instance as requests see it. Immutable but for `runtime`.
struct Node {
  std::string name;             // its address as announced
  Address address;
  std::uint8_t modifier1 = 0;
  std::uint8_t modifier2 = 0;
  std::uint32_t weight = 1;
  Protocol protocol = Protocol::kUwsgi;
  std::shared_ptr<NodeRuntime> runtime;
};

// Outlives the pool's versions: a change of its nodes does not restart the
// round.
struct alignas(64) PoolRuntime {
  std::atomic<std::uint64_t> cursor{0};
  std::atomic<std::uint64_t> hits{0};
};

// The nodes of one key, immutable: a change makes a new pool with the same
// runtime. `schedule` is the order of one round (indexes into `nodes`): smooth
// weighted round robin, so that weights 5,1,1 give a a b a c a a and no burst.
struct Pool {
  std::string key;
  std::uint64_t hash = 0;
  std::vector<Node> nodes;
  std::vector<std::uint16_t> schedule;
  // Nodes of several protocols: what is encoded for one is not for all.
  bool mixed_protocols = false;
  std::shared_ptr<PoolRuntime> runtime;
};

inline constexpr std::size_t kPoolNodesMax = 4096;
// A round is at most this long (or one turn a node); larger weights are scaled
// down to it, and a node's share never falls to nothing.
inline constexpr std::size_t kScheduleLengthMax = 4096;

[[nodiscard]] std::vector<std::uint16_t> make_schedule(
    const std::vector<Node>& nodes);

[[nodiscard]] bool speak_several_protocols(const std::vector<Node>& nodes);

// The nodes that a request has tried already; few, or it gives up.
class TriedNodes {
 public:
  static constexpr std::size_t kMost = 32;
  void add(const Node* node) {
    if (count_ < kMost) nodes_[count_++] = node;
  }
  [[nodiscard]] bool contains(const Node* node) const {
    for (std::size_t i = 0; i < count_; ++i) {
      if (nodes_[i] == node) return true;
    }
    return false;
  }
  [[nodiscard]] bool full() const { return count_ == kMost; }
  [[nodiscard]] std::size_t size() const { return count_; }
  void clear() { count_ = 0; }

 private:
  const Node* nodes_[kMost] = {};
  std::size_t count_ = 0;
};

// The node for the next request of `pool`: the next of the round that was not
// tried and does not rest; if all rest, the next that was not tried; null if
// all were tried. Any thread, wait-free: the cursor is shared by all of them,
// so equal nodes get equal shares whatever worker asks. A node that is passed
// over uses up its turn, which spreads its share evenly over the others.
[[nodiscard]] const Node* choose(const Pool& pool, const TriedNodes& tried,
                                 std::int64_t now_ms);

}  // namespace fealty::subscription
