#include "subscription/pool.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "base/check.h"
#include "base/key_hash.h"
#include "base/slab.h"

namespace fealty::subscription {

// The levels and their schedules, of a pool that has something to choose.
struct Pool::Plan {
  std::vector<LevelPlace> places;
  std::vector<std::uint16_t> turns;

  explicit Plan(const Parts& parts) {
    const std::span<const Node> nodes = parts.nodes;
    for (std::size_t first = 0; first < nodes.size();) {
      std::size_t end = first;
      while (end < nodes.size() && nodes[end].level == nodes[first].level) {
        ++end;
      }
      add(nodes, first, end);
      first = end;
    }
    if (places.empty()) places.push_back({});
  }

  void add(std::span<const Node> nodes, std::size_t first, std::size_t end) {
    FEALTY_CHECK(nodes[first].level == places.size());
    std::vector<std::uint32_t> weights;
    weights.reserve(end - first);
    for (std::size_t i = first; i < end; ++i) {
      weights.push_back(nodes[i].weight);
    }
    const std::vector<std::uint16_t> round = make_schedule(weights);
    places.push_back({static_cast<std::uint16_t>(first),
                      static_cast<std::uint16_t>(end - first),
                      static_cast<std::uint32_t>(turns.size()),
                      static_cast<std::uint32_t>(round.size())});
    for (const std::uint16_t turn : round) {
      turns.push_back(static_cast<std::uint16_t>(first + turn));
    }
  }
};

namespace {

bool speak_several_protocols(std::span<const Node> nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
    return node.protocol != nodes.front().protocol;
  });
}

}  // namespace

Ref<const Pool> Pool::make(const Parts& parts) {
  FEALTY_CHECK(parts.nodes.size() <= kPoolNodesMax &&
               parts.sleeping.size() <= kPoolNodesMax &&
               parts.key.size() <= kKeyBytesMax);
  FEALTY_CHECK(parts.nodes.size() < 2 || parts.runtime != nullptr);
  const std::size_t entries = parts.nodes.size() + parts.sleeping.size();
  std::optional<Plan> plan;
  std::size_t bytes = sizeof(Pool) + entries * sizeof(Node) + parts.key.size();
  if (parts.runtime != nullptr) {
    plan.emplace(parts);
    bytes += sizeof(Tail) + plan->places.size() * sizeof(LevelPlace) +
             plan->turns.size() * sizeof(std::uint16_t);
  }
  // Nobody looks for one that nobody answers for, and its place is soon needed
  // for one that has a node.
  void* const memory =
      entries == 0 ? Slab::shared().allocate(bytes)
                   : HomeCells::shared().allocate(bytes, hash_key(parts.key));
  auto* const pool = new (memory) Pool;
  pool->node_count_ = static_cast<std::uint16_t>(parts.nodes.size());
  pool->sleeping_count_ = static_cast<std::uint16_t>(parts.sleeping.size());
  pool->key_bytes_ = static_cast<std::uint8_t>(parts.key.size());
  pool->algorithm_ = parts.algorithm;
  pool->client_rule_ = parts.client_rule;
  pool->mixed_protocols_ = speak_several_protocols(parts.nodes);
  auto* const to = const_cast<Node*>(pool->entries());
  std::uninitialized_copy(parts.nodes.begin(), parts.nodes.end(), to);
  std::uninitialized_copy(parts.sleeping.begin(), parts.sleeping.end(),
                          to + parts.nodes.size());
  for (std::size_t i = 0; i < entries; ++i) to[i].runtime->acquire();
  if (plan) {
    parts.runtime->acquire();
    pool->level_count_ = static_cast<std::uint16_t>(plan->places.size());
    new (const_cast<Tail*>(pool->tail()))
        Tail{parts.runtime, plan->turns.size()};
    std::uninitialized_copy(plan->places.begin(), plan->places.end(),
                            const_cast<LevelPlace*>(pool->places()));
    std::uninitialized_copy(plan->turns.begin(), plan->turns.end(),
                            const_cast<std::uint16_t*>(pool->turns()));
  }
  std::memcpy(const_cast<char*>(pool->key().data()), parts.key.data(),
              parts.key.size());
  return PoolRef::adopt(pool);
}

void Pool::release() const {
  if (!refs_.drop()) return;
  for (const Node& node : nodes()) node.runtime->release();
  for (const Node& node : sleeping()) node.runtime->release();
  const std::size_t size = bytes();
  if (PoolRuntime* const shared = runtime()) shared->release();
  this->~Pool();
  HomeCells::shared().free(const_cast<Pool*>(this), size);
}

std::string_view Pool::vassal_to_wake() const {
  for (const Node& node : sleeping()) {
    if (!node.runtime->vassal().empty()) return node.runtime->vassal();
  }
  return {};
}

Pool::Level Pool::level(std::size_t rank) const {
  const LevelPlace& place = places()[rank];
  return {{entries() + place.first_node, place.nodes},
          {turns() + place.first_turn, place.turns}};
}

std::uint64_t Pool::hits() const {
  if (const PoolRuntime* const shared = runtime()) {
    return shared->hits.load(std::memory_order_relaxed);
  }
  return node_count_ == 0
             ? 0
             : entries()[0].runtime->requests.load(std::memory_order_relaxed);
}

}  // namespace fealty::subscription
