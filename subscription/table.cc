#include "subscription/table.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace fealty::subscription {
namespace {

// Equal addresses have equal bytes: Address leaves none of them undefined.
std::string_view bytes_of(const Address& address) {
  return {reinterpret_cast<const char*>(address.data()), address.length()};
}

bool same_route(const Node& node, const Announcement& announcement) {
  return node.modifier1 == announcement.modifier1 &&
         node.modifier2 == announcement.modifier2 &&
         node.weight == announcement.weight &&
         node.protocol == announcement.protocol;
}

void set_route(Node& node, const Announcement& announcement) {
  node.modifier1 = announcement.modifier1;
  node.modifier2 = announcement.modifier2;
  node.weight = announcement.weight;
  node.protocol = announcement.protocol;
}

}  // namespace

struct Table::Entry {
  NodeRecord record;
  PoolRecord* pool = nullptr;            // outlives the entry
  std::list<Entry>::iterator place;      // in seen_
};

struct Table::PoolRecord {
  std::string key;
  std::uint64_t hash = 0;
  std::vector<const NodeRecord*> nodes;  // in the order in which they came
  std::shared_ptr<PoolRuntime> runtime = std::make_shared<PoolRuntime>();
  std::shared_ptr<const Pool> published; // null: to be made anew

  [[nodiscard]] std::shared_ptr<const Pool> make() const {
    auto pool = std::make_shared<Pool>();
    pool->key = key;
    pool->hash = hash;
    pool->runtime = runtime;
    pool->nodes.reserve(nodes.size());
    for (const NodeRecord* record : nodes) pool->nodes.push_back(record->node);
    pool->schedule = make_schedule(pool->nodes);
    pool->mixed_protocols = speak_several_protocols(pool->nodes);
    return pool;
  }
};

struct Table::ShardRecord {
  // By hash of the key; equal hashes are told apart by the key itself.
  std::unordered_multimap<std::uint64_t, std::unique_ptr<PoolRecord>> pools;
  bool dirty = false;
};

struct Table::NodeIndex {
  struct Name {
    const PoolRecord* pool;
    std::string_view address;
  };
  static Name name_of(const Name& name) { return name; }
  static Name name_of(const Entry* entry) {
    return {entry->pool, bytes_of(entry->record.node.address)};
  }
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const auto& what) const {
      const Name name = name_of(what);
      return hash_key(name.address) ^ name.pool->hash;
    }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const auto& one, const auto& other) const {
      const Name a = name_of(one);
      const Name b = name_of(other);
      return a.pool == b.pool && a.address == b.address;
    }
  };

  [[nodiscard]] Entry* find(const PoolRecord& pool,
                            const Address& address) const {
    const auto found = entries.find(Name{&pool, bytes_of(address)});
    return found == entries.end() ? nullptr : *found;
  }

  std::unordered_set<Entry*, Hash, Equal> entries;
};

Table::Table(const Clock& clock, std::int64_t tolerance_ms, bool dotsplit,
             std::size_t nodes_max)
    : shards_(Snapshot::kShards),
      index_(std::make_unique<NodeIndex>()),
      last_(std::make_shared<Snapshot>(Snapshot::Shards{}, dotsplit, 0)),
      clock_(clock),
      tolerance_ms_(tolerance_ms),
      dotsplit_(dotsplit),
      nodes_max_(nodes_max) {}

Table::~Table() = default;

std::size_t Table::node_count() const { return seen_.size(); }

bool Table::dirty() const { return !dirty_shards_.empty(); }

Result<Change, Rejection> Table::apply(
    const Announcement& announcement,
    const std::optional<Credentials>& sender) {
  const std::uint64_t hash = hash_key(announcement.key);
  PoolRecord* pool = find_pool(announcement.key, hash);
  if (!announcement.subscribe) return unsubscribe(announcement, pool);
  if (pool != nullptr) {
    if (Entry* const entry = index_->find(*pool, announcement.address)) {
      return refresh(announcement, sender, *entry);
    }
  }
  if (full(pool)) return Rejection::kTableFull;
  if (pool == nullptr) pool = &add_pool(announcement.key, hash);
  add(announcement, sender, *pool);
  return Change::kAdded;
}

Change Table::unsubscribe(const Announcement& announcement, PoolRecord* pool) {
  Entry* const entry =
      pool == nullptr ? nullptr : index_->find(*pool, announcement.address);
  if (entry == nullptr) return Change::kNone;
  remove(*entry);
  return Change::kRemoved;
}

bool Table::full(const PoolRecord* pool) const {
  return node_count() >= nodes_max_ ||
         (pool != nullptr && pool->nodes.size() >= kPoolNodesMax);
}

