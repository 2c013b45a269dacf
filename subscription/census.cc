#include "subscription/census.h"

#include <utility>

namespace fealty::subscription {

void NodeCensus::step() {
  if (table_.node_count() <= kAtOnceMost) {
    next_shard_ = 0;
    round_ = {};
    return;
  }
  const std::int64_t now_ms = clock_.monotonic_ms();
  std::size_t seen = 0;
  while (seen < kAtOnceMost && next_shard_ < kShards) {
    table_.visit_nodes(next_shard_++, 1, [&](const NodeRecord& node) {
      count(node, now_ms, round_);
      ++seen;
    });
  }
  if (next_shard_ < kShards) return;
  next_shard_ = 0;
  last_ = std::exchange(round_, {});
}

NodeCensus::Counts NodeCensus::counts() const {
  if (table_.node_count() > kAtOnceMost) return last_;
  Counts counts;
  const std::int64_t now_ms = clock_.monotonic_ms();
  table_.visit_nodes(0, kShards, [&](const NodeRecord& node) {
    count(node, now_ms, counts);
  });
  return counts;
}

void NodeCensus::count(const NodeRecord& node, std::int64_t now_ms,
                       Counts& counts) {
  counts.resting += node.resting(now_ms) ? 1U : 0U;
  counts.ill += node.healthy() ? 0U : 1U;
  counts.sleeping += node.sleeping ? 1U : 0U;
  counts.drained += node.drained ? 1U : 0U;
  counts.permanent += node.permanent ? 1U : 0U;
}

}  // namespace fealty::subscription
