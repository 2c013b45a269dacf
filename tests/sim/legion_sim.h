#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "legion/announce.h"

namespace fealty::test {

// One schedule of a Legion's life, drawn from a seed: 2 to 9 members on a
// network that loses, delays, repeats and reorders packets, is cut in parts or
// one way, with clocks that are off, drift and step, with members that crash (again
// and again), start anew, are stopped and resumed, change their valor, fail as
// Lord and leave; some have another tolerance than the rest.
//
// Judged all along, with a quorum above half of the members:
//   sealed wire: never two holders of a lease at a time; of the address for a tolerance at
//                most, where one of them was killed or is stopped
//   uwsgi wire:  never two holders for longer than a tolerance (of theirs), or two where
//                somebody repeats what was kept from one of them
// and at the end of each calm, in which a quorum is connected for two tolerances,
// alone or (sealed wire) with others about it: somebody is Lord.
//
// A fault breaks one of the things that this rests on. The schedules must find it,
// or they prove nothing.
enum class SimFault : std::uint8_t {
  kNone,
  kShortPromises,   // some voters keep their promises for a third of the time
  kLongLeases,      // some Lords count votes for three times as long
  kNoListening,     // who starts anew votes at once
  kHastyUnlord,     // a Lord votes for the next one before he has given up
  kNoLifetimes,     // the kernel keeps an address until it is told otherwise
  kWildClocks,      // they run up to a third too fast or too slow
};

struct SimResult {
  std::optional<std::string> failure;     // what went wrong, and when
  std::int64_t longest_overlap_ms = 0;
  std::int64_t events = 0;
  int lords = 0;                          // how often somebody became Lord
  int calms = 0;
};

[[nodiscard]] SimResult run_legion_schedule(std::uint64_t seed,
                                            legion::Wire wire, bool trace,
                                            SimFault fault = SimFault::kNone);

}  // namespace fealty::test
