// Snapshot::find among 1, a thousand and a million keys with a node each.
// "warm": the hosts asked for are so few that what they lead to stays in the
// caches; "cold": all of them in random order, so that nothing but the upper
// steps of the tree was looked at lately; the median of single lookups, less
// what reading the clock costs; beside it "two_reads_cold", what the machine
// itself takes for two reads one after the other: of 8 MiB, which the index of a
// million keys has, then of 64 MiB, which their pools have. (A lookup that begins
// to fetch the pool beforehand needs less.) "swept" is the worst there is: every
// 64 lookups all caches are emptied, page tables included.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "million.h"

namespace {

using namespace fealty;
using namespace fealty::bench;
using Hosts = std::vector<std::string>;

constexpr std::size_t kWarmHosts = 1024;
constexpr std::size_t kColdHosts = 200'000;
constexpr std::size_t kSweptHosts = 2048;
constexpr std::size_t kSweptBytes = std::size_t{128} << 20;

Hosts known_hosts(std::size_t count, std::size_t keys) {
  std::mt19937_64 random(1);
  Hosts hosts(count);
  for (auto& host : hosts) host = key_of(random() % keys);
  return hosts;
}

// "a.b.wild.example.net": exact, ".b.wild…", then ".wild.example.net".
Hosts wild_hosts(std::size_t count) {
  Hosts hosts(count);
  for (std::size_t i = 0; i < count; ++i) {
    hosts[i] = "a.b" + std::to_string(i) + ".wild.example.net";
  }
  return hosts;
}

// Exact and four wildcards, none of which is there.
Hosts unknown_hosts(std::size_t count) {
  Hosts hosts(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    hosts[i] = "a.b" + n + ".nobody" + n + ".example" + n + ".org";
  }
  return hosts;
}

std::size_t keys_of(const benchmark::State& state) {
  return static_cast<std::size_t>(state.range(0));
}

void find_warm(benchmark::State& state, const Hosts& hosts, bool there) {
  const auto& snapshot = *routes_of(keys_of(state)).snapshot;
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

std::int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

std::int64_t median(std::vector<std::int64_t> times) {
  const auto middle =
      times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

std::int64_t clock_cost_ns() {
  std::vector<std::int64_t> times(1000);
  for (auto& time : times) {
    const std::int64_t before = now_ns();
    time = now_ns() - before;
  }
  return median(std::move(times));
}

void find_cold(benchmark::State& state, const Hosts& hosts, bool there,
               bool sweep) {
  const auto& snapshot = *routes_of(keys_of(state)).snapshot;
  const std::int64_t clock_ns = clock_cost_ns();
  std::vector<char> swept(kSweptBytes, 1);
  std::vector<std::int64_t> times;
  for (auto _ : state) {
    for (std::size_t i = 0; i < hosts.size(); ++i) {
      // Once in 64 lookups, of which each goes elsewhere.
      for (std::size_t at = 0; sweep && i % 64 == 0 && at < kSweptBytes;
           at += 64) {
        swept[at] = static_cast<char>(swept[at] + 1);
      }
      const std::string host = hosts[i];     // the request's own is warm
      const std::int64_t before = now_ns();
      const auto* const pool = snapshot.find(host, {});
      benchmark::DoNotOptimize(pool);
      times.push_back(now_ns() - before - clock_ns);
      if ((pool != nullptr) != there) state.SkipWithError("wrong");
    }
  }
  state.counters["median_ns"] = static_cast<double>(median(std::move(times)));
}

// A read at random, and one more at a place that the first one tells.
void two_reads_cold(benchmark::State& state) {
  constexpr std::size_t kLine = 64;
  struct alignas(kLine) Line {
    std::size_t next = 0;
  };
  std::vector<Line> index((std::size_t{8} << 20) / kLine);
  std::vector<Line> pools((std::size_t{64} << 20) / kLine);
  std::mt19937_64 random(1);
  for (Line& line : index) line.next = random() % pools.size();
  const std::int64_t clock_ns = clock_cost_ns();
  std::vector<std::int64_t> times;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kColdHosts; ++i) {
      const std::size_t at = random() % index.size();
      const std::int64_t before = now_ns();
      // Volatile: read here, not where it is looked at.
      [[maybe_unused]] const volatile std::size_t last =
          pools[index[at].next].next;
      times.push_back(now_ns() - before - clock_ns);
    }
  }
  state.counters["median_ns"] = static_cast<double>(median(std::move(times)));
}

void lookup_exact_warm(benchmark::State& state) {
  find_warm(state, known_hosts(kWarmHosts, keys_of(state)), true);
}
// All over the keys: what a lookup costs where most of it is not cached.
void lookup_exact_spread(benchmark::State& state) {
  find_warm(state, known_hosts(65'536, keys_of(state)), true);
}
void lookup_wildcard_third_step(benchmark::State& state) {
  find_warm(state, wild_hosts(kWarmHosts), true);
}
void lookup_miss_warm(benchmark::State& state) {
  find_warm(state, unknown_hosts(kWarmHosts), false);
}
void lookup_exact_cold(benchmark::State& state) {
  find_cold(state, known_hosts(kColdHosts, keys_of(state)), true, false);
}
void lookup_miss_cold(benchmark::State& state) {
  find_cold(state, unknown_hosts(kColdHosts), false, false);
}
void lookup_exact_swept(benchmark::State& state) {
  find_cold(state, known_hosts(kSweptHosts, keys_of(state)), true, true);
}
void lookup_miss_swept(benchmark::State& state) {
  find_cold(state, unknown_hosts(kSweptHosts), false, true);
}

BENCHMARK(lookup_exact_warm)->Arg(1)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(lookup_exact_spread)->Arg(1'000'000);
BENCHMARK(lookup_wildcard_third_step)->Arg(1)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(lookup_miss_warm)->Arg(1)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(two_reads_cold)->Iterations(2);
BENCHMARK(lookup_exact_cold)->Arg(1'000'000)->Iterations(2);
BENCHMARK(lookup_miss_cold)->Arg(1'000'000)->Iterations(2);
BENCHMARK(lookup_exact_swept)->Arg(1'000'000)->Iterations(1);
BENCHMARK(lookup_miss_swept)->Arg(1'000'000)->Iterations(1);

}  // namespace
