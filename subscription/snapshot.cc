#include "subscription/snapshot.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <utility>

namespace fealty::subscription {

std::uint64_t hash_key(std::string_view key) {
  return XXH3_64bits(key.data(), key.size());
}

Shard::Shard(std::vector<std::shared_ptr<const Pool>> pools)
    : size_(pools.size()) {
  if (pools.empty()) return;
  // At most half full: a miss ends after a slot or two.
  slots_.resize(std::bit_ceil(pools.size() * 2));
  const std::size_t mask = slots_.size() - 1;
  for (auto& pool : pools) {
    std::size_t at = pool->hash & mask;
    while (slots_[at] != nullptr) at = (at + 1) & mask;
    slots_[at] = std::move(pool);
  }
}

const std::shared_ptr<const Pool>* Shard::find(std::string_view key,
                                               std::uint64_t hash) const {
  if (slots_.empty()) return nullptr;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
    const auto& pool = slots_[at];
    if (pool == nullptr) return nullptr;
    if (pool->hash == hash && pool->key == key) return &pool;
  }
}

Snapshot::Snapshot() = default;

Snapshot::Snapshot(Shards shards, bool dotsplit, std::uint64_t version)
    : shards_(std::move(shards)), dotsplit_(dotsplit), version_(version) {}

const std::shared_ptr<const Pool>* Snapshot::find_exact(
    std::string_view key) const {
  const std::uint64_t hash = hash_key(key);
  const Shard* const shard = shards_[shard_of(hash)].get();
  return shard == nullptr ? nullptr : shard->find(key, hash);
}

const std::shared_ptr<const Pool>* Snapshot::find(
    std::string_view host, std::string_view host_port) const {
  // A client that writes a wildcard as its host is not looking for a domain.
  if (host.empty() || host.front() == '.') return nullptr;
  if (!host_port.empty()) {
    if (const auto* pool = find_exact(host_port)) return pool;
  }
  if (const auto* pool = find_exact(host)) return pool;
  if (!dotsplit_) return nullptr;
  std::size_t dot = host.find('.');
  for (int step = 0; step < kWildcardSteps && dot != host.npos; ++step) {
    if (const auto* pool = find_exact(host.substr(dot))) return pool;
    dot = host.find('.', dot + 1);
  }
  return nullptr;
}

}  // namespace fealty::subscription
