#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "subscription/announcement.h"
#include "subscription/options.h"
#include "subscription/pool_index.h"
#include "subscription/saved_node.h"
#include "subscription/snapshot.h"
#include "subscription/verify.h"

namespace fealty::subscription {

// What applying an announcement did.
enum class Change : std::uint8_t {
  kAdded,       // a new node: to be acknowledged, once
  kChanged,     // weight, modifiers, protocol, backup level, algorithm, or it
                // fell asleep
  kRefreshed,   // seen again; nothing to publish
  kRemoved,     // unsubscribed, or sleeping ones were cleared
  kNone,        // an unsubscribe of nobody
};

// The nodes by key; the only writer of routes. Control thread only. apply()
// and expire() mark the pools they touch; build() makes the next snapshot from
// those and shares all the others with the last one. Two announcements of one
// address under one key are one node, however the address was written; a
// refresh costs the same with one node and with a million.
//
// On-demand vassals. An announcement that is `inactive`, or names a `vassal`
// and no address, makes a node that sleeps: it is shown, counts, expires, and
// is never chosen. The first announcement of the same vassal with an address
// takes its place; when that node leaves, by unsubscribing or by silence, it
// sleeps again (for one tolerance, unless it is announced as sleeping
// meanwhile), and so does any node whose unsubscribe says `inactive`. An
// announcement of the vassal without an address while it is up refreshes
// nothing. `clear` forgets who sleeps under the key; a packet with it and
// without an address does nothing else.
//
// Client certificates. What a node's last announcement demands of clients counts
// for all of its key until the node leaves, or announces otherwise: the strictest
// decides. A node that sleeps keeps what it demanded while it was up. A pool that
// is held keeps its rule.
//
// Hold. A pool whose last node left stays, without nodes, for hold_ms; at most
// kHeldMost do so at a time.
//
// Expiry pauses for one tolerance when everybody fell silent at once: the
// first node is due, nobody was heard for half a tolerance, the last packets
// of all lie within one tolerance, and they came from kAnnouncersForPause
// addresses or more. Not twice without a packet in between.
class Table {
 public:
  static constexpr std::size_t kHeldMost = 65'536;
  static constexpr std::size_t kAnnouncersForPause = 8;
  // Lines a second on nodes that had failed and announce themselves.
  static constexpr unsigned kBackLinesMost = 10;

  Table(const Clock& clock, const Options& options);
  // With the defaults, but without a hold: for tests and benchmarks.
  Table(const Clock& clock, std::int64_t tolerance_ms, bool dotsplit,
        std::size_t nodes_max = 1'000'000);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // The announcement has been verified.
  [[nodiscard]] Result<Change, Rejection> apply(
      const Announcement& announcement,
      const std::optional<Credentials>& sender);
  // A node of the configuration's: it never expires, and no announcement
  // removes it.
  [[nodiscard]] Result<Change, Rejection> apply_permanent(
      const Announcement& announcement);

  // It is no node of the configuration's any more. Where it was announced since,
  // it stays until its announcements end.
  void drop_permanent(std::string_view key, const Address& address);
  // Other options from now on, for what is there already too. (The algorithm,
  // where a pool has that of before: who names it names it again.)
  void reconfigure(const Options& options);

  // The announced nodes, for a successor of this process; the longest silent
  // first, which is the order to restore them in. Who is not taken (the table is
  // full) announces itself again.
  [[nodiscard]] std::vector<SavedNode> save() const;
  void restore(const SavedNode& saved);

  // Begins to fetch what apply() will look at for keys of these hashes, of all
  // of them side by side: a million keys are in no cache, and one after the
  // other they would wait for memory.
  void prefetch(std::span<const std::uint64_t> hashes) const {
    index_.prefetch(hashes);
  }

  struct Expiry {
    std::size_t dropped = 0;
    bool pause_began = false;      // to be logged, once
  };
  // Drops every node that was silent for longer than the tolerance, and the
  // pools that were held for long enough: afterwards dirty() may be true. Its
  // cost is that of what it drops. `on_drop`, where given, sees each node
  // first, and must not call the table.
  using OnDrop =
      std::function<void(std::string_view key, const NodeRecord& node)>;
  Expiry expire(const OnDrop& on_drop = {});

  // True if something changed since the last build(), or pools are being moved
  // since their homes have grown (base/home_cells.h): each build() moves some.
  [[nodiscard]] bool dirty() const { return unpublished_; }
  // The last snapshot itself where that is not so.
  [[nodiscard]] std::shared_ptr<const Snapshot> build();

  // Called for each key that is forgotten, by build() or another call that
  // folds changes in; it must not call the table. A pool that is held is not
  // gone yet.
  using OnPoolGone = std::function<void(std::string_view key)>;
  void on_pool_gone(OnPoolGone callback) { pool_gone_ = std::move(callback); }

  // Called for each key whose nodes announce certificates, or did until now,
  // when its pool is made anew; `materials`: the tags of those that count from
  // now on. Returns what comes of them for clients. It must not call the table.
  using OnMaterials = std::function<ClientRule(
      std::string_view key, std::span<const std::uint32_t> materials)>;
  void on_materials(OnMaterials callback) {
    on_materials_ = std::move(callback);
  }
  // Has the pool of `key` made anew: what its nodes' files hold has changed.
  void renew(std::string_view key);

