#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "legion/announce.h"

namespace fealty::test {

// One schedule of a Legion's life, drawn from a seed: 2 to 9 members on a
// network that loses, delays, repeats and reorders packets, is cut in parts or
// one way, with clocks that are off and drift, with members that crash, start
// anew, are stopped and resumed, change their valor, fail as Lord and leave.
//
// Judged all along, with a quorum above half of the members:
//   sealed wire: never two holders at a time
//   uwsgi wire:  never two holders for longer than a tolerance and a delay
// and at the end of each calm, in which a quorum is connected for two
// tolerances: somebody is Lord.
struct SimResult {
  std::optional<std::string> failure;     // what went wrong, and when
  std::int64_t longest_overlap_ms = 0;
  std::int64_t events = 0;
  int lords = 0;                          // how often somebody became Lord
  int calms = 0;
};

[[nodiscard]] SimResult run_legion_schedule(std::uint64_t seed,
                                            legion::Wire wire, bool trace);

}  // namespace fealty::test
