#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "subscription/announcement.h"
#include "subscription/pool.h"
#include "subscription/snapshot.h"
#include "subscription/verify.h"

namespace fealty::subscription {

// What applying an announcement did.
enum class Change : std::uint8_t {
  kAdded,       // a new node: to be acknowledged, once
  kChanged,     // weight, modifiers or protocol differ
  kRefreshed,   // seen again; nothing to publish
  kRemoved,     // unsubscribed
  kNone,        // an unsubscribe of nobody
};

// A node as the control thread knows it: what requests see, and what only
// stats show.
struct NodeRecord {
  Node node;
  std::uint32_t cores = 0;
  std::uint32_t load = 0;
  std::uint32_t backup = 0;
  std::int64_t last_seen_ms = 0;   // monotonic
  std::int64_t last_seen_unix_s = 0;
  std::uint64_t requests_when_seen = 0;  // the runtime's count at that moment
  std::optional<Credentials> sender;
};

// The nodes by key; the only writer of routes. Control thread only. apply()
// and expire() mark the shards they touch; build() makes the next snapshot
// from those and shares all the others with the last one. Two announcements of
// one address under one key are one node, however the address was written; a
// refresh costs the same with one node and with a million.
class Table {
 public:
  // `nodes_max` bounds what announcements can make the router hold.
  Table(const Clock& clock, std::int64_t tolerance_ms, bool dotsplit,
        std::size_t nodes_max = 1'000'000);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // The announcement has been verified.
  [[nodiscard]] Result<Change, Rejection> apply(
      const Announcement& announcement,
      const std::optional<Credentials>& sender);

  // Drops every node that was silent for longer than the tolerance; returns
  // how many. Its cost is that of the nodes that it drops. `on_drop`, where
  // given, sees each of them first, and must not call the table.
  using OnDrop = std::function<void(const std::string& key,
                                    const NodeRecord& node)>;
  std::size_t expire(const OnDrop& on_drop = {});

  // True if something changed since the last build().
  [[nodiscard]] bool dirty() const;
  // The last snapshot itself where nothing changed.
  [[nodiscard]] std::shared_ptr<const Snapshot> build();

  [[nodiscard]] std::size_t node_count() const;
  [[nodiscard]] std::size_t pool_count() const { return pool_count_; }

  // Every pool in turn, and its nodes in the order in which they came.
  struct PoolView {
    const std::string& key;
    std::uint64_t hash;
    const PoolRuntime& runtime;
    const std::vector<const NodeRecord*>& nodes;
  };
  void for_each_pool(const std::function<void(const PoolView&)>& visit) const;

 private:
  struct PoolRecord;
  struct Entry;                          // a node's place in both orders
  struct ShardRecord;
  struct NodeIndex;                      // (pool, address) to entry

  // What follows is apply() and expire() in steps.
  [[nodiscard]] PoolRecord* find_pool(std::string_view key,
                                      std::uint64_t hash);
  PoolRecord& add_pool(std::string_view key, std::uint64_t hash);
  Change unsubscribe(const Announcement& announcement, PoolRecord* pool);
  [[nodiscard]] bool full(const PoolRecord* pool) const;
  void add(const Announcement& announcement,
           const std::optional<Credentials>& sender, PoolRecord& pool);
  Change refresh(const Announcement& announcement,
                 const std::optional<Credentials>& sender, Entry& entry);
  void remove(Entry& entry);
  void touch(NodeRecord& record, const Announcement& announcement,
             const std::optional<Credentials>& sender);
  void mark(PoolRecord& pool);

  std::list<Entry> seen_;                // the longest silent first
  std::vector<ShardRecord> shards_;
  std::unique_ptr<NodeIndex> index_;
  std::vector<std::size_t> dirty_shards_;
  std::shared_ptr<const Snapshot> last_;
  const Clock& clock_;
  std::int64_t tolerance_ms_;
  bool dotsplit_;
  std::size_t nodes_max_;
  std::size_t pool_count_ = 0;
};

}  // namespace fealty::subscription
