#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/ref.h"
#include "router/options.h"
#include "subscription/table.h"

namespace fealty::router {

// Asks the HTTP nodes of a table, one after the other, whether they are well: a
// GET on a connection of its own to each, once an interval. Any answer from 200
// to 399 within the timeout is a good one; a refused or ended connection, any
// other answer, or none, is not. `fall` bad ones in a row make a node ill,
// `rise` good ones well again (NodeRuntime::set_checked), with a log line each
// time. A node under several keys is asked once for each, with the key as Host
// (a wildcard's without its dot).
//
// Control thread only; nothing waits. The table is walked shard by shard, evenly
// over the interval, so that nothing is kept of a node but while it is asked, or
// is about to change: nodes of other protocols cost a look. At most kProbesMost
// are asked at a time: more nodes than can be asked so are asked less often.
// kLinesMost log lines a second.
class HealthChecker {
 public:
  static constexpr std::size_t kProbesMost = 128;
  static constexpr std::int64_t kTick_ms = 50;
  static constexpr unsigned kLinesMost = 50;

  // The first three must outlive it.
  HealthChecker(Loop& loop, const Clock& clock,
                const subscription::Table& table, HealthCheck options,
                std::vector<std::string> path_prefixes = {});
  ~HealthChecker();
  HealthChecker(const HealthChecker&) = delete;
  HealthChecker& operator=(const HealthChecker&) = delete;

  // It asks as these say.
  [[nodiscard]] bool is_of(const HealthCheck& options,
                           const std::vector<std::string>& prefixes) const {
    return options_ == options && path_prefixes_ == prefixes;
  }

  void start();
  void stop();

  struct Counters {
    std::uint64_t passed = 0;
    std::uint64_t failed = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] std::size_t probing() const { return probing_; }

 private:
  class Probe;
  using NodeRef = Ref<subscription::NodeRecord>;
  // Answers in a row that speak against what is thought of a node.
  struct Streak {
    NodeRef node;
    unsigned answers = 0;
  };

  void on_tick();
  void walk(std::int64_t now_ms);
  void begin_probes(std::int64_t now_ms);
  void on_answer(Probe& probe, bool good, std::string_view why);
  void judge(subscription::NodeRecord& node, bool good, std::string_view why);
  void say(const subscription::NodeRecord& node, bool good,
           std::string_view why);
  void forget_departed();

  Loop& loop_;
  const Clock& clock_;
  const subscription::Table& table_;
  const HealthCheck options_;
  const std::vector<std::string> path_prefixes_;  // node_connect.h
  TimerWatcher tick_;
  std::int64_t round_began_ms_ = 0;
  std::size_t next_shard_ = 0;
  std::deque<NodeRef> waiting_;            // of the shards that were walked
  std::vector<std::unique_ptr<Probe>> probes_;   // made as they are needed
  std::size_t probing_ = 0;
  std::unordered_map<const subscription::NodeRecord*, Streak> streaks_;
  log::LineBudget lines_{kLinesMost};
  Counters counters_;
};

}  // namespace fealty::router
