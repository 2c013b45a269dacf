// Snapshot::find among 1, a thousand and a million keys. The hosts asked for
// are spread over all keys, so that the large table shows what the memory
// costs. (Its pools hold no nodes: find() does not look at them.)

#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "subscription/snapshot.h"

namespace {

using namespace fealty::subscription;
using Pools = std::vector<std::shared_ptr<const Pool>>;

std::string key_of(std::size_t i) {
  return "www.customer-" + std::to_string(i) + ".example.com";
}

std::shared_ptr<const Pool> make_pool(std::string key) {
  auto pool = std::make_shared<Pool>();
  pool->hash = hash_key(key);
  pool->key = std::move(key);
  return pool;
}

std::shared_ptr<const Snapshot> make_snapshot(std::size_t keys) {
  std::vector<Pools> parts(Snapshot::kShards);
  const auto add = [&](std::string key) {
    auto pool = make_pool(std::move(key));
    parts[shard_of(pool->hash)].push_back(std::move(pool));
  };
  for (std::size_t i = 0; i < keys; ++i) add(key_of(i));
  add(".wild.example.net");
  Snapshot::Shards shards;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    shards[i] = std::make_shared<const Shard>(std::move(parts[i]));
  }
  return std::make_shared<const Snapshot>(std::move(shards), true, 1);
}

// Made once a size: a million takes a second.
const Snapshot& snapshot_of(benchmark::State& state) {
  static std::map<std::int64_t, std::shared_ptr<const Snapshot>> made;
  auto& snapshot = made[state.range(0)];
  if (snapshot == nullptr) {
    snapshot = make_snapshot(static_cast<std::size_t>(state.range(0)));
  }
  return *snapshot;
}

void find_all(benchmark::State& state, const std::vector<std::string>& hosts,
              bool there) {
  const Snapshot& snapshot = snapshot_of(state);
  std::size_t next = 0;
  for (auto _ : state) {
    const auto* const pool = snapshot.find(hosts[next], {});
    if ((pool != nullptr) != there) {
      state.SkipWithError("the wrong thing was found");
      break;
    }
    benchmark::DoNotOptimize(pool);
    if (++next == hosts.size()) next = 0;
  }
}

constexpr std::size_t kHosts = 65'536;

void lookup_exact(benchmark::State& state) {
  std::mt19937_64 random(1);
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  std::vector<std::string> hosts(kHosts);
  for (auto& host : hosts) host = key_of(random() % keys);
  find_all(state, hosts, true);
}

// "a.b.wild.example.net": exact, ".b.wild…", then ".wild.example.net".
void lookup_wildcard_third_step(benchmark::State& state) {
  std::vector<std::string> hosts(kHosts);
  for (std::size_t i = 0; i < kHosts; ++i) {
    hosts[i] = "a.b" + std::to_string(i) + ".wild.example.net";
  }
  find_all(state, hosts, true);
}

// Exact and four wildcards, none of which is there.
void lookup_miss(benchmark::State& state) {
  std::vector<std::string> hosts(kHosts);
  for (std::size_t i = 0; i < kHosts; ++i) {
    hosts[i] = "a.b" + std::to_string(i) + ".nobody.example.org";
  }
  find_all(state, hosts, false);
}

BENCHMARK(lookup_exact)->Arg(1)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(lookup_wildcard_third_step)->Arg(1)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(lookup_miss)->Arg(1)->Arg(1'000)->Arg(1'000'000);

}  // namespace
