#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "legion/forwarder.h"
#include "legion/member.h"

namespace fealty::legion {

// What the admin listener shows, built anew at each call. On the loop's thread.
struct StatsSource {
  const std::vector<std::unique_ptr<Member>>& members;
  const Clock& clock;
  const Forwarder* forwarder;            // null: there is none
  bool forwarder_wanted = false;         // whether there should be one
};

// `legions` with the field names of uWSGI 2.0.21's stats, and more behind them:
// role, lord, votes, why there is no quorum, the members, what was dropped. And
// `forwarder`, or null.
[[nodiscard]] std::string stats_json(const StatsSource& source);

// Prometheus' text format, version 0.0.4.
[[nodiscard]] std::string metrics_text(const StatsSource& source);

}  // namespace fealty::legion