  // Drains the node that is called `name` under `key` (its address, however it
  // is written, or the vassal's name of one that sleeps): it is chosen for no
  // request any more, those that it has end, and announcements refresh it
  // without a change of that. Or undrains it. It lasts as long as the node is
  // known: one that unsubscribes and comes back is another node.
  enum class Drain : std::uint8_t { kDone, kAlready, kNoKey, kNoNode };
  [[nodiscard]] Drain set_drained(std::string_view key, std::string_view name,
                                  bool drained);

  // The nodes of the keys in `count` of the kShards shards, from `first` on;
  // who is visited may be marked as checked, and kept by a reference. `visit`
  // must not call the table.
  using VisitNode = std::function<void(NodeRecord& node)>;
  void visit_nodes(std::size_t first, std::size_t count,
                   const VisitNode& visit) const;

  // Sleeping nodes included.
  [[nodiscard]] std::size_t node_count() const { return node_count_; }
  // Those with a node.
  [[nodiscard]] std::size_t pool_count() const { return pool_count_; }

  // Every pool in turn, and its nodes in the order in which they came; a pool
  // that is held has none.
  struct PoolView {
    std::string_view key;
    std::uint64_t hash;
    std::uint64_t hits;
    Algorithm algorithm;
    const std::vector<const NodeRecord*>& nodes;
  };
  void for_each_pool(const std::function<void(const PoolView&)>& visit) const;
  // The pool of `key`; not called where there is none.
  void with_pool(std::string_view key,
                 const std::function<void(const PoolView&)>& visit) const;

 private:
  struct Held {
    PoolRecord* pool;
    std::int64_t until_ms;
  };

  // What follows is apply() and expire() in steps.
  Change subscribe(const Announcement& announcement,
                   const std::optional<Credentials>& sender, PoolRecord& pool);
  void keep_demand(NodeRecord& sleeper, const Announcement& announcement);
  Change put_to_sleep(const Announcement& announcement,
                      const std::optional<Credentials>& sender,
                      PoolRecord& pool);
  Change unsubscribe(const Announcement& announcement, PoolRecord* pool);
  bool clear_sleeping(PoolRecord& pool);
  [[nodiscard]] NodeRecord* known(const Announcement& announcement,
                                  const PoolRecord& pool) const;
  [[nodiscard]] bool full(const PoolRecord* pool) const;
  [[nodiscard]] Ref<NodeRecord> make_record(
      const Announcement& announcement,
      const std::optional<Credentials>& sender, const PoolRecord& pool) const;
  void add(Ref<NodeRecord> made, PoolRecord& pool);
  void replace(NodeRecord& node, Ref<NodeRecord> made);
  Change refresh(const Announcement& announcement,
                 const std::optional<Credentials>& sender, NodeRecord& node);
  void leave(NodeRecord& node, bool sleeps);
  void fall_asleep(NodeRecord& node);
  void remove(NodeRecord& node);
  void hold(PoolRecord& pool);
  void drop_held(std::int64_t now_ms);
  [[nodiscard]] bool all_fell_silent(std::int64_t now_ms) const;
  [[nodiscard]] bool many_announcers() const;
  void say_back(const NodeRecord& node);
  void touch(NodeRecord& node, const Announcement& announcement,
             const std::optional<Credentials>& sender) const;
  [[nodiscard]] std::int64_t eligible_since(const PoolRecord& pool) const;
  void heard(NodeRecord& node);          // to the end of the order of silence
  void forget(NodeRecord& node);         // out of it
  [[nodiscard]] NodeRecord* find_at(std::string_view key,
                                    const Address& address) const;
  [[nodiscard]] NodeRecord* find_named(const PoolRecord& pool,
                                       std::string_view name) const;
  void mark(PoolRecord& pool);
  void fold();
  void move_some();
  [[nodiscard]] PoolRef make_pool(PoolRecord& pool);
  [[nodiscard]] ClientRule judge_clients(PoolRecord& pool);

  PoolIndex index_;
  OnPoolGone pool_gone_;
  OnMaterials on_materials_;
  NodeRecord* oldest_ = nullptr;         // the longest silent
  NodeRecord* newest_ = nullptr;
  std::vector<PoolRecord*> dirty_;
  std::deque<Held> held_;                // the first that is due first
  std::vector<Node> nodes_scratch_;
  std::vector<Node> sleeping_scratch_;
  std::vector<std::uint32_t> materials_scratch_;
  std::shared_ptr<const Snapshot> last_;
  log::LineBudget back_log_{kBackLinesMost};
  const Clock& clock_;
  std::int64_t tolerance_ms_;
  std::int64_t hold_ms_;
  std::int64_t slow_start_ms_;
  Algorithm algorithm_;
  bool dotsplit_;
  std::size_t nodes_max_;
  std::size_t node_count_ = 0;
  std::size_t pool_count_ = 0;
  std::uint64_t homes_ = HomeCells::shared().growths();   // as last seen
  std::size_t next_moved_ = kShards;     // the shard; kShards: all are at home
  bool unpublished_ = false;
  bool stale_ = false;                   // the last snapshot, though no pool is
  std::int64_t paused_from_ms_;
  std::int64_t paused_until_ms_;
};

}  // namespace fealty::subscription