void Table::add(const Announcement& announcement,
                const std::optional<Credentials>& sender, PoolRecord& pool) {
  const auto place = seen_.emplace(seen_.end());
  Entry& entry = *place;
  entry.place = place;
  entry.pool = &pool;
  Node& node = entry.record.node;
  node.name = announcement.address_text;
  node.address = announcement.address;
  node.runtime = std::make_shared<NodeRuntime>();
  set_route(node, announcement);
  touch(entry.record, announcement, sender);
  index_->entries.insert(&entry);
  pool.nodes.push_back(&entry.record);
  mark(pool);
}

Change Table::refresh(const Announcement& announcement,
                      const std::optional<Credentials>& sender, Entry& entry) {
  NodeRecord& record = entry.record;
  touch(record, announcement, sender);
  record.node.runtime->on_success();
  seen_.splice(seen_.end(), seen_, entry.place);
  if (same_route(record.node, announcement)) return Change::kRefreshed;
  set_route(record.node, announcement);
  mark(*entry.pool);
  return Change::kChanged;
}

void Table::touch(NodeRecord& record, const Announcement& announcement,
                  const std::optional<Credentials>& sender) {
  record.cores = announcement.cores;
  record.load = announcement.load;
  record.backup = announcement.backup;
  record.last_seen_ms = clock_.monotonic_ms();
  record.last_seen_unix_s = clock_.unix_s();
  record.requests_when_seen =
      record.node.runtime->requests.load(std::memory_order_relaxed);
  record.sender = sender;
}

void Table::remove(Entry& entry) {
  PoolRecord& pool = *entry.pool;
  index_->entries.erase(&entry);
  std::erase(pool.nodes, &entry.record);
  seen_.erase(entry.place);
  mark(pool);
  if (!pool.nodes.empty()) return;
  auto& pools = shards_[shard_of(pool.hash)].pools;
  const auto [first, last] = pools.equal_range(pool.hash);
  pools.erase(std::find_if(first, last, [&](const auto& item) {
    return item.second.get() == &pool;
  }));
  --pool_count_;
}

std::size_t Table::expire(const OnDrop& on_drop) {
  const std::int64_t oldest_ms = clock_.monotonic_ms() - tolerance_ms_;
  std::size_t dropped = 0;
  while (!seen_.empty() && seen_.front().record.last_seen_ms < oldest_ms) {
    Entry& entry = seen_.front();
    if (on_drop) on_drop(entry.pool->key, entry.record);
    remove(entry);
    ++dropped;
  }
  return dropped;
}

Table::PoolRecord* Table::find_pool(std::string_view key, std::uint64_t hash) {
  const auto [first, last] = shards_[shard_of(hash)].pools.equal_range(hash);
  for (auto at = first; at != last; ++at) {
    if (at->second->key == key) return at->second.get();
  }
  return nullptr;
}

Table::PoolRecord& Table::add_pool(std::string_view key, std::uint64_t hash) {
  auto pool = std::make_unique<PoolRecord>();
  pool->key = key;
  pool->hash = hash;
  ++pool_count_;
  return *shards_[shard_of(hash)].pools.emplace(hash, std::move(pool))->second;
}

void Table::mark(PoolRecord& pool) {
  pool.published.reset();
  const std::size_t shard = shard_of(pool.hash);
  if (std::exchange(shards_[shard].dirty, true)) return;
  dirty_shards_.push_back(shard);
}

std::shared_ptr<const Snapshot> Table::build() {
  if (!dirty()) return last_;
  Snapshot::Shards shards = last_->shards();
  for (const std::size_t at : dirty_shards_) {
    ShardRecord& record = shards_[at];
    record.dirty = false;
    std::vector<std::shared_ptr<const Pool>> pools;
    pools.reserve(record.pools.size());
    for (auto& [hash, pool] : record.pools) {
      if (pool->published == nullptr) pool->published = pool->make();
      pools.push_back(pool->published);
    }
    shards[at] = std::make_shared<Shard>(std::move(pools));
  }
  dirty_shards_.clear();
  last_ = std::make_shared<Snapshot>(std::move(shards), dotsplit_,
                                     last_->version() + 1);
  return last_;
}

void Table::for_each_pool(
    const std::function<void(const PoolView&)>& visit) const {
  for (const ShardRecord& shard : shards_) {
    for (const auto& [hash, pool] : shard.pools) {
      visit({pool->key, hash, *pool->runtime, pool->nodes});
    }
  }
}

}  // namespace fealty::subscription
