// The balancing alone: choose() from pools of 1, 3 and 100 nodes by each
// algorithm, by one thread and by two that share the pool, as workers do.

#include <benchmark/benchmark.h>

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "subscription/choose.h"

namespace {

using namespace fealty;
using namespace fealty::subscription;

PoolRef make_pool(std::int64_t count, Algorithm algorithm) {
  std::vector<Ref<NodeRecord>> records;
  std::vector<Node> nodes;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string name = "/run/node-" + std::to_string(i);
    records.push_back(NodeRecord::make(name, *Address::parse(name)));
    nodes.push_back({.runtime = records.back().get()});
  }
  const auto runtime = Ref<PoolRuntime>::adopt(new PoolRuntime);
  return Pool::make({.key = "example.com",
                     .algorithm = algorithm,
                     .nodes = nodes,
                     .runtime = runtime.get()});
}

// The same for all threads of a run.
const Pool& pool_of(std::int64_t nodes, Algorithm algorithm) {
  static std::mutex mutex;
  static std::map<std::pair<std::int64_t, Algorithm>, PoolRef> made;
  const std::lock_guard lock(mutex);
  PoolRef& pool = made[{nodes, algorithm}];
  if (pool == nullptr) pool = make_pool(nodes, algorithm);
  return *pool;
}

void choose_node(benchmark::State& state, Algorithm algorithm) {
  const Pool& pool = pool_of(state.range(0), algorithm);
  const TriedNodes tried;
  Choice choice = {.now_ms = 1'000};
  for (auto _ : state) {
    ++choice.client_hash;
    benchmark::DoNotOptimize(choose(pool, tried, choice));
  }
}
BENCHMARK_CAPTURE(choose_node, wrr, Algorithm::kWrr)
    ->ArgName("nodes")->Arg(1)->Arg(3)->Arg(100)
    ->ThreadRange(1, 2)->UseRealTime();
BENCHMARK_CAPTURE(choose_node, lrc, Algorithm::kLrc)
    ->ArgName("nodes")->Arg(3)->Arg(100);
BENCHMARK_CAPTURE(choose_node, wlrc, Algorithm::kWlrc)
    ->ArgName("nodes")->Arg(3)->Arg(100);
BENCHMARK_CAPTURE(choose_node, iphash, Algorithm::kIphash)
    ->ArgName("nodes")->Arg(3)->Arg(100);

}  // namespace
