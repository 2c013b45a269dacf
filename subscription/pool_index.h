#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_set>

#include "base/key_block.h"
#include "subscription/node.h"
#include "subscription/pool.h"

namespace fealty::subscription {

// A key as the table knows it. 24 bytes: what requests need is in the pool.
struct PoolRecord {
  PoolRef latest;                // as last made; at first it has only the key
  NodeRecord* first = nullptr;   // the nodes in order of arrival; owned
  std::uint32_t holds = 0;       // places in the table's queue of held pools
  std::uint16_t nodes = 0;       // sleeping ones included
  Algorithm algorithm = Algorithm::kWrr;
  bool dirty : 1 = false;        // to be made anew
  bool indexed : 1 = false;      // its nodes are in the index by address
  bool published : 1 = false;
  bool has_material : 1 = false; // one of its nodes announced some, once

  [[nodiscard]] std::string_view key() const { return latest->key(); }
};

// The table's pools by key, and their nodes by address. Owns both. Control
// thread only. A pool of up to kWalkedMost nodes is walked; the nodes of a
// larger one are in a hash table, so that a refresh costs the same in any.
class PoolIndex {
 public:
  static constexpr std::size_t kWalkedMost = 8;

  PoolIndex();
  ~PoolIndex();
  PoolIndex(const PoolIndex&) = delete;
  PoolIndex& operator=(const PoolIndex&) = delete;

  [[nodiscard]] PoolRecord* find(std::string_view key,
                                 std::uint64_t hash) const;
  // Begins to fetch the pools of these hashes and their first nodes.
  void prefetch(std::span<const std::uint64_t> hashes) const;
  // `key` must not be there yet.
  PoolRecord& add(std::string_view key, std::uint64_t hash);
  // The pool must have no nodes left.
  void remove(PoolRecord& pool);

  [[nodiscard]] NodeRecord* find_node(const PoolRecord& pool,
                                      const Address& address) const;
  // The node that sleeps under this name.
  [[nodiscard]] static NodeRecord* find_sleeping(const PoolRecord& pool,
                                                 std::string_view vassal);
  // As the last of the pool.
  void append(PoolRecord& pool, Ref<NodeRecord> node);
  // Hands the node back; whoever lets go of the Ref ends it.
  Ref<NodeRecord> take(NodeRecord& node);

  template <typename Visit>
  void for_each(const Visit& visit) const {
    for_each_in(0, kShards, visit);
  }
  // Of `count` shards from `first` on.
  template <typename Visit>
  void for_each_in(std::size_t first, std::size_t count,
                   const Visit& visit) const {
    for (std::size_t shard = first; shard < first + count; ++shard) {
      const Block* const block = blocks_[shard];
      for (std::size_t i = 0; block != nullptr && i < block->size(); ++i) {
        visit(*(*block)[i]);
      }
    }
  }

 private:
  using Block = KeyBlock<PoolRecord>;
  struct Name {
    const PoolRecord* pool;
    std::string_view address;
  };
  static Name name_of(const Name& name) { return name; }
  static Name name_of(const NodeRecord* node) {
    return {node->pool, node->address_bytes()};
  }
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const auto& what) const;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const auto& one, const auto& other) const {
      const Name a = name_of(one);
      const Name b = name_of(other);
      return a.pool == b.pool && a.address == b.address;
    }
  };

  void index_nodes(PoolRecord& pool);

  std::unique_ptr<std::array<Block*, kShards>> blocks_storage_;
  std::array<Block*, kShards>& blocks_;
  std::unordered_set<NodeRecord*, Hash, Equal> by_address_;
};

}  // namespace fealty::subscription
