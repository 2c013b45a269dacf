// The balancing alone: choose() from pools of 1, 3 and 100 nodes, by one thread
// and by two that share the pool, as workers do.

#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "subscription/pool.h"

namespace {

using namespace fealty::subscription;

std::shared_ptr<const Pool> make_pool(std::int64_t nodes) {
  auto pool = std::make_shared<Pool>();
  for (std::int64_t i = 0; i < nodes; ++i) {
    Node node;
    node.name = "/run/node-" + std::to_string(i);
    node.runtime = std::make_shared<NodeRuntime>();
    pool->nodes.push_back(std::move(node));
  }
  pool->schedule = make_schedule(pool->nodes);
  pool->runtime = std::make_shared<PoolRuntime>();
  return pool;
}

// The same for all threads of a run.
const Pool& pool_of(std::int64_t nodes) {
  static std::mutex mutex;
  static std::map<std::int64_t, std::shared_ptr<const Pool>> made;
  const std::lock_guard lock(mutex);
  auto& pool = made[nodes];
  if (pool == nullptr) pool = make_pool(nodes);
  return *pool;
}

void choose_wrr(benchmark::State& state) {
  const Pool& pool = pool_of(state.range(0));
  const TriedNodes tried;
  for (auto _ : state) {
    benchmark::DoNotOptimize(choose(pool, tried, 1'000));
  }
}
BENCHMARK(choose_wrr)->ArgName("nodes")->Arg(1)->Arg(3)->Arg(100)
    ->ThreadRange(1, 2)->UseRealTime();

}  // namespace
