#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "subscription/pool.h"

namespace fealty::subscription {

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

// What a request brings to the choice.
struct Choice {
  std::int64_t now_ms = 0;         // monotonic
  std::uint64_t client_hash = 0;   // of the client's address (iphash)
  std::uint64_t sticky = 0;        // sticky_token() from a cookie; 0: none
};

// The node for the next request of `pool`; null if all were tried. Any thread,
// wait-free, no allocation.
//
// A node is eligible if it does not rest, no check found it ill, and this
// request has not tried it. The first backup level that has an eligible node
// is the one that is used, by the pool's algorithm:
//   wrr     the next of the round. The cursor is shared by all threads, so
//           equal nodes get equal shares whatever worker asks. A node that is
//           passed over uses up its turn, which spreads its share over the
//           others.
//   lrc     the fewest requests in flight; among equals they take turns.
//   wlrc    the same with the requests in flight divided by the weight; among
//           equals turns are taken by weight.
//   iphash  weighted rendezvous hashing of the client's address: when a node
//           goes only its own clients move. (uWSGI's takes the hash modulo the
//           number of nodes and moves nearly all of them.) Costs some 30 ns a
//           node.
//   sticky  the node that the cookie names if it is eligible, else as wrr.
// Where nobody is eligible, the next that was not tried, the lowest level
// first: ejection never empties a pool.
//
// With slow start a node that joined or came back gets a share that grows from
// a tenth to the whole within PoolRuntime::slow_start_ms.
[[nodiscard]] const Node* choose(const Pool& pool, const TriedNodes& tried,
                                 const Choice& choice);

// What choose() goes by, for those who ask why. The rank of the backup level
// that is used at `now_ms`; empty where nobody is eligible.
[[nodiscard]] std::optional<std::size_t> level_in_use(const Pool& pool,
                                                      std::int64_t now_ms);
// How much of its share slow start gives the node by `now_ms`: 10 to 100.
[[nodiscard]] int share_percent(const Pool& pool, const Node& node,
                                std::int64_t now_ms);

}  // namespace fealty::subscription
