// Schedules of a Legion's life, judged for safety and progress
// (tests/sim/legion_sim.h). FEALTY_SIM_SEED=N runs that one alone and says what
// happens in it; FEALTY_SIM_SCHEDULES=N runs so many of each wire (FEALTY_SOAK=1:
// 50,000), from FEALTY_SIM_FIRST on.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/sim/legion_sim.h"

namespace fealty::test {
namespace {

constexpr std::uint64_t kSchedules = 300;
constexpr std::uint64_t kSoakSchedules = 50'000;
constexpr std::uint64_t kProgressEach = 1'000;

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void run(legion::Wire wire) {
  if (std::getenv("FEALTY_SIM_SEED") != nullptr) {
    const auto seed = number_of("FEALTY_SIM_SEED", 0);
    const SimResult result = run_legion_schedule(seed, wire, true);
    EXPECT_FALSE(result.failure) << *result.failure;
    return;
  }
  const std::uint64_t first = number_of("FEALTY_SIM_FIRST", 1);
  const std::uint64_t count = number_of(
      "FEALTY_SIM_SCHEDULES",
      std::getenv("FEALTY_SOAK") != nullptr ? kSoakSchedules : kSchedules);
  std::int64_t longest_ms = 0;
  std::int64_t events = 0;
  std::int64_t lords = 0;
  std::int64_t calms = 0;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + count && failures < 5; ++seed) {
    const SimResult result = run_legion_schedule(seed, wire, false);
    longest_ms = std::max(longest_ms, result.longest_overlap_ms);
    events += result.events;
    lords += result.lords;
    calms += result.calms;
    if ((seed - first + 1) % kProgressEach == 0) {
      std::printf("%llu schedules so far\n",
                  static_cast<unsigned long long>(seed - first + 1));
      std::fflush(stdout);
    }
    if (!result.failure) continue;
    ++failures;
    ADD_FAILURE() << "FEALTY_SIM_SEED=" << seed << ": " << *result.failure;
  }
  std::printf("%llu schedules, %lld events, %lld Lords, %lld calms; longest with "
              "two holders: %lld ms\n",
              static_cast<unsigned long long>(count),
              static_cast<long long>(events), static_cast<long long>(lords),
              static_cast<long long>(calms), static_cast<long long>(longest_ms));
}

TEST(LegionSim, SealedWireHasOneLordAtATimeAndMakesProgress) {
  run(legion::Wire::kSealed);
}

TEST(LegionSim, UwsgiWireHasTwoHoldersForAToleranceAtMostAndMakesProgress) {
  run(legion::Wire::kUwsgi);
}

// Whether the schedules find two holders, and how soon.
bool is_found(SimFault fault, legion::Wire wire = legion::Wire::kSealed) {
  for (std::uint64_t seed = 1; seed <= kSchedules; ++seed) {
    const SimResult result = run_legion_schedule(seed, wire, false, fault);
    if (!result.failure ||
        result.failure->find("two hold it") == std::string::npos) {
      continue;
    }
    std::printf("schedule %llu: %s\n", static_cast<unsigned long long>(seed),
                result.failure->c_str());
    return true;
  }
  return false;
}

TEST(LegionSim, FindsPromisesThatAreTooShort) {
  EXPECT_TRUE(is_found(SimFault::kShortPromises));
}

TEST(LegionSim, FindsLeasesThatAreTooLong) {
  EXPECT_TRUE(is_found(SimFault::kLongLeases));
  EXPECT_TRUE(is_found(SimFault::kLongLeases, legion::Wire::kUwsgi));
}

TEST(LegionSim, FindsVotersThatDoNotListenFirst) {
  EXPECT_TRUE(is_found(SimFault::kNoListening));
}

TEST(LegionSim, FindsLordsThatVoteBeforeTheyHaveGivenUp) {
  EXPECT_TRUE(is_found(SimFault::kHastyUnlord));
}

TEST(LegionSim, FindsAddressesThatOutliveTheLease) {
  EXPECT_TRUE(is_found(SimFault::kNoLifetimes));
  EXPECT_TRUE(is_found(SimFault::kNoLifetimes, legion::Wire::kUwsgi));
}

TEST(LegionSim, FindsClocksThatRunApart) {
  EXPECT_TRUE(is_found(SimFault::kWildClocks));
}

}  // namespace
}  // namespace fealty::test
