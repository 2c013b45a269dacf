#include "subscription/pool_index.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/key_hash.h"

namespace fealty::subscription {

std::size_t PoolIndex::Hash::operator()(const auto& what) const {
  const Name name = name_of(what);
  return hash_key(name.address) ^ reinterpret_cast<std::uintptr_t>(name.pool);
}

PoolIndex::PoolIndex()
    : blocks_storage_(std::make_unique<std::array<Block*, kShards>>()),
      blocks_(*blocks_storage_) {}

PoolIndex::~PoolIndex() {
  for (Block* const block : blocks_) {
    if (block == nullptr) continue;
    for (std::size_t i = 0; i < block->size(); ++i) {
      PoolRecord* const pool = (*block)[i];
      while (pool->first != nullptr) {
        NodeRecord* const node = pool->first;
        pool->first = node->next;
        node->release();
      }
      delete pool;
    }
    Block::free(block);
  }
}

PoolRecord* PoolIndex::find(std::string_view key, std::uint64_t hash) const {
  const Block* const block = blocks_[shard_of(hash)];
  if (block == nullptr) return nullptr;
  const std::size_t count = block->size();
  const std::size_t at = block->find(
      tag_of(hash), count,
      [&](const PoolRecord& pool) { return pool.key() == key; });
  return at == count ? nullptr : (*block)[at];
}

// In rounds: each fetches what the one before made known, for all keys.
void PoolIndex::prefetch(std::span<const std::uint64_t> hashes) const {
  constexpr std::size_t kAtOnceMost = 64;
  std::array<const PoolRecord*, kAtOnceMost> pools{};
  hashes = hashes.first(std::min(hashes.size(), kAtOnceMost));
  for (const std::uint64_t hash : hashes) {
    __builtin_prefetch(blocks_[shard_of(hash)]);
  }
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const Block* const block = blocks_[shard_of(hashes[i])];
    if (block == nullptr) continue;
    const std::size_t at = block->lower_bound(tag_of(hashes[i]), block->size());
    if (at == block->size()) continue;
    pools[i] = (*block)[at];
    __builtin_prefetch(pools[i]);
  }
  for (const PoolRecord* const pool : pools) {
    if (pool == nullptr) continue;
    pool->latest->prefetch();
    if (pool->first != nullptr) pool->first->prefetch();
  }
}

PoolRecord& PoolIndex::add(std::string_view key, std::uint64_t hash) {
  Block*& block = blocks_[shard_of(hash)];
  const std::size_t count = block == nullptr ? 0 : block->size();
  const std::size_t at =
      block == nullptr ? 0 : block->lower_bound(tag_of(hash), count);
  auto* const pool = new PoolRecord;
  pool->latest = Pool::make({.key = key});
  Block* const larger = Block::make(count + 1);
  larger->set(at, tag_of(hash), pool);
  if (block != nullptr) {
    larger->copy(0, *block, 0, at);
    larger->copy(at + 1, *block, at, count - at);
    Block::free(block);
  }
  block = larger;
  return *pool;
}

void PoolIndex::remove(PoolRecord& pool) {
  FEALTY_CHECK(pool.first == nullptr);
  const std::uint64_t hash = hash_key(pool.key());
  Block*& block = blocks_[shard_of(hash)];
  const std::size_t count = block->size();
  const std::size_t at = block->find(
      tag_of(hash), count,
      [&](const PoolRecord& its) { return &its == &pool; });
  FEALTY_CHECK(at < count);
  Block* smaller = nullptr;
  if (count > 1) {
    smaller = Block::make(count - 1);
    smaller->copy(0, *block, 0, at);
    smaller->copy(at, *block, at + 1, count - at - 1);
  }
  Block::free(std::exchange(block, smaller));
  delete &pool;
}

NodeRecord* PoolIndex::find_node(const PoolRecord& pool,
                                 const Address& address) const {
  const std::string_view bytes = address.bytes();
  if (bytes.empty()) return nullptr;
  if (pool.indexed) {
    const auto found = by_address_.find(Name{&pool, bytes});
    return found == by_address_.end() ? nullptr : *found;
  }
  NodeRecord* node = pool.first;
  while (node != nullptr && node->address_bytes() != bytes) node = node->next;
  return node;
}

NodeRecord* PoolIndex::find_sleeping(const PoolRecord& pool,
                                     std::string_view vassal) {
  NodeRecord* node = pool.first;
  while (node != nullptr && !(node->sleeping && node->vassal() == vassal)) {
    node = node->next;
  }
  return node;
}

void PoolIndex::append(PoolRecord& pool, Ref<NodeRecord> node) {
  NodeRecord* const record = node.detach();
  record->pool = &pool;
  record->next = nullptr;
  NodeRecord** last = &pool.first;
  while (*last != nullptr) last = &(*last)->next;
  *last = record;
  ++pool.nodes;
  if (pool.indexed) {
    if (!record->address_bytes().empty()) by_address_.insert(record);
  } else if (pool.nodes > kWalkedMost) {
    index_nodes(pool);
  }
}

void PoolIndex::index_nodes(PoolRecord& pool) {
  pool.indexed = true;
  for (NodeRecord* node = pool.first; node != nullptr; node = node->next) {
    if (!node->address_bytes().empty()) by_address_.insert(node);
  }
}

Ref<NodeRecord> PoolIndex::take(NodeRecord& node) {
  PoolRecord& pool = *node.pool;
  if (pool.indexed) by_address_.erase(&node);
  NodeRecord** at = &pool.first;
  while (*at != &node) at = &(*at)->next;
  *at = node.next;
  --pool.nodes;
  if (pool.nodes == 0) pool.indexed = false;
  node.pool = nullptr;
  node.next = nullptr;
  return Ref<NodeRecord>::adopt(&node);
}

}  // namespace fealty::subscription
