#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "subscription/pool.h"
#include "subscription/snapshot.h"

// Snapshots made by hand, for tests that need no announcements.
namespace fealty::test {

inline subscription::Node make_node(const Address& address,
                                    std::uint8_t modifier1 = 0,
                                    std::uint8_t modifier2 = 0) {
  subscription::Node node;
  node.name = address.to_string();
  node.address = address;
  node.modifier1 = modifier1;
  node.modifier2 = modifier2;
  node.runtime = std::make_shared<subscription::NodeRuntime>();
  return node;
}

inline subscription::Node make_http_node(const Address& address) {
  subscription::Node node = make_node(address);
  node.protocol = subscription::Protocol::kHttp;
  return node;
}

inline std::shared_ptr<const subscription::Pool> make_pool(
    std::string_view key, std::vector<subscription::Node> nodes) {
  auto pool = std::make_shared<subscription::Pool>();
  pool->key = key;
  pool->hash = subscription::hash_key(key);
  pool->nodes = std::move(nodes);
  pool->schedule = subscription::make_schedule(pool->nodes);
  pool->mixed_protocols = subscription::speak_several_protocols(pool->nodes);
  pool->runtime = std::make_shared<subscription::PoolRuntime>();
  return pool;
}

inline std::shared_ptr<const subscription::Snapshot> make_snapshot(
    const std::vector<std::shared_ptr<const subscription::Pool>>& pools,
    std::uint64_t version = 1) {
  std::vector<std::vector<std::shared_ptr<const subscription::Pool>>> parts(
      subscription::Snapshot::kShards);
  for (const auto& pool : pools) {
    parts[subscription::shard_of(pool->hash)].push_back(pool);
  }
  subscription::Snapshot::Shards shards;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    shards[i] = std::make_shared<const subscription::Shard>(parts[i]);
  }
  return std::make_shared<const subscription::Snapshot>(std::move(shards), true,
                                                        version);
}

}  // namespace fealty::test
