#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/home_cells.h"
#include "base/ref.h"
#include "subscription/announcement.h"
#include "subscription/client_rule.h"
#include "subscription/node.h"
#include "subscription/schedule.h"

namespace fealty::subscription {

// Outlives the pool's versions: a change of its nodes does not restart the
// round. Only pools that choose between nodes have one. Any thread.
struct alignas(64) PoolRuntime {
  std::atomic<std::uint64_t> cursor{0};
  std::atomic<std::uint64_t> hits{0};
  // How long a node's share grows for after it joined or came back; 0: off.
  std::atomic<std::int64_t> slow_start_ms{0};

  void acquire() const { refs_.add(); }
  void release() const {
    if (refs_.drop()) delete this;
  }

 private:
  RefCount refs_;
};

// The nodes of one key, immutable: a change makes a new pool with the same
// runtime. One allocation: this header, the nodes by backup level, those that
// sleep, then (where there is something to choose) the runtime, the levels and
// the schedule, and the key last. A pool of one node is 32 bytes and its key.
// It lies at its key's home (base/home_cells.h), if it has somebody to answer and
// is small enough. Any thread; whoever holds a reference keeps the nodes alive.
class Pool {
 public:
  // The nodes of one backup level, and their round: turns[i] is an index into
  // nodes().
  struct Level {
    std::span<const Node> nodes;
    std::span<const std::uint16_t> turns;
  };
  struct Parts {
    std::string_view key;                  // 1 to kKeyBytesMax bytes
    Algorithm algorithm = Algorithm::kWrr;
    ClientRule client_rule = ClientRule::kNone;
    std::span<const Node> nodes{};         // by rising level, from 0, no gaps
    std::span<const Node> sleeping{};
    // Must be there for two nodes or more.
    PoolRuntime* runtime = nullptr;
  };
  // Takes a reference to every node and to the runtime.
  [[nodiscard]] static Ref<const Pool> make(const Parts& parts);

  [[nodiscard]] std::string_view key() const {
    return {reinterpret_cast<const char*>(this) + key_offset(), key_bytes_};
  }
  // Begins to fetch the header and the key, which in a simple pool ends in the
  // next cache line.
  void prefetch() const {
    __builtin_prefetch(this);
    __builtin_prefetch(reinterpret_cast<const char*>(this) + 64);
  }
  // Begins to fetch the pool of the key that has this hash, if there is one.
  static void prefetch_home(std::uint64_t hash) {
    HomeCells::shared().prefetch(hash);
  }
  // Its home is elsewhere since it was made: one made anew lies there.
  [[nodiscard]] bool should_move() const {
    return entry_count() != 0 &&
           HomeCells::shared().should_move(this, bytes());
  }
  [[nodiscard]] Algorithm algorithm() const { return algorithm_; }
  [[nodiscard]] ClientRule client_rule() const { return client_rule_; }
  // Nodes of several protocols: what is encoded for one is not for all.
  [[nodiscard]] bool mixed_protocols() const { return mixed_protocols_; }
  // Those that may be chosen.
  [[nodiscard]] std::span<const Node> nodes() const {
    return {entries(), node_count_};
  }
  // On-demand vassals that are not up; never chosen.
  [[nodiscard]] std::span<const Node> sleeping() const {
    return {entries() + node_count_, sleeping_count_};
  }
  // Whom to ask the Emperor for when no node can answer; "" if nobody sleeps.
  // Views the pool.
  [[nodiscard]] std::string_view vassal_to_wake() const;

  // Null for a pool of one node that was never more.
  [[nodiscard]] PoolRuntime* runtime() const {
    return level_count_ == 0 ? nullptr : tail()->runtime;
  }
  // Valid where runtime() is not null.
  [[nodiscard]] std::size_t level_count() const { return level_count_; }
  [[nodiscard]] Level level(std::size_t rank) const;

  // A request of this pool's went to a node. (Where there is one node only,
  // the node's own count is the pool's.)
  void count_hit() const {
    if (PoolRuntime* const shared = runtime()) {
      shared->hits.fetch_add(1, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] std::uint64_t hits() const;

  void acquire() const { refs_.add(); }
  void release() const;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

 private:
  struct LevelPlace {
    std::uint16_t first_node;
    std::uint16_t nodes;
    std::uint32_t first_turn;
    std::uint32_t turns;
  };
  struct Tail {
    PoolRuntime* runtime;
    std::uint64_t turns;                   // of all levels
  };
  struct Plan;                             // what make() works out first

  Pool() = default;
  ~Pool() = default;
  [[nodiscard]] const Node* entries() const {
    return reinterpret_cast<const Node*>(this + 1);
  }
  [[nodiscard]] std::size_t entry_count() const {
    return std::size_t{node_count_} + sleeping_count_;
  }
  [[nodiscard]] const Tail* tail() const {
    return reinterpret_cast<const Tail*>(entries() + entry_count());
  }
  [[nodiscard]] const LevelPlace* places() const {
    return reinterpret_cast<const LevelPlace*>(tail() + 1);
  }
  [[nodiscard]] const std::uint16_t* turns() const {
    return reinterpret_cast<const std::uint16_t*>(places() + level_count_);
  }
  [[nodiscard]] std::size_t key_offset() const {
    const std::size_t simple = sizeof(Pool) + sizeof(Node) * entry_count();
    if (level_count_ == 0) [[likely]] return simple;
    return simple + sizeof(Tail) + level_count_ * sizeof(LevelPlace) +
           tail()->turns * sizeof(std::uint16_t);
  }
  [[nodiscard]] std::size_t bytes() const { return key_offset() + key_bytes_; }

  RefCount refs_;
  std::uint16_t node_count_ = 0;
  std::uint16_t sleeping_count_ = 0;
  std::uint16_t level_count_ = 0;          // 0: nothing to choose
  std::uint8_t key_bytes_ = 0;
  Algorithm algorithm_ = Algorithm::kWrr;
  bool mixed_protocols_ = false;
  ClientRule client_rule_ = ClientRule::kNone;
  std::uint8_t reserved_[2] = {};          // the nodes are aligned to 8
};

using PoolRef = Ref<const Pool>;

}  // namespace fealty::subscription
