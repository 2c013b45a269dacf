#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "router/access_log.h"
#include "router/health.h"
#include "router/identities.h"
#include "router/options.h"
#include "router/spawner.h"
#include "router/worker.h"
#include "subscription/server.h"

namespace fealty::router {

// What the admin listener shows. Control thread; the workers' counters are
// read as they are. Each call builds the whole text.

struct StatsSource {
  const Options& options;
  const subscription::Server& subscriptions;
  const subscription::Snapshot& snapshot;      // the last one published
  const std::vector<std::unique_ptr<Worker>>& workers;
  const SharedState& shared;
  const Spawner& spawner;
  const HealthChecker* health;                 // null: nobody is asked
  const Identities& identities;
  const Clock& clock;
  const AccessLog* access_log;                 // null: there never was one
};

// uWSGI's router stats (2.0.21's `--http-stats-server`): its field names, and
// more behind them.
[[nodiscard]] std::string stats_json(const StatsSource& source);

// What a request for `host` and `path` (raw, as a client sends it) would meet:
// the key that answers and why, the algorithm, and for each node of the pool,
// sleeping ones too, which rule lets it be chosen or excludes it. (explain.cc)
[[nodiscard]] std::string explain_json(const StatsSource& source,
                                       std::string_view host,
                                       std::string_view path);

// Prometheus' text format, version 0.0.4.
[[nodiscard]] std::string metrics_text(const StatsSource& source);

}  // namespace fealty::router
