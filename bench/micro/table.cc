// The table with a million keys: memory a key, a refresh, a change and the
// snapshot that follows it.

#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "million.h"
#include "subscription/census.h"

namespace {

using namespace fealty;
using namespace fealty::bench;
using subscription::Announcement;

constexpr std::size_t kAnnounced = 16'384;

std::vector<Announcement> announcements(std::size_t keys) {
  std::mt19937_64 random(2);
  std::vector<Announcement> made;
  for (std::size_t i = 0; i < kAnnounced; ++i) {
    made.push_back(announcement_of(random() % keys));
  }
  return made;
}

std::size_t keys_of(const benchmark::State& state) {
  return static_cast<std::size_t>(state.range(0));
}

// The first that runs, or else memory that was freed before is taken anew and
// does not show.
void table_memory(benchmark::State& state) {
  for (auto _ : state) {
    state.counters["bytes_per_key"] = bytes_per_key(keys_of(state));
  }
}
BENCHMARK(table_memory)->Arg(1'000'000)->Iterations(1);

void table_refresh(benchmark::State& state) {
  auto& table = routes_of(keys_of(state)).table;
  const auto packets = announcements(keys_of(state));
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.apply(packets[next], {}));
    if (++next == packets.size()) next = 0;
  }
}
BENCHMARK(table_refresh)->Arg(1'000)->Arg(1'000'000);

// A weight changes, and the snapshot with it is made.
void table_change_and_build(benchmark::State& state) {
  auto& routes = routes_of(keys_of(state));
  auto packets = announcements(keys_of(state));
  std::size_t next = 0;
  for (auto _ : state) {
    Announcement& packet = packets[next];
    ++packet.weight;
    benchmark::DoNotOptimize(routes.table.apply(packet, {}));
    routes.snapshot = routes.table.build();
    if (++next == packets.size()) next = 0;
  }
}
BENCHMARK(table_change_and_build)->Arg(1'000)->Arg(1'000'000);

// What the control thread does each second for the gauges of node states.
void table_census(benchmark::State& state) {
  auto& routes = routes_of(keys_of(state));
  subscription::NodeCensus census(routes.table, routes.clock);
  for (auto _ : state) {
    census.step();
    benchmark::DoNotOptimize(census.counts());
  }
}
BENCHMARK(table_census)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
