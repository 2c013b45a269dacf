#pragma once

#include <cstddef>

#include "base/clock.h"
#include "subscription/node.h"
#include "subscription/table.h"

namespace fealty::subscription {

// How many nodes of a table are in which state, for gauges. Control thread only.
//
// A look at a node costs some 0.2 us where it is in no cache, so that a million
// would hold the thread up: they are looked at bit by bit, some kAtOnceMost a
// step(), and counts() are those of the last whole round. A table of at most so
// many is looked at whenever somebody asks.
class NodeCensus {
 public:
  static constexpr std::size_t kAtOnceMost = 20'000;

  struct Counts {
    std::size_t resting = 0;       // after a failure
    std::size_t ill = 0;           // a check said so
    std::size_t sleeping = 0;
    std::size_t drained = 0;
    std::size_t permanent = 0;
  };

  // Both must outlive it.
  NodeCensus(const Table& table, const Clock& clock)
      : table_(table), clock_(clock) {}

  // To be called now and then, about once a second.
  void step();
  [[nodiscard]] Counts counts() const;

 private:
  static void count(const NodeRecord& node, std::int64_t now_ms,
                    Counts& counts);

  const Table& table_;
  const Clock& clock_;
  std::size_t next_shard_ = 0;
  Counts round_;                   // of the shards before that
  Counts last_;                    // of the last whole round
};

}  // namespace fealty::subscription
